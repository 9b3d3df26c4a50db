"""The check on a release's files finds near-duplicates across pools and splits, and fails the build by naming them."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from releases import plant
from rows import numbered, pooled
from test_release import manifest_of, prepare

from finemed.config import CardConfig
from finemed.errors import StageError
from finemed.pipeline.plan import stage_folder
from finemed.pipeline.run import RunResult
from finemed.publish.build import build_release
from finemed.publish.pools import PoolFiles, published_row
from finemed.publish.release import write_release
from finemed.publish.separation import check_separation
from finemed.taxonomy import load_taxonomy
from finemed.text import clusters


def placed(number: int, pool: str, split: str, **more: Any) -> dict[str, Any]:
    """A pooled row that is like no other."""
    start = 1000 * number
    texts = {
        "instruction": numbered(range(start, start + 20)),
        "response": numbered(range(start + 100, start + 140)),
        "reasoning": None if pool == "sft" else numbered(range(start + 200, start + 260)),
    }
    ids = {"row_id": f"s{number}{pool}", "instruction_id": f"i{number}", "response_id": f"r{number}"}
    long = {} if pool == "sft" else {"reasoning_id": f"q{number}", "reasoning_model": "m", "reasoning_score": 8.0}
    long |= {} if pool == "sft" else {"reasoning_prompt": "reason@1"}
    return pooled(pool=pool, split=split, **(texts | ids | long | more))


def files(folder: Path, rows: list[dict[str, Any]]) -> Path:
    """The files of a release of these rows."""
    with PoolFiles(folder / "data") as written:
        for row in rows:
            written.write(row["pool"], row["split"], [published_row(row)])
    return folder / "data"


def sound() -> list[dict[str, Any]]:
    pools = ["sft", "sft", "ttt", "dpo"]
    rows = [
        placed(number, pools[number % 4], ("train", "train", "test", "validation")[number // 4 % 4])
        for number in range(24)
    ]
    pairs = [row for row in rows if row["pool"] == "dpo"]
    return rows + [row | {"pool": "sft_reasoning", "row_id": row["row_id"] + "x"} for row in pairs]


def check(data: Path) -> dict[str, Any]:
    return check_separation(data, questions=0.7, answers=0.8)


def changed(text: str) -> str:
    return " ".join([*text.split()[:-1], "changed"])


@pytest.fixture(params=["plain", "compiled"], autouse=True)
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "SMALL", 10**9 if request.param == "plain" else 0)


def test_sound_files_pass_and_the_figures_say_what_was_looked_at(tmp_path: Path) -> None:
    found = check(files(tmp_path, sound()))
    assert {name: (part["threshold"], part["texts"], part["found"]) for name, part in found.items()} == {
        "questions": (0.7, 30, 0),
        "answers": (0.8, 36, 0),  # both of a pair
    }


PLACES = [
    ("sft", "train", "sft", "test"),
    ("sft", "train", "sft", "validation"),
    ("sft", "test", "sft", "validation"),
    ("sft", "train", "dpo", "test"),
    ("sft_reasoning", "train", "sft", "validation"),
    ("ttt", "train", "sft", "train"),
    ("ttt", "train", "dpo", "train"),
    ("ttt", "test", "sft_reasoning", "test"),
    ("ttt", "train", "ttt", "test"),
]


@pytest.mark.parametrize(("pool", "split", "other_pool", "other_split"), PLACES)
@pytest.mark.parametrize("kind", ["questions", "answers"])
def test_a_near_duplicate_in_two_places_fails_and_names_both_rows(
    pool: str, split: str, other_pool: str, other_split: str, kind: str, tmp_path: Path
) -> None:
    one, two = placed(90, pool, split), placed(91, other_pool, other_split)
    if kind == "questions":
        two["instruction"] = changed(one["instruction"])
    else:
        answer = one["response"] if pool == "sft" else one["reasoning"]
        two["response" if other_pool == "sft" else "reasoning"] = changed(answer)
    with pytest.raises(StageError) as error:
        check(files(tmp_path, [*sound(), one, two]))
    message = str(error.value)
    assert f"{pool}/{split}, row s90{pool} (`" in message
    assert f"{other_pool}/{other_split}, row s91{other_pool} (`" in message
    assert f"nearly the same {kind[:-1]}" in message
    similarity = {"questions": 17 / 19, "answers": 35 / 37 if pool == "sft" else 55 / 57}[kind]
    assert f"{similarity:.3f}" in message
    assert "finemed build --from split" in message


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (("sft", "train"), ("sft", "train")),
        (("sft", "test"), ("dpo", "test")),
        (("dpo", "validation"), ("sft_reasoning", "validation")),
        (("ttt", "test"), ("ttt", "test")),
    ],
)
def test_near_duplicates_in_one_place_are_no_fault(one: tuple[str, str], two: tuple[str, str], tmp_path: Path) -> None:
    left, right = placed(90, *one), placed(91, *two)
    right |= {name: left[name] for name in ("instruction", "response")}
    right["reasoning"] = left["reasoning"] if two[0] != "sft" else None
    if two[0] != "sft" and left["reasoning"] is None:
        right["reasoning"] = placed(91, *two)["reasoning"]
    check(files(tmp_path, [*sound(), left, right]))


def test_the_rejected_side_of_a_pair_is_looked_at_too(tmp_path: Path) -> None:
    one, two = placed(90, "sft", "train"), placed(91, "dpo", "test")
    two["response"] = one["response"]
    with pytest.raises(StageError, match=r"dpo/test, row s91dpo \(`rejected`\) and sft/train, row s90sft"):
        check(files(tmp_path, [one, two]))


def test_just_below_the_threshold_and_short_answers_are_no_fault(tmp_path: Path) -> None:
    one, two = placed(90, "sft", "train"), placed(91, "sft", "test")
    two["instruction"] = " ".join([*one["instruction"].split()[:17], "x", "y", "z"])  # 15 of 21 trigrams
    one["response"] = two["response"] = "No cure is known yet."
    data = files(tmp_path, [one, two])
    with pytest.raises(StageError, match=r"0\.714"):
        check(data)
    assert check_separation(data, questions=0.72, answers=0.8)["questions"]["found"] == 0


def test_files_of_many_batches_are_read_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finemed.publish.separation.BATCH", 7)
    draw = random.Random(5)
    rows = [placed(number, "sft", draw.choice(["train", "test", "validation"])) for number in range(60)]
    check(files(tmp_path / "sound", rows))
    rows[41] |= {"split": "test", "instruction": changed(rows[3]["instruction"])}
    rows[3]["split"] = "train"
    with pytest.raises(StageError, match=r"sft/test, row s41sft \(`prompt`\) and sft/train, row s3sft \(`prompt`\)"):
        check(files(tmp_path / "spoilt", rows))


def test_a_near_duplicate_across_splits_never_replaces_a_release(tmp_path: Path) -> None:
    """Planted after the split stage, in the rows that are written."""
    plan = prepare(tmp_path)
    outcome = build_release(plan, tmp_path / "run")
    assert outcome.release is not None
    release = outcome.release.path
    parts = manifest_of(release)["separation"]
    assert parts["questions"]["threshold"] == 0.7
    assert parts["questions"]["texts"] == sum(
        sum(manifest_of(release)["configs"][name].values()) for name in ("sft", "dpo", "sft_reasoning", "ttt")
    )
    assert "nearly repeats one in another split" in (release / "README.md").read_text("utf-8")
    before = (release / "manifest.json").read_bytes()
    shard = sorted(stage_folder(tmp_path / "run", "split").glob("kept-*.parquet"))[0]
    rows = pl.read_parquet(shard)
    sft = rows.filter(pl.col("pool") == "sft")
    source = sft.filter(pl.col("split") == "train")["instruction"][0]
    victim = sft.filter(pl.col("split") == "test")["row_id"][0]
    planted = pl.when(pl.col("row_id") == victim).then(pl.lit(source)).otherwise(pl.col("instruction"))
    plant(tmp_path / "run", int(shard.stem.removeprefix("kept-")), rows.with_columns(planted.alias("instruction")))
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text("utf-8"))
    with pytest.raises(StageError, match=rf"sft/test, row {victim} \(`prompt`\) and sft/train, row"):
        write_release(RunResult(tmp_path / "run", manifest, complete=True), load_taxonomy(None), CardConfig(title="x"))
    assert (release / "manifest.json").read_bytes() == before


def test_a_file_written_by_another_hand_is_read_by_its_columns(tmp_path: Path) -> None:
    data = files(tmp_path, [placed(90, "sft", "train"), placed(91, "sft", "test")])
    table = pq.read_table(data / "sft" / "train.parquet")
    spoilt = pq.read_table(data / "sft" / "test.parquet")
    spoilt = spoilt.set_column(spoilt.column_names.index("prompt"), "prompt", table.column("prompt"))
    pq.write_table(pa.concat_tables([spoilt]), data / "sft" / "test.parquet")
    with pytest.raises(StageError, match=r"1\.000"):
        check(data)
