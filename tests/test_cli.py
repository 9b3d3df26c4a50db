"""The command line: what it prints where, its exit codes, what `--help` costs, and how it is interrupted."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import click
import polars as pl
import pytest
import yaml
from click.testing import CliRunner, Result

from finemed.assets import demo_file
from finemed.cli.main import cli, main
from finemed.config import load_config
from finemed.errors import ConfigError, FineMedError
from finemed.pipeline.plan import STAGES

ROOT = Path(__file__).resolve().parents[1]
HEAVY = [
    "torch",
    "transformers",
    "trl",
    "peft",
    "polars",
    "datasets",
    "openai",
    "httpx2",
    "pydantic",
    "vllm",
    "ray",
    "sentence_transformers",
    "numpy",
    "pyarrow",
]
ENV = {**os.environ, "PYTHONPATH": str(ROOT / "toolkit"), "PYTHONFAULTHANDLER": ""}
FINEMED = [sys.executable, "-m", "finemed"]


def invoke(*arguments: object) -> Result:
    """Runs a command in this process; an unexpected exception is the test's."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit | FineMedError):
        raise result.exception
    return result


def succeed(*arguments: object) -> Result:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result


def finemed(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs the real command in a process of its own."""
    command = [*FINEMED, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=ENV, capture_output=True, text=True, timeout=120, check=False)


def sessions(run: Path) -> list[list[str]]:
    """The stages that each command ran."""
    return [sorted(entry["stages"]) for entry in json.loads((run / "session.json").read_text())["sessions"]]


def copy_demo(folder: Path) -> Path:
    """The demo's inputs without a build; its configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("finemed.yaml", "corpus.jsonl", "hypertension.txt", "benchmark.jsonl"):
        shutil.copy(demo_file(name), folder)
    return folder / "finemed.yaml"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished demo; tests that change it take `copy`."""
    folder = tmp_path_factory.mktemp("cli") / "demo"
    succeed("demo", folder)
    return folder


@pytest.fixture
def copy(demo: Path, tmp_path: Path) -> Path:
    return shutil.copytree(demo, tmp_path / "demo")


# --- init ------------------------------------------------------------------------------------------------------------


def test_init_writes_a_configuration_that_loads(tmp_path: Path) -> None:
    path = tmp_path / "new" / "finemed.yaml"
    result = succeed("init", path)
    assert result.stdout == f"{path}\n"
    assert "finemed build" in result.stderr
    assert path.read_bytes() == demo_file("template.yaml").read_bytes()
    load_config(path)


def test_init_never_overwrites_unless_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "finemed.yaml"
    path.write_text("name: mine\n")
    refused = invoke("init", path)
    assert isinstance(refused.exception, ConfigError)
    assert str(path) in str(refused.exception)
    assert "--force" in str(refused.exception)
    assert (refused.stdout, path.read_text()) == ("", "name: mine\n")
    succeed("init", path, "--force")
    assert path.read_text() != "name: mine\n"


# --- demo and build --------------------------------------------------------------------------------------------------


def test_demo_prints_the_release_and_talks_on_stderr(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    result = succeed("demo", folder)
    assert result.stdout == f"{folder / 'run' / 'release'}\n"
    lines = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in lines[: len(STAGES)]] == list(STAGES)
    told = r": \d+ in, \d+ kept, \d+ dropped, \d+ out \(\d+\.\d s\)$"
    assert all(re.search(told, line) for line in lines[: len(STAGES)])
    assert lines[len(STAGES)].startswith("Dropped at ingest: empty_text 1, ")
    assert re.match(r"Rows: sft \d+, sft_reasoning \d+, dpo \d+, ttt \d+\.", lines[len(STAGES) + 1])
    assert "\x1b" not in result.stderr
    assert (folder / "run" / "release" / "README.md").is_file()


def test_a_second_demo_reuses_everything(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copy / "run" / "release").rglob("*")}
    first, again = succeed("demo", copy), succeed("demo", copy)
    assert (first.stdout, first.stderr) == (again.stdout, again.stderr)
    assert again.stdout == f"{copy / 'run' / 'release'}\n"
    assert re.search(r"^\w+: \d+ in", again.stderr, re.MULTILINE) is None
    assert re.search(r"^Rows: sft \d+, sft_reasoning \d+, dpo \d+, ttt \d+\.", again.stderr, re.MULTILINE)
    assert {path: path.stat().st_mtime_ns for path in (copy / "run" / "release").rglob("*")} == before
    assert sessions(copy / "run") == [sorted(STAGES)]


def test_demo_keeps_what_the_user_changed(copy: Path) -> None:
    config = copy / "finemed.yaml"
    config.write_text(config.read_text().replace("title: FineMed demo", "title: My own"))
    succeed("demo", copy)
    assert "# My own\n" in (copy / "run" / "release" / "README.md").read_text("utf-8")


def test_build_prints_its_outcome_as_json(copy: Path) -> None:
    outcome = json.loads(succeed("build", "-c", copy / "finemed.yaml", "--json").stdout)
    assert set(outcome) == {"run", "release", "configs", "stages"}
    assert outcome["release"] == str(copy / "run" / "release")
    assert [stage["stage"] for stage in outcome["stages"]] == list(STAGES)
    assert outcome["stages"][0]["dropped"]["not_json"] == 1
    assert outcome["configs"]["sft"]["train"] > 50


def test_dry_run_says_what_would_run_and_runs_nothing(tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    text = succeed("build", "-c", config, "--dry-run")
    lines = [line.split(maxsplit=2) for line in text.stdout.splitlines()]
    assert [line[0] for line in lines] == [*STAGES, "card"]
    assert {line[1] for line in lines} == {"run"}
    plain = json.loads(succeed("build", "-c", config, "--dry-run", "--json").stdout)
    assert [(entry["stage"], entry["action"]) for entry in plain["stages"]] == [(line[0], line[1]) for line in lines]
    assert not (tmp_path / "run").exists()


def actions(*arguments: object) -> dict[str, str]:
    plain = json.loads(succeed("build", *arguments, "--dry-run", "--json").stdout)
    return {entry["stage"]: entry["action"] for entry in plain["stages"]}


def test_dry_run_of_a_finished_build(demo: Path) -> None:
    config = demo / "finemed.yaml"
    assert set(actions("-c", config).values()) == {"reuse"}
    changed = actions("-c", config, "--set", "rank.min_score=2")
    assert [name for name, action in changed.items() if action != "reuse"] == ["rank", "split", "card"]
    assert list(actions("-c", config, "--until", "judge")) == list(STAGES[: STAGES.index("judge") + 1])
    again = actions("-c", config, "--from", "rank")
    assert [name for name, action in again.items() if action == "run"] == ["rank", "split", "card"]


def test_until_stops_there_and_prints_the_run(tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    result = succeed("build", "-c", config, "--until", "classify")
    assert result.stdout == f"{tmp_path / 'run'}\n"
    assert sorted(path.name for path in (tmp_path / "run" / "stages").iterdir())[-1] == "05-classify"
    assert not (tmp_path / "run" / "release").exists()
    result = succeed("build", "-c", config)
    assert result.stdout == f"{tmp_path / 'run' / 'release'}\n"
    assert sessions(tmp_path / "run") == [sorted(STAGES[:5]), sorted(STAGES[5:])]


def test_from_runs_that_stage_and_all_after_it(copy: Path) -> None:
    succeed("build", "-c", copy / "finemed.yaml", "--from", "judge_answers")
    assert sessions(copy / "run")[1:] == [["judge_answers", "rank", "split"]]


def test_set_and_run_are_heeded(copy: Path) -> None:
    elsewhere = copy / "elsewhere"
    overrides = ["--set", "sources.0.limit=80", "--set", "split.min_rows={sft: 1, sft_reasoning: 1, dpo: 1, ttt: 1}"]
    result = succeed("build", "-c", copy / "finemed.yaml", "--run", elsewhere, *overrides, "--json")
    outcome = json.loads(result.stdout)
    assert outcome["run"] == str(elsewhere)
    assert outcome["stages"][0]["rows"] == 80 + 1
    assert sessions(copy / "run") == [sorted(STAGES)]


# --- faults ----------------------------------------------------------------------------------------------------------


def fault(code: int, *arguments: object, cwd: Path | None = None) -> str:
    """What a command that must fail says: one message, no traceback, nothing on stdout."""
    done = finemed(*arguments, cwd=cwd)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_config_faults_exit_2_and_are_all_listed(tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    config.write_text(config.read_text() + "filter: {min_wrods: 3}\nroutes: {}\njudge: {backend: gpt}\n")
    told = fault(2, "build", "-c", config, "--set", "seed=often")
    for place in ("`filter.min_wrods`", "`routes`", "`judge.backend`", "`seed`"):
        assert place in told
    assert told.startswith(f"finemed: {config}: ")


def test_a_missing_source_exits_4(tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    (tmp_path / "corpus.jsonl").unlink()
    told = fault(4, "build", "-c", config)
    assert told.startswith("finemed: source `demo`: corpus.jsonl matches no file")
    assert len(told.splitlines()) == 1


def test_wrong_usage_exits_2() -> None:
    assert "No such option" in fault(2, "build", "--untill", "judge")
    assert "No such command" in fault(2, "bild")


@pytest.mark.parametrize("option", ["--until", "--from"])
@pytest.mark.parametrize("dry", [[], ["--dry-run"]], ids=["build", "dry-run"])
def test_an_unknown_stage_is_refused_with_the_list_of_stages(demo: Path, option: str, dry: list[str]) -> None:
    refused = invoke("build", "-c", demo / "finemed.yaml", option, "jduge", *dry)
    assert isinstance(refused.exception, ConfigError)
    assert refused.exception.exit_code == 2
    assert "`jduge`" in str(refused.exception)
    assert ", ".join(STAGES) in str(refused.exception)
    assert refused.stdout == ""


Command = Callable[[Path], list[object]]
REFUSED: dict[str, tuple[int, Command, str]] = {
    "no configuration": (2, lambda folder: ["build", "-c", folder / "no.yaml"], "finemed init"),
    "configuration is no YAML": (2, lambda folder: ["build", "-c", write(folder / "a.yaml", "a: [")], "not YAML"),
    "configuration is a list": (2, lambda folder: ["build", "-c", write(folder / "a.yaml", "- a")], "finemed init"),
    "bad --set": (2, lambda folder: ["build", "-c", copy_demo(folder), "--set", "seed"], "section.key=value"),
    "no benchmark file": (
        4,
        lambda folder: ["build", "-c", copy_demo(folder), "--set", "decontaminate.benchmarks=[no.jsonl]"],
        "decontaminate.benchmarks",
    ),
    "pools cannot be filled": (
        1,
        lambda folder: ["build", "-c", copy_demo(folder), "--set", "split.min_rows={sft: 5000}"],
        "split.min_rows",
    ),
    "status of no run": (4, lambda folder: ["status", folder], "finemed build"),
    "ledger of no run": (4, lambda folder: ["ledger", folder], "finemed build"),
    "damaged manifest": (4, lambda folder: ["status", damaged_run(folder)], "manifest.json"),
    "exists already": (2, lambda folder: ["init", write(folder / "a.yaml", "")], "--force"),
}


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def damaged_run(folder: Path) -> Path:
    (folder / "stages").mkdir()
    write(folder / "manifest.json", "{")
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_every_fault_is_one_message_and_an_exit_code(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, command, hint = REFUSED[name]
    monkeypatch.setattr(sys, "argv", ["finemed", *map(str, command(tmp_path))])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr()
    assert left.value.code == code
    assert told.out == ""
    (message,) = [line for line in told.err.splitlines() if line.startswith("finemed: ")]
    assert hint in told.err.partition(message)[1] + told.err.partition(message)[2]


def test_two_builds_of_one_run_do_not_mix(copy: Path) -> None:
    with (copy / "run" / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another finemed process" in fault(4, "build", "-c", copy / "finemed.yaml")


def test_a_reader_that_goes_away_is_no_traceback(demo: Path) -> None:
    command = " ".join(FINEMED) + f" ledger {demo / 'run'} --limit 0 --json | head -1"
    done = subprocess.run(["bash", "-c", command], env=ENV, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout)["stage"] == "ingest"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


# --- status and ledger -----------------------------------------------------------------------------------------------


def test_status_shows_counts_reasons_and_the_release(demo: Path) -> None:
    text = succeed("status", demo / "run").stdout.splitlines()
    assert text[0].split() == ["stage", "state", "in", "kept", "dropped", "out", "reasons"]
    assert [line.split()[0] for line in text[1:-1]] == list(STAGES)
    assert {line.split()[1] for line in text[1:-1]} == {"done"}
    assert text[1].endswith(
        "empty_text 1, missing_column 1, not_an_object 1, not_json 1, not_utf8 1, repeated_record 1"
    )
    assert text[-1] == f"release: {demo / 'run' / 'release'}"
    plain = json.loads(succeed("status", demo / "run", "--json").stdout)
    assert plain["release"] == str(demo / "run" / "release")
    for line, entry in zip(text[1:-1], plain["stages"], strict=True):
        dropped = sum(entry["dropped"].values())
        assert line.split()[2:6] == [str(n) for n in (entry["rows"], entry["kept"], dropped, entry["rows_out"])]


def test_status_of_an_unfinished_run(tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    succeed("build", "-c", config, "--set", "ingest.shard_rows=40", "--until", "filter")
    (tmp_path / "run" / "stages" / "02-filter" / "stage.json").unlink()
    text = succeed("status", tmp_path / "run").stdout.splitlines()
    assert [line.split()[1] for line in text[1:-1]] == ["done", "partial", *["todo"] * 16]
    assert text[-1] == "release: none yet"


def test_ledger_lists_all_drops_and_filters_them(demo: Path) -> None:
    run = demo / "run"
    whole = pl.read_parquet(run / "ledger.parquet")
    lines = succeed("ledger", run, "--limit", 0).stdout.splitlines()
    assert len(lines) == whole.height
    assert [line.split("\t")[1] for line in lines] == whole["row_id"].to_list()
    spam = succeed("ledger", run, "--reason", "spam").stdout.splitlines()
    assert len(spam) == 6
    assert {tuple(line.split("\t")[::2]) for line in spam} == {("filter", "spam")}
    ingest = succeed("ledger", run, "--stage", "ingest", "--json").stdout.splitlines()
    rows = [json.loads(line) for line in ingest]
    assert {row["stage"] for row in rows} == {"ingest"}
    assert len(rows) == whole.filter(pl.col("stage") == "ingest").height
    assert set(rows[0]) == {"stage", "row_id", "drop_reason", "detail"}
    one = [json.loads(line) for line in succeed("ledger", run, "--id", rows[2]["row_id"], "--json").stdout.splitlines()]
    assert one == [rows[2]]
    assert succeed("ledger", run, "--stage", "ingest", "--reason", "spam").stdout == ""


def test_ledger_says_when_it_shows_a_part(demo: Path) -> None:
    total = pl.read_parquet(demo / "run" / "ledger.parquet").height
    part = succeed("ledger", demo / "run", "--limit", 7)
    assert len(part.stdout.splitlines()) == 7
    assert part.stderr == f"7 of {total} rows shown; --limit 0 shows all\n"
    assert succeed("ledger", demo / "run", "--limit", 0).stderr == ""


def test_ledger_refuses_an_unknown_stage(demo: Path) -> None:
    refused = invoke("ledger", demo / "run", "--stage", "jduge")
    assert isinstance(refused.exception, ConfigError)
    assert ", ".join(STAGES) in str(refused.exception)


# --- help ------------------------------------------------------------------------------------------------------------


def commands(group: click.Group, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and sub-command, as words."""
    context = click.Context(group)
    found = [before]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = (*before, name)
        found += commands(command, inner) if isinstance(command, click.Group) else [inner]
    return found


def test_the_commands_of_this_version() -> None:
    found = {" ".join(words) for words in commands(cli)}
    assert {"", "init", "build", "demo", "status", "ledger", "train", "ttt", "ttt answer"} <= found


@pytest.mark.parametrize("words", commands(cli), ids=lambda words: " ".join(words) or "finemed")
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    program = (
        "import sys\nfrom finemed.cli.main import main\n"
        f"sys.argv = {['finemed', *words, '--help']!r}\n"
        "try:\n    main()\nfinally:\n    print(*sorted(sys.modules), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(f"Usage: {' '.join(['finemed', *words])}")
    loaded = done.stderr.split()
    assert "click" in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.parametrize("words", commands(cli), ids=lambda words: " ".join(words) or "finemed")
def test_help_has_no_mark_of_its_source(words: tuple[str, ...]) -> None:
    shown = succeed(*words, "--help").stdout
    assert "\\b" not in shown
    assert "\b" not in shown
    if words in [("dedup",), ("decontaminate",), ("split",)]:
        examples = [line for line in shown.splitlines() if line.startswith(f"    finemed {words[0]} ")]
        assert len(examples) >= 2


def test_version() -> None:
    assert re.fullmatch(r"finemed, version \d+\.\d+\.\d+\n", finemed("--version").stdout)


# --- a terminal, and Ctrl-C ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration whose stages take long enough to be watched and interrupted."""
    folder = tmp_path_factory.mktemp("long")
    config = copy_demo(folder)
    rows = []
    for line in demo_file("corpus.jsonl").read_bytes().splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and "plant" not in row:
            rows.append(row)
    with (folder / "corpus.jsonl").open("w") as corpus:
        for number in range(20):
            corpus.writelines(json.dumps({**row, "id": f"{number}-{row['id']}"}) + "\n" for row in rows)
    settings = yaml.safe_load(config.read_text())
    settings |= {"ingest": {"shard_rows": 50}, "dedup_passages": {"threshold": 1.0, "ngram_size": 13, "num_bands": 1}}
    config.write_text(yaml.safe_dump(settings))
    return config


def on_a_terminal(command: list[str], *, interrupt_after: str | None = None) -> tuple[int, str]:
    """Runs a command whose stderr is a terminal of 120 columns; its exit code and what the terminal got."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    env = {**ENV, "TERM": "xterm"}
    process = subprocess.Popen(command, env=env, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 0.1)
        try:
            seen += os.read(ours, 65536) if ready else b""
        except OSError:  # the other side is closed
            break
        if interrupt_after and interrupt_after in seen.decode("utf-8", "replace"):
            process.send_signal(signal.SIGINT)
            interrupt_after = None
    os.close(ours)
    return process.wait(60), seen.decode("utf-8", "replace")


def test_a_terminal_gets_bars_with_a_rate(long_build: Path, tmp_path: Path) -> None:
    command = [*FINEMED, "build", "-c", str(long_build), "--run", str(tmp_path / "run"), "--until", "filter"]
    code, seen = on_a_terminal(command)
    assert code == 0
    assert "━" in seen
    assert re.search(r"filter .*\d+%.* [\d,]+ rows/s .*\d:\d\d:\d\d", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", seen))
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", seen).replace("\r", "\n").splitlines()]
    assert [line.split()[0] for line in lines if re.search(r" in, .* out +[\d.]+ s$", line)] == [
        "ingest",
        "filter",
    ]


def test_an_interrupted_terminal_gets_its_cursor_back(long_build: Path, tmp_path: Path) -> None:
    command = [*FINEMED, "build", "-c", str(long_build), "--run", str(tmp_path / "run")]
    code, seen = on_a_terminal(command, interrupt_after="rows/s")
    assert code == 130
    assert "interrupted" in seen
    assert seen.rfind("\x1b[?25h") > seen.rfind("\x1b[?25l") > -1


def test_ctrl_c_exits_130_with_one_line_and_the_next_run_goes_on(long_build: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [*FINEMED, "build", "-c", str(long_build), "--run", str(run), "--until", "filter"]
    process = subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list((run / "stages" / "01-ingest").glob("kept-*.parquet"))) >= 3)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert told.splitlines()[-1] == "finemed: interrupted; run the same command again to go on"
    assert told.count("finemed:") == 1
    assert "Traceback" not in told
    written = {path.name.removeprefix("kept-") for path in (run / "stages" / "01-ingest").glob("kept-*.parquet")}
    whole = [path for path in (run / "stages").rglob("*.parquet") if path.name.split("-", 1)[1] in written]
    kept = {path: path.stat().st_mtime_ns for path in whole}  # the shard that the signal cut short is made again
    assert len(kept) >= 6
    assert not (run / "stages" / "02-filter" / "stage.json").exists()
    assert finemed(*command[3:]).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)
