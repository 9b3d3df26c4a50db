"""Named pipes, sockets, devices, folders and dead links where our files should be: refused or made again, at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from published import published, rows_of
from test_cli import finemed, invoke

from finemed.errors import FineMedError
from finemed.publish.checks.validate import validate
from finemed.store.atomic import NoFileError, kind_of, open_plain, plain, replace_folder, write_atomic
from finemed.store.journal import Journal
from finemed.store.salvage import salvage

PATIENCE_S = 100


@pytest.fixture(autouse=True)
def not_forever() -> Iterator[None]:
    """Ends a test that waits for a pipe."""

    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still waiting after {PATIENCE_S} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listener(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's address is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def dead_link(path: Path) -> None:
    path.symlink_to("nowhere")


def folder_link(path: Path) -> None:
    path.symlink_to("/")


OF_A_RUN = (
    "stages/02-filter/kept-00000.parquet",
    "stages/01-ingest/stage.json",
    "stages/02-filter/begun.json",
    "stages/02-filter/mark-00000.json",
    "manifest.json",
    "session.json",
    "ledger.parquet",
    "release/README.md",
    "release/data/sft/train.parquet",
)
UNREAD = ("session.json", "stages/02-filter/mark-00000.json", "stages/02-filter/begun.json")
"""Nothing of a finished run rests on these."""
KINDS = {"a named pipe": pipe, "a socket": listener, "a device": device}


def instead(path: Path, make: Callable[[Path], None]) -> None:
    """Puts something else in the place of a file."""
    path.unlink(missing_ok=True)
    make(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A demo with its run, and what was published of a part of it."""
    folder = tmp_path_factory.mktemp("special")
    assert invoke("demo", folder / "demo").exit_code == 0
    published(folder / "part")
    return folder


@pytest.fixture
def demo(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished / "demo", tmp_path / "demo")


@pytest.fixture
def release(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished / "part" / "releases", tmp_path / "releases") / "1.0.0"


def message(*arguments: object) -> str:
    """The message of a command that ends with 4."""
    result = invoke(*arguments)
    assert isinstance(result.exception, FineMedError), result.output
    assert result.exception.exit_code == 4
    return str(result.exception)


# --- the one place ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "make"), KINDS.items())
def test_only_regular_files_are_opened(kind: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "file"
    make(path)
    assert kind_of(path) == kind
    for opened in (open_plain, plain):
        with pytest.raises(NoFileError, match=f"it is {kind}, no file"):
            opened(path)


def test_links_are_followed_and_dead_ones_are_missing(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(b"here")
    (tmp_path / "link").symlink_to("there")
    with open_plain(tmp_path / "link") as file:
        assert file.read() == b"here"
    dead_link(tmp_path / "dead")
    assert kind_of(tmp_path / "dead") is None
    with pytest.raises(FileNotFoundError):
        open_plain(tmp_path / "dead")


def test_a_pipe_in_the_place_of_a_temporary_file_is_removed(tmp_path: Path) -> None:
    pipe(tmp_path / "x.json.tmp")
    write_atomic(tmp_path / "x.json", b"{}")
    assert (tmp_path / "x.json").read_bytes() == b"{}"


def test_a_folder_takes_the_place_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    for number, target in enumerate(("kept", "nowhere")):
        (tmp_path / f"new{number}").mkdir()
        (tmp_path / "link").symlink_to(target)
        replace_folder(tmp_path / f"new{number}", tmp_path / "link")
        (tmp_path / "link").rmdir()
    assert (tmp_path / "kept" / "file").exists()


# --- runs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "make"),
    [
        *((name, pipe) for name in OF_A_RUN),
        *((name, make) for name in OF_A_RUN[:1] for make in (listener, device, dead_link, folder_link)),
        *((name, make) for name in OF_A_RUN[-1:] for make in (listener, device, dead_link, folder_link)),
    ],
)
def test_what_a_build_can_make_again_is_made_again(name: str, make: Callable[[Path], None], demo: Path) -> None:
    path = demo / "run" / name
    whole = path.read_bytes()
    instead(path, make)
    result = invoke("build", "-c", demo / "finemed.yaml")
    assert result.exit_code == 0, (result.output, result.exception)
    if name not in UNREAD:
        assert path.read_bytes() == whole


@pytest.mark.parametrize("name", ["release/manifest.json", ".lock", "backfill.json", "journal.sqlite"])
def test_what_a_build_cannot_make_again_is_named(name: str, demo: Path) -> None:
    instead(demo / "run" / name, pipe)
    command = ("build", "-c", demo / "finemed.yaml") if name != "journal.sqlite" else ("journal", "stats", demo / "run")
    said = message(*command)
    assert str(demo / "run" / name) in said
    assert "a named pipe" in said


@pytest.mark.parametrize("command", ["status", "ledger", "coverage"])
@pytest.mark.parametrize("name", ["stages/02-filter/stage.json", "manifest.json"])
def test_commands_about_a_run_end_at_once(command: str, name: str, demo: Path) -> None:
    instead(demo / "run" / name, pipe)
    result = invoke(command, demo / "run")
    assert result.exit_code == 0 or "a named pipe" in str(result.exception)


@pytest.mark.parametrize("end", ["", "-wal", "-shm", "-journal"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_journal_that_is_no_file(end: str, kind: str, tmp_path: Path) -> None:
    if end:
        Journal(tmp_path / "journal.sqlite").close()
    instead(tmp_path / f"journal.sqlite{end}", KINDS[kind])
    for opened in (Journal.of, salvage):
        with pytest.raises(FineMedError, match=f"journal.sqlite{end}: is {kind}"):
            opened(tmp_path)


# --- indexes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["index.json", "segment-00001.parquet", ".lock"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_dedup_index(name: str, kind: str, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "a", "text": "Aspirin is given with food."}) + "\n")
    command = ("dedup", rows, "--index", tmp_path / "index")
    assert invoke(*command).exit_code == 0
    instead(tmp_path / "index" / name, KINDS[kind])
    rows.write_text(json.dumps({"id": "b", "text": "Insulin is kept in the fridge."}) + "\n")
    for given in (command, (*command, "--rebuild-index")):
        result = invoke(*given)
        said = str(result.exception)
        assert name in said or result.exit_code == 0
        assert result.exit_code == 0 or kind in said or name.startswith("segment")
    assert "holds index.json and no index.json" not in str(invoke(*command).exception)


# --- releases and versions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "name",
    ["manifest.json", "README.md", "data/sft/train.parquet", "plots/funnel.png", "extra.bin", "data/sft/x.parquet"],
)
def test_a_release_with_what_is_no_file_breaks_the_rule_files(name: str, kind: str, release: Path) -> None:
    assert name in ("extra.bin", "data/sft/x.parquet") or (release / name).is_file()
    instead(release / name, KINDS[kind])
    report = validate(release)
    assert report.kind == "release"
    named = [str(fault) for fault in report.faults if fault.rule == "files" and fault.place == name]
    assert named
    assert kind in named[0]
    assert report.results()["ids"].state == "not_checked"


@pytest.mark.parametrize("make", [dead_link, folder_link])
@pytest.mark.parametrize(
    "name", ["manifest.json", "README.md", "data/sft/train.parquet", "plots/funnel.png", "extra.bin", "croissant.json"]
)
def test_a_release_with_a_link(name: str, make: Callable[[Path], None], release: Path) -> None:
    instead(release / name, make)
    report = validate(release)
    assert [fault.place for fault in report.faults if fault.rule == "files"][:1] == [name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["manifest.json", "data/sft/train.parquet", "tombstones.jsonl"])
def test_a_target_with_such_a_version(name: str, kind: str, release: Path, finished: Path) -> None:
    instead(release / name, KINDS[kind])
    if name == "tombstones.jsonl":
        return
    listed = invoke("versions", "list", release.parent)
    assert kind in listed.stderr + str(listed.exception)
    run = finished / "part" / "run"
    result = invoke("publish", run, "--to", release.parent)
    assert result.exit_code != 0
    assert kind in str(result.exception)
    for command in (("versions", "diff", release, release), ("retract", release.parent, "--id", "x", "--reason", "y")):
        invoke(*command)


def test_publishing_what_holds_a_pipe(release: Path, tmp_path: Path) -> None:
    instead(release / "data/sft/train.parquet", pipe)
    said = message("publish", release, "--to", tmp_path / "out")
    assert "a file is missing, changed or not of the build" in said
    assert not (tmp_path / "out" / "1.0.0").exists()


def test_the_lock_of_a_target(release: Path, finished: Path) -> None:
    instead(release.parent / ".lock", pipe)
    said = message(
        "retract",
        "--to",
        release.parent,
        "--id",
        rows_of(release, "sft", "train")[0]["instruction_id"],
        "--reason",
        "withdrawn",
    )
    assert ".lock" in said


def test_a_previous_release_with_a_pipe(release: Path, finished: Path) -> None:
    before = shutil.copytree(release, release.parent / "before")
    instead(before / "data/sft/train.parquet", pipe)
    done = finemed("validate", release, "--previous", before)
    assert done.returncode in (0, 1, 4)
