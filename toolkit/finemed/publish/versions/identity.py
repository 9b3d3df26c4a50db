"""What a release is, whatever its version, its day and the file names of its pictures.

Two releases with the same identity hold the same data and say the same about it. It is made from the data files, the
ledger, the tombstones, and the manifest without what publishing adds; the hash of the card as it reads without a
version stands in the manifest. So it can be worked out again from the folder alone, by whatever version of the toolkit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from finemed.config import stable_hash
from finemed.publish.cards.card import card_hash
from finemed.publish.versions.folder import ReleaseFolder
from finemed.store.atomic import file_hash

PUBLISHED_KEYS = (
    "version",
    "parent",
    "dataset",
    "date",
    "repo",
    "changelog",
    "comparison",
    "plots",
    "drawn_with",
    "renderer",
    "files",
    "release_hash",
    "splits_since",
)
"""Keys of the manifest that publishing writes; all else says how the release was made."""
WRITTEN_ANEW = ("README.md", "CHANGELOG.md", "croissant.json", "manifest.json")


def written_anew(name: str) -> bool:
    """Whether publishing writes this file itself instead of taking it from the release that was built."""
    return name in WRITTEN_ANEW or name.startswith("plots/")


def facts_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest without what publishing adds."""
    return {key: value for key, value in manifest.items() if key not in PUBLISHED_KEYS}


def release_hash(folder: Path, manifest: dict[str, Any], files: dict[str, str | None] | None = None) -> str:
    """Identity of the release in `folder`.

    Args:
        folder: holds the files.
        manifest: of the release, with or without what publishing adds.
        files: name -> SHA-256 of all files, where they are known.
    """
    facts = facts_of(manifest)
    known = _kept_files(folder) if files is None else {k: v for k, v in files.items() if not written_anew(k)}
    if facts.get("format") == 1:  # before the card's hash stood in the manifest
        return stable_hash({"files": known, "card": card_hash(facts), "facts": facts})
    return stable_hash({"files": known, "facts": facts})


def release_hash_of(release: ReleaseFolder) -> str:
    """Identity of a release: what it says itself if it was published, worked out from its files otherwise."""
    if "version" in release.manifest:
        return str(release.manifest["release_hash"])
    return release_hash(release.path, release.manifest)


def compared_parts(old: ReleaseFolder, new: ReleaseFolder) -> list[str]:
    """What differs beside the rows: keys of the manifest, files; `card` where only its wording does."""
    before, after = facts_of(old.manifest), facts_of(new.manifest)
    # these follow from the rows and the rest, which are compared by themselves
    counted = {"configs", "columns", "content", "figures", "totals", "examples", "separation", "card_text"}
    parts = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    parts = [key for key in parts if key not in counted]
    files, others = _kept_files(old.path), _kept_files(new.path)
    names = sorted(name for name in files.keys() | others.keys() if not name.startswith("data/"))
    parts += [name for name in names if files.get(name) != others.get(name)]
    same_rows = all(files.get(name) == others.get(name) for name in files.keys() | others.keys())
    if not parts and same_rows and release_hash_of(old) != release_hash_of(new):
        parts.append("card")
    return parts


def same_but_for_holding(old: ReleaseFolder, new: ReleaseFolder) -> bool:
    """Whether two releases differ only in the earlier versions that their builds held the splits against.

    Such are a published release and what the same sources give when they are built once more, now with that release
    among the earlier versions.
    """
    if _kept_files(old.path) != _kept_files(new.path):
        return False
    return _without_holding(facts_of(old.manifest)) == _without_holding(facts_of(new.manifest))


def _without_holding(facts: dict[str, Any]) -> dict[str, Any]:
    stages = [
        {
            **{name: value for name, value in stage.items() if name not in ("fingerprint", "facts", "settings")},
            "facts": {name: value for name, value in stage["facts"].items() if name != "previous"},
            "settings": {name: value for name, value in stage["settings"].items() if name != "previous"},
        }
        for stage in facts.get("stages", [])
    ]
    return {**facts, "stages": stages, "card_text": None}


def _kept_files(folder: Path) -> dict[str, str]:
    found = (path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file())
    names = (path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
    return {name: file_hash(folder / name) for name in names if not written_anew(name)}
