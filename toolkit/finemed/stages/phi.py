"""PHI: looks every passage through for protected health information, before anything can be sent anywhere.

*Reads* `Passage`. *Writes* `ScannedPassage`. *Drops* `phi` where the settings ask for it; by default nothing: what is
found decides, at each llm stage, whether the passage may go to that stage's backend (`stages.calls.Egress`).
*Reference*: the kinds follow the identifiers of the HIPAA Safe Harbor rule, 45 CFR 164.514(b)(2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from finemed.config import PhiConfig
from finemed.records import Passage, ScannedPassage
from finemed.stages.base import Contract, Outcome, split_rows
from finemed.text.phi import LANGUAGES, Finding, scan


@dataclass(frozen=True)
class PhiStage:
    """Map stage over passages."""

    config: PhiConfig
    contract: Contract = Contract.one_to_one("phi", 1, Passage, ScannedPassage, "passage_id")

    def settings(self) -> dict[str, Any]:
        own: dict[str, Any] = {"drop": self.config.drop}
        if self.config.drop:
            own |= {"from": self.config.withhold_from, "unscanned": self.config.withhold_unscanned}
        return own

    def apply(self, rows: pl.DataFrame) -> Outcome:
        return scan_passages(rows, self.config)


def scan_passages(rows: pl.DataFrame, config: PhiConfig) -> Outcome:
    """Adds what was found to every passage; title and text are looked through."""
    states, kinds, confidences = [], [], []
    for title, text, language in rows.select("title", "text", "language").iter_rows():
        if language not in LANGUAGES:
            found: list[Finding] = []
            states.append("not_scanned")
        else:
            found = scan(f"{title}\n{text}" if title else text)
            states.append("found" if found else "none_found")
        kinds.append(describe(found))
        confidences.append(max((finding.confidence for finding in found), default=0.0))
    scanned = rows.with_columns(
        pl.Series("phi_state", states, dtype=pl.String()),
        pl.Series("phi_kinds", kinds, dtype=pl.String()),
        pl.Series("phi_confidence", confidences, dtype=pl.Float64()),
    )
    reasons = {}
    if config.drop:
        for row_id, state, kind, confidence in scanned.select(
            "passage_id", "phi_state", "phi_kinds", "phi_confidence"
        ).iter_rows():
            if confidence >= config.withhold_from:
                reasons[row_id] = ("phi", kind)
            elif config.withhold_unscanned and state == "not_scanned":
                reasons[row_id] = ("phi", "not scanned: the detector does not know the language")
    return split_rows(scanned, "passage_id", reasons)


def describe(found: list[Finding]) -> str | None:
    """Each kind once with its highest confidence, the surest first; never the text that was found."""
    best: dict[str, float] = {}
    for finding in found:
        best[finding.kind] = max(finding.confidence, best.get(finding.kind, 0.0))
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {confidence:.2f}" for kind, confidence in ordered) or None
