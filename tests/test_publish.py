"""A run becomes a version: the right one, whole, the same each time, and nothing that was retracted comes back."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from releases import DAY, build, build_small, contents, drop_column, manifest_of, put, rows_of

from finemed.cli.main import cli
from finemed.errors import ConfigError, InputError, PublishError, StoreError
from finemed.publish.checks.validate import validate
from finemed.publish.targets.target import open_target
from finemed.publish.versions.changelog import day, entry, prepend
from finemed.publish.versions.diff import diff
from finemed.publish.versions.folder import ReleaseFolder
from finemed.publish.versions.history import list_versions
from finemed.publish.versions.publish import default_target, publish, release_of
from finemed.publish.versions.retract import retract
from finemed.publish.versions.version import Version
from finemed.store.atomic import file_hash
from finemed.store.sealed import write_sealed


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the demo without its guide."""
    return build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, published: Path) -> Path:
    """A run of the whole demo, its splits held against 1.0.0."""
    return build(tmp_path_factory.mktemp("whole"), previous=published)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    """A folder with 1.0.0; tests that add to it take a copy."""
    folder = tmp_path_factory.mktemp("published") / "releases"
    put(small, folder)
    return folder


@pytest.fixture(scope="module")
def published_twice(tmp_path_factory: pytest.TempPathFactory, published: Path, whole: Path) -> Path:
    """A folder with 1.0.0 and 1.1.0."""
    folder = shutil.copytree(published, tmp_path_factory.mktemp("twice") / "releases")
    put(whole, folder)
    return folder


@pytest.fixture
def releases(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "releases")


@pytest.fixture
def both(published_twice: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published_twice, tmp_path / "releases")


def finemed(*arguments: str | Path) -> Result:
    """Runs a command in this process; an error raised on purpose comes out as it is."""
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


# --- the way of a dataset --------------------------------------------------------------------------------------------

LOADER = """
import json, sys
from datasets import load_dataset
print(json.dumps({
    name: {split: [row["id"] for row in rows] for split, rows in load_dataset(sys.argv[1], name).items()}
    for name in sys.argv[2:]
}))
"""


def loaded(release: Path, home: Path) -> dict[str, dict[str, list[str]]]:
    """Ids by config and split, as `datasets` loads them."""
    env = {**os.environ, "HF_HOME": str(home), "HF_DATASETS_CACHE": str(home / "datasets"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOADER, str(release), *manifest_of(release)["configs"]]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, list[str]]] = json.loads(done.stdout)
    return found


def check_diff(old: Path, new: Path) -> None:
    """Compares `diff` with a recount in plain Python."""
    found = diff(old, new)
    before, after = rows_of(old), rows_of(new)
    assert found.configs.keys() == before.keys() | after.keys()
    for config, told in found.configs.items():
        left, right = before.get(config, {}), after.get(config, {})
        shared = left.keys() & right.keys()
        same = {name for id_ in shared for name in left[id_].keys() & right[id_].keys()}
        columns = Counter(name for id_ in shared for name in same if left[id_][name] != right[id_][name])
        assert (told.added, told.removed) == (len(right.keys() - shared), len(left.keys() - shared))
        assert told.changed_columns == columns
        assert told.changed == sum(any(left[id_][name] != right[id_][name] for name in same) for id_ in shared)


def test_a_dataset_goes_from_1_0_0_over_a_retraction_to_2_0_0(small: Path, whole: Path, tmp_path: Path) -> None:
    to = tmp_path / "releases"
    target = open_target(str(to))
    assert (str(put(small, to).version), put(small, to).version) == ("1.0.0", None)

    second = put(whole, to, message="The guide added.")
    assert (str(second.version), second.change, second.ref) == ("1.1.0", "minor", str(to / "1.1.0"))

    document = next(iter(rows_of(to / "1.1.0")["dpo"].values()))["document_id"]
    third = retract(target, ids=[document], reason="a patient is named", date=DAY)
    assert str(third.publication.version) == "1.1.1"
    taken = third.publication.taken_out

    for version in ("1.0.0", "1.1.0", "1.1.1"):  # an older toolkit, whose rows had no `rationale`
        drop_column(to / version, "rationale")
    before = {version: contents(to / version) for version in ("1.0.0", "1.1.0", "1.1.1")}
    with pytest.raises(ConfigError, match=r"the change since 1.1.1 is major .*column `rationale` .* version is 2.0.0"):
        put(whole, to, version="1.2.0")
    fourth = put(whole, to)
    assert (str(fourth.version), fourth.change, fourth.taken_out) == ("2.0.0", "major", taken)

    assert {version: contents(to / version) for version in before} == before, "what is out never changes"
    gone = {
        row["id"] for rows in rows_of(to / "1.1.0").values() for row in rows.values() if row["document_id"] == document
    }
    assert gone
    for version in ("1.1.1", "2.0.0"):
        left = {row["id"] for rows in rows_of(to / version).values() for row in rows.values()}
        assert not left & gone
    assert sum(taken.values()) == sum(
        row["document_id"] == document for rows in rows_of(to / "1.1.0").values() for row in rows.values()
    )
    names = ["1.0.0", "1.1.0", "1.1.1", "2.0.0"]
    assert [held["version"] for held in list_versions(target)[0]] == names
    for old, new in pairwise(names):
        check_diff(to / old, to / new)
    for version in names:
        rows = {config: list(by_id) for config, by_id in rows_of(to / version).items()}
        found = loaded(to / version, tmp_path / "home")
        assert {config: [*splits] for config, splits in found.items()} == {
            config: [*splits] for config, splits in ReleaseFolder.open(to / version).data.items()
        }
        assert {config: sorted(chain(*splits.values())) for config, splits in found.items()} == {
            config: sorted(ids) for config, ids in rows.items()
        }
    log = (to / "2.0.0" / "CHANGELOG.md").read_text("utf-8")
    assert re.findall(r"^## (\S+) \((\S+)\)$", log, flags=re.MULTILINE) == [(name, DAY) for name in reversed(names)]
    assert "The guide added." in log
    assert "column `rationale` added (string)" in log
    parents = [manifest_of(to / name)["parent"] for name in names]
    assert [parent and parent["version"] for parent in parents] == [None, *names[:-1]]
    assert manifest_of(to / "2.0.0")["retracted"]["rows"] == {"dpo": 1, "sft_reasoning": 1}


def test_the_command_itself_turns_a_refusal_into_an_exit_code(small: Path, tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "toolkit"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "finemed", "publish", str(small), "--to", str(tmp_path), "--date", "no"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "finemed: `--date` is 'no', not a date such as 2026-11-20\n"


def test_a_published_release_is_whole_valid_and_says_what_it_is(releases: Path, small: Path) -> None:
    folder = releases / "1.0.0"
    manifest = manifest_of(folder)
    assert (manifest["version"], manifest["parent"], manifest["date"]) == ("1.0.0", None, DAY)
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"manifest.json"}
    assert manifest["files"] == {name: file_hash(folder / name) for name in names}
    assert {"README.md", "CHANGELOG.md", "croissant.json", "ledger.parquet", "data/sft/train.parquet"} <= names
    assert set(manifest["plots"]) == {name for name in names if name.startswith("plots/")} != set()
    assert validate(folder).faults == []
    assert rows_of(folder) == rows_of(small / "release")
    card = (folder / "README.md").read_text("utf-8")
    assert "1.0.0" in card
    assert "First release." in card


# --- equal, unchanged, untouched -------------------------------------------------------------------------------------


def test_equal_runs_and_days_give_equal_bytes_and_the_run_stays_as_it_was(
    published: Path, small: Path, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(small.rglob("*"))}
    put(small, tmp_path / "again")
    assert contents(tmp_path / "again" / "1.0.0") == contents(published / "1.0.0")
    assert {path: path.stat().st_mtime_ns for path in sorted(small.rglob("*"))} == before
    published_file = tmp_path / "again" / "1.0.0" / "data" / "sft" / "train.parquet"
    assert published_file.stat().st_ino != (small / "release" / "data" / "sft" / "train.parquet").stat().st_ino


def test_unchanged_content_makes_no_version_on_any_day(releases: Path, small: Path) -> None:
    before = contents(releases)
    done = put(small, releases, date="2027-01-01", message="Nothing new.", version="3.0.0")
    assert (done.version, done.change, done.ref) == (None, "none", None)
    assert contents(releases) == before


def test_a_changed_card_alone_is_a_patch(releases: Path, small: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    manifest = manifest_of(run / "release")
    manifest["card"]["contact"] = "curator@example.org"
    (run / "release" / "manifest.json").write_text(json.dumps(manifest))
    done = put(run, releases)
    assert (str(done.version), done.change) == ("1.0.1", "patch")
    assert done.entry == f"## 1.0.1 ({DAY})\n\n- Beside the rows: `card`\n"
    assert "curator" in (releases / "1.0.1" / "README.md").read_text("utf-8")
    assert "First release." in (releases / "1.0.1" / "CHANGELOG.md").read_text("utf-8")


def test_a_published_version_can_go_to_another_target_with_its_tombstones(releases: Path, tmp_path: Path) -> None:
    row = next(iter(rows_of(releases / "1.0.0")["sft"]))
    retract(open_target(str(releases)), ids=[row], reason="wrong", date=DAY)
    done = publish(releases / "1.0.1", open_target(str(tmp_path / "other")), date=DAY)
    assert (str(done.version), done.taken_out) == ("1.0.0", {})
    stones = (tmp_path / "other" / "1.0.0" / "tombstones.jsonl").read_text()
    assert stones == (releases / "1.0.1" / "tombstones.jsonl").read_text()


# --- dry run ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_shows_everything_and_writes_nothing(releases: Path, whole: Path) -> None:
    before = contents(releases.parent)
    done = finemed("publish", whole, "--to", releases, "--date", DAY, "--dry-run")
    assert done.stdout.startswith(f"version 1.1.0, after 1.0.0\n\n## 1.1.0 ({DAY})\n")
    assert re.search(r"^add +data/sft/train\.parquet +[\d,]+ bytes$", done.stdout, flags=re.MULTILINE)
    assert "\n---\npretty_name:" in done.stdout
    assert "Would publish 1.1.0" in done.stderr
    assert contents(releases.parent) == before
    assert [path.name for path in releases.iterdir() if not path.name.startswith(".")] == ["1.0.0"]
    assert finemed("publish", whole, "--to", releases, "--date", DAY).stdout == f"{releases / '1.1.0'}\n"
    assert (releases / "1.1.0" / "README.md").read_text("utf-8") in done.stdout


def test_a_dry_run_as_json_tells_version_diff_and_files(releases: Path, whole: Path) -> None:
    done = finemed("publish", whole, "--to", releases, "--date", DAY, "--dry-run", "--json")
    told = json.loads(done.stdout)
    assert (told["version"], told["parent"], told["change"], told["ref"]) == ("1.1.0", "1.0.0", "minor", None)
    assert told["diff"]["configs"]["sft"]["added"] > 0
    assert {"name", "bytes", "action"} == set(told["files"][0])


# --- refused ---------------------------------------------------------------------------------------------------------


def test_a_damaged_or_missing_release_is_refused(releases: Path, small: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    (run / "release" / "data" / "sft" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(
        StoreError, match=r"release: a file is missing, changed or not of the build; run `finemed build`"
    ):
        put(run, releases)
    shutil.rmtree(run / "release")
    with pytest.raises(InputError, match=r"run: the run has no release yet; run `finemed build` to its end"):
        release_of(run)
    with pytest.raises(InputError, match=r"nothing: holds no release"):
        release_of(tmp_path / "nothing")


def test_a_release_of_earlier_settings_than_its_run_is_refused(small: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    manifest = {key: value for key, value in manifest_of(run).items() if key != "checksum"}
    manifest["stages"][0]["fingerprint"] = "another"
    write_sealed(run / "manifest.json", manifest)
    with pytest.raises(StoreError, match=r"of earlier settings or inputs\); run `finemed build`, then publish"):
        release_of(run)
    assert release_of(small) == small / "release"


def test_a_release_that_breaks_the_contract_is_not_published(releases: Path, small: Path, tmp_path: Path) -> None:
    run = shutil.copytree(small, tmp_path / "run")
    path = run / "release" / "data" / "sft" / "train.parquet"
    rows = pq.read_table(path)
    at = rows.schema.get_field_index("quality")
    pq.write_table(rows.set_column(at, "quality", pa.array([99, *rows["quality"].to_pylist()[1:]])), path)
    manifest = manifest_of(run / "release")
    manifest["files"]["data/sft/train.parquet"] = file_hash(path)
    (run / "release" / "manifest.json").write_text(json.dumps(manifest))
    before = contents(releases)
    with pytest.raises(PublishError, match=r"breaks its contract; nothing was published:\n(.*\n)*sft/train:1.*99"):
        put(run, releases)
    assert contents(releases) == before


def test_versions_and_dates_that_do_not_do_are_refused_at_once(releases: Path, whole: Path) -> None:
    for arguments, expected in (
        (("--version", "1.0.1"), "the change since 1.0.0 is minor"),
        (("--version", "0.1.0"), "not above 1.0.0"),
        (("--version", "next"), "not of the form"),
        (("--date", "20.11.2026"), "not a date such as 2026-11-20"),
    ):
        with pytest.raises(ConfigError, match=expected):
            finemed("publish", whole, "--to", releases, *arguments)
    assert [path.name for path in releases.iterdir() if not path.name.startswith(".")] == ["1.0.0"]


def test_the_last_version_damaged_stops_the_next_one(releases: Path, whole: Path) -> None:
    (releases / "1.0.0" / "data" / "sft" / "train.parquet").write_bytes(b"PAR1")
    with pytest.raises(PublishError, match=r"1.0.0/data/sft/train.parquet: changed"):
        put(whole, releases)


# --- commands --------------------------------------------------------------------------------------------------------


def test_the_default_target_lies_beside_the_run(tmp_path: Path) -> None:
    (tmp_path / "run" / "stages").mkdir(parents=True)
    assert (
        default_target(tmp_path / "run") == default_target(tmp_path / "run" / "release") == str(tmp_path / "releases")
    )
    assert default_target(tmp_path / "copied") == str(tmp_path / "releases")


def test_versions_are_listed_shown_and_compared_on_the_command_line(published_twice: Path, whole: Path) -> None:
    releases = published_twice
    listed = json.loads(finemed("versions", "list", releases, "--json").stdout)
    assert [held["version"] for held in listed] == ["1.0.0", "1.1.0"]
    assert finemed("versions", "list", releases).stdout.count("\n") == 2

    shown = json.loads(finemed("versions", "show", releases, "v1.1.0", "--json").stdout)
    assert (shown["version"], shown["date"], shown["parent"]["version"]) == ("1.1.0", DAY, "1.0.0")
    assert shown["rows"] == manifest_of(releases / "1.1.0")["configs"]
    assert {source["source"] for source in shown["sources"]} == {"demo", "demo-guide"}
    assert (shown["tombstones"], "questions" in shown["models"]) == (0, True)
    assert "source demo-guide: CC0-1.0" in finemed("versions", "show", releases, "1.1.0").stdout

    found = finemed("versions", "diff", releases, "1.0.0", "1.1.0")
    assert found.stdout.startswith("change: minor\n- `sft`: ")
    assert "Source demo-guide" in found.stdout
    folders = finemed("versions", "diff", releases / "1.0.0", whole / "release")
    rows = [line for line in found.stdout.splitlines() if line.startswith("- `")]
    assert rows == [line for line in folders.stdout.splitlines() if line.startswith("- `")]
    assert json.loads(finemed("versions", "diff", releases, "1.1.0", "1.0.0", "--json").stdout)["change"] == "minor"


def test_absent_and_damaged_versions_are_told(both: Path, tmp_path: Path) -> None:
    with pytest.raises(PublishError, match=r"there is no such version; there are 1.0.0, 1.1.0"):
        finemed("versions", "show", both, "7.0.0")
    done = finemed("versions", "list", tmp_path / "nowhere")
    assert (done.stdout, "no version is published there" in done.stderr) == ("", True)
    (both / "1.0.0" / "manifest.json").write_text("{")
    done = CliRunner().invoke(cli, ["versions", "list", str(both)])
    assert done.stdout.split()[0] == "1.1.0", "what is sound is listed all the same"
    assert (done.exit_code, "1.0.0/manifest.json: damaged" in done.stderr) == (1, True)


def test_words_of_a_manifest_cannot_steer_the_terminal(releases: Path) -> None:
    manifest: dict[str, Any] = manifest_of(releases / "1.0.0")
    manifest["figures"]["licences"][0]["source"] = "evil\x1b[2J\x07"
    (releases / "1.0.0" / "manifest.json").write_text(json.dumps(manifest))
    done = finemed("versions", "show", releases, "1.0.0")
    assert "evil\ufffd[2J\ufffd" in done.stdout
    assert "\x1b" not in done.stdout


# --- the changelog ---------------------------------------------------------------------------------------------------


def test_a_new_entry_stands_above_the_earlier_ones_which_stay_to_the_letter() -> None:
    one = prepend("## 1.0.0 (2026-11-20)\n\nFirst.\n", "")
    two = prepend("## 1.1.0 (2026-11-21)\n\nSecond.\n", one)
    assert two == "# Changelog\n\n## 1.1.0 (2026-11-21)\n\nSecond.\n\n## 1.0.0 (2026-11-20)\n\nFirst.\n"
    assert prepend("## 2.0.0 (2026-11-22)\n", two).endswith(two.removeprefix("# Changelog\n"))


def test_the_message_is_escaped() -> None:
    message = "# Not a *heading*\n\n## 9.9.9 (2026-01-01)\n<script>alert(1)</script>"
    told = entry(Version(1, 0, 0), DAY, "- `sft`: 1 added\n", message=message)
    assert told.split("\n") == [
        "## 1.0.0 (2026-11-20)",
        "",
        "\\# Not a \\*heading\\* \\#\\# 9.9.9 \\(2026\\-01\\-01\\) &lt;script\\>alert\\(1\\)&lt;/script\\>",
        "",
        "- `sft`: 1 added",
        "",
    ]


def test_a_date_is_checked_and_defaults_to_today() -> None:
    assert day("2026-02-28") == "2026-02-28"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", day(None))
    for text in ("2026-02-30", "20260228", "2026-2-28", "today", ""):
        with pytest.raises(ConfigError, match="not a date such as"):
            day(text)
