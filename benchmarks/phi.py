"""Measures the PHI detector: per kind on synthetic notes, false alarms on real text, and speed.

::

    python benchmarks/phi.py                      # all tables
    python benchmarks/phi.py --only notes --half development
    python benchmarks/phi.py --only corpora --show 60     # prints the findings of 0.8 and more to judge them

The notes lie in ``benchmarks/phi_notes/``, with what is to be found marked as ``[[kind|text]]``. A finding is right if
it overlaps a mark of its kind; a mark is found if a finding of its kind overlaps it. What is marked ``[[~kind|text]]``
may be found with less than 0.8, and is a false alarm otherwise.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from measure import data_folder, table

from finemed.text.normalise import tidy
from finemed.text.phi import Finding, scan, scan_all
from finemed.text.segment import passages

NOTES = Path(__file__).parent / "phi_notes"
HALVES = ("development", "heldout", "fresh", "last")
HIGH = 0.8
CORPORA = ("medquad", "cdc", "openstax", "mts_dialog")
_MARK = re.compile(r"\[\[(~?)(\w+)\|(.*?)\]\]", re.DOTALL)


@dataclass(frozen=True)
class Mark:
    """One marked span; `allowed` where a finding is neither asked for nor wrong."""

    kind: str
    start: int
    end: int
    allowed: bool


@dataclass(frozen=True)
class Note:
    """A synthetic text without its marks."""

    title: str
    about_patient: bool
    text: str
    marks: tuple[Mark, ...]


def read_notes(half: str) -> list[Note]:
    """The texts of one set, ``development``, ``heldout`` or ``fresh``."""
    parts = re.split(r"^### (note|negative) (.+)\n", (NOTES / f"{half}.txt").read_text("utf-8"), flags=re.MULTILINE)[1:]
    return [
        _unmarked(title, sort == "note", body.strip())
        for sort, title, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    ]


def _unmarked(title: str, about_patient: bool, marked: str) -> Note:
    text, marks, last = "", [], 0
    for match in _MARK.finditer(marked):
        text += marked[last : match.start()]
        marks.append(Mark(match.group(2), len(text), len(text) + len(match.group(3)), bool(match.group(1))))
        text += match.group(3)
        last = match.end()
    return Note(title, about_patient, text + marked[last:], tuple(marks))


@dataclass
class Score:
    """Counts of one kind."""

    marked: int = 0
    found: int = 0
    found_high: int = 0
    findings: int = 0
    right: int = 0
    findings_high: int = 0
    right_high: int = 0


def overlaps(one: Mark | Finding, other: Mark | Finding) -> bool:
    return one.start < other.end and other.start < one.end


def score(notes: Iterable[Note]) -> dict[str, Score]:
    """Counts by kind; `any` asks only whether a place was found, under whatever kind."""
    scores: dict[str, Score] = {}
    for note in notes:
        findings = scan(note.text)
        for name in {mark.kind for mark in note.marks} | {one.kind for one in findings} | {"any"}:
            _count(scores.setdefault(name, Score()), note, findings, name)
    return scores


def _count(own: Score, note: Note, findings: list[Finding], kind: str) -> None:
    def same(name: str) -> bool:
        return kind in ("any", name)

    for mark in note.marks:
        if mark.allowed or not same(mark.kind):
            continue
        hits = [one for one in findings if same(one.kind) and overlaps(mark, one)]
        own.marked += 1
        own.found += bool(hits)
        own.found_high += any(one.confidence >= HIGH for one in hits)
    for one in findings:
        if not same(one.kind):
            continue
        right = any(same(mark.kind) and overlaps(mark, one) for mark in note.marks if not mark.allowed)
        allowed = any(overlaps(mark, one) for mark in note.marks if mark.allowed)
        if one.confidence >= HIGH:
            own.findings_high += 1
            own.right_high += right
        if right or one.confidence >= HIGH or not allowed:
            own.findings += 1
            own.right += right


def share(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "-"


def notes_table(half: str) -> str:
    """Precision and recall by kind."""
    rows = [
        (
            kind,
            own.marked,
            share(own.right, own.findings),
            share(own.found, own.marked),
            share(own.right_high, own.findings_high),
            share(own.found_high, own.marked),
        )
        for kind, own in sorted(score(read_notes(half)).items(), key=lambda item: (-item[1].marked, item[0]))
    ]
    return table(("kind", "marked", "precision", "recall", "precision >= 0.8", "recall >= 0.8"), rows)


def egress_table(halves: Iterable[str]) -> str:
    """How many texts the default threshold keeps back."""
    rows = []
    for half in halves:
        for about_patient in (True, False):
            notes = [note for note in read_notes(half) if note.about_patient is about_patient]
            best = [max((one.confidence for one in scan(note.text)), default=0.0) for note in notes]
            rows.append(
                (
                    half,
                    "about a patient" if about_patient else "hard negatives",
                    len(notes),
                    sum(value > 0 for value in best),
                    sum(value >= HIGH for value in best),
                )
            )
    return table(("set", "texts", "count", "any finding", "withheld (>= 0.8)"), rows)


def calibration_table(halves: Iterable[str]) -> str:
    """Share of right findings by confidence, and how sure each band is."""
    bands = ((0.0, 0.3), (0.3, 0.5), (0.5, 0.8), (0.8, 0.9), (0.9, 1.01))
    counts: Counter[tuple[float, str]] = Counter()
    for half in halves:
        for note in read_notes(half):
            for one in scan(note.text):
                band = next(low for low, high in bands if low <= one.confidence < high)
                about = any(overlaps(mark, one) and not mark.allowed for mark in note.marks if mark.kind != "clinician")
                counts[band, "all"] += 1
                counts[band, "patient"] += about and note.about_patient
    rows = [
        (f"{low:.1f} to {min(high, 1.0):.1f}", counts[low, "all"], share(counts[low, "patient"], counts[low, "all"]))
        for low, high in bands
    ]
    return table(("confidence", "findings", "of a patient"), rows)


def corpus(name: str) -> pl.Series:
    """The English passages of a real corpus, cut as `ingest` cuts them; of MTS-Dialog, the talk with its note."""
    if name == "mts_dialog":
        rows = pl.read_ndjson(data_folder() / "sft_mts_dialog.jsonl")
        return rows.select(pl.concat_str("dialogue", "response", separator="\n\n")).to_series()
    frame = pl.read_parquet(data_folder() / f"corpus_{name}.parquet")
    if "language" in frame.columns:
        frame = frame.filter(pl.col("language") == "en")
    texts = [tidy(text[start:end]) for text in frame["text"] for start, end in passages(text, 1024, 64)]
    return pl.Series(texts, dtype=pl.String()).filter(pl.Series(texts) != "")


def corpora_table(names: Iterable[str], show: int) -> str:
    rows = []
    for name in names:
        texts = corpus(name)
        found = scan_all(texts)
        kinds: Counter[str] = Counter()
        high: Counter[str] = Counter()
        for findings in found.values():
            kinds.update({one.kind for one in findings})
            high.update({one.kind for one in findings if one.confidence >= HIGH})
        withheld = [at for at, findings in found.items() if max(one.confidence for one in findings) >= HIGH]
        rows.append((name, "any kind", len(texts), *_shares(len(found), len(withheld), len(texts))))
        rows += [(name, kind, "", *_shares(count, high[kind], len(texts))) for kind, count in kinds.most_common()]
        for at in withheld[:: max(1, len(withheld) // show)] if show else ():
            for one in found[at]:
                if one.confidence >= HIGH:
                    place = texts[at][max(0, one.start - 70) : one.end + 70].replace("\n", " ")
                    print(f"{name} {at} {one.kind} {one.confidence:.2f} <{texts[at][one.start : one.end]}> {place}")
    return table(("corpus", "kind", "passages", "any finding", "share", ">= 0.8", "share of >= 0.8"), rows)


def _shares(some: int, high: int, whole: int) -> Iterator[object]:
    yield from (some, f"{some / whole:.2%}", high, f"{high / whole:.2%}")


def speed_table() -> str:
    """Passages a second in shards of 1,000, as the stage gets them; the best of five, since the machine is shared."""
    notes = pl.Series([note.text for half in HALVES for note in read_notes(half) if note.about_patient])
    plain = "Croup is a viral infection of the larynx and the trachea. A barking cough and stridor give it away. "
    samples = {
        "MedQuAD": corpus("medquad"),
        "without a cue": pl.Series([plain * 8] * 20_000),
        "synthetic notes, all read in Python": pl.concat([notes] * 12),
    }
    rows = []
    for name, texts in samples.items():
        shards = [texts[start : start + 1000] for start in range(0, len(texts), 1000)]
        times = []
        for _ in range(5):
            started = time.perf_counter()
            for shard in shards:
                scan_all(shard)
            times.append(time.perf_counter() - started)
        length = texts.str.split(" ").list.len().mean()
        rows.append((name, len(texts), f"{length:.0f}", f"{len(texts) / min(times):,.0f}"))
    return table(("texts", "count", "words each", "passages/s"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("notes", "corpora", "speed"))
    parser.add_argument("--half", choices=HALVES, help="only this set of the notes")
    parser.add_argument("--show", type=int, default=0, help="print about this many passages of each corpus with >= 0.8")
    arguments = parser.parse_args()
    halves = [arguments.half] if arguments.half else HALVES
    if arguments.only in (None, "notes"):
        for half in halves:
            print(f"\nSynthetic texts, {half}:\n\n{notes_table(half)}")
        print(f"\nWhole texts:\n\n{egress_table(halves)}")
        print(f"\nCalibration:\n\n{calibration_table(halves)}")
    if arguments.only in (None, "corpora"):
        print(f"\nReal text:\n\n{corpora_table(CORPORA, arguments.show)}")
    if arguments.only in (None, "speed"):
        print(f"\nSpeed:\n\n{speed_table()}")


if __name__ == "__main__":
    main()
