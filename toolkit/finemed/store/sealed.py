"""JSON files of a run that carry a checksum of their content, so that an edit or a flipped bit is noticed.

::

    write_sealed(path, {"fingerprint": "9f..."})    # {"checksum": "c41f...", "fingerprint": "9f..."}
    value, sealed = read_sealed(path, "fingerprint", remedy="remove it")

A file from before the checksums has none: it is read, and `sealed` is False, so that the caller can work its facts out
again.
"""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

from finemed.config import stable_hash
from finemed.errors import StoreError
from finemed.store.atomic import NoFileError, read_plain, write_json

CHECKSUM = "checksum"
_NOT_THERE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ELOOP)


class DamagedFileError(StoreError):
    """A stored file is missing or is not what was written."""


def read_bytes(path: Path) -> bytes:
    """All bytes of a stored file.

    Raises:
        DamagedFileError: there is no such file.
        StoreError: it may not be read now.
    """
    try:
        return read_plain(path)
    except OSError as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: OSError) -> StoreError:
    """Whether a file that cannot be opened is gone, or only out of reach (permissions, a failing disk)."""
    if isinstance(error, NoFileError):
        return DamagedFileError(f"{path}: damaged ({error.strerror})")
    if error.errno in _NOT_THERE:
        return DamagedFileError(f"{path}: missing")
    return StoreError(f"{path}: cannot be read ({error.strerror or error}); mend that, then run the same command again")


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON object with the checksum of its content."""
    plain = json.loads(json.dumps(value))
    write_json(path, {**plain, CHECKSUM: stable_hash(plain)})


def read_sealed(path: Path, *keys: str, remedy: str) -> tuple[dict[str, Any], bool]:
    """The object of a file, without its checksum, and whether it had one.

    Raises:
        DamagedFileError: missing, no JSON object with these keys, or not what its checksum says; ends with `remedy`.
        StoreError: it may not be read now.
    """
    try:
        text = read_bytes(path)
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}; {remedy}") from None
    try:
        value = json.loads(text.decode("utf-8", "surrogatepass"))
        stated = value.pop(CHECKSUM, None) if isinstance(value, dict) else None
        content = None if stated is None else stable_hash(value)
    except (ValueError, RecursionError) as error:
        raise DamagedFileError(f"{path}: damaged ({str(error) or 'nested too deeply'}); {remedy}") from None
    if not isinstance(value, dict) or not set(keys) <= set(value):
        raise DamagedFileError(f"{path}: damaged (not an object with {', '.join(keys) or 'values'}); {remedy}")
    if stated is None:
        return value, False
    if stated != content:
        raise DamagedFileError(f"{path}: damaged (its content is not what its checksum was made of); {remedy}")
    return value, True


def whole_number(value: Any) -> bool:
    """Whether a value is a count."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_counts(value: Any) -> bool:
    """Whether a value maps names to counts."""
    return isinstance(value, dict) and all(whole_number(count) for count in value.values())
