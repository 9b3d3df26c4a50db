"""The exit codes of every command: 0 ok, 1 a finding, 2 usage or configuration, 3 budget, 4 bad input, 5 ours.

A new command without a line in `CASES` fails here.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from test_cli import commands, copy_demo

from finemed.cli.main import cli, main
from finemed.errors import EXIT_CODES, FineMedError, InternalError

Words = Callable[[Path], list[object]]
ALL = [" ".join(words) for words in commands(cli) if words]
LEAVES = [name for name in ALL if not any(other.startswith(f"{name} ") for other in ALL)]
TRAINING = importlib.util.find_spec("trl") is not None
NOWHERE = "/dev/null/nowhere"


@dataclass(frozen=True)
class Case:
    """What brings a command to its exit codes."""

    bad_input: Words
    settings: Words | None = None
    """A wrong setting, or value of an option, beyond what click looks at: 2."""
    finding: Words | None = None
    """None where the command can have none."""


def source_gone(folder: Path) -> Path:
    config = copy_demo(folder / "gone")
    (folder / "gone" / "corpus.jsonl").unlink()
    return config


def rows(folder: Path, *texts: str) -> Path:
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps({"id": f"r{n}", "text": text, "s": "a"}) + "\n" for n, text in enumerate(texts)))
    return path


REPEATED = ["Croup is a viral infection of the upper airway that barks."] * 3
WRONG_SET = ["--set", "threshold=7"]


def broken_version(folder: Path) -> Path:
    """A target whose one version is damaged."""
    (folder / "out" / "1.0.0").mkdir(parents=True)
    (folder / "out" / "1.0.0" / "manifest.json").write_text("{")
    return folder / "out"


def damaged_journal(folder: Path) -> Path:
    """A journal with one reply whose checksum does not fit."""
    import sqlite3

    from finemed.store.journal import Journal

    journal = Journal(folder / "journal.sqlite")
    journal.close()
    with sqlite3.connect(folder / "journal.sqlite") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(replies)")]
        given = {"key": "k", "task": "judge@1", "model": "m", "stored_at": "2026-11-01", "reply": "{}", "crc": 1}
        names = [name for name in columns if name in given]
        marks = ", ".join("?" * len(names))
        database.execute(f"INSERT INTO replies ({', '.join(names)}) VALUES ({marks})", [given[name] for name in names])
    database.close()
    return folder


def empty_answer(folder: Path) -> Path:
    path = folder / "bad.jsonl"
    path.write_text('{"prompt": "What is gout?", "completion": ""}\n')
    return path


def with_config(*words: object) -> Words:
    return lambda folder: [*words[:1], "-c", source_gone(folder), *words[1:]]


def with_wrong_setting(*words: object) -> Words:
    return lambda folder: [*words, "-c", copy_demo(folder / "wrong"), "--set", "seed=often"]


CASES: dict[str, Case] = {
    "init": Case(lambda f: ["init", f"{NOWHERE}.yaml"], lambda f: ["init", rows(f, "x")]),
    "plan": Case(with_config("plan"), with_wrong_setting("plan")),
    "trial": Case(with_config("trial"), with_wrong_setting("trial")),
    "build": Case(
        with_config("build"),
        with_wrong_setting("build"),
        lambda f: ["build", "-c", copy_demo(f / "few"), "--set", "split.min_rows={sft: 5000}"],
    ),
    "demo": Case(lambda f: ["demo", NOWHERE]),
    "status": Case(lambda f: ["status", f]),
    "filter": Case(lambda f: ["filter", f / "no.jsonl"], lambda f: ["filter", rows(f, "x"), "--set", "a=1"]),
    "dedup": Case(
        lambda f: ["dedup", f / "no.jsonl"],
        lambda f: ["dedup", rows(f, *REPEATED), *WRONG_SET],
        lambda f: [
            *("dedup", rows(f, *REPEATED), "--source", "s"),
            *("--set", "loss_min_rows=1", "--set", "max_source_loss=0"),
        ],
    ),
    "decontaminate": Case(
        lambda f: ["decontaminate", rows(f, "Croup."), "-b", f / "no.jsonl"],
        lambda f: ["decontaminate", rows(f, "Croup.")],
    ),
    "split": Case(lambda f: ["split", f / "no.jsonl"], lambda f: ["split", rows(f, "Croup."), "--set", "test=7"]),
    "coverage": Case(lambda f: ["coverage", f]),
    "confusion": Case(lambda f: ["confusion", f, "--against", "rules"]),
    "ledger": Case(lambda f: ["ledger", f], lambda f: ["ledger", started(f), "--stage", "jduge"]),
    "journal stats": Case(lambda f: ["journal", "stats", f / "no"]),
    "journal verify": Case(
        lambda f: ["journal", "verify", f / "no"], finding=lambda f: ["journal", "verify", damaged_journal(f)]
    ),
    "journal export": Case(lambda f: ["journal", "export", f / "no"]),
    "journal prune": Case(lambda f: ["journal", "prune", f / "no", "--damaged"], lambda f: ["journal", "prune", f]),
    "journal salvage": Case(lambda f: ["journal", "salvage", f / "no"]),
    "reparse": Case(
        lambda f: ["reparse", "judge", "-c", asking(f), "--run", f / "no"],
        lambda f: ["reparse", "jduge", "-c", copy_demo(f), "--run", f / "no"],
    ),
    "validate": Case(lambda f: ["validate", f / "no.jsonl"], finding=lambda f: ["validate", empty_answer(f)]),
    "publish": Case(lambda f: ["publish", f / "no"]),
    "versions list": Case(
        lambda f: ["versions", "list", rows(f, "x")], finding=lambda f: ["versions", "list", broken_version(f)]
    ),
    "versions show": Case(
        lambda f: ["versions", "show", f / "no", "1.0.0"], lambda f: ["versions", "show", f / "no", "abc"]
    ),
    "versions diff": Case(lambda f: ["versions", "diff", f / "a", f / "b"]),
    "retract": Case(lambda f: ["retract", "--to", f / "no", "--id", "x", "--reason", "a test"]),
    "train": Case(
        lambda f: ["train", f / "no", "--out", f / "out"],
        lambda f: ["train", f / "no", "--out", f / "out", "--set", "a.b.c=1"],
    ),
    "ttt answer": Case(lambda f: ["ttt", "answer", "What is gout?", "--release", f / "no", "--model", f / "no"]),
}
LATER = {"journal salvage"}
"""Commands that may be absent."""


def asking(folder: Path) -> Path:
    """A configuration whose judge is a server."""
    config = copy_demo(folder)
    backend = "{type: openai, model: m, base_url: 'http://localhost:9/v1', api_key_env: null}"
    config.write_text(config.read_text() + f"backends: {{far: {backend}}}\njudge: {{backend: far}}\n")
    return config


def started(folder: Path) -> Path:
    (folder / "stages").mkdir()
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., int]:
    """Runs the command in this process; one message and no traceback where it fails."""

    def called(*words: object) -> int:
        monkeypatch.setattr(sys, "argv", ["finemed", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        code = left.value.code or 0
        assert "Traceback" not in told.err
        assert (code == 0) or told.err or told.out
        assert code in EXIT_CODES
        called.err = told.err  # type: ignore[attr-defined]
        return int(code)

    return called


def test_every_command_has_its_cases() -> None:
    assert CASES.keys() - LATER <= set(LEAVES) <= CASES.keys()


@pytest.mark.parametrize("name", LEAVES)
def test_help_and_usage(name: str, run: Callable[..., int]) -> None:
    assert run(*name.split(), "--help") == 0
    assert run(*name.split(), "--no-such-option") == 2
    assert "no-such-option" in run.err  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", LEAVES)
def test_bad_input(name: str, run: Callable[..., int], tmp_path: Path) -> None:
    if name in ("train", "ttt answer") and not TRAINING:
        pytest.skip("needs the train extra")
    assert run(*CASES[name].bad_input(tmp_path)) == 4, run.err  # type: ignore[attr-defined]
    assert run.err.count("finemed: ") == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in LEAVES if CASES[name].settings])
def test_settings_and_values(name: str, run: Callable[..., int], tmp_path: Path) -> None:
    settings = CASES[name].settings
    assert settings is not None
    assert run(*settings(tmp_path)) == 2, run.err  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in LEAVES if CASES[name].finding])
def test_findings(name: str, run: Callable[..., int], tmp_path: Path) -> None:
    finding = CASES[name].finding
    assert finding is not None
    assert run(*finding(tmp_path)) == 1, run.err  # type: ignore[attr-defined]


def test_publish_refuses_what_breaks_the_contract(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("demo", tmp_path / "demo") == 0
    release = tmp_path / "demo" / "run" / "release"
    shutil.copytree(release, tmp_path / "broken")
    card = tmp_path / "broken" / "README.md"
    card.write_text(card.read_text().replace("config_name: sft\n", "config_name: other\n", 1))
    assert run("validate", tmp_path / "broken") == 1
    for words in (["dedup", "--explain"], ["split", "--explain"], ["filter", "--explain"]):
        assert run(words[0], rows(tmp_path, "Croup."), words[1], "unknown") == 4
    assert run("ledger", tmp_path / "demo" / "run", "--id", "unknown") == 0


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("publish", "--to", ""), "--to"),
        (("publish", "--to="), "--to"),
        (("publish", "--version", ""), "--version"),
        (("publish", ""), "RUN"),
        (("build", "--run", ""), "--run"),
        (("build", "-c", ""), "--config"),
        (("build", "--previous", "somewhere", "--previous", ""), "--previous"),
        (("build", "--set", ""), "--set"),
        (("validate", "data", "--previous", ""), "--previous"),
        (("dedup", "data", "--out", ""), "--out"),
        (("dedup", "data", "--index", ""), "--index"),
        (("dedup", "data", "--on", " ,"), "--on"),
        (("versions", "list", ""), "TARGET"),
        (("journal", "stats", ""), "RUN"),
    ],
)
def test_an_empty_value_is_no_default(words: tuple[str, ...], named: str, run: Callable[..., int]) -> None:
    assert run(*words) == 2
    assert named in run.err  # type: ignore[attr-defined]
    assert "is empty" in run.err  # type: ignore[attr-defined]


def test_versions_that_differ_are_no_finding(run: Callable[..., int], tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    assert run("build", "-c", config, "--run", tmp_path / "a") == 0
    assert run("build", "-c", config, "--run", tmp_path / "b", "--set", "split.max_rows={sft: 40}") == 0
    assert run("versions", "diff", tmp_path / "a" / "release", tmp_path / "b" / "release") == 0


def errors(of: type[FineMedError] = FineMedError) -> Iterator[type[FineMedError]]:
    yield of
    for inner in of.__subclasses__():
        yield from errors(inner)


def test_every_error_has_a_code_of_the_table() -> None:
    import finemed.errors
    import finemed.store.sealed  # which has one of its own

    stated = dict(re.findall(r"(\w+Error) +(\d)  ", finemed.errors.__doc__ or ""))
    ours = [error for error in errors() if error is not FineMedError and error.__module__.startswith("finemed.")]
    assert stated == {error.__name__: str(error.exit_code) for error in ours}
    assert {int(code) for code in stated.values()} | {FineMedError.exit_code} <= EXIT_CODES.keys()


def test_an_unexpected_exception_is_ours(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    import finemed.publish.inspect.status as module

    def broken(_: Path) -> Any:
        raise KeyError("rows")

    monkeypatch.setattr(module, "read_status", broken)
    assert run("status") == InternalError.exit_code == 5
    assert "KeyError" in run.err  # type: ignore[attr-defined]
