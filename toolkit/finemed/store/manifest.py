"""What a run knows about itself, in two files.

``manifest.json`` holds only what follows from inputs and settings, so two runs over equal inputs have equal manifests.
``session.json`` holds what a clock, a host or a process id decides: times, rates, paths, memory. Nothing else in a run
does, but for the journal, whose order of rows follows the network. Both carry a checksum of their content.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from finemed import __version__
from finemed.records import LedgerRow, NoteRow, frame_schema
from finemed.store.sealed import DamagedFileError, is_counts, read_sealed, write_sealed
from finemed.store.shards import Say, ShardFolder, unheard, write_parquet

LEDGER_SCHEMA = frame_schema(LedgerRow)
NOTE_SCHEMA = frame_schema(NoteRow)


_BEGUN_ANEW = "times and rates of earlier commands are lost, nothing else"


class Session:
    """``session.json``: one entry per command that worked on the run."""

    def __init__(self, run: Path, say: Say = unheard) -> None:
        self._path = run / "session.json"
        self._past = self._read(say)
        self._now: dict[str, Any] = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "host": platform.node(),
            "pid": os.getpid(),
            "python": platform.python_version(),
            "finemed": __version__,
            "stages": {},
        }

    def _read(self, say: Say) -> list[dict[str, Any]]:
        """The entries of earlier commands; a damaged file is said and begun anew, since nothing rests on it."""
        if not self._path.exists():
            return []
        try:
            past = read_sealed(self._path, "sessions", remedy=_BEGUN_ANEW)[0]["sessions"]
            if not isinstance(past, list) or not all(isinstance(entry, dict) for entry in past):
                raise DamagedFileError(f"{self._path}: damaged (`sessions` is no list of objects); {_BEGUN_ANEW}")
        except DamagedFileError as error:
            say(str(error))
            return []
        return past

    def stage(self, name: str, **facts: Any) -> None:
        """Adds facts about a stage, such as `seconds`, and writes the file."""
        self._now["stages"].setdefault(name, {}).update(facts)
        self._now["peak_rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
        write_sealed(self._path, {"sessions": [*self._past, self._now]})


def write_manifest(run: Path, manifest: dict[str, Any]) -> None:
    """Writes ``manifest.json``."""
    write_sealed(run / "manifest.json", manifest)


def read_manifest(run: Path) -> dict[str, Any]:
    """Reads ``manifest.json``; an absent one is an empty run.

    Raises:
        DamagedFileError: it is not what was written.
    """
    path = run / "manifest.json"
    if not path.exists():
        return {"stages": []}
    remedy = "run `finemed build` again, which writes it anew"
    manifest, _ = read_sealed(path, "stages", remedy=remedy)
    stages = manifest["stages"]
    if not isinstance(stages, list) or not all(map(_is_report, stages)):
        raise DamagedFileError(f"{path}: damaged (`stages` does not hold the reports of stages); {remedy}")
    return manifest


def _is_report(value: Any) -> bool:
    """Whether this is a stage's report with names and counts in their places."""
    return (
        isinstance(value, dict)
        and isinstance(value.get("stage"), str)
        and isinstance(value.get("fingerprint"), str)
        and is_counts(value.get("counts"))
        and is_counts(value.get("drops"))
        and isinstance(value.get("facts"), dict)
    )


def write_ledger(path: Path, stages: list[tuple[str, ShardFolder]]) -> pl.DataFrame:
    """Gathers every stage's drops, in the pipeline's order, into one Parquet file."""
    parts = [
        drops.with_columns(pl.lit(name).alias("stage")).select(list(LEDGER_SCHEMA))
        for name, folder in stages
        for drops in folder.drops()
    ]
    ledger = pl.concat(parts) if parts else pl.DataFrame(schema=LEDGER_SCHEMA)
    write_parquet(path, ledger)
    return ledger


def write_notes(path: Path, stages: list[tuple[str, ShardFolder]]) -> pl.DataFrame:
    """Gathers every stage's remarks on kept rows, in the pipeline's order, into one Parquet file."""
    parts = [
        notes.rename({"drop_reason": "remark"}).with_columns(pl.lit(name).alias("stage")).select(list(NOTE_SCHEMA))
        for name, folder in stages
        for notes in folder.notes()
    ]
    notes = pl.concat(parts) if parts else pl.DataFrame(schema=NOTE_SCHEMA)
    write_parquet(path, notes)
    return notes


def count_reasons(frames: Iterable[pl.DataFrame]) -> dict[str, int]:
    """How many drops or remarks there are of each code, codes in alphabetical order."""
    counts: Counter[str] = Counter()
    for drops in frames:
        for reason, number in drops["drop_reason"].value_counts().iter_rows():
            counts[reason] += number
    return dict(sorted(counts.items()))
