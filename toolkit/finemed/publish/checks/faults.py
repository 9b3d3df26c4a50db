"""What a validation says of each rule: it holds, it is broken, or it was not checked, with the reason.

::

    faults = Faults()
    faults.apply("ids")
    faults.add("ids", "sft/train:17, id s3f0...", "the id occurs twice", "remove one of the rows")
    faults.skip("features", "there is no previous release")
    faults.unchecked("phi", "language zh", rows=[3, 4])
    Report("run/release", "release", 191, faults).results()["phi"].state   ->  "ok", with `share` 0.99

Findings of one rule and kind are counted together. Every text that goes in is relieved of secrets, so that none can get
into a log.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from finemed.publish.checks.secrets import redact

RULES = {
    "files": "every file of the manifest is there with its hash, and no other",
    "manifest": "the manifest has the form of its format; version, dataset, changelog and comparison agree",
    "hash": "the release's hash follows from its files and the manifest, and is the expected one",
    "card": "the card reads as the manifest says; its front matter lists the configs",
    "splits": "the splits and row counts of card, manifest and files agree",
    "figures": "every figure is that of the rows, the ledger and the notes",
    "stages": "each stage takes what the one before gave; ledger, notes and rows obey their counts and settings",
    "schema": "columns and types are those of the schemas; no null where none may be",
    "features": "columns and types are those of the previous release, unless the major version rises",
    "ids": "every row has an id of its own; ids follow from what they name",
    "messages": "no message is empty; roles alternate and end with the assistant; a pair differs",
    "pools": "nothing is spread over splits, or `ttt` and other pools; rows of one question, passage, document agree",
    "separation": "no text nearly repeats one of another split, nor one of `ttt` in another pool",
    "held_splits": "no row, nor one that nearly repeats it, was in another split or pool in an earlier version",
    "retracted": "no row that was retracted is back, and no tombstone is gone",
    "judge": "every score is there and in range, with its reason",
    "cut_off": "answers come to an end; reasoning answers have both sections",
    "secrets": "no key, token, password or private key anywhere",
    "addresses": "no address that a browser would run instead of open",
    "phi": "no protected health information that is surely some",
    "licence": "licence and attribution of every source are stated",
    "model_licence": "the licence of every model that wrote or judged is stated",
    "croissant": "the Croissant metadata is what the manifest and the data files give",
    "plots": "every picture is a PNG, and the one that the figures give",
}
"""Every rule for a release in the order of a report, and what holds where it is kept."""
CONTENT_RULES = {
    "empty": "no answer is missing, blank or a placeholder such as N/A",
    "echo": "no answer repeats its question",
    "refusal": "no answer refuses, or speaks as a language model",
    "repeats": "no row occurs twice, and no question with the same answer",
    "conflicts": "one question has one answer",
    "same_answer": "no answer of some length stands under five questions or more",
    "characters": "no NUL, control, bidirectional, hidden or replacement character, no half of a surrogate pair",
    "markup": "no script, event handler or `javascript:` address",
    "template": "no token of a chat template or mark of hidden reasoning",
    "language": "every stated language is a code that exists",
    "contamination": "no item of the benchmarks that were named",
}
"""The further rules for data that is no release of ours."""
KEPT = 20
"""Findings of a rule and kind that are kept with their places; all are counted."""
KINDS = 50
"""Kinds of finding that one rule tells apart; those beyond are counted as one."""
NOTHING = "there is nothing to apply it to"

State = Literal["ok", "failed", "not_checked"]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, and what to do."""

    rule: str
    place: str
    fact: str
    remedy: str
    kind: str = ""
    """What findings of one rule have in common, such as ``column `mrn` ``; empty where the rule says all."""

    def __str__(self) -> str:
        return f"{self.place}: {self.fact}; {self.remedy}"


@dataclass
class Faults:
    """Gathers faults while a dataset is read; holds the first of each rule and kind."""

    kept: dict[tuple[str, str], list[Fault]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)
    applied: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, set[int]] = field(default_factory=dict)
    """Numbers of the rows that a rule was not, or not wholly, applied to."""
    reasons: dict[str, Counter[str]] = field(default_factory=dict)
    """Why, and for how many rows."""

    def apply(self, *rules: str) -> None:
        """Says that these rules were looked at."""
        self.applied.update(rules)

    def skip(self, rule: str, why: str) -> None:
        """Says why a rule was not applied, or not to everything; the first reason stays."""
        self.skipped.setdefault(rule, redact(why))

    def withdraw(self, rule: str, why: str) -> None:
        """Says that what a rule is about could not be looked at, although parts of it were."""
        self.applied.discard(rule)
        self.skipped[rule] = redact(why)

    def unchecked(self, rule: str, why: str, rows: Iterable[int]) -> None:
        """Says which rows a rule that is applied did not see wholly; a row may be named for several reasons."""
        numbers = set(rows)
        if numbers:
            self.left_out.setdefault(rule, set()).update(numbers)
            self.reasons.setdefault(rule, Counter())[redact(why)] += len(numbers)

    def add(self, rule: str, place: str, fact: str, remedy: str, *, count: int = 1, kind: str = "") -> None:
        """Records a fault, or several of one kind."""
        kind = self.more(rule, kind, count)
        found = self.kept.setdefault((rule, kind), [])
        if len(found) < KEPT:
            found.append(Fault(rule, redact(place), redact(fact), redact(remedy), kind))

    def more(self, rule: str, kind: str, count: int) -> str:
        """Counts faults without their places; returns the kind that they are counted under."""
        self.applied.add(rule)
        self.counts[rule] += count
        kind = redact(kind)
        if (rule, kind) not in self.by_kind and sum(of == rule for of, _ in self.by_kind) >= KINDS:
            kind = "other kinds"
        self.by_kind[rule, kind] += count
        return kind


@dataclass(frozen=True)
class Finding:
    """The findings of one rule and kind together."""

    kind: str
    count: int
    rate: float
    """Findings per row, with its 95% interval after Wilson."""
    rate_low: float
    rate_high: float
    examples: list[Fault]


@dataclass(frozen=True)
class Result:
    """What a validation says of one rule."""

    rule: str
    holds: str
    """What holds where the rule is kept."""
    state: State
    why: str | None
    """Why it was not checked, or not wholly."""
    count: int
    rows: int
    """Rows that it was applied to."""
    share: float | None
    """Their share of all rows, where that is not all."""
    findings: list[Finding]

    def plain(self, examples: int = 3) -> dict[str, Any]:
        """The result as JSON values, with this many examples of each kind at most."""
        found = [
            {"kind": each.kind, "count": each.count, "rate": each.rate, "rate_low": each.rate_low,
             "rate_high": each.rate_high}
            for each in self.findings
        ]  # fmt: skip
        shown = [
            {"kind": fault.kind, "place": fault.place, "fact": fault.fact, "next_step": fault.remedy}
            for each in self.findings
            for fault in each.examples[:examples]
        ]
        named = {key: value for key, value in asdict(self).items() if key not in ("rule", "findings")}
        return {**named, "findings": found, "examples": shown}


@dataclass(frozen=True)
class Report:
    """The outcome of a validation."""

    path: str
    kind: Literal["release", "dataset"]
    """A release of ours, or anybody's dataset."""
    rows: int
    found: Faults
    stated: dict[str, str] = field(default_factory=dict)
    """What a release says that nothing in it can prove -> how it says so."""
    hashes: dict[str, str] = field(default_factory=dict)
    """`release_hash` as it was worked out, and `manifest_sha256`, which covers every byte."""

    @property
    def rules(self) -> dict[str, str]:
        """The rules for this kind of dataset, and what holds where they are kept."""
        return RULES if self.kind == "release" else RULES | CONTENT_RULES

    @property
    def faults(self) -> list[Fault]:
        """The first faults of each rule, in the order of the rules; at most `KEPT` of a rule."""
        return [fault for rule in self.rules for fault in self._of(rule)]

    def _of(self, rule: str) -> list[Fault]:
        return [fault for (of, _), kept in self.found.kept.items() if of == rule for fault in kept][:KEPT]

    @property
    def counts(self) -> dict[str, int]:
        """Faults of every rule that was applied."""
        return {rule: self.found.counts[rule] for rule in self.rules if rule in self.found.applied}

    @property
    def skipped(self) -> dict[str, str]:
        """Why a rule was not applied, or not to all rows."""
        return {rule: why for rule, result in self.results().items() if (why := result.why) is not None}

    @property
    def ok(self) -> bool:
        """Whether no rule is broken."""
        return not self.found.counts.total()

    def results(self) -> dict[str, Result]:
        """What is said of every rule, in their order."""
        return {rule: self._result(rule, holds) for rule, holds in self.rules.items()}

    def _result(self, rule: str, holds: str) -> Result:
        found, missed = self.found, len(self.found.left_out.get(rule, ()))
        applied, count = rule in found.applied, found.counts[rule]
        none_seen = applied and missed >= self.rows > 0
        state: State = "failed" if count else "ok" if applied and not none_seen else "not_checked"
        why = [found.skipped[rule]] if rule in found.skipped else []
        why += [
            reason if rows >= self.rows else f"{reason} ({percent(rows / self.rows)} of rows)"
            for reason, rows in found.reasons.get(rule, Counter()).most_common()
            if self.rows
        ]
        if state == "not_checked" and not why:
            why = [NOTHING]
        rows = max(0, self.rows - missed) if applied else 0
        share = rows / self.rows if applied and missed and self.rows else None
        findings = [
            Finding(kind, number, *wilson(number, self.rows), found.kept.get((of, kind), []))
            for (of, kind), number in found.by_kind.items()
            if of == rule
        ]
        findings.sort(key=lambda finding: -finding.count)
        return Result(rule, holds, state, "; ".join(why) or None, count, rows, share, findings)

    def plain(self, examples: int = 3) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "path": self.path,
            "kind": self.kind,
            "ok": self.ok,
            "rows": self.rows,
            "rules": {rule: result.plain(examples) for rule, result in self.results().items()},
            "stated_not_checked": self.stated,
            "hashes": self.hashes,
        }


def wilson(count: int, rows: int, z: float = 1.959964) -> tuple[float, float, float]:
    """A share and its 95% interval after Wilson, each from 0 to 1; several findings in one row count as one share of 1.

    Reference: Wilson 1927, J Am Stat Assoc 22:209; 3 of 100 rows give 0.03, 0.0103, 0.0845.
    """
    if rows <= 0:
        return 0.0, 0.0, 1.0
    share = min(1.0, count / rows)
    centre = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / (1 + z * z / rows)
    return share, round(max(0.0, centre - half), 12), round(min(1.0, centre + half), 12)


def percent(share: float) -> str:
    """A share for a reader: 83%, 0.3%, or ``under 0.1%``; never 0% or 100% where it is not."""
    if share in (0, 1):
        return f"{share:.0%}"
    if share < 0.001:
        return "under 0.1%"
    if share < 0.1 or share > 0.99:
        return f"{min(100 * share, 99.9):.1f}%"
    return f"{100 * share:.0f}%"
