r"""Records of any file with the text that they have in it, as one JSON line each: what can be written again as it was.

::

    for number, line, values, fault, data in written(file):  # (17, 18, {"text": "..."}, None, b'{"text": "..."}\n')
        ...

A line of JSON Lines keeps its bytes, an element of a JSON array its own text but for its line breaks. A row of a CSV
file becomes an object of strings, a text file one of title and text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from finemed.sources.files import EMPTY, InputFile
from finemed.sources.jsonl import Written, objects_by_name, written_json, written_jsonl
from finemed.sources.raw import READERS

_WRITTEN = {"jsonl": written_jsonl, "json": written_json}


def written(file: InputFile) -> Written:
    """The records of a file that is no Parquet file; one that holds none is a fault itself."""
    record = None
    for record in _WRITTEN.get(file.format, _dumped)(file):
        number, line, values, fault, _ = record
        single = file.format == "json" and line is None and bool(values)
        if single and all(isinstance(held, dict) for held in values.values()):
            fault = objects_by_name(values)
            record = number, line, {}, fault, b""
        yield record
    if record is None:
        yield 1, None, {}, EMPTY, b""


def _dumped(file: InputFile) -> Iterator[tuple[int, int | None, dict[str, Any], str | None, bytes]]:
    for number, line, values, fault in READERS[file.format](file):
        data = b""
        if fault is None:
            try:
                data = json_line(values)
            except UnicodeEncodeError:
                fault = "not_utf8: the row holds a byte that is not UTF-8"
        yield number, line, values, fault, data


def json_line(values: Any) -> bytes:
    """A value as one line of JSON Lines.

    Raises:
        ValueError: it holds a number that JSON has no form for, or a text that UTF-8 has none for.
    """
    return (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode()
