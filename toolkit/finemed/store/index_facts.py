"""``index.json`` of a dedup index: read, checked, written, and made again from the segments.

::

    {"checksum": "5f...", "format": 2,
     "segments": [{"hash": "ab...", "keys_version": 1, "name": "segment-00001.parquet", "rows": 1200}],
     "settings": {"keys_version": 1, "ngram_size": 5, "num_bands": 25, "rows_per_band": 5}}

Format 1 has no checksum and no `keys_version` of a segment; it is read, and becomes format 2 at the next update.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import StoreError
from finemed.store.atomic import TEMPORARY, file_hash, kind_of, plain, read_plain, write_json
from finemed.store.shards import read_columns

FORMAT = 2
Settings = dict[str, int]
Segments = list[dict[str, Any]]
_METADATA = "finemed_index"
_SEGMENT = re.compile(r"segment-(\d{5,9})\.parquet")
_HASH = re.compile(r"[0-9a-f]{64}")
_REBUILD = (
    "leave its segments where they are; restore index.json from a copy, or make it again from the segments with "
    "`finemed dedup FILE --index {} --rebuild-index`"
)


def segment_name(number: int) -> str:
    """Name of the segment of a number."""
    return f"segment-{number:05d}.parquet"


def segment_number(name: str) -> int:
    """Number in a segment's name."""
    found = _SEGMENT.fullmatch(name)
    return int(found.group(1)) if found else 0


def check_folder(path: Path) -> bool:
    """Whether there is an index; False where none is yet: no folder, or an empty one.

    Raises:
        StoreError: something else is there, or segments without their ``index.json``.
    """
    if (path / "index.json").is_file():
        return True
    if (kind := kind_of(path / "index.json")) is not None:
        raise StoreError(f"{path / 'index.json'}: damaged (it is {kind}, no file); {_REBUILD.format(path)}")
    if not path.exists():
        return False
    if not path.is_dir():
        raise StoreError(f"{path}: is a file, no folder of an index; name a folder that is empty or does not exist yet")
    names = sorted(each.name for each in path.iterdir() if each.name != ".lock" and each.suffix != TEMPORARY)
    if any(map(segment_number, names)):
        raise StoreError(f"{path}: holds segments of an index but no index.json; {_REBUILD.format(path)}")
    if names:
        shown = ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
        raise StoreError(
            f"{path}: is no index: it holds {shown} and no index.json; name a folder that is empty or does not exist "
            "yet"
        )
    return False


def read_facts(path: Path) -> tuple[Settings, Segments]:
    """Settings and segments of an index.

    Raises:
        StoreError: damaged, or of a newer format.
    """
    try:
        facts = json.loads(read_plain(path).decode("utf-8"))
        fault = _fault(facts)
    except (ValueError, OSError, RecursionError) as error:
        fault = str(error)
    if fault:
        raise StoreError(f"{path}: damaged ({fault}); {_REBUILD.format(path.parent)}")
    settings, version = facts["settings"], facts["settings"].get("keys_version", 0)
    return settings, [{"keys_version": version, **segment} for segment in facts["segments"]]


def write_facts(folder: Path, settings: Settings, segments: Segments) -> None:
    """Writes ``index.json``, whole or not at all."""
    facts = {"format": FORMAT, "settings": settings, "segments": segments}
    write_json(folder / "index.json", {**facts, "checksum": _checksum(facts)})


def pack_metadata(settings: Settings, before: Segments, keys_version: int) -> dict[str, str]:
    """Metadata of a segment's file: what stood before it."""
    told = {"settings": settings, "before": before, "keys_version": keys_version}
    return {_METADATA: json.dumps(told, sort_keys=True)}


def rebuilt_facts(folder: Path, settings: Settings) -> tuple[Settings, Segments]:
    """Settings and segments as the segments themselves tell them; the last one names all before it.

    Segments of format 1 tell nothing: they are taken in their order, and their keys count as outdated.

    Raises:
        StoreError: there are no segments, or one is damaged.
    """
    numbered = sorted((number, each) for each in folder.glob("*") if (number := segment_number(each.name)))
    if not numbered:
        raise StoreError(f"{folder}: holds no segment to make an index.json from; restore the folder from a copy")
    told = [(path, _metadata(path)) for _, path in numbered]
    last, facts = told[-1]
    if facts is None:
        return settings, [_segment(path, 0) for path, _ in told]
    for segment in facts["before"]:
        path = folder / segment["name"]
        if not path.is_file() or file_hash(path) != segment["hash"]:
            raise StoreError(f"{path}: missing or changed since it was written; restore the folder from a copy")
    return facts["settings"], [*facts["before"], _segment(last, facts["keys_version"])]


def _segment(path: Path, keys_version: int) -> dict[str, Any]:
    rows = read_columns(path, ["id"]).height
    return {"name": path.name, "rows": rows, "hash": file_hash(path), "keys_version": keys_version}


def _metadata(path: Path) -> dict[str, Any] | None:
    try:
        packed = pl.read_parquet_metadata(plain(path)).get(_METADATA)
        facts = None if packed is None else json.loads(packed)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise StoreError(f"{path}: damaged ({error}); restore the folder from a copy") from None
    if facts is not None and _fault({"format": 1, "segments": facts.get("before"), **facts}):
        raise StoreError(f"{path}: its metadata are damaged; restore the folder from a copy")
    return facts


def _checksum(facts: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _fault(facts: Any) -> str | None:
    """What is wrong with the facts of an index."""
    if not isinstance(facts, dict) or not {"format", "settings", "segments"} <= set(facts):
        return "not an object with format, settings and segments"
    if facts["format"] not in (1, FORMAT) or isinstance(facts["format"], bool):
        return f"format is {facts['format']!r}, known are 1 and {FORMAT}"
    settings, segments = facts["settings"], facts["segments"]
    if not isinstance(settings, dict) or not all(type(value) is int for value in settings.values()):
        return "settings are no object of numbers"
    if type(settings.get("num_bands")) is not int:
        return "settings have no num_bands"
    if not isinstance(segments, list):
        return f"segments are {type(segments).__name__}, expected a list"
    for segment in segments:
        if not isinstance(segment, dict) or not _sound(segment, facts["format"]):
            return f"{str(segment)[:80]!r} is no segment with name, rows and hash"
    if len({segment["name"] for segment in segments}) < len(segments):
        return "a segment is named twice"
    if facts["format"] == FORMAT or "checksum" in facts:
        own = {key: value for key, value in facts.items() if key != "checksum"}
        if facts.get("checksum") != _checksum(own):
            return "its checksum does not match: it was changed after it was written"
    return None


def _sound(segment: dict[str, Any], version: int) -> bool:
    name, rows, content = segment.get("name"), segment.get("rows"), segment.get("hash")
    stated = type(segment.get("keys_version", 0)) is int and (version == 1 or "keys_version" in segment)
    return (
        isinstance(name, str)
        and segment_number(name) > 0
        and type(rows) is int
        and rows >= 0
        and isinstance(content, str)
        and _HASH.fullmatch(content) is not None
        and stated
    )
