"""Three versions of a growing dataset of real text: which rows, and near-duplicates, change sides.

``python benchmarks/growing.py [--records 5860] [--work FOLDER]`` takes so many records of MedQuAD, then 20% more, then
20% more again (in an order drawn once), builds each with the rules backend, once with `--previous` and once without,
and publishes both. It prints rows by split, what was pinned and left out, and which rows of a version lie on another
side than in any earlier one: compared anew here, everything with everything, in plain numpy, by exact Jaccard
similarity of word sequences. Then the same with `finemed split --previous` for two foreign files. The data are looked
for in $FINEMED_DATA, else in ../shared/data beside the checkout. Exits with 1 where something changed sides that
should have been held.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from measure import data_folder

ROOT = Path(__file__).resolve().parents[1]
GROWTH = 1.2
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")
POOLS, SPLITS = ("sft", "sft_reasoning", "dpo", "ttt"), ("train", "validation", "test")
WORD = re.compile(r"[一-鿿]|[^\W_一-鿿]+(?:[.,]\d+)*")
Row = tuple[str, str, str, list[str]]
"""Side, id, question, answers."""


def finemed(*arguments: object) -> tuple[int, str, str]:
    """Runs a command of this checkout: exit code, output, talk."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "toolkit")}
    command = [sys.executable, "-m", "finemed", *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def grams(text: str, size: int) -> set[tuple[str, ...]]:
    """The word sequences of a text; a shorter text is one."""
    found = WORD.findall(text.lower())
    return {tuple(found[at : at + size]) for at in range(max(1, len(found) - size + 1))} if found else set()


def alike(new: list[tuple[int, str]], old: list[tuple[int, str]], size: int, least: float, few: int) -> Any:
    """(row of `new`, row of `old`, similarity) of all pairs that are at least so similar, each with each."""
    postings: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    sizes = np.zeros(len(old), dtype=np.int64)
    for place, (_, text) in enumerate(old):
        own = grams(text, size)
        if len(own) < few:
            continue
        sizes[place] = len(own)
        for gram in own:
            postings[gram].append(place)
    lists = {gram: np.array(places) for gram, places in postings.items()}
    for row, text in new:
        own = grams(text, size)
        shared = [lists[gram] for gram in own if gram in lists]
        if len(own) < few or not shared:
            continue
        places, common = np.unique(np.concatenate(shared), return_counts=True)
        similarity = common / (len(own) + sizes[places] - common)
        for at in np.flatnonzero(similarity >= least - 1e-9):
            yield row, old[places[at]][0], float(similarity[at])


def changed(new: list[Row], old: list[Row]) -> tuple[int, int]:
    """Rows that lie on another side than an earlier one with their question or answer: the same, and nearly so."""
    worst: dict[int, float] = {}
    for kind, size, least, few in (("question", 3, 0.7, 1), ("answer", 5, 0.8, 2)):
        texts = []
        for rows in (new, old):
            unique = {
                (text, rows[place][0]): place
                for place, row in enumerate(rows)
                for text in ([row[2]] if kind == "question" else row[3])
            }
            texts.append([(place, text) for (text, _), place in unique.items()])
        for row, other, similarity in alike(texts[0], texts[1], size, least, few):
            if new[row][0] != old[other][0]:
                worst[row] = max(worst.get(row, 0.0), similarity)
    same = sum(value > 1 - 1e-9 for value in worst.values())
    return same, len(worst) - same


def released(folder: Path) -> list[Row]:
    """The rows of a release."""
    rows: list[Row] = []
    for pool in POOLS:
        for split in SPLITS:
            path = folder / "data" / pool / f"{split}.parquet"
            if path.exists():
                side = f"ttt/{split}" if pool == "ttt" else split
                columns = ("chosen", "rejected") if pool == "dpo" else ("completion",)
                for row in pq.read_table(path, columns=["id", "prompt", *columns]).to_pylist():
                    answers = [row[name][-1]["content"] for name in columns]
                    rows.append((side, row["id"], row["prompt"][-1]["content"], answers))
    return rows


def line(*cells: object) -> None:
    print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells) + " |", flush=True)


def versions(work: Path, records: int) -> list[str]:
    """Builds and publishes three versions, held and not; what was wrong."""
    corpus = pl.read_parquet(data_folder() / "corpus_medquad.parquet")
    order = list(range(corpus.height))
    random.Random(0).shuffle(order)
    faults = []
    line(
        "version", "splits", "records", *SPLITS, "ttt", "pinned", "left out", "changed sides, same", "nearly", "publish"
    )
    line("---", "---", *["--:"] * 9, "---")
    earlier: dict[bool, list[Row]] = {True: [], False: []}
    for number, version in enumerate(VERSIONS):
        size = min(corpus.height, round(records * GROWTH**number))
        folder = work / version
        folder.mkdir()
        corpus[sorted(order[:size])].write_parquet(folder / "corpus.parquet")
        write_config(folder)
        for held in (True, False):
            if not held and number == 0:
                continue
            target = work / ("held" if held else "loose")
            run = folder / ("held" if held else "loose")
            previous = ["--previous", target] if held and number else []
            started = time.monotonic()
            code, _, said = finemed("build", "-c", folder / "finemed.yaml", "--run", run, *previous)
            if code:
                sys.exit(said)
            seconds = time.monotonic() - started
            rows = released(run / "release")
            same, nearly = changed(rows, earlier[held])
            code, out, said = finemed("publish", run, "--to", target, "--date", "2026-11-28")
            if code and held:
                faults.append(f"{version}: publish refused: {said}")
            if not code and number and not held:
                faults.append(f"{version}: publish took rows that changed sides")
            if code:
                finemed("publish", run, "--to", target, "--date", "2026-11-28", "--reshuffle")
            stage = json.loads((run / "manifest.json").read_text("utf-8"))["stages"][-1]["facts"]
            told = stage.get("previous", {"pinned": 0, "bridges": 0})
            counts = {side: sum(row[0] == side for row in rows) for side in SPLITS}
            ttt = sum(row[0].startswith("ttt") for row in rows)
            line(
                version, "held" if held else "not held", size, *counts.values(), ttt, told["pinned"], told["bridges"],
                same, nearly, out.strip().rpartition("/")[2] or "refused",
            )  # fmt: skip
            print(f"  built in {seconds:.0f} s", file=sys.stderr)
            if held and same + nearly:
                faults.append(f"{version}: {same + nearly} rows changed sides")
            earlier[held] += rows
            if number == 0:
                earlier[False] += rows
                finemed("publish", run, "--to", work / "loose", "--date", "2026-11-28")
    return faults


def write_config(folder: Path) -> None:
    config = {
        "name": "growing",
        "sources": [
            {
                "name": "medquad",
                "path": "corpus.parquet",
                "columns": {"text": "text", "title": "focus", "id": "doc_id", "url": "url"},
                "license": "CC-BY-4.0",
                "attribution": "abachaa/MedQuAD",
            }
        ],
        "route": {"top_share": 0.1},
    }
    (folder / "finemed.yaml").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def foreign(work: Path, name: str, question: str, answer: str) -> list[str]:
    """The same with `finemed split` for a file; what was wrong."""
    rows = pl.read_ndjson(data_folder() / name)
    order = list(range(rows.height))
    random.Random(0).shuffle(order)
    faults: list[str] = []
    earlier: dict[bool, list[Row]] = {True: [], False: []}
    for number in range(3):
        size = min(rows.height, round(rows.height / GROWTH ** (2 - number)))
        part = rows[sorted(order[:size])]
        path = work / f"{number}-{name}"
        part.write_ndjson(path)
        for held in (True, False):
            out = work / f"{name}-{'held' if held else 'loose'}" / str(number)
            previous = ["--previous", out.parent] if held and number else []
            options = (
                "--text",
                question,
                "--answer",
                answer,
                "--set",
                "validation=0.05",
                "--set",
                "test=0.05",
                "--json",
            )
            code, told, said = finemed("split", path, "-o", out, "--format", "jsonl", *options, *previous)
            if code:
                sys.exit(said)
            found: list[Row] = []
            for split in SPLITS:
                if (out / f"{split}.jsonl").exists():
                    written = pl.read_ndjson(out / f"{split}.jsonl", infer_schema_length=None)
                    found += [(split, "", row[question] or "", [row[answer] or ""]) for row in written.to_dicts()]
            report = json.loads(told)
            same, nearly = changed(found, earlier[held]) if number else (0, 0)
            counts = [sum(row[0] == side for row in found) for side in SPLITS]
            facts = report.get("previous", {"pinned": 0, "bridges": 0})
            line(
                name,
                number + 1,
                "held" if held else "not held",
                size,
                *counts,
                facts["pinned"],
                facts["bridges"],
                same,
                nearly,
            )
            if len(found) + facts["bridges"] != size:
                faults.append(f"{name}: {size} rows in, {len(found)} out and {facts['bridges']} named")
            if held and same + nearly:
                faults.append(f"{name}: {same + nearly} rows changed sides")
            earlier[held] += found
    return faults


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=5860, help="of MedQuAD in the first version")
    parser.add_argument("--work", type=Path, help="empty folder to keep everything in")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="finemed-growing-") as folder:
        work = args.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        faults = versions(work, args.records)
        line("file", "version", "splits", "rows", *SPLITS, "pinned", "left out", "changed sides, same", "nearly")
        line("---", "--:", "---", *["--:"] * 8)
        faults += foreign(work, "sft_mts_dialog.jsonl", *columns("sft_mts_dialog.jsonl"))
        faults += foreign(work, "sft_huatuo_zh.jsonl", *columns("sft_huatuo_zh.jsonl"))
    sys.exit("\n".join(faults) or 0)


def columns(name: str) -> tuple[str, str]:
    """Columns of question and answer."""
    first = json.loads((data_folder() / name).open(encoding="utf-8").readline())
    question = next(key for key in ("instruction", "question", "dialogue", "prompt", "input") if key in first)
    return question, next(key for key in ("response", "output", "note", "section_text", "answer") if key in first)


if __name__ == "__main__":
    main()
