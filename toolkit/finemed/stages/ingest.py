"""Ingest: raw records to passages.

*Reads* raw records (`sources.records.RAW_SCHEMA`). *Writes* `Passage`, one or more per record. *Drops* every record
with a fault under the fault's code (`not_json`, `missing_column`, `empty_text`, `extra_type`, `repeated_record`, ...).
A record that brings its own question is one passage, whatever its length.
*Reference*: FineMed (arXiv 2501.09213), section 3.1, starts from ready passages; cutting documents is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from finemed.config import IngestConfig, identity
from finemed.records import Passage, content_id, frame
from finemed.sources.records import RAW_SCHEMA
from finemed.stages.base import Contract, Drops, Outcome
from finemed.text.normalise import tidy
from finemed.text.segment import passages


@dataclass(frozen=True)
class IngestStage:
    """Map stage over raw records."""

    config: IngestConfig
    contract: Contract = Contract("ingest", 3, RAW_SCHEMA, Passage, "record_id", "passage_id", ("record_id",))

    def settings(self) -> dict[str, Any]:
        return identity(self.config)

    def apply(self, rows: pl.DataFrame) -> Outcome:
        return ingest(rows, self.config)


def ingest(rows: pl.DataFrame, config: IngestConfig) -> Outcome:
    """Cuts each sound record into passages; spans count characters of the text as read."""
    kept: list[dict[str, Any]] = []
    drops = Drops()
    for record in rows.iter_rows(named=True):
        if record["fault"] is not None:
            reason, _, detail = record["fault"].partition(": ")
            drops.add(record["record_id"], reason, detail)
            continue
        raw = record["text"]
        found = []
        for start, end in _spans(record, config):
            text = tidy(raw[start:end])
            if text:
                found.append((start, end, text))
        if not found:
            drops.add(record["record_id"], "empty_text", "only control characters and blanks")
        for start, end, text in found:
            kept.append(
                {
                    **record,
                    "passage_id": content_id("passage", record["document_id"], start, end),
                    "span_start": start,
                    "span_end": end,
                    "text": text,
                }
            )
    return Outcome(frame(Passage, kept), drops.frame())


def _spans(record: dict[str, Any], config: IngestConfig) -> list[tuple[int, int]]:
    raw = record["text"]
    if record["given_instruction"] is None:
        return list(passages(raw, config.max_tokens, config.min_tokens))
    return [(len(raw) - len(raw.lstrip()), len(raw.rstrip()))]
