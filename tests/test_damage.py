"""What a build stored and is no longer what was written: it is named and made again, or refused, never believed.

`python tests/flips.py --flips 1000` damages a thousand random places; a sample of it runs here.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner
from flips import World, one_case, table, world_in
from rows import Scripted
from test_pipeline import Heard, ages, contents, plan_of, redone, replaced, scores_of, write_inputs

from finemed.cli.main import cli
from finemed.config import JudgeConfig
from finemed.errors import FineMedError, StoreError
from finemed.pipeline.plan import STAGES, stage_folder
from finemed.pipeline.run import read_backfill, run_build, write_backfill
from finemed.publish.inspect.coverage import read_coverage
from finemed.publish.inspect.status import read_drops, read_status
from finemed.stages.base import Stage
from finemed.stages.judge import JudgeStage
from finemed.store.manifest import read_manifest
from finemed.store.sealed import CHECKSUM


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with inputs and a finished run; tests take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder)
    assert run_build(plan_of(folder), folder / "run").complete
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


def stop_at(run: Path, name: str) -> Path:
    """Leaves a stage with all its shards and without its end; the stage's folder."""
    for later in STAGES[STAGES.index(name) + 1 :]:
        shutil.rmtree(stage_folder(run, later))
    folder = stage_folder(run, name)
    (folder / "stage.json").unlink()
    return folder


def change_words(path: Path) -> None:
    """Another whole Parquet file of the same rows with other words, as a flipped bit can make it."""
    rows = pl.read_parquet(path)
    changed = rows.with_columns(pl.col(pl.String).str.replace_all("e", "a"))
    assert not changed.equals(rows)
    changed.write_parquet(path)


def swap(one: Path, other: Path) -> None:
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)


def build(folder: Path) -> tuple[list[str], list[str]]:
    """Builds; the stages that ran, and what was said."""
    before, heard = ages(folder / "run"), Heard()
    run_build(plan_of(folder), folder / "run", progress=heard)
    return redone(folder / "run", before), heard.said


def edit(path: Path, change: Callable[[dict[str, Any]], object], *, keep_checksum: bool = False) -> None:
    """Edits a JSON file by hand; without its checksum, as a run from before the checksums has it."""
    value = json.loads(path.read_text("utf-8"))
    change(value)
    if not keep_checksum:
        value.pop(CHECKSUM, None)
    path.write_text(json.dumps(value, indent=2, sort_keys=True), "utf-8")


# --- shards ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ingest", "dedup_passages", "generate", "rank", "split"])
def test_a_changed_shard_of_an_unfinished_stage_is_named_and_made_again(copy: Path, name: str) -> None:
    before = contents(copy / "run")
    path = stop_at(copy / "run", name) / "kept-00000.parquet"
    change_words(path)
    _, said = build(copy)
    assert [str(path) in message for message in said] == [True]
    assert "changed since it was written" in said[0]
    assert "made again" in said[0]
    assert contents(copy / "run") == before


@pytest.mark.parametrize("name", ["filter", "judge", "rank"])
@pytest.mark.parametrize("stopped", [True, False])
def test_two_exchanged_shards_are_noticed(copy: Path, name: str, stopped: bool) -> None:
    before = contents(copy / "run")
    folder = stop_at(copy / "run", name) if stopped else stage_folder(copy / "run", name)
    for kind in ("kept", "drop"):
        swap(folder / f"{kind}-00000.parquet", folder / f"{kind}-00001.parquet")
    _, said = build(copy)
    assert {name for name in ("kept-00000", "kept-00001") if any(name in message for message in said)} == {
        "kept-00000",
        "kept-00001",
    }
    assert contents(copy / "run") == before


def test_shards_exchanged_with_their_marks_are_noticed(copy: Path) -> None:
    before = contents(copy / "run")
    folder = stop_at(copy / "run", "filter")
    for name in ("kept-{}.parquet", "drop-{}.parquet", "mark-{}.json"):
        swap(folder / name.format("00000"), folder / name.format("00001"))
    _, said = build(copy)
    assert len(said) == 2
    assert contents(copy / "run") == before


def test_a_shard_of_other_settings_is_noticed(copy: Path, tmp_path: Path) -> None:
    """Its own mark fits it, and it is another build's."""
    before = contents(copy / "run")
    other = tmp_path / "other"
    run_build(plan_of(copy, filter={"min_medical_terms": 12}), other, until="filter")
    folder, theirs = stop_at(copy / "run", "filter"), stage_folder(other, "filter")
    for name in ("kept-00000.parquet", "drop-00000.parquet", "mark-00000.json"):
        shutil.copy(theirs / name, folder / name)
    _, said = build(copy)
    assert ["belongs to another shard, stage or build" in message for message in said] == [True]
    assert contents(copy / "run") == before


def test_a_changed_shard_of_a_finished_stage_costs_no_call(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    plan, run = plan_of(tmp_path), tmp_path / "run"
    backend = Scripted(scores_of)
    stages = judged_by(plan, backend)
    run_build(plan, run, stages=stages)
    before, asked = contents(run), len(backend.asked)
    change_words(stage_folder(run, "judge") / "kept-00001.parquet")
    done = ages(run)
    run_build(plan, run, stages=stages)
    assert redone(run, done) == ["judge"]
    kept = stage_folder(run, "judge") / "kept-00000.parquet"
    assert ages(run)[str(kept.relative_to(run))] == done[str(kept.relative_to(run))], "the sound shard stays"
    assert len(backend.asked) == asked
    assert contents(run) == before


def judged_by(plan: Any, backend: Scripted) -> list[Stage]:
    return replaced(plan, JudgeStage(JudgeConfig(), backend))


def test_what_is_read_later_is_checked_again(copy: Path) -> None:
    """Status, ledger and coverage read shards without a build."""
    run = copy / "run"
    change_words(stage_folder(run, "split") / "kept-00000.parquet")
    change_words(stage_folder(run, "ingest") / "drop-00001.parquet")
    for call in (lambda: read_coverage(run), lambda: read_drops(run)):
        with pytest.raises(StoreError, match=r"changed since it was written .* run `finemed build` again"):
            call()


@pytest.mark.parametrize(
    "name", ["kept-xx.parquet", "kept-00099.parquet", "kept-0.parquet", "notes.txt", "mark-1.json"]
)
@pytest.mark.parametrize("stopped", [True, False])
def test_a_stray_file_is_no_shard(copy: Path, name: str, stopped: bool) -> None:
    before = contents(copy / "run")
    folder = stop_at(copy / "run", "rank") if stopped else stage_folder(copy / "run", "rank")
    shutil.copy(folder / "kept-00000.parquet", folder / name)
    read_status(copy / "run")
    read_drops(copy / "run")
    build(copy)
    after = contents(copy / "run")
    after.pop(f"stages/17-rank/{name}", None)
    assert after == before


# --- the files of a run ----------------------------------------------------------------------------------------------

ODD: dict[str, str | bytes] = {
    "no JSON": "{",
    "a list": "[]",
    "null": "null",
    "deep": "[" * 100_000,
    "empty": "",
    "no UTF-8": b"\xff\xfe{}",
    "nothing in it": "{}",
    "odd counts": '{"fingerprint": "f", "files": {}, "counts": "many"}',
    "odd files": '{"fingerprint": 5, "files": {"kept-xx.parquet": 3}, "counts": {"rows_in": -1}}',
    "a list of files": '{"fingerprint": "f", "files": ["kept-00000.parquet"], "counts": {}}',
}


@pytest.mark.parametrize("content", list(ODD.values()), ids=list(ODD))
@pytest.mark.parametrize("file", ["stage.json", "begun.json", "mark-00000.json"])
@pytest.mark.parametrize("stopped", [True, False])
def test_a_malformed_file_of_a_stage_is_named_or_does_no_harm(
    copy: Path, file: str, content: str | bytes, stopped: bool
) -> None:
    run = copy / "run"
    before = contents(run)
    if stopped and file != "stage.json":
        stop_at(run, "rank")
    path = stage_folder(run, "rank") / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (read_status, read_drops, read_coverage):
        with contextlib.suppress(StoreError):
            read(run)
    _, said = build(copy)
    if (stopped or file == "stage.json") and content not in (ODD["a list of files"], ODD["odd counts"]):
        assert any(str(path) in message for message in said) or file == "begun.json"
    after = contents(run)
    if not stopped and file != "stage.json":
        before.pop(f"stages/17-rank/{file}")  # nobody needs it while the stage is finished
        after.pop(f"stages/17-rank/{file}")
    assert after == before


def test_edited_counts_do_not_reach_the_manifest(copy: Path) -> None:
    before = read_manifest(copy / "run")
    path = stage_folder(copy / "run", "filter") / "stage.json"
    edit(path, lambda report: report["counts"].update(rows_dropped=999), keep_checksum=True)
    _, said = build(copy)
    assert [str(path) in message for message in said] == [True]
    assert read_manifest(copy / "run") == before


def make_old(run: Path) -> None:
    """A run as finemed left it before there were marks and checksums."""
    for path in run.rglob("mark-*.json"):
        path.unlink()
    for path in [*run.rglob("stage.json"), *run.rglob("begun.json"), run / "manifest.json", run / "session.json"]:
        edit(path, lambda value: None)


def told_of(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without the files that only say whose folder it is; those of an old run stay as they are."""
    return {name: data for name, data in files.items() if not name.endswith("begun.json")}


def told(run: Path) -> dict[str, bytes]:
    return told_of(contents(run))


def test_a_run_from_before_the_checksums_is_reused_and_gets_them(copy: Path) -> None:
    before, done = contents(copy / "run"), ages(copy / "run")
    make_old(copy / "run")
    read_status(copy / "run")
    read_coverage(copy / "run")
    _, said = build(copy)
    assert said == []
    assert told(copy / "run") == told_of(before)
    parquet = {path for path in done if path.endswith(".parquet")}
    assert {path: age for path, age in ages(copy / "run").items() if path in parquet} == {
        path: age for path, age in done.items() if path in parquet
    }


@pytest.mark.parametrize(("name", "part"), [("filter", "counts"), ("filter", "drops"), ("quota", "facts")])
def test_edited_facts_of_an_old_run_are_worked_out_again(copy: Path, name: str, part: str) -> None:
    before = read_manifest(copy / "run")
    make_old(copy / "run")
    changes: dict[str, Callable[[dict[str, Any]], object]] = {
        "counts": lambda report: report["counts"].update(rows_dropped=999),
        "drops": lambda report: report["drops"].update(spam=999),
        "facts": lambda report: report["facts"]["nodes"][0].update(drawn=999),
    }
    edit(stage_folder(copy / "run", name) / "stage.json", changes[part])
    _, said = build(copy)
    assert [f"{name}/stage.json: stated other {part}" in message for message in said] == [True]
    assert read_manifest(copy / "run") == before


def test_shards_without_a_mark_are_not_trusted(copy: Path) -> None:
    before = contents(copy / "run")
    stop_at(copy / "run", "rank")
    make_old(copy / "run")
    change_words(stage_folder(copy / "run", "rank") / "kept-00000.parquet")
    _, said = build(copy)
    assert all("has no mark" in message for message in said)
    assert len(said) == 2
    assert told(copy / "run") == told_of(before)


def test_a_damaged_shard_of_an_old_run_leaves_the_others(copy: Path) -> None:
    before, done = contents(copy / "run"), ages(copy / "run")
    make_old(copy / "run")
    change_words(stage_folder(copy / "run", "rank") / "kept-00000.parquet")
    build(copy)
    assert told(copy / "run") == told_of(before)
    other = "stages/17-rank/kept-00001.parquet"
    assert ages(copy / "run")[other] == done[other]


@pytest.mark.parametrize("content", [*ODD.values(), '{"sessions": 5}', '{"sessions": [7]}'])
def test_a_damaged_session_file_is_said_and_begun_anew(copy: Path, content: str | bytes) -> None:
    path = copy / "run" / "session.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (stage_folder(copy / "run", "rank") / "stage.json").unlink()
    _, said = build(copy)
    assert [str(path) in message for message in said] == [True]
    assert len(json.loads(path.read_text())["sessions"]) == 1


@pytest.mark.parametrize("content", [*ODD.values(), '{"stages": [{}]}', '{"stages": [{"stage": "filter"}]}'])
def test_a_damaged_manifest_is_named_and_written_anew(copy: Path, content: str | bytes) -> None:
    before = contents(copy / "run")
    path = copy / "run" / "manifest.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (read_status, read_coverage):
        with pytest.raises(StoreError, match=r"manifest\.json.*run `finemed build` again"):
            read(copy / "run")
    build(copy)
    assert contents(copy / "run") == before


@pytest.mark.parametrize(
    "content",
    ["{", "[]", "null", '{"cardiology": "five"}', '{"cardiology": -1}', '{"cardiology": null}', '{"a": true}', "5"],
)
def test_a_malformed_backfill_is_refused(copy: Path, content: str) -> None:
    (copy / "run" / "backfill.json").write_text(content)
    with pytest.raises(StoreError, match=r"backfill\.json: damaged .* restore it, or remove it"):
        run_build(plan_of(copy), copy / "run")


def test_backfill_is_checked_and_the_old_form_is_read(tmp_path: Path) -> None:
    write_backfill(tmp_path, {"cardiology": 2})
    assert read_backfill(tmp_path) == {"cardiology": 2}
    edit(tmp_path / "backfill.json", lambda value: value["nodes"].update(cardiology=3), keep_checksum=True)
    with pytest.raises(StoreError, match=r"backfill\.json: damaged"):
        read_backfill(tmp_path)
    (tmp_path / "backfill.json").write_text('{"cardiology": 4}')
    assert read_backfill(tmp_path) == {"cardiology": 4}


def test_every_temporary_file_of_ours_is_removed_at_the_next_start(copy: Path) -> None:
    run = copy / "run"
    ours = ["manifest.json.tmp", "anything.parquet.tmp", "trial.json.tmp", "stages/17-rank/kept-00007.parquet.tmp"]
    ours += ["stages/99-gone/kept-00000.parquet.tmp", "journal.sqlite.99.sqlite.tmp"]
    (run / "stages" / "99-gone").mkdir()
    (run / "release.new.tmp" / "data").mkdir(parents=True)
    (run / "release.new.tmp" / "data" / "half.parquet").write_text("half")
    for name in ours:
        (run / name).write_text("half a file")
    (run / "thesis.tmp").write_text("not ours")
    build(copy)
    assert [path.name for path in run.rglob("*.tmp")] == ["thesis.tmp"]


# --- the commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["status", "ledger", "coverage"])
def test_commands_name_a_damaged_report_and_end_with_4(copy: Path, command: str) -> None:
    for name in STAGES:
        (stage_folder(copy / "run", name) / "stage.json").write_text('{"files": null}')
    result = CliRunner().invoke(cli, [command, str(copy / "run")])
    assert isinstance(result.exception, FineMedError)
    assert result.exception.exit_code == 4
    assert "stage.json: damaged" in str(result.exception)


# --- a sample of the random ones -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world_in(tmp_path_factory.mktemp("flips")) as made:
        yield made


@pytest.mark.parametrize("number", range(40))
def test_a_random_damage_is_healed_or_named(world: World, tmp_path: Path, number: int) -> None:
    case = one_case(world, number, seed=0, folder=tmp_path)
    assert case.sound, f"{case.target}, {case.state}: {case.what}: {case.result}"


def test_the_table_counts_what_must_not_be(world: World, tmp_path: Path) -> None:
    cases = [one_case(world, number, seed=0, folder=tmp_path, only="shard") for number in (0, 1)]
    cases[1].result = "another release"
    assert table(cases).splitlines()[1].split() == ["shard", "2", "1", "0", "1", "0"]
