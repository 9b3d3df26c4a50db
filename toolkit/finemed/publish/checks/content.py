"""Rules about the content of single texts in anybody's data: empty, repeating, refusing, cut off, spoilt, executable.

::

    check_answers(batch, faults)      # empty, echo, refusal
    check_texts(batch, faults)        # characters, markup, template
    # rows.jsonl:17: `output` refuses: 'I'm sorry, but I can't help with that.'; leave the record out

Each rule looks at all texts of a batch at once, in Rust; only what it strikes is read in Python.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

import polars as pl

from finemed.publish.checks import content_phrases as phrases
from finemed.publish.checks.endings import NO_MARK, broken_off, has_no_mark
from finemed.publish.checks.faults import KEPT, Faults, percent
from finemed.publish.checks.foreign_rows import Rows
from finemed.sources.part_columns import own_column
from finemed.sources.parts import Part, column_of
from finemed.sources.paths import value_at
from finemed.text.normalise import words

LEAVE_OUT = "answer it, or leave the record out"
SHORT_ECHO = 12
"""Characters below which a part of a question may well be the answer: a label, a name."""

_RULES: dict[str, tuple[tuple[str, str], ...]] = {
    "characters": (
        ("NUL character", r"\x00"),
        ("control character", r"[\x01-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]"),
        ("bidirectional control", r"[\x{202a}-\x{202e}\x{2066}-\x{2069}]"),
        ("hidden tag character", r"[\x{e0000}-\x{e007f}]"),
        ("replacement character", r"\x{fffd}"),
    ),
    "markup": (
        ("script element", r"(?i)<\s*/?\s*script\b"),
        (
            "embedded frame or object",
            r"(?i)<\s*(?:iframe|object|embed|applet|frame|base|meta|link|form)\b[^<>]{0,200}>",
        ),
        ("event handler", r"(?i)<[a-z][^<>]{0,400}[\s\"'/]on[a-z]{3,20}\s*=\s*[\"'a-z]"),
        ("`javascript:` address", r"(?i)(?:[=(<\"']\s*|\A\s*)(?:javascript|vbscript)\s*:|\bjavascript:[a-z_$.]+\("),
        ("`data:` page", r"(?i)\bdata:(?:text/html|image/svg\+xml|application/xhtml)"),
    ),
    "template": (
        ("token of a chat template", r"<[|｜][A-Za-z_0-9▁\- ]{1,40}[|｜]>|<(?:start|end)_of_turn>|<end_of_utterance>"),
        ("`[INST]` or `<<SYS>>`", r"\[/?INST\]|<</?SYS>>|\[/?(?:AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"),
        ("token of a tokenizer", r"</?s>|<(?:bos|eos|pad|unk|mask)>|\[(?:PAD|CLS|SEP|UNK|EOS|BOS)\]|<0x[0-9A-F]{2}>"),
        ("mark of hidden reasoning", r"(?i)</?(?:think|thinking|thought|scratchpad|reflection|reasoning)>"),
        ("heading of a prompt template", r"(?m)^#{2,3} (?:Instruction|Response|Input|Human|Assistant|User|System):"),
    ),
}
_QUICK = {
    **_RULES,
    "markup": tuple(
        (kind, form) if "javascript" not in kind else (kind, r"[jJ][aA][vV][aA][sS]|[vV][bB][sS][cC]")
        for kind, form in _RULES["markup"]
    ),
}
"""The same for a first look, with a wider and quicker form where one is slow."""
_NEXT = {
    "characters": "remove it, or decode the text again from its source",
    "markup": "remove it, or write it so that no page can run it",
    "template": "remove it; a trainer adds the tokens of its own template",
}


@lru_cache
def _compiled(form: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\\x\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), form))


def check_texts(batch: Rows, faults: Faults) -> None:
    """`characters`, `markup` and `template`: what no text of any column may hold."""
    for name, column in batch.columns.items():
        frame = pl.DataFrame({"text": column.series()})
        hits = frame.select(
            pl.any_horizontal(pl.col("text").str.contains(form) for _, form in forms).alias(rule)
            for rule, forms in _QUICK.items()
        )
        for rule, forms in _RULES.items():
            done: set[tuple[int, str]] = set()
            for at in hits[rule].arg_true():
                for kind, form in forms:
                    found = _compiled(form).search(column.texts[at])
                    key = (column.rows[at], kind)
                    if found and key not in done:
                        done.add(key)
                        fact = f"`{name}` holds a {kind}: {_shown(found.group())} at character {found.start()}"
                        faults.add(rule, batch.places[column.rows[at]], fact, _NEXT[rule], kind=kind)
    for at, names in batch.halves.items():
        fact = (
            f"`{names[0]}` holds half of a surrogate pair, or a byte that is not UTF-8, as Windows-1252 files have them"
        )
        faults.add("characters", batch.places[at], fact, _NEXT["characters"], kind="half of a surrogate pair")


def _shown(found: str) -> str:
    """What was found, as code points where it cannot be seen."""
    if len(found) == 1:
        return f"U+{ord(found):04X}"
    return ascii(found[:40])


# --- answers ---------------------------------------------------------------------------------------------------------


def check_answers(batch: Rows, faults: Faults) -> None:
    """`empty`, `echo` and `refusal`."""
    rows, names, texts = batch.answers()
    short = texts.str.len_chars() <= 60
    for at in short.arg_true():
        if phrases.is_placeholder(texts[at]) and not _is_one_of_several(batch, rows[at], names[at]):
            fact = f"`{names[at]}` is {texts[at].strip()[:40]!a}"
            faults.add("empty", batch.places[rows[at]], fact, LEAVE_OUT, kind="placeholder")
    heads = pl.DataFrame({"text": texts.str.slice(0, phrases.HEAD).str.replace_all("\u2019", "'", literal=True)})
    cued = heads.select(pl.col("text").str.to_lowercase().str.contains_any(list(phrases.CUES))).to_series()
    for at in cued.arg_true():
        kind = phrases.refusal_of(texts[at])
        if kind is not None:
            fact = f"`{names[at]}` {kind}: {' '.join(texts[at].split())[:60]!a}"
            faults.add("refusal", batch.places[rows[at]], fact, LEAVE_OUT, kind=kind)
    for at, parts in enumerate(batch.parts):
        echo = next(filter(None, (_echo_in(parts, place) for place in range(len(parts)))), None)
        if echo is not None:
            faults.add("echo", batch.places[at], echo, LEAVE_OUT)


def _is_one_of_several(batch: Rows, row: int, name: str) -> bool:
    """Whether a placeholder stands in a list of texts beside other answers: `None` may well be one that is right."""
    column = column_of(name)
    root = own_column(name, batch.values[row])
    if root is None:
        return False
    held = batch.values[row][root]
    if column != root:
        held = value_at(held, column[len(root) + 1 :])
    if not (isinstance(held, list) and all(isinstance(item, str) for item in held)):
        return False
    answers = [part.text for part in batch.parts[row] if part.kind == "answer"]
    return not all(map(phrases.is_placeholder, answers))


def _echo_in(parts: list[Part], place: int) -> str | None:
    """What an answer repeats: of its own conversation only what was asked before it, for columns have no order."""
    answer = parts[place]
    if answer.kind != "answer":
        return None
    asked = [
        part.text
        for at, part in enumerate(parts)
        if part.kind == "question" and (part.column != answer.column or at < place)
    ]
    echoed = _echoed(answer.text, asked)
    return None if echoed is None else f"`{answer.name}` is {echoed}"


def _echoed(answer: str, asked: list[str]) -> str | None:
    """Which text of the questions so far the answer repeats; lengths are compared first, for they are cheap."""
    size = len(answer)
    for text in asked:
        if abs(len(text) - size) <= 8 + size // 10 and (len(asked) == 1 or size >= SHORT_ECHO):
            said = words(answer)
            if said and said == words(text):
                return "its question once more"
    whole = "\n\n".join(asked)
    if len(asked) > 1 and abs(len(whole) - size) <= 8 + size // 10 and words(answer) == words(whole):
        return "its whole question once more"
    return None


@dataclass
class Endings:
    """`cut_off` over all answers; that no answer has an end mark may be the way of a dataset."""

    answers: int = 0
    without_mark: int = 0
    waiting: list[tuple[str, str]] = field(default_factory=list)
    """Place and column of the first answers that end without a mark."""
    found: int = 0

    def look(self, batch: Rows, faults: Faults) -> None:
        rows, names, texts = batch.answers()
        self.answers += len(texts)
        self.without_mark += int(has_no_mark(texts).sum())
        for at, fact in sorted(broken_off(texts).items()):
            if fact == NO_MARK:
                self.found += 1
                if len(self.waiting) < KEPT:
                    self.waiting.append((batch.places[rows[at]], names[at]))
            else:
                faults.add("cut_off", batch.places[rows[at]], f"`{names[at]}` {fact}", LEAVE_OUT, kind=fact)

    def finish(self, faults: Faults) -> None:
        """Whether an end without a mark says something here."""
        if not self.answers:
            faults.skip("cut_off", "the records have no answer")
            return
        faults.apply("cut_off")
        share = self.without_mark / self.answers
        if self.answers >= 20 and share > 0.1:
            way = f"{percent(share)} of the answers end without an end mark, so that such an end says nothing here"
            faults.skip("cut_off", way)
            return
        for place, name in self.waiting:
            faults.add("cut_off", place, f"`{name}` {NO_MARK}", LEAVE_OUT, kind=NO_MARK)
        if self.found > len(self.waiting):
            faults.more("cut_off", NO_MARK, self.found - len(self.waiting))
