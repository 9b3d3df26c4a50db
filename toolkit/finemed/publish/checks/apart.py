"""The near-duplicates between splits and pools, looked for again.

::

    check_apart(shipped, faults)
    # data: sft/test, row s9a1... and sft/train, row s3f0... hold nearly the same question: Jaccard similarity 0.91 ...
"""

from __future__ import annotations

from finemed.errors import StageError
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.recount import NO_FORM, REMEDY, tell
from finemed.publish.checks.shipped import MANIFEST, Shipped
from finemed.publish.separation import check_separation
from finemed.records.manifest import Manifest

_SPLIT = (
    "the split stage is faulty, or rows were changed: build again, or take the rows out with `finemed retract --id`"
)
_SETTINGS = {"questions": "component_threshold", "answers": "answer_threshold"}


def check_apart(shipped: Shipped, faults: Faults) -> None:
    """`separation`: the check that the build made, made again with the same thresholds."""
    manifest = shipped.whole
    if manifest is None:
        faults.skip("separation", NO_FORM)
        return
    stated = manifest.separation.model_dump()
    split = manifest.stage("split")
    if split is not None:
        for what, setting in _SETTINGS.items():
            if stated[what]["threshold"] != split.settings.get(setting):
                fact = f"`separation.{what}.threshold` is not `{setting}` of the stage `split`"
                faults.add("separation", MANIFEST, fact, REMEDY)
    thresholds = {what: stated[what]["threshold"] for what in _SETTINGS}
    if not all(0 < value <= 1 for value in thresholds.values()):
        faults.add("separation", MANIFEST, "a threshold is no similarity, from 0 to 1", REMEDY)
        return
    try:
        found = check_separation(shipped.path / "data", **thresholds)
    except StageError as error:
        fact = str(error).removeprefix("release: ").partition("; run ")[0]
        faults.add("separation", "data", fact, _SPLIT)
    except Exception as error:  # rows that break the schema can make it fail in any way
        if not faults.counts:
            faults.add("separation", "data", f"it cannot be looked at: {type(error).__name__}", _SPLIT)
        faults.skip("separation", "the files cannot be read as rows of ours")
    else:
        faults.apply("separation")
        _compare(manifest, stated, found, faults)


def _compare(manifest: Manifest, stated: dict[str, object], found: dict[str, object], faults: Faults) -> None:
    if manifest.format == 1 and manifest.retracted is not None:
        faults.skip("separation", "its counts: they are those of the build, before rows were retracted")
        return
    tell("separation", "separation", stated, found, faults)
