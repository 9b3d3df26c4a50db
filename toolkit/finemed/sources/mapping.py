"""A record as it stands in a file to the fields of a raw record, or to its fault.

::

    map_record(file, 17, 18, {"text": "Croup barks.", "topic": "Croup"}, None)
    ->  {"record_id": "demo/corpus.jsonl:17", "fault": None, "document_id": "d3f0...", "text": "Croup barks.", ...}
"""

from __future__ import annotations

import math
import re
from typing import Any

from finemed.records import content_id
from finemed.records.extra import pack
from finemed.sources.conversations import Exchange, read_exchange
from finemed.sources.files import FIELDS, MAX_RECORD, InputFile, missing_column
from finemed.sources.streams import too_large

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED = re.compile("[\udc80-\udcff]")
HALF = "half of a surrogate pair"
_NO_EXCHANGE = Exchange(None, None, None)  # type: ignore[arg-type]  # a document has no question


def map_record(
    file: InputFile, number: int, line: int | None, values: dict[str, Any], fault: str | None
) -> dict[str, Any]:
    """The raw record; where it has a fault, its line is told if it differs from its number."""
    source = file.source
    given = _NO_EXCHANGE
    fields: dict[str, str | None] = dict.fromkeys(FIELDS)
    if fault is None:
        fields, fault = _fields(file, values)
    if fault is None and file.layout != "documents":
        found, fault = read_exchange(file.layout, values, multi_turn=source.multi_turn)
        if found is not None:
            given, fields["text"] = found, found.text
    text, key = fields["text"], fields["id"]
    if fault is None:
        fault = _text_fault(source.columns.text, values, text, document=file.layout == "documents")
    extra = None
    if fault is None and file.extra:
        extra, fault = _extra(file, values)
    if fault is not None:
        given, text = _NO_EXCHANGE, None
        if line is not None and line != number:
            fault = f"{fault} (line {line})"
    parts = [text] if file.layout == "documents" else [text, *given]
    return {
        "record_id": f"{source.name}/{file.name}:{number}",
        "fault": fault,
        "document_id": None if fault else content_id("document", source.name, key or "", *(p or "" for p in parts)),
        "source": source.name,
        "text": text,
        "title": fields["title"] or None,
        "url": fields["url"] or source.url,
        "language": fields["language"] or None,
        "license": fields["license"] or source.license,
        "attribution": fields["attribution"] or source.attribution,
        "source_id": key or None,
        "extra": extra,
        "given_instruction": given.instruction,
        "given_response": given.response,
        "given_chosen": given.chosen,
    }


def _fields(file: InputFile, values: dict[str, Any]) -> tuple[dict[str, str | None], str | None]:
    """The mapped columns as texts, and the first fault among them."""
    fields: dict[str, str | None] = dict.fromkeys(FIELDS)
    fault = None
    for field, column in file.mapped:
        value = values.get(column)
        if value is not None and not isinstance(value, str):
            if field == "text":
                fault = fault or f"text_not_string: `{column}` is {type(value).__name__}"
            value, odd = _told(value)
            fault = fault or (f"not_a_value: `{column}` is {odd}, expected a text or a number" if odd else None)
        if value is not None and not value.isascii() and _SURROGATE.search(value):
            escaped = file.format in ("csv", "json") and _ESCAPED.search(value)
            fault = fault or f"not_utf8: `{column}` holds {'a byte that is not UTF-8' if escaped else HALF}"
            value = None
        fields[field] = value
    return fields, fault


def _extra(file: InputFile, values: dict[str, Any]) -> tuple[str | None, str | None]:
    """The source's own columns as one text, and the first fault among them."""
    own = {name: values.get(column) for name, column in file.extra.items()}
    for name, value in own.items():
        if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
            return None, f"not_utf8: `{name}` holds {HALF} or a byte that is not UTF-8"
        if isinstance(value, str) and "\x00" in value:
            return None, f"nul_byte: `{name}` holds NUL characters"
    types = {name: told.type for name, told in file.source.columns.extra.items()}
    packed, wrong = pack(own, types, texts=file.format == "csv")
    return packed, f"extra_type: {wrong} (`columns.extra`)" if wrong else None


def _told(value: Any) -> tuple[str | None, str | None]:
    """A value as text, or what it is where it is none; of a list its texts."""
    if isinstance(value, float) and math.isnan(value):
        return None, None
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "; ".join(value), None
    if isinstance(value, dict | list | bytes):
        return None, type(value).__name__
    return str(value), None


def _text_fault(column: str, values: dict[str, Any], text: str | None, *, document: bool) -> str | None:
    if document and column not in values:
        return missing_column(column, list(values))
    if not text or text.isspace():
        return f"empty_text: `{column}` holds nothing"
    if len(text) > MAX_RECORD:
        return too_large(len(text))
    if "\x00" in text:
        return "nul_byte: the text holds NUL characters"
    if not text.isascii() and "\ufffd" in text:
        return "not_utf8: the text holds replacement characters"
    return None
