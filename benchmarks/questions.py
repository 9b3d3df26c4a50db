"""What the rules backend makes of three real corpora: questions, answers and scores, in figures.

``python benchmarks/questions.py [medquad] [openstax] [cdc]`` runs the stages from `ingest` to `judge_answers` in this
process, with default settings, and prints Markdown; with ``--rows 50 --seed 1`` it prints so many rows to read instead.
The data are looked for in $FINEMED_DATA, else in ../shared/data beside the checkout. docs/rules.md records the figures.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from measure import data_folder, note, table

from finemed.config import load_config
from finemed.engines.base import Silent
from finemed.engines.local import run_global, run_llm, run_map
from finemed.llm.rules.questions import is_deictic, shared
from finemed.pipeline.plan import Plan
from finemed.sources.records import record_batches
from finemed.stages.base import Outcome
from finemed.text.normalise import words

SOURCES = {
    "medquad": "columns: {text: text, title: focus, id: doc_id}",
    "openstax": "columns: {text: text, title: title, id: doc_id}, where: {domain: [medical]}",
    "cdc": "columns: {text: text, id: doc_id, language: language}, where: {language: [en]}",
}
CONFIG = """\
name: {name}
sources: [{{name: {name}, path: {path}, license: see-the-data, {columns}}}]
route: {{top_share: 0.1}}
split: {{min_rows: {{sft: 0, sft_reasoning: 0, dpo: 0, ttt: 0}}}}
"""
SCORES = ("quality", "complexity", "relevance", "grounded", "correct", "complete", "safe")


class Kept:
    """A sink that keeps everything."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def done(self, index: int) -> bool:
        return False

    def write(self, index: int, rows: pl.DataFrame, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


class Run:
    """The rows that each stage kept and dropped, and the CPU time that it took."""

    def __init__(self, name: str, folder: Path) -> None:
        path = folder / f"{name}.yaml"
        source = data_folder() / f"corpus_{name}.parquet"
        path.write_text(CONFIG.format(name=name, path=source, columns=SOURCES[name]), "utf-8")
        plan = Plan(load_config(path), folder)
        self.kept: dict[str, pl.DataFrame] = {}
        self.dropped: dict[str, pl.DataFrame] = {}
        self.seconds: dict[str, float] = {}
        shards = list(record_batches(plan.files, plan.config.ingest.shard_rows))
        for stage in plan.stages():
            title = stage.contract.name
            shards = [(number, rows) for number, rows in enumerate(self._through(stage, shards)) if rows.height]
            note(f"{name}: {title} {self.kept[title].height:,}")
            if title == "judge_answers":
                break
        plan.close()

    def _through(self, stage: Any, shards: list[tuple[int, pl.DataFrame]]) -> list[pl.DataFrame]:
        sink, started = Kept(), time.process_time()

        def opened() -> Iterator[tuple[int, pl.DataFrame]]:
            return iter(shards)

        if hasattr(stage, "requests"):
            run_llm(stage, opened, sink, None, Silent())
        elif hasattr(stage, "fit"):
            run_global(stage, opened, sink, Silent())
        else:
            run_map(stage, opened, sink, Silent())
        title = stage.contract.name
        self.seconds[title] = time.process_time() - started
        self.kept[title] = pl.concat([outcome.kept for outcome in sink.outcomes])
        self.dropped[title] = pl.concat([outcome.dropped for outcome in sink.outcomes])
        return [outcome.kept for outcome in sink.outcomes]


def question_figures(run: Run) -> list[tuple[str, str]]:
    """Name and value of each figure about the questions."""
    asked, refused = run.kept["generate"], run.dropped["generate"]
    passages = asked["passage_id"].n_unique() + refused.height
    texts = asked["instruction"].to_list()
    pairs = [
        (frozenset(words(first)), frozenset(words(second)))
        for first, second in zip(texts[::2], texts[1::2], strict=True)
    ]
    similar = [shared(*pair) for pair in pairs]
    types = Counter(asked["task_type"])
    common = {task: f"{count / len(texts):.1%}" for task, count in types.most_common()}
    return [
        ("passages", f"{passages:,}"),
        ("refused", f"{refused.height / passages:.2%} ({refused.height})"),
        ("questions", f"{len(texts):,}"),
        ("task types with 4% or more", str(sum(count >= 0.04 * len(texts) for count in types.values()))),
        ("share by task type", ", ".join(f"{task} {share}" for task, share in common.items())),
        ("repeated questions", f"{1 - len({text.casefold() for text in texts}) / len(texts):.2%}"),
        ("word-set Jaccard of a pair", f"{max(similar):.2f} at most, {sum(similar) / len(similar):.2f} on average"),
        ("deictic questions", str(sum(map(is_deictic, texts)))),
        ("words in a question", f"{sum(len(text.split()) for text in texts) / len(texts):.1f}"),
        ("generate, passages per CPU second", f"{passages / run.seconds['generate']:,.0f}"),
    ]


def answer_figures(run: Run) -> list[tuple[str, str]]:
    """Name and value of each figure about the answers."""
    answers = run.kept["respond"]
    rows = answers.select("text", "response", "answer_spans", "kind").rows()
    exact = sum(
        answer == " ".join(text[span["start"] : span["end"]] for span in spans)
        for text, answer, spans, kind in rows
        if kind == "ordinary"
    )
    ordinary = sum(kind == "ordinary" for *_, kind in rows)
    return [
        ("ordinary answers", f"{ordinary:,}"),
        ("of these equal to the join of their spans", f"{exact:,}"),
        ("respond, answers per CPU second", f"{answers.height / run.seconds['respond']:,.0f}"),
    ]


def score_rows(run: Run) -> list[tuple[str, str, str, str, str]]:
    """Score, most frequent value, its share, mean, and the range."""
    rows = []
    for score in SCORES:
        values = run.kept["judge" if score in SCORES[:3] else "judge_answers"][score]
        (top, count) = Counter(values).most_common(1)[0]
        mean = f"{sum(values) / len(values):.2f}"
        rows.append((score, str(top), f"{count / len(values):.0%}", mean, f"{min(values)} to {max(values)}"))
    return rows


def reasons(run: Run) -> list[tuple[str, int]]:
    """The details of refusals with numbers blotted out, most frequent first."""
    blotted = Counter(re.sub(r"\d[\d.]*", "N", detail) for detail in run.dropped["generate"]["detail"])
    return sorted(blotted.items(), key=lambda item: (-item[1], item[0]))


def sample(run: Run, count: int, seed: int) -> Iterator[str]:
    """Rows to read: question, concise answer, scores."""
    answers = run.kept["judge_answers"].filter(pl.col("style") == "concise")
    for number in sorted(random.Random(seed).sample(range(answers.height), min(count, answers.height))):
        row = answers.row(number, named=True)
        scores = ", ".join(f"{score} {row[score]}" for score in SCORES)
        yield f"{number} [{row['task_type']}, {row['target_difficulty']}; {row['title']}]\n  {row['instruction']}"
        yield f"  -> {row['response']}\n  ({scores})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="*", choices=[*SOURCES, []], help="default: all three")
    parser.add_argument("--rows", type=int, default=0, help="print so many rows to read")
    parser.add_argument("--seed", type=int, default=1, help="seed of the rows")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="finemed-") as folder:
        for name in arguments.corpora or SOURCES:
            run = Run(name, Path(folder))
            print(f"\n## {name}\n")
            if arguments.rows:
                print("\n".join(sample(run, arguments.rows, arguments.seed)))
                continue
            print(table(["figure", "value"], [*question_figures(run), *answer_figures(run)]))
            print(f"\n{table(['score', 'most frequent', 'share', 'mean', 'range'], score_rows(run))}")
            print(f"\n{table(['refused because', 'passages'], reasons(run))}")


if __name__ == "__main__":
    main()
