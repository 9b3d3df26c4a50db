"""Which texts of a row tell it from others, so that a similar one joins two rows of a split.

::

    telling(parts, rows=500)  ->  (the inputs and outputs, {"instruction": {"texts": 1, "rows": 500}})

System prompts are never compared. A text that more than 1% of the rows and at least 20 have (case, punctuation and
numbers apart), such as an instruction over many inputs, joins nothing, nor does a later turn of five words and fewer
("And at night?"). But a row of which all questions and passages are of these kinds keeps the one that fewest rows
share: what it asks is then that. Short answers are passed over by `stages.components.ANSWER_LEAST`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from finemed.sources.part_columns import is_untold

SHARED_SHARE = 0.01
SHARED_ROWS = 20
FEW_WORDS = 5
_ASKS = ("question", "context")
_NUMBER = r"\b\p{N}+\b"
"""A template that numbers its rows is one text; a text of which more than a tenth is numbers is what they say."""


def telling(
    parts: pl.DataFrame, rows: int, answer: str | None = None, guessed: Sequence[str] = ()
) -> tuple[pl.DataFrame, dict[str, dict[str, int]]]:
    """The parts that are compared, and what of them is passed over.

    Args:
        parts: `row`, `part`, `kind`, `text`.
        rows: how many rows the table has.
        answer: a column whose texts are answers.
        guessed: columns whose texts no name tells: they ask nothing, and those of five words and fewer join nothing.
    """
    if answer is not None:
        answers = pl.when(pl.col("part") == answer).then(pl.lit("answer"))
        parts = parts.with_columns(answers.otherwise(pl.col("kind")).alias("kind"))
    worded = pl.col("text").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ")
    numbers = worded.str.count_matches(_NUMBER)
    few = (numbers > 0) & (numbers * 10 <= _count_words(worded))
    worded = pl.when(few).then(worded.str.replace_all(_NUMBER, "0")).otherwise(worded)
    untold = pl.col("part").is_in([part for part in parts["part"].unique() if is_untold(part, guessed)])
    found = parts.with_columns(worded.hash(seed=0).alias("#words"), _count_words(worded).alias("#count"))
    found = found.with_columns(
        pl.col("row").n_unique().over("kind", "#words").alias("#rows"),
        (pl.col("kind").is_in(_ASKS) & ~untold).alias("#asks"),
    )
    many = (pl.col("#rows") >= SHARED_ROWS) & (pl.col("#rows") > SHARED_SHARE * rows)
    later = pl.col("part").str.contains(r"\[\d+\]") & (pl.int_range(pl.len()).over("row", "kind") > 0)
    short = (((pl.col("kind") == "question") & later) | untold) & (pl.col("#count") <= FEW_WORDS)
    found = found.with_columns((many | short | (pl.col("kind") == "system")).alias("#passed"))
    alone = pl.col("#asks") & pl.col("#passed").all().over("row", "#asks")
    least = pl.col("#rows").rank("ordinal").over("row", "#asks") == 1
    found = found.with_columns(pl.col("#passed") & ~(alone & least))
    gone = (
        found.filter("#passed")
        .group_by("part")
        .agg(pl.col("#words").n_unique().alias("texts"), pl.col("row").n_unique().alias("rows"))
    )
    told = {part: {"texts": texts, "rows": held} for part, texts, held in gone.sort("part").iter_rows()}
    return found.filter(~pl.col("#passed")).select("row", "part", "kind", "text"), told


def _count_words(worded: pl.Expr) -> pl.Expr:
    """Words between blanks; Chinese and Japanese characters are a word each."""
    return worded.str.count_matches(" ") + 1 + worded.str.count_matches(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
