"""Which texts of a row tell it from others, so that a similar one joins two rows of a split.

::

    telling(parts, rows=500)  ->  (the inputs and outputs, {"instruction": {"texts": 1, "rows": 500}})

System prompts are never compared. A text that more than 1% of the rows and at least 20 have, such as an instruction over
many inputs, joins nothing; but a row whose questions and passages are all shared by so many keeps the one that fewest
share: what it asks is then that. Where a row has several questions, those of five words and fewer ("And at night?")
join nothing beside longer ones. Short answers are passed over by `stages.components.ANSWER_LEAST`.
"""

from __future__ import annotations

import polars as pl

SHARED_SHARE = 0.01
SHARED_ROWS = 20
FEW_WORDS = 5
_ASKS = ("question", "context")


def telling(
    parts: pl.DataFrame, rows: int, answer: str | None = None
) -> tuple[pl.DataFrame, dict[str, dict[str, int]]]:
    """The parts that are compared, and what of them is passed over.

    Args:
        parts: `row`, `part`, `kind`, `text`.
        rows: how many rows the table has.
        answer: a column whose texts are answers.
    """
    if answer is not None:
        answers = pl.when(pl.col("part") == answer).then(pl.lit("answer"))
        parts = parts.with_columns(answers.otherwise(pl.col("kind")).alias("kind"))
    worded = pl.col("text").str.to_lowercase().str.replace_all(r"[^\p{L}\p{N}]+", " ").str.strip_chars(" ")
    found = parts.with_columns(worded.hash(seed=0).alias("#words"), _count_words(worded).alias("#count"))
    found = found.with_columns(
        pl.col("row").n_unique().over("kind", "#words").alias("#rows"),
        pl.col("kind").is_in(_ASKS).alias("#asks"),
    )
    many = (pl.col("#rows") >= SHARED_ROWS) & (pl.col("#rows") > SHARED_SHARE * rows)
    found = found.with_columns((many | (pl.col("kind") == "system")).alias("#shared"))
    alone = pl.col("#asks") & pl.col("#shared").all().over("row", "#asks")
    least = pl.col("#rows").rank("ordinal").over("row", "#asks") == 1
    short = (pl.col("kind") == "question") & (pl.col("#count") <= FEW_WORDS)
    longer = (~short & ~pl.col("#shared") & pl.col("#asks")).any().over("row")
    passed = (pl.col("#shared") & ~(alone & least)) | (short & longer)
    found = found.with_columns(passed.alias("#passed"))
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
