"""The differences of two releases, and how big a version step they are.

::

    found = diff(Path("releases/1.0.0"), Path("releases/1.1.0"))
    found.change                            "minor"
    found.configs["sft"].added              2100
    found.markdown()                        "- `sft`: 9,224 -> 11,324 rows: 2,100 added", ...

Rows are matched by `id`; what the card says is compared as a whole. Columns are read one at a time (`diff_rows`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finemed.errors import ConfigError
from finemed.publish.versions.diff_rows import ConfigDiff, diff_config
from finemed.publish.versions.diff_text import markdown, reasons
from finemed.publish.versions.folder import ReleaseFolder, batches, columns_of
from finemed.publish.versions.identity import compared_parts
from finemed.publish.versions.previous import SPLITS_SINCE
from finemed.publish.versions.version import Change, Version
from finemed.records import POOLS

NOTHING = "(none)"
SourceKey = tuple[str, str, str]
"""Source, licence, attribution; empty where not stated."""


@dataclass(frozen=True)
class ReleaseDiff:
    """The differences of two releases."""

    configs: dict[str, ConfigDiff]
    departments: dict[str, tuple[int, int]]
    """Department -> questions in the old and the new release; `sft_reasoning` repeats those of `dpo`."""
    sources: dict[SourceKey, tuple[int, int]]
    """(source, licence, attribution) -> questions in the old and the new release."""
    parts: list[str]
    """What differs beside the rows: parts of the manifest, `card`, `ledger.parquet`, `tombstones.jsonl`."""
    versions: tuple[str | None, str | None] = (None, None)
    """What the old and the new release say they are; None before a publication."""
    reshuffled: bool = False
    """Whether the new one says that it let rows change splits."""

    @property
    def change(self) -> Change:
        """How big a step the differences ask for, whoever made them."""
        if any(config.breaks for config in self.configs.values()):
            return "major"
        if any(config.is_new or config.splits_added or config.rows_differ for config in self.configs.values()):
            return "minor"
        return "patch" if self.parts else "none"

    @property
    def is_retraction(self) -> bool:
        """Whether rows only went, and the tombstones say more than before."""
        kinds = self.configs.values()
        only_less = not any(config.is_new or config.added or config.changed or config.splits_added for config in kinds)
        return only_less and "tombstones.jsonl" in self.parts and any(config.removed for config in kinds)

    def step(self) -> tuple[Change, str | None]:
        """The step from the one version to the other, and why it is not the one that the differences ask for.

        The numbers decide where both releases have one. A retraction is a patch although rows go.
        """
        content: Change = "patch" if self.is_retraction and self.change == "minor" else self.change
        why = "a retraction" if self.is_retraction else None
        old, new = (None if name is None else Version.parse(name) for name in self.versions)
        if old is None or new is None or old == new:
            return content, why
        if new < old:
            return content, f"seen back from {old} to {new}"
        stated = new.step_from(old) or content
        if stated == content:
            return stated, why
        if self.reshuffled and stated == "major":
            return stated, f"rows were let change splits; what differs would be {content}"
        return stated, f"by its number; what differs would be {content}" + (f", {why}" if why else "")

    def why(self) -> str:
        """The change in a few words, for a message."""
        return reasons(self.configs, self.parts)

    def markdown(self) -> str:
        """The differences as a Markdown list, every text of a corpus escaped; empty where there are none."""
        return markdown(self.configs, self.departments, self.sources, self.parts)

    def plain(self) -> dict[str, Any]:
        """The differences as JSON values."""
        step, why = self.step()
        return {
            "change": step,
            "content_change": self.change,
            "why": why,
            "configs": {name: _plain(config) for name, config in self.configs.items()},
            "departments": {
                name: {"old": old, "new": new, "old_share": shares[0], "new_share": shares[1]}
                for name, (old, new) in self.departments.items()
                for shares in [_shares(self.departments, old, new)]
            },
            "sources": [
                {"source": source, "license": licence or None, "attribution": named or None, "old": old, "new": new}
                for (source, licence, named), (old, new) in self.sources.items()
            ],
            "parts": self.parts,
        }


def diff(old: Path, new: Path) -> ReleaseDiff:
    """Compares two release folders, published or not.

    Raises:
        InputError: one is no release, or its rows have no ids of their own.
        StoreError: a file is damaged.
    """
    return diff_releases(ReleaseFolder.open(old), ReleaseFolder.open(new))


def diff_releases(before: ReleaseFolder, after: ReleaseFolder) -> ReleaseDiff:
    """Compares two opened releases; the new one may lack its version and card yet."""
    names = [*after.data, *(name for name in before.data if name not in after.data)]
    configs = {name: diff_config(name, before.data.get(name, {}), after.data.get(name, {})) for name in names}
    (old_departments, old_sources), (new_departments, new_sources) = _questions(before), _questions(after)
    return ReleaseDiff(
        configs,
        {
            name: (old_departments[name], new_departments[name])
            for name in sorted(old_departments.keys() | new_departments.keys())
        },
        {key: (old_sources[key], new_sources[key]) for key in sorted(old_sources.keys() | new_sources.keys())},
        [
            *compared_parts(before, after),
            *(f"order or encoding of data/{name}" for name, found in configs.items() if found.only_bytes_differ),
        ],
        (_version(before), _version(after)),
        reshuffled=_version(after) is not None and after.manifest.get(SPLITS_SINCE) == _version(after),
    )


def _version(release: ReleaseFolder) -> str | None:
    """What a release says it is; None where that is no version."""
    try:
        return str(Version.parse(str(release.manifest.get("version"))))
    except ConfigError:
        return None


def _questions(release: ReleaseFolder) -> tuple[Counter[str], Counter[SourceKey]]:
    """Questions by department and by source with its licence."""
    departments: Counter[str] = Counter()
    sources: Counter[SourceKey] = Counter()
    pools = [pool for pool in POOLS if pool in release.data]
    if "dpo" in pools and "sft_reasoning" in pools:
        pools.remove("sft_reasoning")
    for path in (path for pool in pools for path in release.data[pool].values()):
        present = columns_of(path)
        wanted = [name for name in present if name in ("department", "source", "license", "attribution")]
        for part in batches(path, wanted) if wanted else ():
            counted = part.group_by(wanted).len()
            for row in counted.iter_rows(named=True):
                departments[row.get("department") or NOTHING] += row["len"]
                key = (row.get("source") or NOTHING, row.get("license") or "", row.get("attribution") or "")
                sources[key] += row["len"]
    return departments, sources


def _shares(counts: dict[str, tuple[int, int]], old: int, new: int) -> tuple[float, float]:
    before = sum(count for count, _ in counts.values())
    after = sum(count for _, count in counts.values())
    return round(old / max(1, before), 4), round(new / max(1, after), 4)


def _plain(config: ConfigDiff) -> dict[str, Any]:
    values = asdict(config)
    del values["config"]
    for name in ("columns_retyped", "scores"):
        values[name] = {key: {"old": old, "new": new} for key, (old, new) in values[name].items()}
    return values
