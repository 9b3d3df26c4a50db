"""Whether a folder may hold the versions of a dataset: refused before anything is composed or written.

::

    check_place(Path("releases"))          fine: absent, empty, or it holds versions alone
    check_place(Path("releases/1.0.0"))    refused: a version must not get versions of its own
    check_place(Path("run"))               refused: a run
"""

from __future__ import annotations

import json
from pathlib import Path

from finemed.errors import ConfigError, PublishError
from finemed.publish.targets.contents import MANIFEST, unreadable
from finemed.publish.versions.version import Version
from finemed.store.atomic import NoFileError, read_plain

SHOWN = 5


def check_place(folder: Path) -> None:
    """Looks at a target folder and those above it; nothing is written.

    Raises:
        PublishError: it is a file, a release or a run, lies in one, or holds something that is no version.
    """
    try:
        at = folder.resolve()
        if at.exists() and not at.is_dir():
            raise PublishError(f"{folder}: is a file; a release goes to a folder of versions, such as `releases`")
        _refuse_inside(folder, at)
        if is_version_name(at.name):
            raise PublishError(
                f"{folder}: is named like a version; a target is the folder that holds all versions: give "
                f"{_shown(folder.parent)}"
            )
        if at.parent.is_dir() and any(is_version_name(path.name) and is_release(path) for path in at.parent.iterdir()):
            raise PublishError(
                f"{folder}: lies in {_shown(folder.parent)}, which holds versions of a dataset; publish there, or to a "
                "folder outside of it"
            )
        strangers = sorted(path.name for path in at.iterdir() if _is_strange(path, at)) if at.exists() else []
    except OSError as error:
        raise unreadable(folder, error) from None
    if strangers:
        more = f" and {len(strangers) - SHOWN} more" if len(strangers) > SHOWN else ""
        raise PublishError(
            f"{folder}: holds files that are no versions of a dataset ({', '.join(strangers[:SHOWN])}{more}); name "
            "a folder for the versions alone, such as `releases`, or move these away"
        )


def is_version_name(name: str) -> bool:
    """Whether a folder's name is that of a version, ``1.0.0`` or ``v1.0.0``."""
    try:
        version = Version.parse(name)
    except ConfigError:
        return False
    return name in (str(version), version.tag)


def is_release(path: Path) -> bool:
    """Whether a folder is a release: its manifest lists configs and files, or cannot be read and lies beside `data`."""
    try:
        found = json.loads(read_plain(path / MANIFEST))
    except (NoFileError, ValueError, RecursionError):
        return (path / "data").is_dir()
    except OSError:
        return (path / MANIFEST).is_symlink() and (path / "data").is_dir()
    return isinstance(found, dict) and ("release_hash" in found or {"configs", "files"} <= found.keys())


def is_run(path: Path) -> bool:
    """Whether a folder is a build's run, finished or not."""
    return (path / "stages").is_dir() and any(
        (path / name).exists() for name in ("session.json", MANIFEST, "journal.sqlite")
    )


def _refuse_inside(folder: Path, at: Path) -> None:
    """Refuses releases, runs, and what lies in one."""
    for place in (at, *at.parents):
        kind = "a release" if is_release(place) else "a run" if is_run(place) else None
        if kind is None:
            continue
        if place != at:
            raise PublishError(f"{folder}: lies in {kind} ({place}); publish to a folder outside of it")
        if kind == "a run":
            raise PublishError(f"{folder}: is a run, not a folder of versions; publish to a folder such as `releases`")
        held = is_version_name(at.name)
        told = f"the folder that holds it, {_shown(folder.parent)}" if held else "a folder of versions, `releases`"
        raise PublishError(f"{folder}: is itself {'a version' if held else kind}; publish to {told}")


def _is_strange(path: Path, at: Path) -> bool:
    """Whether something in a folder of versions is neither hidden, nor a version, nor a link to one beside it."""
    if path.name.startswith("."):
        return False
    if is_version_name(path.name) and not path.name.startswith("v"):
        return not path.is_dir()
    target = path.resolve() if path.is_symlink() else None
    return target is None or target.parent != at or not is_version_name(target.name)


def _shown(folder: Path) -> str:
    return str(folder) if folder.name else "its parent folder" if str(folder) == ".." else "."
