"""PHI: looks every passage through for protected health information, before anything can be sent anywhere.

*Reads* `Passage`. *Writes* `ScannedPassage`. *Drops* `phi` where the settings ask for it; by default nothing: what is
found decides, at each llm stage, whether the passage may go to that stage's backend (`stages.calls.Egress`).
*Reference*: the kinds follow the identifiers of the HIPAA Safe Harbor rule, 45 CFR 164.514(b)(2).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import polars as pl

from finemed.config import PhiConfig
from finemed.records import Passage, ScannedPassage
from finemed.records.extra import as_text
from finemed.stages.base import Contract, Outcome, split_rows
from finemed.text.language import same_code
from finemed.text.phi import LANGUAGES, Finding, scan_all

SCANNED_COLUMNS = ("title", "text", "given_instruction", "given_response", "given_chosen")
"""What a prompt may quote; what a source publishes beside it (`columns.extra`) is scanned too."""


@dataclass(frozen=True)
class PhiStage:
    """Map stage over passages."""

    config: PhiConfig
    contract: Contract = Contract.one_to_one("phi", 3, Passage, ScannedPassage, "passage_id")

    def settings(self) -> dict[str, Any]:
        own: dict[str, Any] = {"drop": self.config.drop}
        if self.config.drop:
            own |= {"from": self.config.withhold_from, "unscanned": self.config.withhold_unscanned}
        return own

    def apply(self, rows: pl.DataFrame) -> Outcome:
        return scan_passages(rows, self.config)


def scan_passages(rows: pl.DataFrame, config: PhiConfig) -> Outcome:
    """Adds what was found to every passage, in its title and in the texts and columns that its source gives as well."""
    codes = {language: same_code(language) for language in rows["language"].unique() if language}
    known = [codes.get(language) in LANGUAGES for language in rows["language"]]
    extra = pl.Series("extra", [as_text(value) for value in rows["extra"]], dtype=pl.String())
    scanned_columns = pl.concat_str(*SCANNED_COLUMNS, "extra", separator="\n", ignore_nulls=True)
    texts = rows.with_columns(extra).filter(known).select(scanned_columns).to_series()
    found = scan_all(texts)
    states, kinds, confidences = [], [], []
    place = 0
    for is_known in known:
        findings = found.get(place, ()) if is_known else ()
        place += is_known
        states.append(("found" if findings else "none_found") if is_known else "not_scanned")
        kinds.append(describe(findings))
        confidences.append(max((finding.confidence for finding in findings), default=0.0))
    scanned = rows.with_columns(
        pl.Series("phi_state", states, dtype=pl.String()),
        pl.Series("phi_kinds", kinds, dtype=pl.String()),
        pl.Series("phi_confidence", confidences, dtype=pl.Float64()),
    )
    return split_rows(scanned, "passage_id", _reasons(scanned, config) if config.drop else {})


def _reasons(scanned: pl.DataFrame, config: PhiConfig) -> dict[str, tuple[str, str]]:
    """Why passages are dropped, by id."""
    reasons = {}
    for row_id, state, kinds, confidence in scanned.select(
        "passage_id", "phi_state", "phi_kinds", "phi_confidence"
    ).iter_rows():
        if confidence >= config.withhold_from:
            reasons[row_id] = ("phi", kinds)
        elif config.withhold_unscanned and state == "not_scanned":
            reasons[row_id] = ("phi", "not scanned: the detector does not know the language")
    return reasons


def describe(found: Iterable[Finding]) -> str | None:
    """Each kind once with its highest confidence, the surest first; never the text that was found."""
    best: dict[str, float] = {}
    for finding in found:
        best[finding.kind] = max(finding.confidence, best.get(finding.kind, 0.0))
    ordered = sorted(best.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{kind} {confidence:.2f}" for kind, confidence in ordered) or None
