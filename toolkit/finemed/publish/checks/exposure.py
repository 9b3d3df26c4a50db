"""What a row must not expose: secrets, and personal data of patients.

::

    check_phi(Batch("sft", "train", 0, table), faults)
    # sft/train:17, id s3f0...: `prompt` and `completion` hold name 0.95, phone 0.85; ...

A fault names the kind of what was found and its place, never the text itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

import polars as pl

from finemed.config import PhiConfig
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.rules import REBUILD, Batch
from finemed.publish.checks.secrets import secret_rows, secrets_of
from finemed.publish.checks.turns import Turns
from finemed.publish.pools import pool_of
from finemed.stages.phi import describe
from finemed.text.language import same_code
from finemed.text.phi import LANGUAGES, Finding, scan_all

REMOVE = "remove it at its source, revoke it with its provider, and build again"
_PASSAGE = "set `phi.drop: true` and build again, or take the row out with `finemed retract --id`"
_MESSAGES = "lower `phi.withhold_from` beside `phi.drop: true`, or leave the document out, and build again"
PHI_FROM: float = PhiConfig.model_fields["withhold_from"].default
"""Confidence from which personal data is taken for certain."""


def check_secrets(
    frame: pl.DataFrame, nested: Mapping[str, Turns], place: Callable[[int], str], faults: Faults
) -> None:
    """`secrets`: in every column of text, messages included.

    Args:
        frame: some rows.
        nested: those of their columns that hold messages.
        place: names a row.
        faults: where what is found goes.
    """
    faults.apply("secrets")
    found: dict[int, dict[str, str]] = {}
    for name, rows in secrets_of(frame.select(pl.col(pl.String))).items():
        for row, kinds in rows.items():
            found.setdefault(row, {}).update(dict.fromkeys(kinds, name))
    for name, turns in nested.items():
        for at, kinds in secret_rows(turns.contents).items():
            found.setdefault(int(turns.row[at]), {}).update(dict.fromkeys(kinds, name))
    for row, named in sorted(found.items()):
        fact = "; ".join(f"{kind} in `{column}`" for kind, column in named.items())
        faults.add("secrets", place(row), fact, REMOVE)


_CONFIDENCE = re.compile(r"[01]\.[0-9]+")


def check_phi(batch: Batch, faults: Faults) -> int:
    """`phi`: what the scan of the passage said, and a scan of the row's own texts.

    Returns:
        Number of rows in a language that the detector does not know; their texts are not scanned.
    """
    sides = ("chosen", "rejected") if pool_of(batch.config) == "dpo" else ("completion",)
    if not batch.has(faults, "phi", "phi_state", "phi_kinds", "language", "prompt", *sides):
        return 0
    told: dict[int, tuple[str, str]] = {}
    stated = batch.frame["phi_kinds"]
    for row in stated.is_not_null().arg_true():
        surest = max(map(float, _CONFIDENCE.findall(stated[row])), default=0.0)
        if surest >= PHI_FROM:
            fact = f"`phi_kinds` of its passage says {stated[row][:80]!a}, from {PHI_FROM:g} on a patient's"
            told[row] = (fact, _PASSAGE)
        elif batch.frame["phi_state"][row] != "found":
            told[row] = ("`phi_kinds` names something, but `phi_state` does not say `found`", REBUILD)
    prompt = batch.turns("prompt")
    known = _known(batch.frame["language"])
    for side in sides:
        texts = prompt.joined(batch.turns(side))
        for row, fact in phi_in(texts.zip_with(known, pl.Series([""]))).items():
            told.setdefault(row, (f"`prompt` and `{side}` hold {fact}", _MESSAGES))
    for row, (fact, remedy) in sorted(told.items()):
        faults.add("phi", batch.place(row), fact, remedy)
    return int((~known).sum())


def phi_in(texts: pl.Series) -> dict[int, str]:
    """The kinds of surely personal data in each text that has some."""
    told = {at: sure_of(findings) for at, findings in scan_all(texts).items()}
    return {at: fact for at, fact in told.items() if fact is not None}


def sure_of(findings: Iterable[Finding]) -> str | None:
    """The kinds of what is surely personal among findings; None where nothing is."""
    return describe(finding for finding in findings if finding.confidence >= PHI_FROM)


def _known(languages: pl.Series) -> pl.Series:
    codes = {language: same_code(language) in LANGUAGES for language in languages.unique() if language}
    return pl.Series([codes.get(language, False) for language in languages], dtype=pl.Boolean())
