"""What the filter keeps and drops, how well it knows languages and medicine, and how fast it is.

::

    python benchmarks/filter.py                    speed on MedQuAD, languages, the gate on own paragraphs
    python benchmarks/filter.py --corpora          also the gate and each rule on MedQuAD and CDC
    python benchmarks/filter.py --openstax         also the control that nothing is tuned on

The data are looked for in $FINEMED_DATA, else in ../shared/data beside the checkout. The paragraphs of
``labels/medical_gate.jsonl`` are our own: medicine and other subjects in English, Spanish and Chinese.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from measure import data_folder, table
from medquad import write_config
from one_stage import AccountedSink

from finemed.config import FilterConfig, load_config
from finemed.engines.base import Silent
from finemed.engines.local import run_map
from finemed.pipeline.plan import Plan
from finemed.pipeline.reconcile import reconcile_totals
from finemed.pipeline.run import run_build
from finemed.records import Passage, frame, frame_schema
from finemed.stages.filter import ALL, FilterStage, verdicts
from finemed.store.shards import ShardFolder
from finemed.text.normalise import tidy
from finemed.text.segment import passages
from finemed.text.vocabulary import Vocabulary

LABELS = Path(__file__).parent / "labels" / "medical_gate.jsonl"
OPEN = FilterConfig(languages=[])
BOTH = FilterConfig(languages=["en", "es"])
SHARD = 1000


def rows_of(texts: list[str], languages: list[str | None] | None = None) -> pl.DataFrame:
    """Passages as the filter reads them."""
    empty = dict.fromkeys(Passage.model_fields)
    return frame(
        Passage,
        [
            empty
            | {"passage_id": f"p{number}", "document_id": "d", "record_id": "r", "span_start": 0, "span_end": 1}
            | {"text": text, "source": "benchmark", "language": languages[number] if languages else None}
            for number, text in enumerate(texts)
        ],
    )


def shards(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for start in range(0, rows.height, SHARD):
        yield rows[start : start + SHARD]


def judged(texts: list[str], config: FilterConfig, languages: list[str | None] | None = None) -> pl.DataFrame:
    """The verdicts on all texts."""
    vocabulary = Vocabulary()
    parts = [verdicts(shard, config, vocabulary) for shard in shards(rows_of(texts, languages))]
    return pl.concat(parts)


def cut(documents: list[str]) -> list[str]:
    """Passages as ingest makes them."""
    return [tidy(text[start:end]) for text in documents for start, end in passages(text, 700, 40)]


def share(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({100 * part / max(1, whole):.1f}%)"


def speed(data: Path, repeats: int) -> None:
    """The stage as a function over MedQuAD; each run begins with an empty vocabulary."""
    rows = rows_of(pl.read_parquet(data / "corpus_medquad.parquet")["text"].map_elements(tidy, pl.String).to_list())
    seconds, processor = [], []
    for _ in range(repeats):
        stage = FilterStage(FilterConfig())
        wall, cpu = time.perf_counter(), time.process_time()
        for shard in shards(rows):
            stage.apply(shard)
        seconds.append(time.perf_counter() - wall)
        processor.append(time.process_time() - cpu)
    print(f"\n## Speed: {rows.height:,} passages of MedQuAD, {repeats} runs, {os.cpu_count()} cores\n")
    line = (
        f"{rows.height / statistics.median(seconds):,.0f}",
        f"{rows.height / min(seconds):,.0f}",
        f"{rows.height / min(processor):,.0f}",
    )
    print(table(("passages/s, median", "best", "per second of processor time"), [line]))


def stage_speed(repeats: int) -> None:
    """The stage as a build runs it: shards read, every row accounted for, shards written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = write_config(folder)
        run_build(Plan(load_config(config), folder), folder / "run", until="ingest")
        given = ShardFolder(folder / "run" / "stages" / "01-ingest", frame_schema(Passage))
        seconds = []
        for number in range(repeats):
            stage = FilterStage(FilterConfig())
            out = ShardFolder(folder / f"out{number}", stage.contract.schema)
            out.begin("benchmark")
            started = time.perf_counter()
            run_map(stage, given.frames, AccountedSink(stage.contract, out), Silent())
            counts = reconcile_totals(stage.contract, out, sum(rows.height for _, rows in given.frames()))
            seconds.append(time.perf_counter() - started)
    rate = counts["rows_in"] / statistics.median(seconds), counts["rows_in"] / min(seconds)
    print(f"\nThrough the stage, {counts['rows_in']:,} passages: {rate[0]:,.0f} a second (median), best {rate[1]:,.0f}")


def languages(data: Path) -> None:
    """Identified against stated languages."""
    cdc = pl.read_parquet(data / "corpus_cdc.parquet")
    english, spanish = (cdc.filter(pl.col("language") == code)["text"].to_list() for code in ("en", "es"))
    chinese = [json.loads(line) for line in (data / "sft_huatuo_zh.jsonl").read_text("utf-8").splitlines()]
    medquad = pl.read_parquet(data / "corpus_medquad.parquet")["text"].to_list()
    sets = [
        ("CDC documents", "en", english),
        ("CDC documents", "es", spanish),
        ("CDC passages", "en", cut(english)),
        ("CDC passages", "es", cut(spanish)),
        ("MedQuAD passages", "en", cut(medquad)),
        ("Huatuo questions", "zh", [row["instruction"] for row in chinese]),
        ("Huatuo answers", "zh", [row["response"] for row in chinese]),
    ]
    print("\n## Languages\n")
    lines = []
    for name, code, texts in sets:
        found = Counter(judged([text for text in texts if text.strip()], OPEN)["language"].to_list())
        total = found.total()
        others = ", ".join(f"{other} {count}" for other, count in found.most_common(4) if other not in (code, "und"))
        lines.append((name, code, f"{total:,}", f"{100 * found[code] / total:.2f}%", f"{found['und']:,}", others))
    print(table(("texts", "language", "number", "right", "`und`", "others"), lines))


def paragraphs() -> None:
    """The gate on our own paragraphs."""
    labelled = [json.loads(line) for line in LABELS.read_text("utf-8").splitlines()]
    print("\n## The gate on own paragraphs\n")
    lines = []
    for code in ("en", "es", "zh"):
        for medical in (True, False):
            own = [row for row in labelled if row["language"] == code and row["medical"] == medical]
            wrong = judged([row["text"] for row in own], OPEN, [code] * len(own))["fails_not_medical"].to_list()
            missed = [row["id"] for row, dropped in zip(own, wrong, strict=True) if dropped == medical]
            right = share(len(own) - len(missed), len(own))
            lines.append((code, "kept" if medical else "dropped", right, ", ".join(missed)))
    print(table(("language", "should be", "is", "wrong"), lines))


def gate(name: str, texts: list[str], config: FilterConfig) -> tuple[str, ...]:
    """Kept by the gate alone, and by the whole filter."""
    found = judged(texts, config)
    passed = int((~found["fails_not_medical"]).sum())
    return name, f"{len(texts):,}", share(passed, len(texts)), share(found["reason"].null_count(), len(texts))


def rules(name: str, texts: list[str], config: FilterConfig) -> None:
    """What each rule does to a corpus."""
    found = judged(texts, config)
    count = found.select(pl.sum_horizontal(pl.col(rule.column).cast(pl.Int64) for rule in ALL)).to_series()
    print(f"\n## Rules on {name}: {len(texts):,} passages, {found['reason'].null_count():,} kept\n")
    lines = [
        (
            rule.name,
            int(found[rule.column].sum()),
            int((found["reason"] == rule.name).sum()),
            int((found[rule.column] & (count == 1)).sum()),
        )
        for rule in ALL
    ]
    print(table(("rule", "fails", "dropped by it", "fails only it"), [line for line in lines if line[1]]))


def corpora(data: Path) -> None:
    medquad = cut(pl.read_parquet(data / "corpus_medquad.parquet")["text"].to_list())
    cdc = pl.read_parquet(data / "corpus_cdc.parquet")
    english, spanish = (cut(cdc.filter(pl.col("language") == code)["text"].to_list()) for code in ("en", "es"))
    print("\n## The gate and the whole filter\n")
    named = (("MedQuAD", medquad), ("CDC English", english), ("CDC Spanish", spanish))
    head = ("passages", "number", "kept by the gate alone", "kept by the whole filter")
    print(table(head, [gate(name, texts, BOTH) for name, texts in named]))
    for name, texts in named:
        rules(name, texts, BOTH)


def openstax(data: Path) -> None:
    book = pl.read_parquet(data / "corpus_openstax.parquet")
    print("\n## OpenStax, the control\n")
    lines: list[tuple[Any, ...]] = []
    for domain in ("medical", "nonmedical"):
        own = book.filter(pl.col("domain") == domain)
        whole = [tidy(text) for text in own["text"]]
        lines.append(gate(f"sections, {domain}", whole, FilterConfig()))
        prose = own.filter(pl.col("section_class").is_null())["text"]
        lines.append(gate(f"sections of running text, {domain}", [tidy(text) for text in prose], FilterConfig()))
        lines.append(gate(f"passages, {domain}", cut(own["text"].to_list()), FilterConfig()))
    print(table(("texts", "number", "kept by the gate alone", "kept by the whole filter"), lines))
    found = Counter(judged([tidy(text) for text in book["text"]], OPEN)["language"].to_list())
    print(f"\nLanguage of the {book.height:,} sections: {dict(found.most_common())}")
    for domain in ("medical", "nonmedical"):
        rules(f"OpenStax, {domain}", cut(book.filter(pl.col("domain") == domain)["text"].to_list()), FilterConfig())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7, help="runs of the speed test")
    parser.add_argument("--corpora", action="store_true", help="also MedQuAD and CDC, rule by rule")
    parser.add_argument("--openstax", action="store_true", help="also the control; do not tune on it")
    arguments = parser.parse_args()
    data = data_folder()
    speed(data, arguments.repeats)
    stage_speed(arguments.repeats)
    languages(data)
    paragraphs()
    if arguments.corpora:
        corpora(data)
    if arguments.openstax:
        openstax(data)


if __name__ == "__main__":
    main()
