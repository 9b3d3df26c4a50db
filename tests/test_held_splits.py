"""What was once training never becomes test, validation or `ttt`, nor the other way round, however versions follow."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hub_client import environment
from hub_server import WriteHub
from published import mend
from releases import build, build_small, manifest_of, put, rows_of
from rows import details, numbered, pooled, reasons, run_shards, run_stage, sample

from finemed.cli.main import cli
from finemed.config import SplitConfig, load_config
from finemed.errors import DamagedReleaseError, FineMedError, InputError, InternalError, StoreError
from finemed.publish.checks.validate import validate_address
from finemed.publish.pools import PoolFiles, published_row
from finemed.publish.separation import changed_sides
from finemed.publish.versions.previous import earlier_versions, opened_plan
from finemed.records import Sample, frame
from finemed.stages import earlier as held_stage
from finemed.stages.split import SplitStage
from finemed.store.earlier import SIDES, EarlierRows, EarlierVersion
from finemed.text import clusters
from finemed.text.column import column_of
from finemed.text.normalise import words
from finemed.text.shingle import jaccard, shingles

NO_ROWS: Any = {"sft": 0, "sft_reasoning": 0, "dpo": 0, "ttt": 0}


@pytest.fixture(params=["plain", "compiled"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "SMALL", 10**9 if request.param == "plain" else 0)


def texts(number: int) -> dict[str, str]:
    """A question and an answer like no other."""
    start = 1000 * number
    return {"instruction": numbered(range(start, start + 20)), "response": numbered(range(start + 100, start + 140))}


def new(number: int, *, hard: bool = False, **more: Any) -> dict[str, Any]:
    """A row of the build at hand."""
    long = {"route": "complex", "reasoning_id": f"q{number}", "reasoning": f"Long {number}."} if hard else {}
    own = {"instruction_id": f"i{number:04d}", "response_id": f"r{number:04d}", "document_id": f"d{number:04d}"}
    own |= {"passage_id": f"p{number:04d}", "text": numbered(range(1000 * number + 300, 1000 * number + 400))}
    return sample(**(own | texts(number) | long | more))


def old(number: int, pool: str, split: str, **more: Any) -> dict[str, Any]:
    """A row as an earlier version published it."""
    long: dict[str, Any] = {"reasoning_id": f"q{number}", "reasoning_model": "m", "reasoning_score": 8.0}
    long |= {"reasoning_prompt": "reason@1", "reasoning": numbered(range(1000 * number + 500, 1000 * number + 560))}
    own = {"row_id": f"s{number}{pool}", "instruction_id": f"i{number:04d}", "response_id": f"r{number:04d}"}
    own |= {"document_id": f"d{number:04d}", "passage_id": f"p{number:04d}"}
    return pooled(pool=pool, split=split, **(own | texts(number) | ({} if pool == "sft" else long) | more))


def version(folder: Path, *rows: dict[str, Any]) -> EarlierVersion:
    """An earlier version of these rows."""
    with PoolFiles(folder / "data") as files:
        for row in rows:
            files.write(row["pool"], row["split"], [published_row(row)])
    return EarlierVersion(folder.name, folder, folder.name * 8)


def split_of(
    rows: list[dict[str, Any]], *versions: EarlierVersion, seed: int = 0, **settings: Any
) -> tuple[dict[str, tuple[str, str]], Any, dict[str, Any]]:
    """Question -> (split, `ttt` or not), the outcome, and what the stage says of the earlier versions."""
    stage = SplitStage(SplitConfig(**({"min_rows": NO_ROWS} | settings)), seed, EarlierRows(versions))
    outcome = run_stage(stage, Sample, rows)
    kept = outcome.kept.select("instruction_id", "split", pl.col("pool") == "ttt").rows()
    assert len({row[0] for row in kept}) == len(set(kept)), "a question lies on one side"
    facts = stage.report(stage.fit(_rows(rows)))["previous"]
    return {name: (split, "ttt" if ttt else "") for name, split, ttt in kept}, outcome, facts


def _rows(rows: list[dict[str, Any]]) -> Any:
    from finemed.stages.base import Rows

    return Rows(iter([frame(Sample, rows)]), lambda: iter([frame(Sample, rows)]))


def nearly(text: str, changed: int = 1) -> str:
    return " ".join([*text.split()[:-changed], *(f"other{n}" for n in range(changed))])


# --- pins ------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("both_ways")
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_published_row_and_what_nearly_repeats_it_stay_in_their_split(tmp_path: Path, split: str) -> None:
    before = version(tmp_path / "1.0.0", *(old(n, "sft", split) for n in range(20)))
    same = [new(n) for n in range(10)]
    alike = [new(100 + n, instruction=nearly(texts(n)["instruction"])) for n in range(10, 15)]
    answer = [new(100 + n, response=nearly(texts(n)["response"])) for n in range(15, 20)]
    placed, _, facts = split_of([*same, *alike, *answer, *(new(n) for n in range(200, 300))], before)
    assert {placed[row["instruction_id"]] for row in [*same, *alike, *answer]} == {(split, "")}
    assert (facts["pinned"], facts["bridges"], facts["versions"][0]["rows"]) == (20, 0, 20)


@pytest.mark.parametrize("key", ["document_id", "passage_id", "instruction_id"])
def test_rows_of_a_published_document_passage_or_question_stay_with_it(tmp_path: Path, key: str) -> None:
    before = version(tmp_path / "1.0.0", old(1, "sft", "test"))
    placed, _, facts = split_of([new(7, **{key: old(1, "sft", "test")[key]}), *(new(n) for n in range(20, 40))], before)
    assert (placed["i0007" if key != "instruction_id" else "i0001"], facts["pinned"]) == (("test", ""), 1)


def test_documents_may_part_where_the_settings_say_so(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", old(1, "sft", "test"))
    _, _, facts = split_of([new(7, document_id="d0001"), new(8)], before, whole_documents=False)
    assert facts["pinned"] == 0


def test_a_pinned_row_pulls_its_whole_component(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", old(1, "sft", "test"))
    chain = [new(1), new(2, document_id="d0001"), new(3, document_id="d0001", text=new(4)["text"]), new(4)]
    placed, _, facts = split_of([*chain, *(new(n) for n in range(50, 90))], before)
    assert {placed[row["instruction_id"]] for row in chain} == {("test", "")}
    assert facts["pinned"] == 4


def test_ttt_and_the_other_pools_keep_apart(tmp_path: Path) -> None:
    before = version(
        tmp_path / "1.0.0",
        old(1, "ttt", "train"),
        old(2, "ttt", "test"),
        old(3, "dpo", "train"),
        old(4, "sft", "train"),
    )
    rows = [new(n, hard=True) for n in (1, 2, 3, 4)]
    placed, _, _ = split_of([*rows, *(new(n, hard=True) for n in range(20, 40))], before, ttt_share=0.4)
    assert [placed[f"i000{n}"] for n in (1, 2, 3, 4)] == [
        ("train", "ttt"),
        ("test", "ttt"),
        ("train", ""),
        ("train", ""),
    ]
    assert sum(where[1] == "ttt" for where in placed.values()) == round(0.4 * 24), "the share counts pinned rows"


def test_a_common_question_like_one_of_ttt_goes_nowhere(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", old(1, "ttt", "train"))
    placed, outcome, facts = split_of([new(1), new(2), new(3, hard=True, document_id="d0001")], before)
    assert reasons(outcome) == {"i0001": "bridges_splits"}
    assert details(outcome)["i0001"] == "like row s1ttt of ttt/train in 1.0.0, and only complex questions go to ttt"
    assert placed["i0003"] == ("train", "ttt"), "what hangs together with it goes where it belongs"
    assert (facts["pinned"], facts["bridges"]) == (1, 1)


def test_free_rows_are_drawn_so_that_all_together_have_their_shares(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", *(old(n, "sft", "test" if n < 4 else "train") for n in range(100)))
    rows = [new(n) for n in range(200)]
    placed, _, _ = split_of(rows, before, test=0.1, validation=0.1)
    counts = [sum(where == (split, "") for where in placed.values()) for split in ("train", "validation", "test")]
    assert counts == [160, 20, 20]
    again, _, _ = split_of(rows, before, test=0.01, validation=0.0)
    assert sum(where == ("test", "") for where in again.values()) == 4, "published rows stay where they are"


def test_quotas_mixtures_and_minimum_sizes_hold_with_earlier_versions(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", *(old(n, "ttt", "train") for n in range(8)), old(50, "sft", "test"))
    rows = [new(n, hard=n < 20, source="abc"[n % 3]) for n in range(100)]
    _, outcome, _ = split_of(
        rows, before, max_rows={"sft": 30, "dpo": 5, "ttt": 4}, mixture={"source": {"a": 0.5}}, min_rows={"ttt": 4}
    )
    assert dict(outcome.kept["pool"].value_counts().rows()) == {"sft": 30, "dpo": 5, "sft_reasoning": 5, "ttt": 4}
    common = outcome.kept.filter(pl.col("pool") == "sft")
    assert (common["source"] == "a").sum() == 15


# --- bridges ---------------------------------------------------------------------------------------------------------


def between(left: int, right: int) -> str:
    """A question that nearly repeats one, and an answer that nearly repeats another's."""
    return " ".join([texts(left)["instruction"], texts(right)["instruction"]])


@pytest.mark.usefixtures("both_ways")
def test_a_row_like_rows_on_two_sides_is_dropped_and_names_both(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", old(1, "sft", "train"), old(2, "sft", "test"), old(3, "ttt", "train"))
    bridge = new(10, instruction=nearly(texts(1)["instruction"]), response=nearly(texts(2)["response"]))
    _, outcome, facts = split_of([new(1), new(2), new(3, hard=True), bridge, new(11)], before)
    assert reasons(outcome) == {"i0010": "bridges_splits"}
    assert details(outcome)["i0010"] == "between row s1sft of sft/train in 1.0.0 and row s2sft of sft/test in 1.0.0"
    assert (facts["pinned"], facts["bridges"], facts["bridges_published"]) == (3, 1, 0)


@pytest.mark.usefixtures("both_ways")
def test_a_chain_of_new_rows_between_two_sides_loses_one_row_and_its_ends_keep_their_sides(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", old(1, "sft", "train"), old(2, "sft", "test"))
    chain = [
        new(10, document_id="d0001", response=texts(900)["response"]),
        new(11, response=nearly(texts(900)["response"]), text=new(901)["text"]),
        new(12, text=new(901)["text"], instruction=texts(902)["instruction"]),
        new(13, instruction=nearly(texts(902)["instruction"]), document_id="d0002"),
    ]
    placed, outcome, _ = split_of([new(1), new(2), *chain], before)
    assert len(reasons(outcome)) == 1
    (gone,) = reasons(outcome)
    told = "between row s1sft of sft/train in 1.0.0 and row s2sft of sft/test in 1.0.0"
    assert " and ".join(sorted(details(outcome)[gone].removeprefix("between ").split(" and "))) == told.removeprefix(
        "between "
    )
    assert (placed["i0001"], placed["i0002"]) == (("train", ""), ("test", ""))
    assert placed.get("i0010", ("train", "")) == ("train", "")
    assert placed.get("i0013", ("test", "")) == ("test", "")


def test_the_row_that_many_hang_on_goes_and_not_the_many(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", old(1, "sft", "train"), old(2, "sft", "test"))
    hub = new(0, document_id="d0002", response=texts(1)["response"])
    leaves = [new(10 + n, instruction=nearly(texts(0)["instruction"]), text=new(10 + n)["text"]) for n in range(6)]
    leaves = [leaf | {"document_id": "d0001"} for leaf in leaves]
    _, outcome, _ = split_of([new(1), new(2), hub, *leaves], before)
    assert set(reasons(outcome)) == {"i0000"}


def test_rows_come_in_any_order_with_the_same_outcome(tmp_path: Path) -> None:
    rng = random.Random(3)
    before = version(tmp_path / "1.0.0", *(old(n, "sft", ("train", "validation", "test")[n % 3]) for n in range(30)))
    rows = [new(n) for n in range(15)]
    for n in range(100, 200):
        left, right = rng.randrange(30), rng.randrange(30)
        rows.append(
            new(n, instruction=nearly(texts(left)["instruction"]), response=nearly(texts(right)["response"], n % 3 + 1))
        )
    stage = SplitStage(SplitConfig(min_rows=NO_ROWS), 0, EarlierRows((before,)))
    outcomes = []
    for _ in range(3):
        rng.shuffle(rows)
        parts = [frame(Sample, rows[:40]), frame(Sample, rows[40:])]
        outcome = run_shards(stage, parts).outcome()
        kept = outcome.kept.select("row_id", "split", "component_id").sort("row_id").rows()
        outcomes.append((kept, sorted(details(outcome).items())))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0][1], "some bridge"
    assert_apart(outcome.kept, [before])
    assert_none_could_stay(rows, outcome)


def assert_apart(kept: pl.DataFrame, versions: list[EarlierVersion]) -> None:
    """By plain comparison of everything with everything: no question and no answer is on two sides."""
    found = [
        (row["split"], row["pool"] == "ttt", row["instruction"], row["response"]) for row in kept.iter_rows(named=True)
    ]
    for held in versions:
        for pool, split, path in held.files:
            found += [
                (split, pool == "ttt", row["prompt"][-1]["content"], row["completion"][-1]["content"])
                for row in pq.read_table(path).to_pylist()
            ]
    for column, size, least in ((2, 3, 0.7), (3, 5, 0.8)):
        sets = [shingles(words(row[column]), size) for row in found]
        for a, one in enumerate(found):
            for b in range(a):
                if one[:2] != found[b][:2]:
                    assert jaccard(sets[a], sets[b]) < least or sets[a].size < 2


def assert_none_could_stay(rows: list[dict[str, Any]], outcome: Any) -> None:
    """No dropped row could be added: it would join two sides."""
    kept = {row["instruction_id"]: row for row in outcome.kept.iter_rows(named=True)}
    sides = [(row["split"], row["instruction"], row["response"]) for row in kept.values()]
    sides += [(("train", "validation", "test")[n % 3], *texts(n).values()) for n in range(30)]
    for row in rows:
        if row["instruction_id"] not in kept:
            near = {
                side
                for side, question, answer in sides
                if jaccard(shingles(words(question), 3), shingles(words(row["instruction"]), 3)) >= 0.7
                or jaccard(shingles(words(answer), 5), shingles(words(row["response"]), 5)) >= 0.8
            }
            assert len(near) > 1, row["instruction_id"]


def test_a_component_with_too_many_pairs_loses_its_new_rows_and_keeps_the_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_stage, "MOST_PAIRS", 3)
    monkeypatch.setattr(held_stage, "LARGE", 4)
    before = version(tmp_path / "1.0.0", old(1, "sft", "train"), old(2, "sft", "test"))
    many = [new(10 + n, instruction=nearly(texts(1)["instruction"], n + 1)) for n in range(3)]
    bridge = new(20, instruction=nearly(texts(1)["instruction"]), response=texts(2)["response"])
    placed, outcome, facts = split_of([new(1), new(2), *many, bridge, new(30)], before)
    assert facts["not_taken_apart"] == len(reasons(outcome)) == 4
    assert {"one of more than 4 rows" in detail for detail in details(outcome).values()} == {True}
    assert (placed["i0001"], placed["i0002"], set(placed)) == (("train", ""), ("test", ""), {"i0001", "i0002", "i0030"})


# --- several versions ------------------------------------------------------------------------------------------------


def test_a_row_that_the_last_version_no_longer_had_still_has_its_side(tmp_path: Path) -> None:
    first = version(tmp_path / "1.0.0", old(1, "sft", "test"), old(2, "sft", "train"))
    second = version(tmp_path / "1.1.0", old(2, "sft", "train"))
    placed, _, facts = split_of([new(1), new(2), *(new(n) for n in range(20, 60))], first, second)
    assert (placed["i0001"], placed["i0002"]) == (("test", ""), ("train", ""))
    assert [held["version"] for held in facts["versions"]] == ["1.0.0", "1.1.0"]


def test_a_row_that_was_on_two_sides_already_goes_nowhere_and_is_counted(tmp_path: Path) -> None:
    first = version(tmp_path / "1.0.0", old(1, "sft", "train"), old(2, "sft", "train"))
    second = version(tmp_path / "1.1.0", old(1, "sft", "test"), old(2, "sft", "train"))
    _, outcome, facts = split_of([new(1), new(2)], first, second)
    assert details(outcome) == {"i0001": "between row s1sft of sft/train in 1.0.0 and row s1sft of sft/test in 1.1.0"}
    assert (facts["pinned"], facts["bridges"], facts["bridges_published"]) == (1, 1, 1)


def test_without_earlier_versions_settings_and_report_are_what_they_were() -> None:
    config = SplitConfig(min_rows=NO_ROWS)
    stage = SplitStage(config, 0)
    assert "previous" not in stage.settings()
    assert "previous" not in stage.report(stage.fit(_rows([new(1), new(2)])))
    assert stage.contract.version == 3


def test_settings_that_name_versions_which_nobody_opened_are_our_fault() -> None:
    with pytest.raises(InternalError, match="nobody opened"):
        run_stage(SplitStage(SplitConfig(previous=["releases"]), 0), Sample, [new(1)])


def test_the_fingerprint_follows_what_was_read_and_not_where_it_lies(tmp_path: Path) -> None:
    version(tmp_path / "1.0.0", old(1, "sft", "train"))
    shutil.copytree(tmp_path / "1.0.0", tmp_path / "moved" / "1.0.0")
    version(tmp_path / "other" / "1.0.0", old(1, "sft", "test"))
    hashes = [
        EarlierRows((EarlierVersion("1.0.0", tmp_path / name, ""),)).content_hash
        for name in ("1.0.0", "moved/1.0.0", "other/1.0.0")
    ]
    assert (hashes[0] == hashes[1], hashes[0] == hashes[2]) == (True, False)


# --- the kernel ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_the_compiled_search_finds_what_the_definition_does(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(seed)
    base = [[f"w{rng.randrange(400)}" for _ in range(rng.randrange(0, 30))] for _ in range(40)]
    column = [" ".join(w if rng.random() > 0.06 else "x" for w in rng.choice(base)) for _ in range(500)]
    place = pl.Series([rng.choice([-1, -1, *range(len(SIDES))]) for _ in column], dtype=pl.Int8()).to_numpy()
    found = []
    for small in (0, 10**9):
        monkeypatch.setattr(clusters, "SMALL", small)
        one = clusters.Column(clusters.hasher_for(0.6), 3, 0.6)
        one.sketch(column_of(column))
        one.choose()
        one.take(column_of(column))
        texts_, nearest, similarity, _ = one.touches(place, len(SIDES))
        found.append((texts_.tolist(), nearest.tolist(), similarity.round(9).tolist()))
    assert found[0] == found[1]
    assert found[0][0], "some are similar"


# --- publish and validate --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """A folder with 1.0.0."""
    folder = tmp_path_factory.mktemp("one") / "releases"
    put(small, folder)
    return folder


@pytest.fixture(scope="module")
def held(tmp_path_factory: pytest.TempPathFactory, one: Path) -> Path:
    """A run of more rows, held against 1.0.0."""
    return build(tmp_path_factory.mktemp("held"), previous=one)


@pytest.fixture(scope="module")
def loose(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run without a word of 1.0.0."""
    return build(tmp_path_factory.mktemp("loose"))


@pytest.fixture
def releases(one: Path, tmp_path: Path) -> Path:
    return shutil.copytree(one, tmp_path / "releases")


def sides(release: Path) -> dict[str, tuple[str, bool]]:
    """Question -> split, and whether it is in `ttt`."""
    return {
        row["instruction_id"]: (row["split"], config == "ttt")
        for config, rows in rows_of(release).items()
        for row in rows.values()
    }


def finemed(*arguments: object, code: int = 0) -> tuple[str, str]:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=True)
    if isinstance(done.exception, FineMedError):
        assert done.exception.exit_code == code, done.exception
        return done.stdout, str(done.exception)
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout, done.stderr


def test_a_build_with_previous_keeps_every_side_and_the_card_says_so(one: Path, held: Path, releases: Path) -> None:
    before, after = sides(one / "1.0.0"), sides(held / "release")
    assert len(before.keys() & after.keys()) > 100
    assert {name for name in before.keys() & after.keys() if before[name] != after[name]} == set()
    facts = manifest_of(held / "release")["stages"][-1]["facts"]["previous"]
    known = manifest_of(one / "1.0.0")["release_hash"]
    assert [(found["version"], found["release_hash"]) for found in facts["versions"]] == [("1.0.0", known)]
    card = (held / "release" / "README.md").read_text("utf-8")
    assert "Splits were held against version 1.0.0: what was in one split" in card
    assert f"{facts['pinned']} questions kept their place so, {facts['bridges']} that lay between" in card
    out, said = finemed("publish", held, "--to", releases, "--date", "2026-11-21")
    assert (out.strip(), "was not given" in said) == (str(releases / "1.1.0"), False)
    assert manifest_of(releases / "1.1.0")["stages"][-1]["facts"]["previous"] == facts


def test_rows_that_changed_sides_are_refused_and_the_command_is_named(loose: Path, releases: Path) -> None:
    _, said = finemed("publish", loose, "--to", releases, code=1)
    assert "nothing was published" in said
    assert "changed sides" in said
    assert "finemed build --previous" in said
    assert not (releases / "1.1.0").exists()
    assert "were not held against earlier versions" in (loose / "release" / "README.md").read_text("utf-8")


def test_the_same_rows_built_again_with_their_own_version_make_no_version(
    one: Path, releases: Path, tmp_path: Path
) -> None:
    again = build_small(tmp_path / "again", previous=one)
    assert sides(again / "release") == sides(one / "1.0.0")
    out, said = finemed("publish", again, "--to", releases)
    assert (out, "Nothing differs from 1.0.0" in said) == ("", True)


def test_publish_says_that_the_build_was_not_given_the_versions(small: Path, releases: Path, tmp_path: Path) -> None:
    again = build_small(tmp_path / "again")
    card = {"contact": "someone@example.org"}
    config = load_config(tmp_path / "again" / "finemed.yaml", [f"card={json.dumps(card)}"])
    with opened_plan(config, tmp_path / "again") as plan:
        from finemed.publish.build import build_release

        build_release(plan, again)
    out, said = finemed("publish", again, "--to", releases)
    assert out.strip() == str(releases / "1.0.1"), "the same rows on the same sides"
    assert f"was not given 1.0.0 of {releases}" in said
    assert f"finemed build --previous {releases}" in said


def test_a_reshuffle_needs_its_flag_and_a_major_version_and_later_builds_hold_from_there(
    loose: Path, releases: Path, tmp_path: Path
) -> None:
    _, said = finemed("publish", loose, "--to", releases, "--reshuffle", "--version", "1.5.0", code=2)
    assert "the splits are reshuffled" in said
    finemed("publish", loose, "--to", releases, "--reshuffle", "--date", "2026-11-21")
    manifest = manifest_of(releases / "2.0.0")
    assert manifest["splits_since"] == "2.0.0"
    assert "**The splits were reshuffled.**" in (releases / "2.0.0" / "CHANGELOG.md").read_text("utf-8")
    assert "reshuffled in this version" in (releases / "2.0.0" / "README.md").read_text("utf-8")
    with earlier_versions([str(releases)]) as earlier:
        assert earlier is not None
        assert [version.version for version in earlier.versions] == ["2.0.0"]
    report = validate_address(str(releases / "2.0.0"), previous=str(releases))
    assert "2.0.0 reshuffled the splits" in report.skipped["held_splits"]
    assert report.ok, [str(fault) for fault in report.faults]
    after = build(tmp_path / "after", previous=releases, card={"title": "Held since", "license": "CC0-1.0"})
    assert str(put(after, releases).version) == "2.0.1", "the splits are those of 2.0.0"
    assert manifest_of(releases / "2.0.1")["splits_since"] == "2.0.0"


def test_validate_answers_ok_failed_or_not_checked(held: Path, loose: Path, releases: Path) -> None:
    put(held, releases)
    alone = validate_address(str(releases / "1.1.0"))
    assert "held_splits" not in alone.counts
    assert "no previous version is named" in alone.skipped["held_splits"]
    for previous in (releases, releases / "1.0.0"):
        assert validate_address(str(releases / "1.1.0"), previous=str(previous)).counts["held_splits"] == 0
    found = validate_address(str(loose / "release"), previous=str(releases / "1.0.0"))
    assert found.counts["held_splits"] > 5
    assert "in 1.0.0 (Jaccard 1.000)" in next(str(f) for f in found.faults if f.rule == "held_splits")


@pytest.mark.usefixtures("both_ways")
def test_a_moved_near_duplicate_is_found_whatever_the_split_stage_said(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", *(old(n, "sft", "train") for n in range(20)), old(30, "ttt", "train"))
    rows = [old(n, "sft", "train") for n in range(20)]
    rows[3] |= {"split": "test", "instruction": nearly(texts(3)["instruction"])}
    rows[4] |= {"split": "validation", "instruction": texts(400)["instruction"]}
    rows.append(old(31, "dpo", "train", reasoning=old(30, "ttt", "train")["reasoning"]))
    data = version(tmp_path / "1.1.0", *rows).folder / "data"
    found = changed_sides(data, EarlierRows((before,)), questions=0.7, answers=0.8)
    assert (found.rows, found.nearly) == (3, 0)
    assert [(moved.row, moved.earlier, moved.what) for moved in found.moved] == [
        ("sft/validation, row s4sft", "row s4sft of sft/train in 1.0.0", "answer"),
        ("sft/test, row s3sft", "row s3sft of sft/train in 1.0.0", "answer"),
        ("dpo/train, row s31dpo", "row s30ttt of ttt/train in 1.0.0", "answer"),
    ]
    rows[3] |= {"response": texts(500)["response"]}
    data = version(tmp_path / "1.2.0", *rows).folder / "data"
    found = changed_sides(data, EarlierRows((before,)), questions=0.7, answers=0.8)
    assert [moved.what for moved in found.moved] == ["answer", "question", "answer"]
    assert (found.nearly, round(found.moved[1].similarity, 3)) == (1, round(17 / 19, 3))


def test_retracted_rows_of_older_versions_still_have_their_side(one: Path, releases: Path, tmp_path: Path) -> None:
    gone = next(row for row in rows_of(one / "1.0.0")["sft"].values() if row["split"] == "test")
    finemed("retract", "--to", releases, "--id", gone["document_id"], "--reason", "a patient is named")
    with earlier_versions([str(releases)]) as earlier:
        assert earlier is not None
        assert [held.version for held in earlier.versions] == ["1.0.0", "1.0.1"]
        questions = [text for batch in earlier.texts("question") if batch.side == 2 for text in batch.texts]
    assert gone["instruction"] in questions


# --- targets ---------------------------------------------------------------------------------------------------------


def refused(kind: type[FineMedError], previous: object, config: Path, base: Path) -> str:
    with pytest.raises(kind) as error, opened_plan(load_config(config), base, [str(previous)]) as plan:
        plan.stages()
    return str(error.value)


def test_a_target_that_does_not_do_is_named(one: Path, small: Path, releases: Path, tmp_path: Path) -> None:
    config = small.parent / "finemed.yaml"
    assert "holds no published version" in refused(InputError, tmp_path / "absent", config, tmp_path)
    (tmp_path / "empty").mkdir()
    assert "holds no published version" in refused(InputError, tmp_path / "empty", config, tmp_path)
    assert "is a run" in refused(InputError, small, config, tmp_path)
    (releases / "1.0.0" / "data" / "sft" / "train.parquet").unlink()
    assert "train.parquet" in refused(DamagedReleaseError, releases, config, tmp_path)
    assert "differs from manifest.json" in refused(StoreError, releases / "1.0.0", config, tmp_path)
    other = shutil.copytree(one, tmp_path / "other")
    manifest = manifest_of(other / "1.0.0")
    (other / "1.0.0" / "manifest.json").write_text(json.dumps(manifest | {"name": "cardiology"}), "utf-8")
    assert "holds versions of `cardiology`, and this is `finemed-demo`" in refused(InputError, other, config, tmp_path)


def test_the_configuration_names_targets_relative_to_its_folder(one: Path, tmp_path: Path) -> None:
    shutil.copytree(one, tmp_path / "releases")
    build_small(tmp_path / "first")
    written = (tmp_path / "first" / "finemed.yaml").read_text("utf-8")
    (tmp_path / "finemed.yaml").write_text(written.replace("split:", "split:\n  previous: releases\n ", 1), "utf-8")
    config = load_config(tmp_path / "finemed.yaml", ["split.previous=releases"])
    assert config.split.previous == ["releases"]
    with opened_plan(config, tmp_path) as plan:
        assert plan.earlier is not None
        assert [held["version"] for held in plan.earlier.facts()["versions"]] == ["1.0.0"]


@pytest.fixture
def hub() -> Iterator[WriteHub]:
    server = WriteHub({"example"}, {"hf_write": "write"})
    yield server
    server.stop()


def test_versions_on_the_hub_hold_a_build_too(hub: WriteHub, small: Path, tmp_path: Path) -> None:
    run = build(tmp_path / "more")  # only for its configuration
    shutil.rmtree(run)
    env = environment(hub, tmp_path / "home", HF_TOKEN="hf_write")

    def command(*arguments: object, code: int = 0) -> str:
        line = [sys.executable, "-m", "finemed", *map(str, arguments)]
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    target = "hf://example/qa"
    config = tmp_path / "more" / "finemed.yaml"
    assert "holds no published version" in command("build", "-c", config, "--previous", target, code=4)
    command("publish", small, "--to", target)
    assert "Splits held against 1.0.0" in command("build", "-c", config, "--previous", target)
    assert "was not given" not in command("publish", run, "--to", target)
    told = command("validate", run / "release", "--previous", target)
    assert "held_splits: ok" in told


def test_a_version_of_the_toolkit_before_this_one_is_read(tmp_path: Path, one: Path) -> None:
    """What 9c72e16 wrote: no `previous` in its facts, and its manifest has no `splits_since`."""
    old_folder = shutil.copytree(one, tmp_path / "old")
    manifest = manifest_of(old_folder / "1.0.0")
    assert "splits_since" not in manifest
    assert "previous" not in manifest["stages"][-1]["facts"]
    for path in sorted((old_folder / "1.0.0" / "data").rglob("*.parquet")):
        table = pq.read_table(path)
        pq.write_table(table.drop_columns(["passage_id"]), path)  # an older one still
    mend(old_folder / "1.0.0")
    with earlier_versions([str(old_folder)], dataset="finemed-demo") as earlier:
        assert earlier is not None
        assert earlier.keys("passage_id") is None
        assert earlier.keys("document_id") is not None
        assert sum(batch.texts.len() for batch in earlier.texts("question")) > 100


def test_a_damaged_file_of_an_earlier_version_is_named(tmp_path: Path) -> None:
    before = version(tmp_path / "1.0.0", old(1, "sft", "train"))
    (tmp_path / "1.0.0" / "data" / "sft" / "train.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(StoreError, match=r"train.parquet: damaged"):
        split_of([new(1)], before)


# --- anybody's table -------------------------------------------------------------------------------------------------


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def foreign(*numbers: int, **more: Any) -> list[dict[str, Any]]:
    return [{"question": texts(n)["instruction"], "answer": texts(n)["response"], "n": n} | more for n in numbers]


OPTIONS = (
    "--text",
    "question",
    "--answer",
    "answer",
    "--format",
    "jsonl",
    "--set",
    "test=0.1",
    "--set",
    "validation=0.1",
)


def read(folder: Path) -> dict[int, str]:
    """Number of a row -> its file."""
    found = [
        (row["n"], path.stem)
        for path in folder.glob("*.jsonl")
        for row in map(json.loads, path.read_text("utf-8").splitlines())
    ]
    assert len(found) == len(dict(found))
    return dict(found)


def test_a_foreign_file_keeps_the_splits_of_all_its_earlier_versions(tmp_path: Path) -> None:
    out = tmp_path / "splits"
    finemed("split", lines(tmp_path / "1.jsonl", foreign(*range(60))), "-o", out / "1", *OPTIONS)
    finemed("split", lines(tmp_path / "2.jsonl", foreign(*range(30, 90))), "-o", out / "2", *OPTIONS, "--previous", out)
    first, second = read(out / "1"), read(out / "2")
    rows = foreign(*range(120))
    for row in rows[:20]:
        row["question"] = nearly(row["question"])
    said, _ = finemed("split", lines(tmp_path / "3.jsonl", rows), "-o", out / "3", *OPTIONS, "--previous", out)
    third = read(out / "3")
    assert {n: third[n] for n in first} == first, "also those that the second version did not have"
    assert {n: third[n] for n in second} == second
    assert "held against earlier versions: 90 rows pinned, 0 between splits" in said
    assert set(third) == set(range(120))


def test_a_foreign_row_between_two_splits_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    before = tmp_path / "before"
    lines(before / "train.jsonl", foreign(1, 3))
    lines(before / "test.jsonl", foreign(2))
    bridge = {"question": nearly(texts(1)["instruction"]), "answer": nearly(texts(2)["response"]), "n": 9}
    path = lines(tmp_path / "new.jsonl", [*foreign(1, 2, 3), bridge])
    _, said = finemed("split", path, "-o", tmp_path / "out", *OPTIONS, "--previous", before)
    assert read(tmp_path / "out") == {1: "train", 2: "test", 3: "train", 9: "bridges_splits"}
    assert "between row 1 of before/train.jsonl and row 1 of before/test.jsonl" in said
    told, _ = finemed("split", path, *OPTIONS, "--previous", before, "--json")
    facts = json.loads(told)["previous"]
    assert (facts["pinned"], facts["bridges"]) == (3, 1)
    assert [(held["version"], held["split"]) for held in facts["versions"]] == [("before", "train"), ("before", "test")]


def test_a_foreign_group_stays_where_it_was(tmp_path: Path) -> None:
    lines(tmp_path / "before" / "test.jsonl", foreign(1, ward="east"))
    path = lines(tmp_path / "new.jsonl", [*foreign(50, ward="east"), *foreign(*range(60, 90), ward=None)])
    finemed("split", path, "-o", tmp_path / "out", *OPTIONS, "--group", "ward", "--previous", tmp_path / "before")
    assert read(tmp_path / "out")[50] == "test"


def test_a_foreign_file_is_held_against_a_published_dataset_too(tmp_path: Path, one: Path) -> None:
    known = [row for row in rows_of(one / "1.0.0")["sft"].values() if row["split"] == "test"][:5]
    known += list(rows_of(one / "1.0.0")["ttt"].values())[:2]
    rows = [{"question": row["instruction"], "answer": row["response"], "n": n} for n, row in enumerate(known)]
    path = lines(tmp_path / "new.jsonl", [*rows, *foreign(*range(100, 130))])
    finemed("split", path, "-o", tmp_path / "out", *OPTIONS, "--previous", one)
    placed = read(tmp_path / "out")
    assert {placed[n] for n in range(5)} == {"test"}
    assert {placed[n] for n in (5, 6)} == {"bridges_splits"}, "what is in `ttt` there may be in no split here"


def test_a_folder_without_earlier_splits_is_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "new.jsonl", foreign(*range(20)))
    _, said = finemed("split", path, *OPTIONS, "--previous", tmp_path / "nowhere", code=4)
    assert "holds no published version" in said
    lines(tmp_path / "twice" / "train.jsonl", foreign(1))
    lines(tmp_path / "twice" / "train.json", foreign(1))
    _, said = finemed("split", path, *OPTIONS, "--previous", tmp_path / "twice", code=4)
    assert "train.jsonl and train.json; keep one" in said
