"""What a validation found: faults by rule, which rules held, and which could not be applied.

::

    faults = Faults()
    faults.apply("ids")
    faults.add("ids", "sft/train:17, id s3f0...", "the id occurs twice", "remove one of the rows")
    Report("run/release", "release", 191, faults).ok   ->  False

Every text that goes in is relieved of secrets, so that none can get into a log.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from finemed.publish.checks.secrets import redact

RULES = {
    "files": "every file of the manifest is there with its hash, and no other",
    "card": "the card's front matter can be read and lists the configs",
    "splits": "the splits and row counts of card, manifest and files agree",
    "schema": "columns and types are those of the schemas; no null where none may be",
    "features": "columns and types are those of the previous release, unless the major version rises",
    "ids": "every row has an id of its own",
    "messages": "no message is empty; roles alternate and end with the assistant; a pair differs",
    "pools": "no component, question or document is spread over splits, or over `ttt` and other pools",
    "held_splits": "no row, nor one that nearly repeats it, was in another split or pool in an earlier version",
    "retracted": "no row that was retracted is back",
    "judge": "every score is there and in range, with its reason",
    "cut_off": "reasoning answers have both sections and come to an end",
    "secrets": "no key, token, password or private key anywhere",
    "phi": "no protected health information that is surely some",
    "licence": "licence and attribution of every source are stated",
    "model_licence": "the licence of every model that wrote or judged is stated",
    "croissant": "the Croissant metadata lists the data files as they are",
}
"""Every rule in the order of a report, and what holds where it is kept."""
KEPT = 20
"""Faults of a rule that are kept with their places; all are counted."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, and what to do."""

    rule: str
    place: str
    fact: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.place}: {self.fact}; {self.remedy}"


@dataclass
class Faults:
    """Gathers faults while a dataset is read; holds the first of each rule."""

    kept: dict[str, list[Fault]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    applied: set[str] = field(default_factory=set)
    skipped: dict[str, str] = field(default_factory=dict)

    def apply(self, *rules: str) -> None:
        """Says that these rules were looked at."""
        self.applied.update(rules)

    def skip(self, rule: str, why: str) -> None:
        """Says why a rule was not applied, or not to everything; the first reason stays."""
        self.skipped.setdefault(rule, redact(why))

    def add(self, rule: str, place: str, fact: str, remedy: str, *, count: int = 1) -> None:
        """Records a fault, or several of one kind."""
        self.applied.add(rule)
        self.counts[rule] += count
        found = self.kept.setdefault(rule, [])
        if len(found) < KEPT:
            found.append(Fault(rule, redact(place), redact(fact), redact(remedy)))


@dataclass(frozen=True)
class Report:
    """The outcome of a validation."""

    path: str
    kind: Literal["release", "dataset"]
    """A release of ours, or anybody's dataset."""
    rows: int
    found: Faults

    @property
    def faults(self) -> list[Fault]:
        """The first faults of each rule, in the order of the rules."""
        return [fault for rule in RULES for fault in self.found.kept.get(rule, ())]

    @property
    def counts(self) -> dict[str, int]:
        """Faults of every rule that was applied."""
        return {rule: self.found.counts[rule] for rule in RULES if rule in self.found.applied}

    @property
    def skipped(self) -> dict[str, str]:
        """Why a rule was not applied, or not to all rows."""
        return {rule: self.found.skipped[rule] for rule in RULES if rule in self.found.skipped}

    @property
    def ok(self) -> bool:
        """Whether no rule is broken."""
        return not self.found.counts.total()

    def plain(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "path": self.path,
            "kind": self.kind,
            "ok": self.ok,
            "rows": self.rows,
            "rules": self.counts,
            "not_applied": self.skipped,
            "faults": [asdict(fault) for fault in self.faults],
        }
