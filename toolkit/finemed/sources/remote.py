"""Files of a source that are not on this machine: addresses, what fsspec opens, datasets on the Hub.

::

    find_remote("pubmed", "s3://bucket/pubmed/*.jsonl.gz")  ->  [("part-0.jsonl.gz", FsspecFile(...)), ...]

Names count from the source's folder on, as those of local files do; no host, bucket or credential is part of them.
"""

from __future__ import annotations

import glob
import io
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar

from finemed.errors import InputError, is_of_programming
from finemed.sources.files import SIDECARS, Place, format_of
from finemed.sources.hub import find_on_hub
from finemed.sources.web import WebFile, shown

BLOCK = 1 << 22
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+(://|::)")
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "content_md5", "generation", "VersionId", "sha256", "checksum", "mtime")
T = TypeVar("T")


def is_url(path: str) -> bool:
    """Whether a source's path is an address and no path on this machine."""
    return _URL.match(path) is not None


def find_remote(name: str, url: str, *, any_ending: bool = False) -> list[tuple[str, Place]]:
    """Names and places of the files that an address matches, in the order of their names.

    Args:
        name: the source's.
        url: file, folder or pattern, where the file system can list.
        any_ending: take what a pattern matches whatever its ending.

    Raises:
        InputError: nothing matches, it cannot be reached, or a package for it is not installed.
    """
    scheme = url.partition(":")[0].lower()
    try:
        if scheme == "hf":
            found = find_on_hub(url, any_ending)
        elif scheme in ("http", "https") and "::" not in url:
            found = [_web_file(url)]
        else:
            found = _listed(url, any_ending)
    except InputError as error:
        raise InputError(f"source `{name}`: {error}") from None
    if not found:
        raise InputError(f"source `{name}`: {shown(url)} matches no file; check `sources.path`")
    return sorted(found, key=lambda item: item[0].split("/"))


def _web_file(url: str) -> tuple[str, Place]:
    path = urllib.parse.unquote(urllib.parse.urlsplit(url).path)
    name = path.rpartition("/")[2]
    if "*" in path:
        raise InputError(f"{shown(url)}: a web server does not list its files; give each file a source of its own")
    if not name:
        raise InputError(f"{shown(url)}: names no file; give the address of one file")
    return name, WebFile(url)


@dataclass(frozen=True)
class FsspecFile:
    """A file that fsspec opens."""

    system: Any = field(repr=False)
    path: str
    url: str = field(repr=False)

    def open(self) -> BinaryIO:
        return io.BufferedReader(_Guarded(self), 1 << 18)

    def facts(self) -> dict[str, Any]:
        info = _asked(self.url, lambda: self.system.info(self.path))
        version = next((f"{key} {info[key]}" for key in _VERSION_KEYS if info.get(key)), None)
        if version is None:
            try:
                version = f"modified {self.system.modified(self.path).isoformat()}"
            except (NotImplementedError, AttributeError, KeyError, OSError):  # most file systems know no time
                version = None
        return {"bytes": info.get("size"), "sha256": None, "version": version}


class _Guarded(io.RawIOBase):
    """A file of fsspec whose failures are errors of ours, whichever package they come from."""

    def __init__(self, file: FsspecFile) -> None:
        self._url = file.url
        self._file = _asked(self._url, lambda: file.system.open(file.path, "rb", block_size=BLOCK))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(_asked(self._url, lambda: self._file.seek(offset, whence)))

    def readinto(self, buffer: Any) -> int:
        data = _asked(self._url, lambda: self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()


def _asked(url: str, ask: Callable[[], T]) -> T:
    try:
        return ask()
    except Exception as error:  # each file system has exceptions of its own
        if is_of_programming(error):
            raise
        told = " ".join(shown(str(error)).split())[:200] or type(error).__name__
        raise InputError(
            f"{shown(url)}: cannot be read ({told}); check address, credentials and connection, then run the same "
            "command again"
        ) from None


def _listed(url: str, any_ending: bool) -> list[tuple[str, Place]]:
    """What a file system says that the address matches."""
    from fsspec.core import url_to_fs

    scheme = url.partition(":")[0]
    try:
        system, path = url_to_fs(url)
    except ImportError as error:
        raise InputError(f"{shown(url)}: reading `{scheme}` needs a package ({error})") from None
    except ValueError as error:
        raise InputError(f"{shown(url)}: {shown(str(error))}; check `sources.path`") from None
    path = path.rstrip("/")
    if glob.has_magic(path):
        root = path[: re.search(r"[*?\[]", path).start()].rpartition("/")[0]  # type: ignore[union-attr]
        matches = _asked(url, lambda: [name for name, info in system.glob(path, detail=True).items() if _is_file(info)])
        found = [name for name in matches if any_ending or _is_data(name[len(root) :])]
    elif _asked(url, lambda: system.isfile(path)):
        root, found = path.rpartition("/")[0], [path]
    else:
        root = path
        found = [name for name in _asked(url, lambda: system.find(path)) if _is_data(name[len(root) :])]
    return [(name[len(root) :].strip("/"), FsspecFile(system, name, url)) for name in found]


def _is_file(info: dict[str, Any]) -> bool:
    return bool(info["type"] == "file")


def _is_data(name: str) -> bool:
    hidden = any(part.startswith(".") for part in name.split("/"))
    return format_of(name) is not None and PurePosixPath(name).name not in SIDECARS and not hidden
