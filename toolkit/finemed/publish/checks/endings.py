r"""Whether a reasoning answer comes to an end.

::

    unfinished(pl.Series(["**Thought**\\nA barking cough.\\n\\n**Summarization**\\nIt is croup, and"]))
    # {0: "ends in the middle of a sentence"}

A reply that was cut off by its limit is dropped in the build; this is a second look at what is left, careful with
lists, tables and short answers that end without a full stop.
"""

from __future__ import annotations

import polars as pl

from finemed.llm.structured import UnparsableError, parse_sections
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.rules import RETRACT, Batch
from finemed.publish.pools import pool_of
from finemed.stages.given import GIVEN

_WHOLE = r"(?s)\A\*\*Thought\*\*\n\s*\S.*\n\n\*\*Summarization\*\*\n\s*\S"
_OPEN_WORDS = "and|or|the|a|an|of|to|in|with|for|by|is|are|that|which|as|at|from|because"
_HANGING = r"(?:[,;:(\[{/–—，；：、（-]|(?i:[\s*](?:" + _OPEN_WORDS + r")))\s*\z"
_PROSE_WITHOUT_END = r"(?:\A|\n)[^\n|#*•·–>\d\s-][^\n]*[\p{L}\p{N}]\s*\z"
_ENDS_SHORT = r"(?:\A|\n)(?:\S{1,24}[^\S\n]+){0,5}\S{1,24}\s*\z|\s(?:[A-Z]|\([A-Z]\)|https?://\S+)\s*\z"
"""A last line of up to six words, or one that ends with the letter of an option or an address, needs no full stop."""


def unfinished(answers: pl.Series) -> dict[int, str]:
    """Which reasoning answers lack a section or break off, and how that shows; nulls are passed over."""
    whole = answers.str.contains(_WHOLE)
    hanging = answers.str.contains(_HANGING)
    open_end = answers.str.contains(_PROSE_WITHOUT_END) & ~answers.str.contains(_ENDS_SHORT)
    fence = answers.str.count_matches(r"(?m)^\s*```") % 2 == 1
    found: dict[int, str] = {}
    for row in (~whole).fill_null(value=False).arg_true():
        try:
            parse_sections(answers[row])
        except UnparsableError as error:
            found[row] = str(error)
    for wrong, fact in (
        (hanging, "ends in the middle of a sentence"),
        (open_end, "ends without an end mark"),
        (fence, "ends inside a block of code"),
    ):
        for row in wrong.fill_null(value=False).arg_true():
            found.setdefault(row, fact)
    return found


NO_MARK = "ends without an end mark"
_OPEN_EVERYWHERE = (
    "and|or|but|the|an|of|to|in|with|for|by|is|are|was|were|that|which|as|at|from|because|including|than|your|their|its|"
    "y|o|de|del|la|el|los|las|que|en|con|por|para|una|et|ou|le|les|des|du|dans|avec|pour|qui|und|oder|der|die|das|den|dem|"
    "ein|eine|einen|mit|von|für|bei|im|zur|zum"
)
_BROKEN = (
    r"[,;(\[{（，；、]\s*\z|[:：–—]\s*\z|\S\s+\S+\s+(?:" + _OPEN_EVERYWHERE + r")\s*\z|[^\W\d_]-\s*\z|"
    r"\p{Han}(?:和|与|及|或|以及|并且|而且|因为|但是|包括|例如|由于|如果|如|对|可能)\s*\z"
)
_ITEM_STARTS = r"[\p{Ll})]\s+\p{Lu}\p{Ll}|\s-\s"
LIST_ITEMS = 3
"""Capitals behind small letters, and dashes, from which what follows the last end mark is a list in one line."""
_ELLIPSIS = r"(?:\.\.\.|…)[\])]?\s*\z"
_LONG_LAST_LINE = r"(?:\A|\n)[^\n|#*•·–>\d\s-][^\n]*[\p{L}\p{N}]\s*\z"
_CHINESE_END = "等疗查断因状病症术药的了质品剂素同"
"""Characters that a Chinese sentence of a medical text often ends with; its full stop alone may be missing."""
_CHINESE_LAST_LINE = (
    r"[。！？][^\n]{10,}[\p{L}\p{N}]\s*\z|(?:\A|\n)[^\n]*\p{Han}[^\n]{8,}[，；][^\n]{2,}[\p{L}\p{N}--["
    + _CHINESE_END
    + r"]]\s*\z"
)


def broken_off(answers: pl.Series) -> dict[int, str]:
    """Which answers of any form break off, and how that shows; nulls are passed over.

    An end without an end mark counts behind a line of more than six words (in Chinese behind a full stop, or a comma
    and no usual last character), for labels, titles, names and lists have none.
    """
    fences = answers.str.count_matches(r"(?m)^\s*```") % 2 == 1
    worded = answers.str.contains(r"[\p{L}\p{N}]")
    found: dict[int, str] = {}
    for wrong, fact in (
        (answers.str.contains(_BROKEN), "ends in the middle of a sentence"),
        (answers.str.contains(_ELLIPSIS), "ends in an ellipsis"),
        (fences, "ends inside a block of code"),
        (has_no_mark(answers), NO_MARK),
    ):
        for row in (wrong & worded).fill_null(value=False).arg_true():
            found.setdefault(row, fact)
    return found


def has_no_mark(answers: pl.Series) -> pl.Series:
    """Which answers end in a line of prose without an end mark."""
    prose = answers.str.contains(_LONG_LAST_LINE) & ~answers.str.contains(_ENDS_SHORT)
    tail = answers.str.extract(r"([^.!?:\n]*)\z", 1)
    prose &= tail.str.count_matches(_ITEM_STARTS) < LIST_ITEMS
    return prose & ~answers.str.contains(r"\p{Han}") | answers.str.contains(_CHINESE_LAST_LINE)


def check_cut_off(batch: Batch, faults: Faults) -> None:
    """`cut_off`: a reasoning answer has both sections and comes to an end.

    A given one has whatever form it came in; one that was cut from its passage by rules ends where a sentence of the
    passage does, with or without a mark.
    """
    pool = pool_of(batch.config)
    if pool == "sft":
        return
    name, model = ("chosen", "chosen_model") if pool == "dpo" else ("completion", "model_name")
    spans = "chosen_spans" if pool == "dpo" else "answer_spans"
    if not batch.has(faults, "cut_off", name, model, spans):
        return
    answers = batch.turns(name).last_contents()
    own = answers.zip_with(batch.frame[model].ne_missing(GIVEN), pl.Series([None], dtype=pl.String()))
    extracted = batch.frame[spans].is_not_null()
    remedy = f"raise `reason.max_tokens` and build again, or {RETRACT}"
    for row, fact in sorted(unfinished(own).items()):
        if not (extracted[row] and fact.startswith("ends")):
            faults.add("cut_off", batch.place(row), f"the answer in `{name}` {told(fact)}", remedy)


def told(fact: str) -> str:
    """What `unfinished` found, as the rest of a sentence about the answer."""
    return fact if fact.startswith("ends") else f"is not whole: {fact}"
