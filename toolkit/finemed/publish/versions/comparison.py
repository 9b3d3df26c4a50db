"""How a version may be compared with the last one: which rows of its held-out splits both have, and who judged.

::

    compare(old, composed.release, "minor")
    # {"version": "1.0.0", "change": "minor", "judges": "same",
    #  "splits": [{"config": "sft", "split": "test", "before": 38, "now": 45, "both": 38}, ...]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finemed.publish.versions.folder import ReleaseFolder, batches, columns_of
from finemed.records import POOLS

HELD_OUT = ("validation", "test")
_JUDGED = ("judgement of questions", "judgement of answers")


def compare(before: ReleaseFolder, after: ReleaseFolder, change: str) -> dict[str, Any]:
    """What a card says about comparing two versions, as JSON values."""
    splits = []
    for config in POOLS:
        for split in HELD_OUT:
            old, new = (_ids(release.data.get(config, {}).get(split)) for release in (before, after))
            if old or new:
                splits.append(
                    {"config": config, "split": split, "before": len(old), "now": len(new), "both": len(old & new)}
                )
    return {
        "version": before.manifest.get("version"),
        "change": change,
        "judges": _judges(before.manifest, after.manifest),
        "splits": splits,
    }


def _ids(path: Path | None) -> set[str]:
    if path is None or "id" not in columns_of(path):
        return set()
    return {value for part in batches(path, ["id"]) for value in part["id"]}


def _judges(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Whether scores of two versions come from the same models and prompts: `same`, `other` or `unknown`."""
    models = [manifest.get("figures", {}).get("models") for manifest in (before, after)]
    if not all(isinstance(found, dict) for found in models):
        return "unknown"
    old, new = ([sorted(found.get(kind, {})) for kind in _JUDGED] for found in models)
    return "same" if old == new else "other"
