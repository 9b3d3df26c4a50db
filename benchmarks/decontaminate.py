"""Decontamination: planted benchmark items found, false alarms, two benchmarks against each other, speed.

::

    python benchmarks/decontaminate.py                     # all tables, seed 2 (settings were chosen on seed 1)
    python benchmarks/decontaminate.py --only found --seed 1 --missed 20
    python benchmarks/decontaminate.py --only speed --rows 1000000

Reads the test files and corpora of ``$FINEMED_DATA`` or ``../shared/data``. The peers are written out here: any shared
12-gram (datatrove's filter has this size by default) and GPT-3's rule, any shared 13-gram that no more than ten of the
corpus' documents have; both over lower-case words, of stem and options as an item lists them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "toolkit"))

import polars as pl
from measure import data_folder, note, table

from finemed.config import DecontaminateConfig
from finemed.sources.benchmarks import BenchmarkItem
from finemed.stages.decontaminate import BenchmarkIndex
from finemed.text.normalise import words
from finemed.text.overlap import OverlapIndex, OverlapRule
from finemed.text.overlap_find import OverlapFinder, find_hits

BUCKETS = ("1-8", "9-15", "16-40", "41-")
CARRIED = 200
"""Words of other text on either side of an item in a long answer."""
CLASSES = (
    "verbatim",
    "options shuffled",
    "10% substituted",
    "10% deleted",
    "in a long answer",
    "all at once",
    "stem alone",
    "stem alone, 10% substituted",
)


def corpora(data: Path) -> dict[str, list[str]]:
    """Unrelated text, row by row."""
    medquad = pl.read_parquet(data / "corpus_medquad.parquet")
    found = {
        "MedQuAD answers": medquad["text"].to_list(),
        "MedQuAD questions": sorted(set(medquad["question"].drop_nulls())),
        "OpenStax sections": pl.read_parquet(data / "corpus_openstax.parquet")["text"].to_list(),
        "CDC reports": pl.read_parquet(data / "corpus_cdc.parquet")["text"].to_list(),
    }
    huatuo, dialogues = (read(data / name) for name in ("sft_huatuo_zh.jsonl", "sft_mts_dialog.jsonl"))
    found["Huatuo (Chinese)"] = [row[name] for row in huatuo for name in ("instruction", "response")]
    found["MTS dialogues and notes"] = [row[name] for row in dialogues for name in ("dialogue", "response")]
    return found


def read(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]


def bucket(item: BenchmarkItem) -> str:
    count = len(words(item.question))
    return BUCKETS[sum(count > limit for limit in (8, 15, 40))]


class Planter:
    """Writes items down as somebody might who copied them."""

    def __init__(self, carriers: Sequence[str], rng: random.Random) -> None:
        self._carriers = [text.split() for text in carriers if len(text) > 1500]
        self._rng = rng

    def stretch(self, count: int) -> list[str]:
        """So many words of unrelated text."""
        source = self._rng.choice(self._carriers)
        start = self._rng.randrange(max(1, len(source) - count))
        return source[start : start + count]

    def listed(self, item: BenchmarkItem, *, shuffled: bool = False) -> list[str]:
        """Stem and options, with letters in one of three styles."""
        options = list(item.options)
        if shuffled:
            self._rng.shuffle(options)
        style = self._rng.choice(("{}.", "({})", ""))
        parts = item.question.split()
        for letter, option in zip("ABCDEFGHIJKLMNOP", options, strict=False):
            parts += [*style.format(letter).split(), *option.split()]
        return parts

    def changed(self, parts: list[str], *, substituted: bool) -> list[str]:
        """A tenth of the words, and at least one, replaced by words of other text, or left out."""
        at = set(self._rng.sample(range(len(parts)), max(1, round(0.1 * len(parts)))))
        others = self.stretch(500)
        if substituted:
            return [self._rng.choice(others) if n in at else word for n, word in enumerate(parts)]
        return [word for n, word in enumerate(parts) if n not in at]

    def plants(self, item: BenchmarkItem) -> Iterator[list[str]]:
        """One planting for each of `CLASSES`."""
        stem = item.question.split()
        yield self.listed(item)
        yield self.listed(item, shuffled=True)
        yield self.changed(self.listed(item), substituted=True)
        yield self.changed(self.listed(item), substituted=False)
        yield self.stretch(CARRIED) + self.listed(item) + self.stretch(CARRIED)
        everything = self.changed(self.listed(item, shuffled=True), substituted=True)
        yield self.stretch(CARRIED) + everything + self.stretch(CARRIED)
        yield stem
        yield self.changed(stem, substituted=True)


class ExactGrams:
    """A peer: a text is contaminated if it shares an n-gram with an item."""

    def __init__(self, items: Sequence[BenchmarkItem], size: int, corpus: Sequence[str], most: int | None) -> None:
        self._size = size
        self._grams: set[str] = set()
        for item in items:
            self._grams.update(self.grams(" ".join([item.question, *item.options])))
        if most is not None:
            counts = Counter(gram for text in corpus for gram in set(self.grams(text)) & self._grams)
            self._grams -= {gram for gram, count in counts.items() if count > most}

    def grams(self, text: str) -> list[str]:
        parts = words(text)
        return [" ".join(parts[at : at + self._size]) for at in range(len(parts) - self._size + 1)]

    def flagged(self, texts: Sequence[str]) -> list[bool]:
        return [any(gram in self._grams for gram in self.grams(text)) for text in texts]


def flagged_by(index: OverlapIndex) -> Callable[[Sequence[str]], list[bool]]:
    def flagged(texts: Sequence[str]) -> list[bool]:
        found = OverlapFinder(index).find(texts)
        return [row in found for row in range(len(texts))]

    return flagged


def show_found(
    items: Sequence[BenchmarkItem], index: OverlapIndex, data: dict[str, list[str]], args: argparse.Namespace
) -> None:
    rng = random.Random(args.seed)
    planter = Planter([*data["MedQuAD answers"], *data["OpenStax sections"], *data["CDC reports"][:200]], rng)
    picked = rng.sample(range(len(items)), min(args.items, len(items)))
    texts, marks = [], []
    for number in picked:
        for name, parts in zip(CLASSES, planter.plants(items[number]), strict=True):
            texts.append(" ".join(parts))
            marks.append((name, bucket(items[number]), number))
    english = [text for name, own in data.items() if "Chinese" not in name for text in own]
    systems = {
        "finemed": flagged_by(index),
        "12-gram": ExactGrams(items, 12, [], None).flagged,
        "GPT-3, 13-gram": ExactGrams(items, 13, english, 10).flagged,
    }
    print(f"## Found, seed {args.seed}, {len(picked):,} of {len(items):,} items, each planted in every class\n")
    rows = []
    for system, flagged in systems.items():
        verdicts = flagged(texts)
        if system == "finemed":
            ours = verdicts
        for name in CLASSES:
            cells = []
            for length in ("all", *BUCKETS):
                own = [
                    ok
                    for ok, mark in zip(verdicts, marks, strict=True)
                    if mark[0] == name and length in ("all", mark[1])
                ]
                cells.append(f"{sum(own) / len(own):.1%}" if own else "-")
            rows.append([name, system, *cells])
    sizes = Counter(bucket(items[number]) for number in picked)
    heads = [f"stem of {length} words ({sizes[length]})" for length in BUCKETS]
    print(table(["class", "system", "all", *heads], sorted(rows, key=lambda row: CLASSES.index(row[0]))))
    named = OverlapFinder(index).find(texts)
    right = [marks[row][2] in {hit.item for hit in hits} for row, hits in named.items()]
    print(f"\nOf the texts flagged, the planted item is among the hits of {sum(right) / max(1, len(right)):.2%}.\n")
    missed = [(mark, text) for mark, text, ok in zip(marks, texts, ours, strict=True) if not ok]
    for (name, _, number), text in missed[: args.missed]:
        hits = [hit for hit in find_hits([text], index, everything=True)[0] if hit.item == number]
        note(f"missed, {name}: {items[number]}\n  {hits}\n  {text[:300]}")


def show_alarms(items: Sequence[BenchmarkItem], index: OverlapIndex, data: dict[str, list[str]]) -> None:
    print("## Flagged in unrelated text\n")
    short, long = ExactGrams(items, 12, [], None), ExactGrams(items, 13, [], None)
    rows, read_all, total = [], [], [0, 0, 0, 0]
    for name, texts in data.items():
        found = OverlapFinder(index).find(texts)
        peers = [sum(peer.flagged(texts)) for peer in (short, long)]
        counts = [len(texts), len(found), *peers]
        total = [a + b for a, b in zip(total, counts, strict=True)]
        rows.append([name, *(f"{count:,}" for count in counts), f"{len(found) / len(texts):.3%}"])
        read_all += [(name, texts[row], hits) for row, hits in found.items()]
    rows.append(["all", *(f"{count:,}" for count in total), f"{total[1] / total[0]:.3%}"])
    print(table(["text", "rows", "finemed", "12-gram", "13-gram", "share, finemed"], rows))
    for name, text, hits in read_all:
        item = items[hits[0].item]
        print(f"\n- {name}: {hits[0].kind}, {hits[0].score:.2f}: {text[hits[0].start : hits[0].end][:200]!r}")
        print(f"  against {item.benchmark}/{item.id}: {item.question[-200:]!r} {item.options}")
    print()


def show_crossed(items: Sequence[BenchmarkItem], data: Path) -> None:
    print("## Benchmarks against each other\n")
    by_name: dict[str, list[BenchmarkItem]] = {}
    for item in items:
        by_name.setdefault(item.benchmark, []).append(item)
    medqa = next(own for name, own in by_name.items() if name.startswith("medqa"))
    mmlu = next(own for name, own in by_name.items() if name.startswith("mmlu_med"))
    pro = next(own for name, own in by_name.items() if name.startswith("mmlu_pro"))
    source = {str(row["id"]): row["src"] for row in read(next(data.glob("bench_mmlu_pro*.jsonl")))}
    shared = {
        item.id for item in pro if source[item.id].removeprefix("ori_mmlu-") in {i.id.rpartition("-")[0] for i in mmlu}
    }
    equal = {item.question.strip() for item in mmlu}
    pairs = (
        ("MMLU-Pro biology in MedQA", medqa, pro, bool),
        ("MMLU medical in MedQA", medqa, mmlu, bool),
        ("MMLU-Pro biology from MMLU subjects held here, in MMLU medical", mmlu, pro, lambda item: item.id in shared),
        ("those of them whose stem is equal", mmlu, pro, lambda item: item.question.strip() in equal),
        ("MMLU-Pro biology from elsewhere, in MMLU medical", mmlu, pro, lambda item: item.id not in shared),
    )
    rows = []
    for name, indexed, asked, wanted in pairs:
        index = OverlapIndex.build([(item.question, item.options) for item in indexed], OverlapRule())
        chosen = [item for item in asked if wanted(item)]
        found = OverlapFinder(index).find([" ".join([item.question, *item.options]) for item in chosen])
        rows.append([name, f"{len(chosen):,}", f"{len(found):,}", f"{len(found) / max(1, len(chosen)):.1%}"])
        if len(found) <= 25:
            for row, hits in found.items():
                note(f"{name}: {hits[0].score:.2f} {hits[0].kind}: {chosen[row]}\n   {indexed[hits[0].item]}")
    print(table(["texts", "items", "found", "share"], rows) + "\n")


def show_speed(config: DecontaminateConfig, base: Path, data: dict[str, list[str]], args: argparse.Namespace) -> None:
    """One go over a Parquet file of mixed rows, in pieces of 1,000 as the stage has them, from reading to verdicts."""
    print(f"## Speed, {args.rows:,} rows\n")
    rng = random.Random(args.seed)
    planter = Planter([*data["MedQuAD answers"], *data["OpenStax sections"]], rng)
    pool = [" ".join(planter.stretch(rng.randint(20, 40))) for _ in range(50_000)]
    pool += [" ".join(planter.stretch(150)) for _ in range(50_000)]
    rng.shuffle(pool)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.parquet")
        texts = (pool * (args.rows // len(pool) + 1))[: args.rows]
        pl.DataFrame({"text": texts}).write_parquet(path, row_group_size=100_000)
        megabytes = sum(map(len, texts)) / 1e6
        del texts
        cells = []
        for piece in args.pieces:
            started = time.perf_counter()
            finder = BenchmarkIndex.load(config, base).finder
            built = time.perf_counter() - started
            finder.find([" ".join(["warm"] * 50)] * 20_000)  # loads what was compiled before
            ready, busy = time.perf_counter(), time.process_time()
            flagged = 0
            frame = pl.scan_parquet(path)
            for start in range(0, args.rows, 100_000):
                rows = frame.slice(start, 100_000).collect()["text"]
                for first in range(0, rows.len(), piece):
                    flagged += len(finder.find(rows.slice(first, piece)))
            s, cpu = time.perf_counter() - ready, time.process_time() - busy
            cells.append([f"{piece:,}", f"{built:.1f}", f"{s:.0f}", f"{cpu:.0f}", f"{args.rows / s:,.0f}"])
            cells[-1] += [f"{megabytes / s:.1f}", f"{flagged:,}"]
    head = ["rows at once", "s to read and index", "s over the rows", "CPU s", "rows/s", "MB/s", "flagged"]
    print(table(head, cells) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--items", type=int, default=100_000, help="items to plant; all by default")
    parser.add_argument("--missed", type=int, default=0, help="missed plantings to show on stderr")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the timing")
    parser.add_argument("--pieces", type=int, nargs="+", default=[1_000], help="rows at once")
    parser.add_argument("--only", choices=("found", "alarms", "crossed", "speed"))
    args = parser.parse_args()
    folder = data_folder()
    config = DecontaminateConfig(benchmarks=[path.name for path in sorted(folder.glob("bench_*.jsonl"))])
    loaded = BenchmarkIndex.load(config, folder)
    items, data = loaded.benchmarks.items, corpora(folder)
    print(f"{len(items):,} items of {len(loaded.items)} benchmarks, {loaded.unmatchable} that can never be found; ")
    print(f"the index takes {loaded.index.nbytes / 1e6:.0f} MB.\n")
    if args.only in (None, "found"):
        show_found(items, loaded.index, data, args)
    if args.only in (None, "alarms"):
        show_alarms(items, loaded.index, data)
    if args.only in (None, "crossed"):
        show_crossed(items, folder)
    if args.only in (None, "speed"):
        show_speed(config, folder, data, args)


if __name__ == "__main__":
    main()
