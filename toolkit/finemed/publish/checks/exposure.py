"""What a row must not expose: secrets, and personal data of patients.

::

    check_phi(Batch("sft", "train", 0, table), scanned, faults)
    # sft/train:17, id s3f0...: `prompt` and `completion` hold name 0.95, phone 0.85; ...

A fault names the kind of what was found and its place, never the text itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

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
_COLUMN = (
    "correct the source or leave the document out, and build again, or take the row out with `finemed retract --id`"
)
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


@dataclass
class Scanned:
    """How much of a release's text was looked through for personal data."""

    rows: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    """Language that the detector does not know -> rows of the pools."""
    columns: set[str] = field(default_factory=set)

    def tell(self, faults: Faults) -> None:
        """Says what was not scanned, with its share of the rows."""
        left = self.unknown.total()
        if left:
            named = ", ".join(f"{name[:20]} {count:,}" for name, count in self.unknown.most_common(5))
            share = f"{left:,} of {self.rows:,} rows ({100 * left / self.rows:.1f}%)"
            faults.skip("phi", f"{share} are in languages that the detector does not know: {named}")
        elif not self.columns:
            faults.skip("phi", "there is no row to scan")


def check_phi(batch: Batch, scanned: Scanned, faults: Faults) -> None:
    """`phi`: what the scan of the passage said, and a scan of every column of text."""
    sides = ("chosen", "rejected") if pool_of(batch.config) == "dpo" else ("completion",)
    needed = ("phi_state", "phi_kinds", "language", "prompt", *sides)
    missing = [name for name in needed if name not in batch.frame.columns]
    if missing:
        faults.skip("phi", f"{batch.config}/{batch.split} has no usable column {', '.join(missing)}")
        return
    told: dict[int, tuple[str, str]] = {}
    stated = batch.frame["phi_kinds"]
    for row in stated.is_not_null().arg_true():
        surest = max(map(float, _CONFIDENCE.findall(stated[row])), default=0.0)
        if surest >= PHI_FROM:
            fact = f"`phi_kinds` of its passage says {stated[row][:80]!a}, from {PHI_FROM:g} on a patient's"
            told[row] = (fact, _PASSAGE)
        elif batch.frame["phi_state"][row] != "found":
            told[row] = ("`phi_kinds` names something, but `phi_state` does not say `found`", REBUILD)
    known = _known(batch.frame["language"])
    scanned.rows += known.len()
    scanned.unknown.update(batch.frame["language"].filter(~known).fill_null("und").to_list())
    if known.any():
        faults.apply("phi")
        scanned.columns.update(("prompt", *sides))
    prompt = batch.turns("prompt")
    for side in sides:
        texts = prompt.joined(batch.turns(side))
        for row, fact in phi_in(texts.zip_with(known, pl.Series([""]))).items():
            told.setdefault(row, (f"`prompt` and `{side}` hold {fact}", _MESSAGES))
    names = _texts(batch)
    scanned.columns.update(names)
    for (name, row), fact in _phi_of({name: batch.frame[name] for name in names}, known).items():
        told.setdefault(row, (f"`{name}` holds {fact}", _COLUMN))
    for row, (fact, remedy) in sorted(told.items()):
        faults.add("phi", batch.place(row), fact, remedy)


_SAME_TEXT = ("instruction", "response", "phi_kinds")
"""Columns that repeat the messages, or what was found."""


def _texts(batch: Batch) -> list[str]:
    """Columns of text beside the messages whose values somebody wrote: no ids, and no words of a closed list."""
    frame = batch.frame
    return [
        name
        for name, kind in frame.schema.items()
        if kind == pl.String() and name not in _SAME_TEXT and name not in _CLOSED
    ]


_IDS = ("id", "document_id", "passage_id", "instruction_id", "component_id", "response_id", "chosen_id", "rejected_id")
_WORDS = ("phi_state", "language", "task_type", "target_difficulty", "notice", "department", "subdepartment")
_CLOSED = frozenset((*_IDS, *_WORDS))
"""Columns that hold ids of ours, or words of a list that `schema` or the taxonomy knows."""


def _phi_of(columns: Mapping[str, pl.Series], known: pl.Series) -> dict[tuple[str, int], str]:
    """What each column holds, by its name and row; each text is scanned once, wherever it stands."""
    nothing = pl.Series([None], dtype=pl.String())
    filled = {name: texts.zip_with(known, nothing) for name, texts in columns.items()}
    if not filled:
        return {}
    unique = pl.concat([texts.rename("") for texts in filled.values()]).drop_nulls().unique(maintain_order=True)
    facts = {unique[at]: fact for at, fact in phi_in(unique).items()}
    if not facts:
        return {}
    wanted = pl.Series(list(facts)).implode()
    return {(name, row): facts[texts[row]] for name, texts in filled.items() for row in texts.is_in(wanted).arg_true()}


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


# --- addresses -------------------------------------------------------------------------------------------------------

_GAP = r"[\s\p{C}]*"
_RUN = f"(?i)^{_GAP}(?:{_GAP.join('java')}|{_GAP.join('vb')}){_GAP}{_GAP.join('script')}{_GAP}:"
"""A scheme that runs; browsers pass over white space and controls in it."""
_DATA = r"(?i)^[\s\p{C}]*(?:data:[\w.+/;=-]*,|(?:file|blob):)"
_LINK = re.compile(
    r"(?i)(?:\]\(|\]:\s{0,9}|<|(?:href|src)\s{0,9}=\s{0,9}[\"']?|:\s{0,9}\")[\s\x00-\x1f]{0,9}"
    r"(?:javascript|vbscript|data:[\w.+/;=-]{0,99},|data(?=:text/))\s{0,9}:?"
)
"""Where Markdown, HTML or JSON have an address that is a program."""
_ADDRESSES = re.compile(r"(?i)(?:^|_)(?:ur[li]s?|links?|href|homepage)(?:_|$)")
_NAMED = ("source", "license", "attribution")
_MEND_ADDRESS = "correct the column of the source that it comes from, and build again"


def check_addresses(batch: Batch, faults: Faults) -> None:
    """`addresses`: in the columns of addresses, and in those that a card shows."""
    names = [
        name
        for name, kind in batch.frame.schema.items()
        if kind == pl.String() and (name in _NAMED or _ADDRESSES.search(name))
    ]
    faults.apply("addresses")
    wrong = batch.frame.select(
        (pl.col(name).str.contains(_RUN) | pl.col(name).str.contains(_DATA)).fill_null(value=False) for name in names
    )
    for name in names:
        for row in wrong[name].arg_true():
            fact = f"`{name}` is {batch.frame[name][row][:40]!a}, which a browser would run"
            faults.add("addresses", batch.place(row), fact, _MEND_ADDRESS)


def check_links(name: str, text: str, faults: Faults) -> None:
    """`addresses`: in a file that people or programs follow links of."""
    faults.apply("addresses")
    for found in _LINK.finditer(text):
        if re.search(r"(?i)(?:script\s{0,9}:|data:)", found[0] + text[found.end() : found.end() + 1]):
            line = text.count("\n", 0, found.start()) + 1
            fact = f"{found[0].strip()[:40]!a} leads to what a browser would run"
            faults.add("addresses", f"{name}:{line}", fact, "remove it from what the file was made of, and build again")
