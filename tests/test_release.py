"""A release loads everywhere, keeps its contract, says what is so, hides the machine, and is always the same."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml
from kills import JudgeServer
from markdown_it import MarkdownIt
from markdown_it.token import Token
from releases import plant

from finemed.assets import demo_file
from finemed.config import CardConfig, load_config
from finemed.errors import StageError
from finemed.pipeline.plan import Plan, stage_folder
from finemed.pipeline.run import RunResult
from finemed.publish.build import BuildOutcome, build_release
from finemed.publish.cards.card import escape, render_card
from finemed.publish.contract import ReleaseContract
from finemed.publish.demo import FILES
from finemed.publish.inspect.status import read_status
from finemed.publish.release import write_release
from finemed.records import EXTRACTIVE_NOTICE, POOLS, SPLITS
from finemed.taxonomy import load_taxonomy

ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, Any] = {"split": {"min_rows": {"sft": 1, "sft_reasoning": 1, "dpo": 1, "ttt": 1}}}
DEMO: dict[str, Any] = {"name": "demo", "path": "corpus.jsonl", "columns": {"id": "id", "title": "title"}}

GUIDE = {"name": "demo-guide", "path": "hypertension.txt"}


def prepare(folder: Path, **changed: Any) -> Plan:
    """The demo's inputs in `folder` with changed settings; sections are merged, other values replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if not (folder / name).exists():
            shutil.copy(demo_file(name), folder)
    settings = yaml.safe_load(demo_file("finemed.yaml").read_text("utf-8"))
    for name, value in changed.items():
        settings[name] = {**settings.get(name, {}), **value} if isinstance(value, dict) else value
    (folder / "finemed.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), "utf-8")
    return Plan(load_config(folder / "finemed.yaml"), folder)


def build(folder: Path, **changed: Any) -> Path:
    """Builds the demo with changed settings; the release's folder."""
    outcome = build_release(prepare(folder, **changed), folder / "run")
    assert outcome.release is not None
    return outcome.release.path


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's release as it is; tests that change it take `copy`."""
    return build(tmp_path_factory.mktemp("release"))


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    """A copy of the whole folder of the demo; its release."""
    return shutil.copytree(release.parents[1], tmp_path / "copy") / "run" / "release"


def manifest_of(release: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / "manifest.json").read_text("utf-8"))
    return found


def card_of(release: Path) -> tuple[dict[str, Any], str]:
    """Front matter and body of the card."""
    _, head, body = (release / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(head), body


def rows_of(release: Path, config: str, split: str | None = None) -> pl.DataFrame:
    return pl.read_parquet(sorted((release / "data" / config).glob(f"{split or '*'}.parquet")))


def contents(release: Path) -> dict[str, bytes]:
    files = [path for path in release.rglob("*") if path.is_file()]
    return {path.relative_to(release).as_posix(): path.read_bytes() for path in files}


def ages(release: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in (release, *release.rglob("*"))}


# --- readers ---------------------------------------------------------------------------------------------------------

LOADER = """
import json, sys
from datasets import load_dataset
found = {}
for name in sys.argv[2:]:
    found[name] = {
        split: [[row["id"], row["attribution"], sorted(row)] for row in rows]
        for split, rows in load_dataset(sys.argv[1], name).items()
    }
print(json.dumps(found))
"""


def load(release: Path, home: Path, *names: str) -> dict[str, dict[str, list[list[Any]]]]:
    """What `datasets` gives a user who loads these configs: id, attribution and columns of every row by split.

    All files get the same time, as after unpacking an archive, so that the cache cannot tell releases apart by it.
    """
    for path in release.rglob("*"):
        os.utime(path, (0, 0))
    env = {**os.environ, "HF_HOME": str(home), "HF_DATASETS_CACHE": str(home / "datasets"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOADER, str(release), *names]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, list[list[Any]]]] = json.loads(done.stdout)
    return found


def test_datasets_loads_every_config_and_never_an_older_release(copy: Path, tmp_path: Path) -> None:
    manifest = manifest_of(copy)
    home = tmp_path / "home"
    loaded = load(copy, home, *manifest["configs"])
    counts = {name: {split: len(rows) for split, rows in splits.items()} for name, splits in loaded.items()}
    assert counts == manifest["configs"]
    for name, splits in loaded.items():
        for split, rows in splits.items():
            own = rows_of(copy, name, split)
            assert [row[0] for row in rows] == own["id"].to_list()
            assert rows[0][2] == sorted(own.columns)

    folder = copy.parents[1]
    sources = [{**source, "attribution": "Somebody else"} for source in (DEMO, GUIDE)]
    rebuilt = build(folder, sources=sources)  # the same ids in the same files, another column
    assert (rebuilt, manifest_of(copy)["configs"]) == (copy, manifest["configs"])
    changed = load(copy, home, "sft", "dpo")
    assert {row[1] for splits in changed.values() for rows in splits.values() for row in rows} == {"Somebody else"}

    build(folder, sources=[{**sources[0], "limit": 90}], **SMALL)
    fewer = load(copy, home, "sft")["sft"]
    assert {split: [row[0] for row in rows] for split, rows in fewer.items()} == {
        split: rows_of(copy, "sft", split)["id"].to_list() for split in manifest_of(copy)["configs"]["sft"]
    }
    assert sum(map(len, fewer.values())) < sum(map(len, loaded["sft"].values()))


def test_polars_and_pyarrow_read_every_file(release: Path) -> None:
    manifest = manifest_of(release)
    for name, splits in manifest["configs"].items():
        for split, count in splits.items():
            path = release / "data" / name / f"{split}.parquet"
            table = pq.read_table(path)
            assert table.num_rows == count == pl.read_parquet(path).height > 0
            assert table.to_pylist() == pl.read_parquet(path).to_dicts()
            kinds = {str(kind) for kind in table.schema.types}
            assert kinds <= {
                "string",
                "int64",
                "double",
                "bool",
                "list<element: struct<role: string, content: string>>",
                "list<element: struct<start: int64, end: int64>>",
            }


# --- rows ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("config", ["sft", "sft_reasoning", "ttt", "sft_surgery"])
def test_messages_are_prompt_and_completion(release: Path, config: str) -> None:
    for row in rows_of(release, config).to_dicts():
        assert row["messages"] == row["prompt"] + row["completion"]
        assert [turn["role"] for turn in row["messages"]] == ["user", "assistant"]
        assert [turn["content"] for turn in row["messages"]] == [row["instruction"], row["response"]]


def test_dpo_prefers_the_long_answer_that_sft_reasoning_holds(release: Path) -> None:
    long = {row["instruction_id"]: row for row in rows_of(release, "sft_reasoning").to_dicts()}
    pairs = rows_of(release, "dpo").to_dicts()
    assert {row["instruction_id"] for row in pairs} == set(long)
    assert len(pairs) == len(long) >= 10
    for row in pairs:
        assert row["chosen"] == long[row["instruction_id"]]["completion"]
        assert row["prompt"] == long[row["instruction_id"]]["prompt"]
        assert row["rejected"] != row["chosen"]
        assert "**Thought**" in row["chosen"][0]["content"]
        assert "**Thought**" not in row["rejected"][0]["content"]
    splits = [
        {split: set(rows_of(release, config, split)["instruction_id"]) for split in SPLITS} for config in POOLS[1:3]
    ]
    assert splits[0] == splits[1]


def test_views_hold_the_rows_and_ids_of_sft(release: Path) -> None:
    taxonomy = load_taxonomy(None)
    for split in manifest_of(release)["configs"]["sft"]:
        whole = rows_of(release, "sft", split)
        seen = 0
        for department in taxonomy.departments:
            config = f"sft_{department.id.replace('-', '_')}"
            expected = whole.filter(pl.col("department") == department.label)
            path = release / "data" / config / f"{split}.parquet"
            assert path.exists() == (expected.height > 0)
            if expected.height:
                assert pl.read_parquet(path).equals(expected)
            seen += expected.height
        assert seen == whole.filter(pl.col("department") != "none").height


def test_ids_are_unique_and_components_are_not_spread(release: Path) -> None:
    where: dict[str, set[tuple[bool, str]]] = {}
    for pool in POOLS:
        ids = rows_of(release, pool)["id"]
        assert ids.n_unique() == ids.len()
        for split in SPLITS:
            for component in rows_of(release, pool, split)["component_id"]:
                where.setdefault(component, set()).add((pool == "ttt", split))
    assert {component: sides for component, sides in where.items() if len(sides) > 1} == {}
    assert sum(next(iter(sides))[0] for sides in where.values()) >= 10


# --- the contract ----------------------------------------------------------------------------------------------------


def turn(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


def chat(row_id: str, component: str = "c1", question: str = "i1", answer: str = "Croup.") -> dict[str, Any]:
    return {
        "id": row_id,
        "component_id": component,
        "instruction_id": question,
        "document_id": f"d-{question}",
        "prompt": turn("What is it?"),
        "completion": turn(answer),
    }


def pair(row_id: str, component: str = "c1", question: str = "i1", **turns: str) -> dict[str, Any]:
    texts = {"prompt": "What is it?", "chosen": "Croup, because ...", "rejected": "Croup."} | turns
    keys = {"id": row_id, "component_id": component, "instruction_id": question, "document_id": f"d-{question}"}
    return {**keys, **{name: turn(text) for name, text in texts.items()}}


Batch = tuple[str, str, list[dict[str, Any]]]
SOUND: list[Batch] = [
    ("sft", "train", [chat("s1"), chat("s2", "c1", "i2"), chat("s3", "c2", "i3")]),
    ("sft_surgery", "train", [chat("s1")]),
    ("dpo", "test", [pair("s4", "c3", "i4")]),
    ("sft_reasoning", "test", [chat("s5", "c3", "i4")]),
    ("ttt", "train", [chat("s6", "c4", "i5")]),
]
BROKEN: dict[str, tuple[list[Batch], str]] = {
    "an id twice in a batch": ([("sft", "train", [chat("s9"), chat("s9")])], "release: sft/train, row s9: the id"),
    "an id in two splits": (
        [("sft", "train", [chat("s9", "c8")]), ("sft", "test", [chat("s9", "c9")])],
        "release: sft/test, row s9: the id",
    ),
    "an id twice in a view": ([("sft_surgery", "test", [chat("s1")])], "release: sft_surgery/test, row s1: the id"),
    "an empty answer": ([("sft", "train", [chat("s9", answer=" \n")])], "release: sft/train, row s9: `completion`"),
    "an empty chosen side": ([("dpo", "test", [pair("s9", chosen="")])], "release: dpo/test, row s9: `chosen`"),
    "an empty rejected side": ([("dpo", "test", [pair("s9", rejected="")])], "release: dpo/test, row s9: `rejected`"),
    "a component in two splits": ([("sft", "validation", [chat("s9", "c1", "i9")])], "row s9: component c1"),
    "a component in two splits of two pools": ([("dpo", "train", [pair("s9", "c3", "i9")])], "row s9: component c3"),
    "a component in ttt and sft": ([("ttt", "train", [chat("s9", "c1", "i9")])], "also in training/train"),
    "a component in dpo and ttt": ([("dpo", "train", [pair("s9", "c4", "i9")])], "also in ttt/train"),
    "a document in two splits": ([("sft", "test", [chat("s9", "c9", "i1")])], "row s9: document d-i1 is also in"),
    "a document in ttt and sft": (
        [("ttt", "train", [chat("s9", "c9", "i2")])],
        "document d-i2 is also in training/train",
    ),
    "a question in dpo alone": ([("dpo", "test", [pair("s9", "c9", "i9")])], "dpo and sft_reasoning, such as i9"),
    "a question in sft_reasoning alone": ([("sft_reasoning", "test", [chat("s9", "c9", "i8")])], "such as i8"),
}


def check(batches: list[Batch]) -> None:
    contract = ReleaseContract()
    for config, split, rows in batches:
        contract.check(config, split, rows)
    contract.finish()


def test_sound_rows_pass_the_contract() -> None:
    check(SOUND)


def test_documents_that_may_part_are_no_fault() -> None:
    contract = ReleaseContract(whole_documents=False)
    for config, split, rows in (*SOUND, ("sft", "test", [chat("s9", "c9", "i1")])):
        contract.check(config, split, rows)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_contract_names_the_place(name: str) -> None:
    batches, place = BROKEN[name]
    with pytest.raises(StageError, match=re.escape(place)):
        check(SOUND + batches)


@pytest.mark.parametrize("fault", ["doubled", "in dpo alone"])
def test_rows_that_break_the_contract_never_replace_a_release(copy: Path, fault: str) -> None:
    run, before = copy.parent, contents(copy)
    result = RunResult(run, json.loads((run / "manifest.json").read_text("utf-8")), complete=True)
    shard = stage_folder(run, "split") / "kept-00000.parquet"
    rows = pl.read_parquet(shard)
    long = rows.filter(pl.col("pool") == "sft_reasoning")
    if fault == "doubled":
        spoilt, place = pl.concat([rows, rows.head(1)]), f"row {rows['row_id'][0]}: the id occurs twice"
    else:
        spoilt = rows.filter(pl.col("row_id") != long["row_id"][0])
        place = f"only one of dpo and sft_reasoning, such as {long['instruction_id'][0]}"
    plant(run, 0, spoilt)
    with pytest.raises(StageError, match=place):
        write_release(result, load_taxonomy(None), CardConfig(title="New"))
    assert contents(copy) == before


# --- always the same -------------------------------------------------------------------------------------------------


def test_equal_inputs_give_equal_bytes_anywhere_and_at_any_time(release: Path, tmp_path: Path) -> None:
    folder = tmp_path / "another place"
    prepare(folder)
    (folder / "deep" / "down").mkdir(parents=True)
    for name in ("corpus.jsonl", "benchmark.jsonl"):
        (folder / name).rename(folder / "deep" / "down" / name)
    config = folder / "finemed.yaml"
    text = config.read_text("utf-8")
    config.write_text(re.sub(r"\b(corpus|benchmark)\.jsonl", r"deep/down/\1.jsonl", text), "utf-8")
    clock = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "11", "LC_ALL": "C", "HOME": str(tmp_path)}
    env = {**os.environ, **clock, "PYTHONPATH": str(ROOT / "toolkit")}
    command = [sys.executable, "-m", "finemed", "build", "-c", str(config), "--run", str(folder / "other-run")]
    subprocess.run(command, env=env, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    other = folder / "other-run"
    assert contents(other / "release") == contents(release)
    assert (other / "manifest.json").read_bytes() == (release.parent / "manifest.json").read_bytes()
    started = [
        json.loads((run / "session.json").read_text())["sessions"][0]["started"] for run in (other, release.parent)
    ]
    assert started[0] != started[1]


def test_a_second_build_writes_nothing(copy: Path) -> None:
    before = ages(copy)
    outcome = build_release(prepare(copy.parents[1]), copy.parent)
    assert outcome.release is not None
    assert not outcome.release.written
    assert ages(copy) == before
    assert outcome.release.manifest == manifest_of(copy)


@pytest.mark.parametrize("name", ["data/sft/train.parquet", "README.md", "ledger.parquet"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_release_is_written_again(copy: Path, name: str, damage: str) -> None:
    before = contents(copy)
    if damage == "missing":
        (copy / name).unlink()
    else:
        os.truncate(copy / name, 50)
    outcome = build_release(prepare(copy.parents[1]), copy.parent)
    assert outcome.release is not None
    assert outcome.release.written
    assert contents(copy) == before


def test_a_changed_card_is_a_new_release_of_the_same_rows(copy: Path) -> None:
    before = contents(copy)
    build(copy.parents[1], card={"title": "Another"})
    changed = {name for name, data in contents(copy).items() if before[name] != data}
    assert changed == {"README.md", "manifest.json"}
    build(copy.parents[1])
    assert contents(copy) == before


def test_a_stopped_build_leaves_the_older_release_and_says_so(copy: Path) -> None:
    run, before = copy.parent, contents(copy)
    assert read_status(run).release == str(copy)
    plan = prepare(copy.parents[1], filter={"min_medical_terms": 12})
    outcome: BuildOutcome = build_release(plan, run, until="classify")
    assert (outcome.release, outcome.path) == (None, run)
    assert contents(copy) == before
    assert read_status(run).release == f"{copy} (of earlier settings or inputs)"
    build_release(prepare(copy.parents[1], filter={"min_medical_terms": 12}), run)
    assert read_status(run).release == str(copy)


# --- the card --------------------------------------------------------------------------------------------------------


def test_the_front_matter_lists_the_files_that_exist(release: Path) -> None:
    head, _ = card_of(release)
    listed = [file["path"] for config in head["configs"] for file in config["data_files"]]
    assert sorted(listed) == sorted(path for path in contents(release) if path.startswith("data/"))
    assert len(listed) == len(set(listed))
    assert [config["config_name"] for config in head["configs"] if config.get("default")] == ["sft"]
    manifest = manifest_of(release)
    assert {config["config_name"]: len(config["data_files"]) for config in head["configs"]} == {
        name: len(splits) for name, splits in manifest["configs"].items()
    }
    assert (head["license"], head["language"], head["size_categories"]) == ("cc0-1.0", ["en"], ["n<1K"])


def test_the_card_says_whether_it_was_decontaminated(release: Path, tmp_path: Path) -> None:
    without = build(tmp_path, decontaminate={"benchmarks": []})
    assert "not decontaminated" in (without / "README.md").read_text("utf-8").lower()
    assert manifest_of(without)["decontaminated"] is False
    body = (release / "README.md").read_text("utf-8")
    assert "not decontaminated" not in body.lower()
    assert "| finemed\\_demo | 13 |" in body


def test_extractive_rows_say_so_and_so_does_the_card(release: Path) -> None:
    head, body = card_of(release)
    assert EXTRACTIVE_NOTICE in body
    assert "extractive" in head["tags"]
    for pool in POOLS:
        assert rows_of(release, pool)["extractive"].all()
        assert set(rows_of(release, pool)["notice"]) == {"extractive, not for training a medical model"}
    manifest = manifest_of(release)
    assert manifest["extractive"] is True
    assert manifest["figures"]["extractive_rows"] == manifest["figures"]["rows"]
    plain = {**manifest, "extractive": False}
    shown, _, columns = render_card(plain, manifest["card"]).partition("## Columns")
    assert EXTRACTIVE_NOTICE not in shown
    assert EXTRACTIVE_NOTICE in columns  # what the column `notice` means


def test_an_unknown_licence_stays_unknown(tmp_path: Path) -> None:
    release = build(tmp_path, sources=[DEMO, {**GUIDE, "license": "CC0-1.0"}], card={"license": None})
    head, body = card_of(release)
    assert head["license"] == "unknown"
    assert "Licence of the release: **not stated**" in body
    lines = {line.split("|")[1].strip(): line for line in table_under(body, "## Licences and sources")}
    assert "| **unknown** | not stated |" in lines["demo"]
    assert "| CC0\\-1.0 |" in lines["demo\\-guide"]
    whole = pl.concat([rows_of(release, pool).select("source", "license", "attribution") for pool in POOLS])
    assert set(whole.rows()) == {("demo", None, None), ("demo-guide", "CC0-1.0", None)}


def test_a_licence_of_ones_own_is_named(copy: Path) -> None:
    head, body = card_of(build(copy.parents[1], card={"license": "Our terms 1"}))
    assert (head["license"], head["license_name"]) == ("other", "Our terms 1")
    assert "Licence of the release: Our terms 1." in body


def table_under(body: str, heading: str) -> list[str]:
    """The rows of the first table under a heading."""
    lines = body.partition(f"{heading}\n")[2].splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("|"))
    last = next(number for number, line in enumerate(lines) if number > first and not line.startswith("|"))
    return lines[first + 2 : last]


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a | b || c",
    "`code` ```fence```",
    "first\n\n# Heading\n- item\n| x | y |\n|---|---|",
    "[click](javascript:alert(1)) ![x](javascript:alert(2)) [a]: javascript:alert(3)",
    "{{ 7*7 }} {% for x in y %} {# gone #}",
    "</td></table> & &lt;script&gt; &#60;b&#62;",
    "back\\|slash \\\\| \\<script>",
    "**bold** __bold__ ~~gone~~ $x^2$ <https://evil.example> <!-- hidden -->",
    "---\nlicense: mit\n---",
    "nul \x1b[31m red \u2028 line \x85 next",
]


def tokens(body: str) -> Iterator[Token]:
    """Every token of the body as a Markdown reader with HTML and tables sees it."""
    for token in MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).parse(body):
        yield token
        yield from token.children or []


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_is_shown_and_does_nothing(text: str) -> None:
    found = list(tokens(f"| a | b |\n|---|---|\n| {escape(text)} | end |\n\n{escape(text)}\n"))
    kinds = Counter(token.type for token in found)
    assert kinds["td_open"] == 2
    allowed = {"text", "inline", "paragraph_open", "paragraph_close", "text_special"}
    assert {kind for kind in kinds if not kind.startswith(("table", "thead", "tbody", "tr", "th", "td"))} <= allowed
    cells = [token for token in found if token.type == "inline"]
    shown = ["".join(child.content for child in token.children or []) for token in (cells[2], cells[4])]
    assert shown == [" ".join(text.replace("\x1b", "\ufffd").split())] * 2


def test_hostile_text_is_inert_in_the_card(tmp_path: Path) -> None:
    everything = " ".join(HOSTILE)
    plain = build(
        tmp_path / "plain", sources=[{**DEMO, "license": "MIT", "attribution": "Ann"}], card={"contact": "Ann"}
    )
    lines = (plain.parents[1] / "corpus.jsonl").read_bytes().splitlines()
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    with (hostile / "corpus.jsonl").open("wb") as corpus:
        for line in lines:
            try:
                row = {**json.loads(line), "title": f"Croup {everything}"}
            except (ValueError, TypeError):
                continue
            corpus.write(json.dumps(row).encode() + b"\n")
    source = {**DEMO, "attribution": everything, "license": everything, "url": f"https://example.org/{everything}"}
    card = {"title": everything, "summary": everything, "contact": everything, "license": everything}
    told = build(hostile, sources=[source], card=card)
    head, body = card_of_hostile(told)
    assert "<script" not in (told / "README.md").read_text("utf-8").lower()
    expected, found = (Counter(token.type for token in tokens(text)) for text in (card_of(plain)[1], body))
    assert set(found) - set(expected) <= {"text_special"}
    for kind in ("table_open", "heading_open", "link_open", "fence", "strong_open", "bullet_list_open"):
        assert found[kind] == expected[kind], kind
    fewer_views = len(manifest_of(plain)["configs"]) - len(manifest_of(told)["configs"])
    assert found["code_inline"] == expected["code_inline"] - 2 * fewer_views  # its name, and "view of `sft`"
    for table in re.findall(r"(?:^\|.*\n)+", body, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()}) == 1, table
    assert head["license"] == "other"
    assert head["license_name"] == head["pretty_name"] == escapeless(everything)
    links = {token.attrs["href"] for token in tokens(body) if token.type == "link_open"}
    assert links == {"https://arxiv.org/abs/2501.09213"}
    assert body.count(escape(everything)) == 6  # title, summary, contact, both licences, attribution: nothing evaluated


def escapeless(text: str) -> str:
    """What the front matter shows instead of angle brackets."""
    return " ".join(text.replace("\x1b", "\ufffd").split()).replace("<", "‹").replace(">", "›")


def card_of_hostile(release: Path) -> tuple[dict[str, Any], str]:
    """As `card_of`, where the front matter may hold the marks itself."""
    text = (release / "README.md").read_text("utf-8")
    end = re.search(r"^---\n", text[4:], re.MULTILINE)
    assert end is not None
    return yaml.safe_load(text[4 : 4 + end.start()]), text[4 + end.end() :]


# --- what must not be in it ------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[JudgeServer]:
    running = JudgeServer()
    yield running
    running.stop()


def searchable(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file below as text; Parquet files by their values, since their bytes are compressed."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            text += json.dumps([pl.read_parquet(path).to_dicts(), str(pq.read_metadata(path).metadata)])
        yield path.relative_to(folder).as_posix(), text


def test_nothing_of_the_machine_gets_into_a_run(
    tmp_path: Path, server: JudgeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "sk-planted-0123456789"
    monkeypatch.setenv("PLANTED_KEY", secret)
    monkeypatch.setattr(platform, "node", lambda: "planted-host-7")
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "garbage.parquet").write_bytes(b"not a Parquet file at all")
    backend = {"type": "openai", "model": "loop", "base_url": server.url, "api_key_env": "PLANTED_KEY"}
    plan = prepare(
        tmp_path,
        sources=[{**DEMO, "limit": 60}, {"name": "pages", "path": str(tmp_path / "pages")}],
        backends={"loop": backend},
        judge={"backend": "loop"},
        **SMALL,
    )
    assert build_release(plan, tmp_path / "run").release is not None
    assert server.asked
    told = dict(searchable(tmp_path / "run"))
    assert "garbage.parquet" in told["ledger.parquet"]
    found = {
        (name, word)
        for name, text in told.items()
        for word in (str(tmp_path), tmp_path.name, secret, "PLANTED_KEY", "planted-host-7", server.url, str(ROOT))
        if word in text and not name.startswith("journal")
    }
    assert {name for name, _ in found} == {"session.json"}
    assert ("session.json", "planted-host-7") in found
    assert not any(secret in text for text in told.values())


# --- figures ---------------------------------------------------------------------------------------------------------


def test_the_manifest_counts_what_the_files_hold(release: Path) -> None:
    manifest = manifest_of(release)
    figures = manifest["figures"]
    pools = {pool: rows_of(release, pool) for pool in POOLS}
    questions = pl.concat([pools[pool].select(SHARED) for pool in ("sft", "dpo", "ttt")])
    assert figures["rows"] == sum(rows.height for rows in pools.values())
    assert figures["extractive_rows"] == sum(rows["extractive"].sum() for rows in pools.values())
    margins = [
        chosen - rejected for chosen, rejected in pools["dpo"].select("chosen_score", "rejected_score").iter_rows()
    ]
    assert figures["preference"] == {
        "higher": sum(margin > 0 for margin in margins),
        "equal": sum(margin == 0 for margin in margins),
        "lower": sum(margin < 0 for margin in margins),
    }
    for name, column in (("quality", "quality"), ("complexity", "complexity"), ("task_types", "task_type")):
        assert figures[name] == count(questions[column]), name
    assert figures["languages"] == count(questions["language"])
    assert {(r["source"], r["license"], r["attribution"]): r["questions"] for r in figures["licences"]} == Counter(
        questions.select("source", "license", "attribution").rows()
    )
    coverage = {(r["department"], r["subdepartment"], pool): r[pool] for r in figures["coverage"] for pool in POOLS}
    recount = Counter(
        (*place, pool) for pool, rows in pools.items() for place in rows.select("department", "subdepartment").rows()
    )
    assert {key: value for key, value in coverage.items() if value} == recount
    assert figures["models"]["ordinary answers"] == {"rules@3, respond@2": pools["sft"].height}
    assert sum(figures["models"]["questions"].values()) == figures["rows"]
    for config, splits in manifest["configs"].items():
        assert splits == {split: rows_of(release, config, split).height for split in splits}


SHARED = ["quality", "complexity", "task_type", "language", "source", "license", "attribution"]


def count(column: pl.Series) -> dict[str, int]:
    return {str(value): number for value, number in sorted(Counter(column).items())}


def test_the_manifest_names_every_file_with_its_hash(release: Path) -> None:
    files = {name: hashlib.sha256(data).hexdigest() for name, data in contents(release).items()}
    files.pop("manifest.json")
    assert manifest_of(release)["files"] == files


def test_the_published_ledger_is_the_runs(release: Path) -> None:
    assert (release / "ledger.parquet").read_bytes() == (release.parent / "ledger.parquet").read_bytes()
    drops = sum(stage["counts"]["rows_dropped"] for stage in manifest_of(release)["stages"])
    assert pl.read_parquet(release / "ledger.parquet").height == drops > 100
