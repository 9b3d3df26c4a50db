"""Filter: named rules that drop what is not worth a paid call.

*Reads* and *writes* `Passage` (with `language` filled). *Drops* under the name of the first rule of `RULES` that fails;
all are worked out, so that ``finemed filter`` can show what each does by itself. Rows that bring their own question
(`given_instruction`) are exempt from the two rules of length.
*Reference*: rules in the manner of Gopher (arXiv 2112.11446, appendix A) and a lexical medical gate of our own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from finemed.config import FilterConfig, identity
from finemed.records import Passage
from finemed.stages.base import Contract, Outcome, split_rows
from finemed.text.medical import LANGUAGES
from finemed.text.signals import measure
from finemed.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Rule:
    """A signal of `text.signals` that must not pass a threshold of `FilterConfig`."""

    name: str
    signal: str
    setting: str
    detail: str
    """What is written to the ledger; `value` and `limit` are filled in."""
    by_length: bool = False

    @property
    def column(self) -> str:
        """Column of `verdicts` that says which rows fail."""
        return f"fails_{self.name}"

    def fails(self, config: FilterConfig) -> pl.Expr:
        """Which rows fail."""
        value: pl.Expr = pl.col(self.signal)
        limit: Any = getattr(config, self.setting)
        if self.name == "language":
            return ~value.is_in(limit) if limit else pl.lit(False)
        if self.name == "truncated":
            return value if not limit else pl.lit(False)
        if self.name == "not_medical":
            poor: pl.Expr = (value.clip(0) < limit) | (pl.col("medical_terms") < config.min_medical_terms)
            return pl.col("language").is_in(LANGUAGES) & poor
        beyond: pl.Expr = value < limit if self.setting.startswith("min_") else value > limit
        return beyond & pl.col("given_instruction").is_null() if self.by_length else beyond

    def describe(self, row: dict[str, Any], config: FilterConfig) -> str:
        """The measured value beside the threshold."""
        limit = getattr(config, self.setting)
        shown = ", ".join(limit) if isinstance(limit, list) else limit
        return self.detail.format(value=row[self.signal], limit=shown, terms=row["medical_terms"])


ALL = (
    Rule("too_short", "words", "min_words", "{value} words, minimum {limit}", by_length=True),
    Rule("too_long", "words", "max_words", "{value} words, maximum {limit}", by_length=True),
    Rule("mojibake", "mojibake", "max_mojibake", "{value} broken character sequences, maximum {limit}"),
    Rule("spam", "spam_phrases", "max_spam_cues", "{value} advertising phrases, maximum {limit}"),
    Rule("boilerplate", "boilerplate_share", "max_boilerplate_share", "{value:.2f} of the sentences, maximum {limit}"),
    Rule("truncated", "truncated", "allow_truncated", "ends in an ellipsis or in a link to the rest"),
    Rule(
        "references",
        "reference_density",
        "max_reference_density",
        "{value:.1f} marks of references per 100 words, maximum {limit}",
    ),
    Rule(
        "repetition",
        "repeated_share",
        "max_repeated_share",
        "{value:.2f} of the 5-word sequences repeat, maximum {limit}",
    ),
    Rule(
        "repeated_lines",
        "repeated_line_share",
        "max_repeated_line_share",
        "{value:.2f} of the characters are in repeated lines, maximum {limit}",
    ),
    Rule("numbers", "number_share", "max_number_share", "{value:.2f} of the words are numbers, maximum {limit}"),
    Rule(
        "few_letters", "letter_share", "min_letter_share", "{value:.2f} of the characters are letters, minimum {limit}"
    ),
    Rule("symbols", "symbol_ratio", "max_symbol_ratio", "{value:.2f} symbols per word, maximum {limit}"),
    Rule(
        "no_sentences",
        "words_per_sentence",
        "max_words_per_sentence",
        "{value:.0f} words per sentence, maximum {limit:g}",
    ),
    Rule("language", "language", "languages", "{value}, kept are {limit}"),
    Rule(
        "not_medical",
        "medical_density",
        "min_medical_density",
        "{value:.1f} medical terms per 100 words, {terms} different",
    ),
)
RULES = tuple(rule.name for rule in ALL)


@dataclass(frozen=True)
class FilterStage:
    """Map stage over passages."""

    config: FilterConfig
    contract: Contract = Contract.one_to_one("filter", 2, Passage, Passage, "passage_id")
    _vocabulary: Vocabulary = field(default_factory=Vocabulary, compare=False, repr=False)

    def settings(self) -> dict[str, Any]:
        return identity(self.config)

    def apply(self, rows: pl.DataFrame) -> Outcome:
        return filter_passages(rows, self.config, self._vocabulary)


def filter_passages(rows: pl.DataFrame, config: FilterConfig, vocabulary: Vocabulary | None = None) -> Outcome:
    """Fills `language` where the source gives none and drops what fails a rule."""
    judged = verdicts(rows, config, vocabulary)
    reasons = {
        row["passage_id"]: (row["reason"], ALL[RULES.index(row["reason"])].describe(row, config))
        for row in judged.filter(pl.col("reason").is_not_null()).iter_rows(named=True)
    }
    return split_rows(rows.with_columns(judged["language"]), "passage_id", reasons)


def verdicts(rows: pl.DataFrame, config: FilterConfig, vocabulary: Vocabulary | None = None) -> pl.DataFrame:
    """Ids, all signals, a column per rule that says whether it fails, and in `reason` the first that does.

    Args:
        rows: `passage_id`, `text`, `language` and `given_instruction`.
        config: thresholds.
        vocabulary: what earlier shards learnt; None starts anew.
    """
    signals = measure(rows["text"], rows["language"], vocabulary)
    known = rows.select("passage_id", "given_instruction").hstack(signals)
    failing = known.with_columns(rule.fails(config).alias(rule.column) for rule in ALL)
    first = pl.coalesce(pl.when(pl.col(rule.column)).then(pl.lit(rule.name)) for rule in ALL)
    return failing.with_columns(first.alias("reason")).drop("given_instruction")
