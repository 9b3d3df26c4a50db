"""What `--json` prints: one documented model an output, held against the real output of every command."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import jsonschema
import polars as pl
import pytest
from click.testing import CliRunner
from faults import FaultServer

from finemed.cli.main import cli
from finemed.records.outputs import OUTPUTS, Output, output_schema

Call = Callable[[Path], list[object]]


def run_command(*arguments: object) -> str:
    """The stdout of a command that succeeds, or exits with 1 for a finding."""
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=True)
    if done.exception and not (isinstance(done.exception, SystemExit) and done.exit_code == 1):
        raise done.exception
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo with a published version, a second one, and a few files beside it."""
    folder = tmp_path_factory.mktemp("json") / "demo"
    run_command("demo", folder)
    run_command("publish", folder / "run", "--to", folder / "published", "--date", "2026-11-01")
    shutil.copytree(folder / "run" / "release", folder / "release")
    marked = ["--set", "decontaminate.action=mark", "--until", "decontaminate"]
    run_command("build", "-c", folder / "finemed.yaml", "--run", folder / "marked", *marked)
    texts = [f"{name} is a fever of children that ends by itself within a week." for name in ("Roseola", "Mumps")]
    rows = [{"id": f"r{number}", "text": text} for number, text in enumerate([*texts, texts[0]])]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    benchmark = {"question": texts[0], "options": {"A": "yes", "B": "no"}, "answer": "A"}
    (folder / "bench.jsonl").write_text(json.dumps(benchmark) + "\n")
    (folder / "bad.jsonl").write_text(json.dumps({"prompt": "What is gout?", "completion": ""}) + "\n")
    return folder


def first_row(demo: Path) -> str:
    return str(pl.read_parquet(demo / "published" / "1.0.0" / "data" / "sft" / "train.parquet")["id"][0])


CALLS: dict[str, list[Call]] = {
    "plan": [lambda d: ["plan", "-c", d / "finemed.yaml"]],
    "trial": [lambda d: ["trial", "-c", d / "finemed.yaml", "--run", d / "trial", "-n", 6]],
    "build": [
        lambda d: ["build", "-c", d / "finemed.yaml"],
        lambda d: ["build", "-c", d / "finemed.yaml", "--run", d / "part", "--until", "filter"],
    ],
    "build-dry-run": [
        lambda d: ["build", "-c", d / "finemed.yaml", "--dry-run"],
        lambda d: ["build", "-c", d / "finemed.yaml", "--dry-run", "--set", "rank.min_score=2"],
    ],
    "status": [lambda d: ["status", d / "run"], lambda d: ["status", d / "part"]],
    "filter": [lambda d: ["filter", d / "run"], lambda d: ["filter", d / "rows.jsonl"]],
    "filter-explain": [lambda d: ["filter", d / "rows.jsonl", "--explain", "rows/rows.jsonl:1"]],
    "dedup": [lambda d: ["dedup", d / "rows.jsonl"], lambda d: ["dedup", d / "rows.jsonl", "--index", d / "index"]],
    "dedup-explain": [lambda d: ["dedup", d / "rows.jsonl", "--explain", "r2"]],
    "decontaminate": [lambda d: ["decontaminate", d / "rows.jsonl", "-b", d / "bench.jsonl"]],
    "decontaminate-explain": [
        lambda d: ["decontaminate", d / "rows.jsonl", "-b", d / "bench.jsonl", "--explain", "r0"]
    ],
    "split": [lambda d: ["split", d / "rows.jsonl", "--set", "test=0.3"]],
    "split-explain": [lambda d: ["split", d / "rows.jsonl", "--explain", "r0"]],
    "coverage": [lambda d: ["coverage", d / "run"], lambda d: ["coverage", d / "run", "--backfill"]],
    "confusion": [lambda d: ["confusion", d / "run", "--against", d / "run"]],
    "ledger": [lambda d: ["ledger", d / "run", "--limit", 0]],
    "ledger-kept": [lambda d: ["ledger", d / "marked", "--limit", 0, "--kept"]],
    "reparse": [lambda d: ["reparse", "judge", "-c", d / "paid.yaml", "--run", d / "paid"]],
    "journal-stats": [lambda d: ["journal", "stats", d / "paid"]],
    "journal-salvage": [lambda d: ["journal", "salvage", d / "paid"]],
    "validate": [
        lambda d: ["validate", d / "published" / "1.0.0"],
        lambda d: ["validate", d / "bad.jsonl"],
    ],
    "publish": [
        lambda d: ["publish", d / "run", "--to", d / "published"],
        lambda d: ["publish", d / "run", "--to", d / "elsewhere", "--dry-run"],
    ],
    "versions-list": [lambda d: ["versions", "list", d / "published"]],
    "versions-show": [lambda d: ["versions", "show", d / "published", "1.0.0"]],
    "versions-diff": [lambda d: ["versions", "diff", d / "run" / "release", d / "release"]],
    "retract": [
        lambda d: ["retract", "--to", d / "published", "--id", first_row(d), "--reason", "a test", "--dry-run"]
    ],
}
"""Output -> the commands whose real output is held against its schema."""
ELSEWHERE = {"ttt-answer": "tests/test_ttt.py, where a model can be trained"}


def outputs_with_json(group: click.Group, before: tuple[str, ...] = ()) -> set[str]:
    """Every command that has `--json`."""
    context = click.Context(group)
    found: set[str] = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = (*before, name)
        if isinstance(command, click.Group):
            found |= outputs_with_json(command, words)
        elif command and any("--json" in option.opts for option in command.params):
            found.add(" ".join(words))
    return found


def test_every_json_output_is_documented_and_tried() -> None:
    assert {output.command for output in OUTPUTS} == outputs_with_json(cli)
    names = [output.name for output in OUTPUTS]
    assert len(set(names)) == len(names)
    assert set(names) == CALLS.keys() | ELSEWHERE.keys()


def test_every_option_that_changes_the_output_exists() -> None:
    for output in (output for output in OUTPUTS if output.option):
        command: Any = cli
        for word in output.command.split():
            command = command.get_command(click.Context(command), word)
        assert any(output.option in option.opts for option in command.params), output.name


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_schemas_are_sound_and_every_field_is_described(output: Output) -> None:
    schema = output_schema(output)
    jsonschema.Draft202012Validator.check_schema(schema)
    for model in [schema, *schema.get("$defs", {}).values()]:
        for name, field in model.get("properties", {}).items():
            assert field.get("description"), f"{output.name}: {name}"


def paid(demo: Path, server: FaultServer) -> None:
    """A run whose questions were judged by a server."""
    import yaml

    settings = yaml.safe_load((demo / "finemed.yaml").read_text())
    settings["backends"] = {"loop": {"type": "openai", "model": "m", "api_key_env": None, "base_url": server.url}}
    settings["judge"] = {"backend": "loop"}
    settings["sources"][0]["limit"] = 20
    (demo / "paid.yaml").write_text(yaml.safe_dump(settings))
    run_command("build", "-c", demo / "paid.yaml", "--run", demo / "paid", "--until", "judge")


@pytest.mark.parametrize("output", [o for o in OUTPUTS if o.name in CALLS], ids=lambda output: output.name)
def test_real_output_fits_its_schema(output: Output, demo: Path, serve: Callable[..., FaultServer]) -> None:
    if output.name in ("reparse", "journal-stats", "journal-salvage") and not (demo / "paid").exists():
        paid(demo, serve())
    validator = jsonschema.Draft202012Validator(output_schema(output))
    for call in CALLS[output.name]:
        printed = run_command(*call(demo), "--json")
        values = [json.loads(line) for line in printed.splitlines()] if output.lines else [json.loads(printed)]
        assert values
        for value in values:
            faults = [f"{fault.json_path}: {fault.message[:300]}" for fault in validator.iter_errors(value)]
            assert faults == []


def test_a_stage_accounts_for_its_rows_under_one_name_everywhere(demo: Path) -> None:
    for command in (["build", "-c", demo / "finemed.yaml"], ["status", demo / "run"]):
        for stage in json.loads(run_command(*command, "--json"))["stages"]:
            assert stage["rows"] == stage["kept"] + sum(stage["dropped"].values()), stage["stage"]
    for command in (["filter", demo / "run"], ["dedup", demo / "rows.jsonl"]):
        found = json.loads(run_command(*command, "--json"))
        assert found["rows"] == found["kept"] + sum(found["dropped"].values())
