"""Why the filter keeps or drops a passage: for every rule the measured value, the threshold and what was found.

::

    (passage,) = explain(filter_run(Path("run")), "demo/corpus.jsonl:83")
    passage.checks[-1]
    # Check(rule="not_medical", value=7.6, limit=1.5, fails=False, evidence=["carbon dioxide ...", "+1.0 capnography"])
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from finemed.config import FilterConfig
from finemed.errors import InputError
from finemed.publish.inspect.filter import Filtered
from finemed.stages.filter import ALL, Rule
from finemed.text import quality
from finemed.text.language import LATIN, LATIN_SCRIPT, SCRIPTS, tally
from finemed.text.medical import LANGUAGES, weighted_terms
from finemed.text.normalise import words

SHOWN = 12
"""Pieces of evidence of one kind."""
OPENING = 300
"""Characters of a passage that are quoted."""


@dataclass(frozen=True)
class Check:
    """What one rule says of one passage."""

    rule: str
    value: Any
    limit: Any
    fails: bool
    evidence: list[str]


@dataclass(frozen=True)
class Explanation:
    """What all rules say of one passage."""

    passage_id: str
    document_id: str
    record_id: str
    language: str
    reason: str | None
    """The first rule that fails; None for a passage that is kept."""
    text: str
    """Its beginning."""
    checks: list[Check]

    def plain(self) -> dict[str, Any]:
        """The explanation as JSON values."""
        values = asdict(self)
        return {"drop_reason" if name == "reason" else name: value for name, value in values.items()}


def explain(found: Filtered, wanted: str) -> list[Explanation]:
    """Every passage with this passage, document or record id.

    Raises:
        InputError: there is none.
    """
    ids = pl.any_horizontal(pl.col(name) == wanted for name in ("passage_id", "document_id", "record_id"))
    explanations = []
    for rows, judged in found.judged():
        hit = rows.select(ids).to_series()
        for row, verdict in zip(rows.filter(hit).to_dicts(), judged.filter(hit).to_dicts(), strict=True):
            explanations.append(_explain(row, verdict, found.config))
    if not explanations:
        raise InputError(
            f"no passage has the passage, document or record id {wanted}; `finemed ledger RUN --stage filter` lists "
            "ids, and records that are no passage are listed under `--stage ingest`"
        )
    return explanations


def _explain(row: dict[str, Any], verdict: dict[str, Any], config: FilterConfig) -> Explanation:
    text = row["text"]
    tokens = words(text)
    checks = [
        Check(
            rule.name,
            verdict[rule.signal],
            getattr(config, rule.setting),
            verdict[rule.column],
            _evidence(rule, row, tokens, verdict, config),
        )
        for rule in ALL
    ]
    return Explanation(
        row["passage_id"],
        row["document_id"],
        row["record_id"],
        verdict["language"],
        verdict["reason"],
        text[:OPENING],
        checks,
    )


_FOUND: dict[str, Callable[[str, list[str]], list[str]]] = {
    "mojibake": lambda text, _: quality.mojibake(text),
    "spam": lambda text, _: quality.spam_phrases(text),
    "boilerplate": lambda text, _: quality.boilerplate_phrases(text),
    "truncated": lambda text, _: [mark for mark in [quality.teaser(text)] if mark],
    "references": lambda text, _: quality.reference_marks(text),
    "repetition": lambda _, tokens: quality.repeated_sequences(tokens),
    "repeated_lines": lambda text, _: quality.repeated_lines(text),
    "symbols": lambda text, _: quality.symbols(text),
}


def _evidence(
    rule: Rule, row: dict[str, Any], tokens: list[str], verdict: dict[str, Any], config: FilterConfig
) -> list[str]:
    if rule.by_length and row["given_instruction"] is not None:
        return ["exempt: the row brings its own question"]
    if rule.name == "language":
        return _language(row["language"], tokens)
    if rule.name == "not_medical":
        return _medical(row["text"], tokens, verdict, config)
    if rule.name not in _FOUND:
        return []
    counts = Counter(_FOUND[rule.name](row["text"], tokens))
    return _shortened([piece if count == 1 else f"{piece} ({count})" for piece, count in counts.most_common()])


def _language(stated: str | None, tokens: list[str]) -> list[str]:
    if stated:
        return [f"stated by the source: {stated}"]
    scripts, points = tally(tokens)
    foreign = {name: int(count) for name, count in zip(SCRIPTS[:LATIN_SCRIPT], scripts[0].tolist(), strict=False)}
    found = [f"{name} script {count} words" for name, count in foreign.items() if count]
    ranked = sorted(zip(LATIN, points[0].tolist(), strict=True), key=lambda item: (-item[1], item[0]))
    return found + [f"{code} {value:.1f} points" for code, value in ranked[:3] if value]


def _medical(text: str, tokens: list[str], verdict: dict[str, Any], config: FilterConfig) -> list[str]:
    language = verdict["language"]
    if language not in LANGUAGES:
        return [f"not judged: there is no lexicon for `{language}`"]
    found = weighted_terms(tokens, text, language)
    counts = Counter(found)
    ranked = sorted(counts.items(), key=lambda item: (-abs(item[0][1]) * item[1], item[0]))
    terms = [_term(*pair, count) for pair, count in ranked if pair[1] > 0]
    against = [_term(*pair, count) for pair, count in ranked if pair[1] < 0]
    return [
        f"{verdict['medical_terms']} different terms, minimum {config.min_medical_terms}",
        *_shortened(terms),
        *_shortened(against),
    ]


def _term(word: str, weight: float, count: int) -> str:
    return f"{weight:+.1f} {word}" + (f" ({count})" if count > 1 else "")


def _shortened(pieces: list[str]) -> list[str]:
    return pieces if len(pieces) <= SHOWN else [*pieces[:SHOWN], f"and {len(pieces) - SHOWN} more"]
