"""Names of a stage's shard files, such as ``kept-00012.parquet``, and the number in them.

::

    by_number({"kept-00000.parquet": "9f..", "drop-00000.parquet": "c1.."})  ->  {0: {both of them}}
"""

from __future__ import annotations

import re
from typing import Any

_NAME = re.compile(r"(kept|drop|note)-(\d{5,})\.parquet")


def lists_shards(files: Any) -> bool:
    """Whether this is a list of whole shards, each with kept and dropped rows."""
    if not isinstance(files, dict) or not all(isinstance(value, str) for value in files.values()):
        return False
    if any(number_of(name) is None for name in files):
        return False
    shards = by_number(files)
    return all({name.partition("-")[0] for name in names} >= {"kept", "drop"} for names in shards.values())


def by_number(files: dict[str, str]) -> dict[int, dict[str, str]]:
    """Listed files by the number of their shard, ascending."""
    shards: dict[int, dict[str, str]] = {}
    for name, value in files.items():
        number = number_of(name)
        if number is not None:
            shards.setdefault(number, {})[name] = value
    return dict(sorted(shards.items()))


def number_of(name: str) -> int | None:
    """The number in a shard's file name; None for any other file, such as ``kept-xx.parquet``."""
    match = _NAME.fullmatch(name)
    return int(match[2]) if match and name == f"{match[1]}-{int(match[2]):05d}.parquet" else None
