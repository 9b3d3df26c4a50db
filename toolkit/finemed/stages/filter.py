"""Filter: named rules that drop what is not worth a paid call.

*Reads* and *writes* `Passage` (with `language` filled). *Drops* under the name of the first rule that fails:
`too_short`, `too_long`, `few_letters`, `repetition`, `spam`, `boilerplate`, `language`, `not_medical`.
*Reference*: rules in the manner of Gopher (arXiv 2112.11446, appendix A) and a lexical medical gate of our own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from finemed.config import FilterConfig, identity
from finemed.records import Passage
from finemed.stages.base import Contract, Outcome, split_rows
from finemed.text import quality
from finemed.text.language import identify, same_code
from finemed.text.normalise import words
from finemed.text.segment import sentences

RULES = ("too_short", "too_long", "few_letters", "repetition", "spam", "boilerplate", "language", "not_medical")


@dataclass(frozen=True)
class FilterStage:
    """Map stage over passages."""

    config: FilterConfig
    contract: Contract = Contract.one_to_one("filter", 1, Passage, Passage, "passage_id")

    def settings(self) -> dict[str, Any]:
        return identity(self.config)

    def apply(self, rows: pl.DataFrame) -> Outcome:
        return filter_passages(rows, self.config)


def filter_passages(rows: pl.DataFrame, config: FilterConfig) -> Outcome:
    """Fills `language` where the source gives none and applies the rules in order."""
    reasons: dict[str, tuple[str, str]] = {}
    languages = []
    for row_id, text, stated in rows.select("passage_id", "text", "language").iter_rows():
        tokens = words(text)
        language = same_code(stated) if stated else identify(tokens)
        languages.append(language)
        fault = next(_faults(text, tokens, language, config), None)
        if fault is not None:
            reasons[row_id] = fault
    named = rows.with_columns(pl.Series("language", languages, dtype=pl.String()))
    return split_rows(named, "passage_id", reasons)


def _faults(text: str, tokens: list[str], language: str, config: FilterConfig) -> Iterator[tuple[str, str]]:
    count = len(tokens)
    if count < config.min_words:
        yield "too_short", f"{count} words, minimum {config.min_words}"
    if count > config.max_words:
        yield "too_long", f"{count} words, maximum {config.max_words}"
    letters = quality.letter_share(text)
    if letters < config.min_letter_share:
        yield "few_letters", f"{letters:.2f} of the characters are letters, minimum {config.min_letter_share}"
    repeated = quality.repeated_share(tokens)
    if repeated > config.max_repeated_share:
        yield "repetition", f"{repeated:.2f} of the 5-word sequences repeat, maximum {config.max_repeated_share}"
    spam = quality.spam_cues(text)
    if spam > config.max_spam_cues:
        yield "spam", f"{spam} advertising phrases, maximum {config.max_spam_cues}"
    boilerplate = quality.boilerplate_share(text, sentences(text))
    if boilerplate > config.max_boilerplate_share:
        yield "boilerplate", f"{boilerplate:.2f} of the sentences, maximum {config.max_boilerplate_share}"
    if config.languages and language not in config.languages:
        yield "language", f"{language}, kept are {', '.join(config.languages)}"
    if language == "en":
        medical = quality.medical_terms(tokens)
        density = 100 * len(medical) / max(1, count)
        if density < config.min_medical_density or len(set(medical)) < config.min_medical_terms:
            yield "not_medical", f"{density:.1f} medical terms per 100 words, {len(set(medical))} different"
