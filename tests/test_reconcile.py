"""A stage that loses, doubles, renames or invents a row fails the run, and its shard is not written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rows import judged_response, make, passage, question, sample

from finemed.config import BuildConfig, FilterConfig
from finemed.errors import ReconcileError
from finemed.pipeline.plan import Plan, stage_folder
from finemed.pipeline.reconcile import reconcile, reconcile_totals
from finemed.pipeline.run import run_build
from finemed.records import (
    Drop,
    Instruction,
    JudgedResponse,
    Passage,
    PooledSample,
    Row,
    Sample,
    frame,
)
from finemed.stages.base import Contract, Outcome, Stage
from finemed.stages.filter import FilterStage
from finemed.stages.generate import GenerateStage
from finemed.stages.rank import RankStage
from finemed.stages.split import SplitStage
from finemed.store.shards import ShardFolder

NO_DROPS = frame(Drop, [])


def drop(row_id: str, reason: str = "spam") -> pl.DataFrame:
    return frame(Drop, [{"row_id": row_id, "drop_reason": reason, "detail": ""}])


def passages(*names: str) -> pl.DataFrame:
    return frame(Passage, [passage(passage_id=name) for name in names])


def renamed(rows: pl.DataFrame, old: str, new: str) -> pl.DataFrame:
    return rows.with_columns(pl.col("passage_id").replace(old, new))


def nulled(rows: pl.DataFrame, old: str) -> pl.DataFrame:
    known = pl.when(pl.col("passage_id") != old).then(pl.col("passage_id"))
    return rows.with_columns(known.alias("passage_id"))


# --- one shard -------------------------------------------------------------------------------------------------------

ONE_TO_ONE = FilterStage(FilterConfig()).contract
GIVEN = passages("p1", "p2", "p3")

FAULTS: dict[str, tuple[Outcome, str]] = {
    "loses a row": (Outcome(passages("p1", "p3"), NO_DROPS), "1 row lost: p2;"),
    "loses all rows": (Outcome(passages(), NO_DROPS), "3 rows lost: p1, p2, p3;"),
    "doubles a row": (Outcome(passages("p1", "p2", "p2", "p3"), NO_DROPS), "came out twice: p2;"),
    "changes an id": (Outcome(renamed(GIVEN, "p2", "p9"), NO_DROPS), "1 row lost: p2;"),
    "empties an id": (Outcome(nulled(GIVEN, "p2"), NO_DROPS), "came out without a parent"),
    "invents a row": (Outcome(passages("p1", "p2", "p3", "p9"), NO_DROPS), "1 row left that never entered: p9;"),
    "invents a drop": (Outcome(GIVEN, drop("p9")), "1 row left that never entered: p9;"),
    "drops and keeps": (Outcome(GIVEN, drop("p2")), "1 row both kept and dropped: p2;"),
    "drops twice": (
        Outcome(passages("p1", "p3"), pl.concat([drop("p2"), drop("p2", "language")])),
        "dropped twice: p2",
    ),
    "drops without a reason": (Outcome(passages("p1", "p3"), drop("p2", "")), "1 row dropped without a reason: p2;"),
    "loses a column": (Outcome(GIVEN.drop("license"), NO_DROPS), "wrong columns ['license']"),
    "adds a column": (Outcome(GIVEN.with_columns(score=pl.lit(1)), NO_DROPS), "wrong columns ['score']"),
    "changes a type": (Outcome(GIVEN.cast({"span_end": pl.Int32()}), NO_DROPS), "wrong columns ['span_end']"),
    "drops with other columns": (Outcome(GIVEN, NO_DROPS.drop("detail")), "drops have the columns"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_stage_is_refused_with_its_name_and_the_id(fault: str) -> None:
    outcome, message = FAULTS[fault]
    with pytest.raises(ReconcileError) as error:
        reconcile(ONE_TO_ONE, GIVEN, outcome)
    assert str(error.value).startswith("filter: ")
    assert message in str(error.value)


def test_rows_kept_or_dropped_with_a_reason_pass_in_any_order() -> None:
    reconcile(ONE_TO_ONE, GIVEN, Outcome(GIVEN, NO_DROPS))
    reconcile(ONE_TO_ONE, GIVEN, Outcome(passages("p3", "p1"), drop("p2")))
    reconcile(ONE_TO_ONE, passages(), Outcome(passages(), NO_DROPS))


def test_a_row_that_enters_twice_is_refused() -> None:
    with pytest.raises(ReconcileError, match=r"filter: .* entered twice: p1"):
        reconcile(ONE_TO_ONE, passages("p1", "p1"), Outcome(passages("p1"), NO_DROPS))


def test_many_lost_rows_are_counted_and_some_shown() -> None:
    names = [f"p{n}" for n in range(20)]
    with pytest.raises(ReconcileError, match=r"20 rows lost: p0, p1, p2, p3, p4; nothing"):
        reconcile(ONE_TO_ONE, passages(*names), Outcome(passages(), NO_DROPS))


# --- fan-out and fan-in ----------------------------------------------------------------------------------------------


def questions(*pairs: tuple[str | None, str]) -> pl.DataFrame:
    """Questions as (passage, id)."""
    rows = frame(Instruction, [question(instruction_id=name) for _, name in pairs])
    return rows.with_columns(pl.Series("passage_id", [parent for parent, _ in pairs], dtype=pl.String()))


def test_fan_out_counts_a_passage_once_however_many_questions_it_has() -> None:
    good = Outcome(questions(("p1", "i1"), ("p1", "i2"), ("p3", "i3")), drop("p2"))
    reconcile(GenerateStage.contract, GIVEN, good)


@pytest.mark.parametrize(
    ("kept", "dropped", "message"),
    [
        (questions(("p1", "i1"), ("p3", "i3")), NO_DROPS, "generate: 1 row lost: p2;"),
        (questions(("p1", "i1"), ("p2", "i1"), ("p3", "i3")), NO_DROPS, "came out twice: i1;"),
        (questions(("p1", "i1"), ("p2", "i2"), ("p3", "i3")), drop("p3"), "both kept and dropped: p3;"),
        (questions(("p1", "i1"), ("p2", "i2"), ("p3", "i3"), ("p4", "i4")), NO_DROPS, "never entered: p4;"),
        (questions(("p1", "i1"), ("p2", "i2"), ("p3", "i3"), (None, "i4")), NO_DROPS, "without a parent: i4;"),
    ],
)
def test_faults_of_fan_out(kept: pl.DataFrame, dropped: pl.DataFrame, message: str) -> None:
    with pytest.raises(ReconcileError) as error:
        reconcile(GenerateStage.contract, GIVEN, Outcome(kept, dropped))
    assert message in str(error.value)


ANSWERS = frame(JudgedResponse, [judged_response(response_id=name) for name in ("r1", "r2", "r3")])


def samples(*rows: dict[str, Any]) -> pl.DataFrame:
    return frame(Sample, [sample(**row) for row in rows])


def test_fan_in_counts_every_answer_that_a_sample_names() -> None:
    contract = RankStage.contract
    reconcile(contract, ANSWERS, Outcome(samples({"response_id": "r1", "reasoning_id": "r3"}), drop("r2")))
    both = samples({"response_id": "r1"}, {"response_id": "r2", "instruction_id": "i2"})
    reconcile(contract, ANSWERS, Outcome(both, drop("r3")))


@pytest.mark.parametrize(
    ("kept", "dropped", "message"),
    [
        (samples({"response_id": "r1"}), drop("r2"), "rank: 1 row lost: r3;"),
        (samples({"response_id": "r1", "reasoning_id": "r9"}), NO_DROPS, "rank: 2 rows lost: r2, r3;"),
        (samples({"response_id": "r1", "reasoning_id": "r2"}), drop("r2"), "both kept and dropped: r2;"),
        (samples({"response_id": "r1"}, {"response_id": "r2"}), drop("r3"), "came out twice: i1;"),
    ],
)
def test_faults_of_fan_in(kept: pl.DataFrame, dropped: pl.DataFrame, message: str) -> None:
    with pytest.raises(ReconcileError) as error:
        reconcile(RankStage.contract, ANSWERS, Outcome(kept, dropped))
    assert message in str(error.value)


def test_a_sample_in_two_pools_is_one_row_that_lives_on() -> None:
    given = samples({"instruction_id": "i1"})
    placed = frame(PooledSample, [make(PooledSample, row_id=f"s{n}", pool=p) for n, p in enumerate(("dpo", "sft"))])
    reconcile(SplitStage.contract, given, Outcome(placed, NO_DROPS))


# --- a finished stage ------------------------------------------------------------------------------------------------


def folder_of(path: Path, row: type[Row], *shards: Outcome) -> ShardFolder:
    folder = ShardFolder(path, frame(row, []).schema)
    for index, outcome in enumerate(shards):
        folder.write(index, outcome.kept, outcome.dropped)
    return folder


def test_totals_count_input_and_output_rows_apart(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path,
        Instruction,
        Outcome(questions(("p1", "i1"), ("p1", "i2")), drop("p2")),
        Outcome(questions(("p3", "i3")), NO_DROPS),
    )
    counts = {"rows_in": 3, "rows_kept": 2, "rows_dropped": 1, "rows_out": 3}
    assert reconcile_totals(GenerateStage.contract, folder, 3) == counts


def test_a_lost_shard_fails_the_stage(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, Passage, Outcome(GIVEN, NO_DROPS))
    with pytest.raises(ReconcileError, match=r"filter: 5 rows in, but 3 kept \+ 0 dropped"):
        reconcile_totals(ONE_TO_ONE, folder, 5)


def test_an_id_out_of_two_shards_fails_the_stage_with_its_name(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path, Instruction, Outcome(questions(("p1", "i1")), NO_DROPS), Outcome(questions(("p2", "i1")), NO_DROPS)
    )
    with pytest.raises(ReconcileError, match="generate: 1 ids came out of two shards: i1;"):
        reconcile_totals(GenerateStage.contract, folder, 2)


# --- a whole run -----------------------------------------------------------------------------------------------------


class Faulty:
    """Stands in for `filter`: sound on the first shard, spoils the outcome of the second."""

    def __init__(self, spoil: Callable[[pl.DataFrame], Outcome]) -> None:
        self.contract: Contract = ONE_TO_ONE
        self._spoil = spoil
        self._shards = 0

    def settings(self) -> dict[str, Any]:
        return {}

    def apply(self, rows: pl.DataFrame) -> Outcome:
        self._shards += 1
        return self._spoil(rows) if self._shards == 2 else Outcome(rows, NO_DROPS)


def first_row(rows: pl.DataFrame) -> str:
    return str(rows["passage_id"][0])


SPOILERS: dict[str, Callable[[pl.DataFrame], Outcome]] = {
    "loses": lambda rows: Outcome(rows[1:], NO_DROPS),
    "doubles": lambda rows: Outcome(pl.concat([rows, rows[:1]]), NO_DROPS),
    "changes an id": lambda rows: Outcome(renamed(rows, first_row(rows), "p9"), NO_DROPS),
    "invents": lambda rows: Outcome(pl.concat([rows, renamed(rows[:1], first_row(rows), "p9")]), NO_DROPS),
    "drops and keeps": lambda rows: Outcome(rows, drop(first_row(rows))),
    "drops without a reason": lambda rows: Outcome(rows[1:], drop(first_row(rows), "")),
    "writes a wrong schema": lambda rows: Outcome(rows.drop("license"), NO_DROPS),
}


def two_shards(folder: Path) -> Plan:
    """Twelve records in shards of ten and two."""
    (folder / "web.jsonl").write_text("".join(f'{{"text": "Disease {n} has a cause."}}\n' for n in range(12)), "utf-8")
    return Plan(
        BuildConfig.model_validate(
            {"name": "tiny", "sources": [{"name": "web", "path": "web.jsonl"}], "ingest": {"shard_rows": 10}}
        ),
        folder,
    )


def with_stage(plan: Plan, fake: Stage) -> list[Stage]:
    return [fake if stage.contract.name == fake.contract.name else stage for stage in plan.stages()]


@pytest.mark.parametrize("fault", SPOILERS)
def test_a_faulty_stage_fails_the_run_and_its_shard_is_not_written(fault: str, tmp_path: Path) -> None:
    plan, run = two_shards(tmp_path), tmp_path / "run"
    with pytest.raises(ReconcileError) as error:
        run_build(plan, run, stages=with_stage(plan, Faulty(SPOILERS[fault])))
    message = str(error.value)
    assert message.startswith("filter: ")
    second = pl.read_parquet(stage_folder(run, "ingest") / "kept-00001.parquet")
    named = {"writes a wrong schema": "license", "invents": "p9"}.get(fault, first_row(second))
    assert named in message
    written = sorted(path.name for path in stage_folder(run, "filter").iterdir())
    assert written == ["begun.json", "drop-00000.parquet", "kept-00000.parquet", "mark-00000.json"]
    assert not stage_folder(run, "dedup_passages").exists()


class Renumbered:
    """Stands in for `ingest`, whose ids start anew in every shard."""

    def __init__(self, plan: Plan) -> None:
        self._ingest = plan.stages()[0]
        self.contract = self._ingest.contract

    def settings(self) -> dict[str, Any]:
        return {}

    def apply(self, rows: pl.DataFrame) -> Outcome:
        outcome: Outcome = self._ingest.apply(rows)  # type: ignore[attr-defined]
        numbers = pl.int_range(outcome.kept.height).cast(pl.String())
        return Outcome(outcome.kept.with_columns(passage_id="p" + numbers), outcome.dropped)


def test_one_id_from_two_shards_fails_the_run(tmp_path: Path) -> None:
    plan, run = two_shards(tmp_path), tmp_path / "run"
    with pytest.raises(ReconcileError, match=r"ingest: 2 ids came out of two shards: p0, p1;"):
        run_build(plan, run, stages=with_stage(plan, Renumbered(plan)))
    assert not (stage_folder(run, "ingest") / "stage.json").exists()
    assert not stage_folder(run, "filter").exists()


class Forgetful:
    """Stands in for `filter` as a global stage that sees all rows and loses one in `apply`."""

    contract = ONE_TO_ONE

    def settings(self) -> dict[str, Any]:
        return {}

    def fit(self, shards: Iterator[pl.DataFrame]) -> int:
        return sum(shard.height for shard in shards)

    def apply(self, state: int, rows: pl.DataFrame) -> Outcome:
        return Outcome(rows[:-1], NO_DROPS)

    def report(self, state: int) -> dict[str, Any]:
        return {"rows": state}


def test_a_global_stage_is_accounted_for_as_well(tmp_path: Path) -> None:
    plan, run = two_shards(tmp_path), tmp_path / "run"
    with pytest.raises(ReconcileError, match="filter: 1 row lost: p"):
        run_build(plan, run, stages=with_stage(plan, Forgetful()))
    assert [path.name for path in stage_folder(run, "filter").iterdir()] == ["begun.json"]
