"""The command and what stands around it: readers that stop, full disks, closed streams, encodings, Ctrl-C."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from test_cli import ENV, FINEMED, ROOT, commands, copy_demo

from finemed.cli.main import cli

QUIET = {key: value for key, value in ENV.items() if key != "PYTHONUNBUFFERED"}


def run(*arguments: object, stdout: Any = subprocess.PIPE, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [*FINEMED, *map(str, arguments)]
    settings = {"stderr": subprocess.PIPE, "env": QUIET, "timeout": 120, **settings}
    return subprocess.run(command, stdout=stdout, check=False, text=True, errors="surrogateescape", **settings)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("streams") / "demo"
    assert run("demo", folder).returncode == 0
    assert run("publish", folder / "run", "--to", folder / "out").returncode == 0
    return folder


@pytest.fixture
def gone() -> Any:
    """A pipe whose reader is gone before the command starts."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


# --- a reader that stops, a disk that is full ------------------------------------------------------------------------


@pytest.mark.parametrize("words", commands(cli), ids=lambda words: " ".join(words) or "finemed")
def test_a_reader_that_is_gone_is_no_error(words: tuple[str, ...], gone: int) -> None:
    done = run(*words, "--help", stdout=gone)
    assert (done.returncode, done.stderr) == (0, "")


PRINTING = {
    "ledger": lambda d: ["ledger", d / "run", "--limit", 0],
    "status": lambda d: ["status", d / "run"],
    "status --json": lambda d: ["status", d / "run", "--json"],
    "validate": lambda d: ["validate", d / "out" / "1.0.0"],
    "versions list": lambda d: ["versions", "list", d / "out"],
    "build --dry-run": lambda d: ["build", "-c", d / "finemed.yaml", "--dry-run"],
    "coverage": lambda d: ["coverage", d / "run"],
    "filter": lambda d: ["filter", d / "run"],
}


@pytest.mark.parametrize("name", PRINTING)
def test_commands_that_print_end_quietly(name: str, demo: Path, gone: int) -> None:
    unbuffered = "1" if name == "ledger" else ""
    done = run(*PRINTING[name](demo), stdout=gone, env={**QUIET, "PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, done.stderr) == (0, "")


def test_the_head_of_a_ledger_in_a_real_pipe(demo: Path) -> None:
    script = f'{" ".join(FINEMED)} ledger "{demo / "run"}" --limit 0 | head -1; echo "${{PIPESTATUS[@]}}"'
    done = subprocess.run(["bash", "-c", script], env=QUIET, capture_output=True, text=True, check=True)
    line, codes = done.stdout.splitlines()
    assert line.count("\t") == 3
    assert (codes, done.stderr) == ("0 0", "")


def test_who_closes_stderr_does_not_stop_a_build(tmp_path: Path, gone: int) -> None:
    done = run("build", "-c", copy_demo(tmp_path), "--until", "filter", stderr=gone)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'run'}\n")
    assert (tmp_path / "run" / "stages" / "02-filter" / "stage.json").exists()


def test_a_finding_stays_one_whoever_reads_it(tmp_path: Path, gone: int) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"prompt": "What is gout?", "completion": ""}\n')
    assert run("validate", path).returncode == 1
    assert run("validate", path, "--json", stderr=gone).returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(("name", "unbuffered"), [*((name, "") for name in PRINTING), ("ledger", "1")])
def test_a_full_disk_behind_stdout_is_a_fault_with_a_message(name: str, unbuffered: str, demo: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = run(*PRINTING[name](demo), stdout=full, env={**QUIET, "PYTHONUNBUFFERED": unbuffered})
    assert done.returncode == 4
    assert done.stderr.startswith("finemed: stdout: No space left on device")
    assert len(done.stderr.splitlines()) == 1


# --- closed streams, an odd environment ------------------------------------------------------------------------------


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing_else(closed: str, tmp_path: Path) -> None:
    path = tmp_path / "finemed.yaml"
    done = subprocess.run(["bash", "-c", f'{" ".join(FINEMED)} init "{path}" {closed}'], env=QUIET, check=False)
    assert done.returncode == 0
    assert path.read_text("utf-8").startswith("#")


@pytest.mark.parametrize(
    "more", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_an_encoding_without_the_character_gets_its_escape(more: dict[str, str], tmp_path: Path) -> None:
    done = run("init", tmp_path / "µ→ε.yaml", env={**QUIET, **more})
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0)
    assert done.stdout.startswith(str(tmp_path))


def test_a_name_that_is_no_unicode_is_printed_as_its_bytes(tmp_path: Path) -> None:
    name = os.fsdecode(b"bad\xff.yaml")
    done = run("init", tmp_path / name)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / name}\n")
    refused = run("init", tmp_path / name)
    assert refused.returncode == 2
    assert "exists already" in refused.stderr


def test_a_terminal_gets_no_mark_that_steers_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    done = run("init", tmp_path / "a\x1b[2J\x9b.yaml", stdout=theirs)
    assert select.select([ours], [], [], 10)[0], done.stderr
    shown = os.read(ours, 65536)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0
    assert b"\x1b" not in shown
    assert b"a\xef\xbf\xbd[2J" in shown
    assert "\x1b" not in run("status", tmp_path / "\x1b[2J").stderr
    assert "\x1b" not in run("status", "--\x1b[2J").stderr


def test_without_a_home(demo: Path) -> None:
    bare = {key: value for key, value in QUIET.items() if key != "HOME"}
    assert run("status", demo / "run", env=bare).returncode == 0
    assert run("status", demo / "run", env={**bare, "HOME": "/nonexistent"}).returncode == 0


@pytest.mark.parametrize("words", [["demo"], ["build"], ["status"], ["init"], ["dedup", "a.jsonl"], ["validate", "a"]])
def test_the_current_folder_is_gone(words: list[str], tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    script = f'rmdir "{inside}"; exec {" ".join(FINEMED)} {" ".join(words)}'
    done = subprocess.run(["bash", "-c", script], cwd=inside, env=QUIET, capture_output=True, text=True, check=False)
    assert done.returncode in (2, 4), done.stderr
    assert "Traceback" not in done.stderr
    assert "fault of FineMed's" not in done.stderr


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------

AT_IMPORT = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.parametrize(
    "module",
    [
        "finemed.cli.main",
        "click.core",
        "finemed.errors",
        "finemed.cli.status",
        "polars",
        "numpy",
        "finemed.store.shards",
    ],
)
def test_ctrl_c_while_modules_are_imported(module: str, tmp_path: Path, demo: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_IMPORT)
    paths = os.pathsep.join([str(tmp_path), str(ROOT / "toolkit")])
    done = run("status", demo / "run", env={**QUIET, "PYTHONPATH": paths, "INTERRUPT_AT": module})
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "finemed: interrupted; run the same command again to go on\n"


def test_an_error_that_a_library_made_of_ctrl_c_is_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from finemed.cli.main import main

    def broken(*_: Any, **__: Any) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as pressed:
            raise RuntimeError("a callback failed") from pressed

    monkeypatch.setattr(cli, "main", broken)
    monkeypatch.setattr(sys, "argv", ["finemed", "status"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 130
    assert capsys.readouterr().err == "finemed: interrupted; run the same command again to go on\n"


def test_an_unexpected_end_of_a_file_is_no_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import finemed.publish.inspect.status as module
    from finemed.cli.main import main

    def broken(_: Path) -> None:
        raise EOFError("compressed file ended before its end")

    monkeypatch.setattr(module, "read_status", broken)
    monkeypatch.setattr(sys, "argv", ["finemed", "status"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 5
    assert "EOFError" in capsys.readouterr().err
