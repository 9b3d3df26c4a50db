"""What may be published where: to versions of the same dataset, under a version that fits, and nowhere else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hub_server import WriteHub
from releases import DAY, build, build_small, contents, manifest_of, put
from test_publish_hub import REPO, TARGET, TOKEN
from test_publish_hub import finemed as on_hub

from finemed.cli.main import cli
from finemed.errors import PublishError
from finemed.publish.targets.target import open_target
from finemed.publish.versions.publish import publish
from finemed.publish.versions.retract import retract
from finemed.publish.versions.version import Version
from finemed.store.atomic import write_json


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, first: Path) -> Path:
    return build(tmp_path_factory.mktemp("whole"), previous=first)


@pytest.fixture(scope="module")
def renamed(tmp_path_factory: pytest.TempPathFactory, first: Path) -> Path:
    """The whole demo under another name, from another source's name."""
    twin = shutil.copytree(first, tmp_path_factory.mktemp("twin") / "releases")
    without_identity(twin / "1.0.0", name="another")  # whose splits it keeps
    return build(tmp_path_factory.mktemp("renamed"), previous=twin, name="another")


@pytest.fixture(scope="module")
def unrelated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's name over rows that have nothing to do with the demo's."""
    return build(
        tmp_path_factory.mktemp("unrelated"),
        sources=[{"name": "elsewhere", "path": "hypertension.txt", "license": "CC0-1.0", "attribution": "Ann"}],
        split={"min_rows": dict.fromkeys(("sft", "sft_reasoning", "dpo", "ttt"), 0)},
    )


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, small: Path) -> Path:
    folder = tmp_path_factory.mktemp("first") / "releases"
    put(small, folder)
    return folder


@pytest.fixture
def releases(first: Path, tmp_path: Path) -> Path:
    return shutil.copytree(first, tmp_path / "releases")


def finemed(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, list(map(str, arguments)))


# --- places ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("releases/1.0.0", "is itself a version; publish to the folder that holds it"),
        ("releases/1.0.0/data", "lies in a release"),
        ("releases/2.0.0", "named like a version"),
        ("releases/other", "holds versions of a dataset"),
        ("v1.0.0", "named like a version"),
        ("run", "is a run"),
        ("run/release", "is itself a release"),
        ("run/releases", "lies in a run"),
        ("file", "is a file"),
        ("home", r"holds files that are no versions of a dataset \(letter.txt\)"),
        ("link", "is itself a version"),
    ],
)
def test_a_place_that_is_no_folder_of_versions_is_refused_and_stays_as_it_was(
    releases: Path, whole: Path, tmp_path: Path, place: str, told: str
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "file").write_text("")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("Dear Ann")
    (tmp_path / "link").symlink_to(releases / "1.0.0")
    before = contents(tmp_path)
    for command in (("publish", whole, "--to"), ("retract", "--source", "demo", "--reason", "no", "--to")):
        done = finemed(*command, tmp_path / place)
        assert isinstance(done.exception, PublishError)
        assert done.exception.exit_code == 4
        with pytest.raises(PublishError, match=told):
            raise done.exception
    assert contents(tmp_path) == before


def test_a_folder_of_versions_may_have_hidden_files_and_a_link_to_a_version(releases: Path, whole: Path) -> None:
    (releases / ".gitignore").write_text("")
    (releases / "latest").symlink_to("1.0.0")
    assert str(put(whole, releases).version) == "1.1.0"


@pytest.mark.parametrize("name", ["my run [v2]", "a*b?", "büro {x}"])
def test_names_that_are_patterns_elsewhere_are_names(small: Path, tmp_path: Path, name: str) -> None:
    run = shutil.copytree(small, tmp_path / name / "run")
    done = finemed("publish", run, "--date", DAY)
    assert (done.exit_code, done.stdout.strip()) == (0, str(tmp_path / name / "releases" / "1.0.0"))
    listed = json.loads(finemed("versions", "list", tmp_path / name / "releases", "--json").stdout)
    assert listed[0]["release_hash"] in done.stderr


# --- versions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", ["abc", "1.2", "01.0.0", "1.0.0", "0.9.0", "1.0.0-rc1", "v0.1.0", "", "1.0.\u0661"])
@pytest.mark.parametrize("changed", [False, True])
def test_a_version_that_does_not_do_is_refused_whether_or_not_something_changed(
    releases: Path, small: Path, whole: Path, asked: str, changed: bool
) -> None:
    done = finemed("publish", whole if changed else small, "--to", releases, "--version", asked)
    assert getattr(done.exception, "exit_code", done.exit_code) == 2, done.exception
    assert [path.name for path in releases.iterdir() if path.is_dir()] == ["1.0.0"]


def test_a_retraction_that_empties_a_config_is_major_and_the_changelog_says_so(releases: Path) -> None:
    target = open_target(str(releases))
    ttt = pl.read_parquet(releases / "1.0.0" / "data" / "ttt" / "*.parquet")
    ids = sorted(set(ttt["document_id"]))
    done = retract(target, ids=ids, reason="withdrawn", date=DAY)
    assert (str(done.publication.version), done.publication.change) == ("2.0.0", "major")
    folder = releases / "2.0.0"
    assert "ttt" not in manifest_of(folder)["configs"]
    assert "config `ttt` is gone" in (folder / "CHANGELOG.md").read_text("utf-8")
    stones = [json.loads(line) for line in (folder / "tombstones.jsonl").read_text("utf-8").splitlines()]
    assert {stone["version"] for stone in stones} == {"2.0.0"}


def test_a_retraction_that_empties_a_split_refuses_a_patch(releases: Path) -> None:
    test = pl.read_parquet(releases / "1.0.0" / "data" / "dpo" / "test.parquet")
    ids = sorted(set(test["document_id"]))
    done = finemed(
        "retract", "--to", releases, "--reason", "no", "--version", "1.0.1", *(f"--id={each}" for each in ids)
    )
    assert getattr(done.exception, "exit_code", None) == 2
    assert "split `test` removed" in str(done.exception)
    assert "the least version is 2.0.0" in str(done.exception)


# --- which dataset ---------------------------------------------------------------------------------------------------


def test_the_first_publication_fixes_the_identity_and_later_ones_list_their_ancestors(
    releases: Path, whole: Path, small: Path, tmp_path: Path
) -> None:
    put(whole, releases)
    one, two = (manifest_of(releases / version) for version in ("1.0.0", "1.1.0"))
    assert one["dataset"]["name"] == "finemed-demo"
    assert one["dataset"]["lineage"] == []
    assert two["dataset"] == {**one["dataset"], "lineage": [one["release_hash"]]}
    put(small, tmp_path / "again")
    assert manifest_of(tmp_path / "again" / "1.0.0")["dataset"] == one["dataset"], "it follows from name and content"


def test_another_dataset_is_refused_by_name_unless_it_is_adopted(releases: Path, renamed: Path) -> None:
    with pytest.raises(PublishError, match=r"dataset `finemed-demo`, and this release is of `another`.*`--adopt`"):
        put(renamed, releases)
    assert not (releases / "1.1.0").exists()
    before = manifest_of(releases / "1.0.0")["dataset"]
    done = put(renamed, releases, adopt=True)
    assert done.dataset is not None
    assert (done.dataset.name, done.dataset.id) == ("another", before["id"])


def test_a_dataset_of_the_same_name_without_a_common_row_is_refused(releases: Path, unrelated: Path) -> None:
    with pytest.raises(PublishError, match="neither a source nor a document in common"):
        put(unrelated, releases)
    assert str(put(unrelated, releases, adopt=True).version) == "2.0.0"


def test_versions_of_another_dataset_are_refused_and_those_of_the_same_may_be_copied(
    releases: Path, renamed: Path, whole: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    put(renamed, other)
    with pytest.raises(PublishError, match="is a version of `another`"):
        publish(other / "1.0.0", open_target(str(releases)))
    mirror = tmp_path / "mirror"
    publish(releases / "1.0.0", open_target(str(mirror)), date=DAY)
    assert manifest_of(mirror / "1.0.0")["dataset"]["id"] == manifest_of(releases / "1.0.0")["dataset"]["id"]
    put(whole, releases)
    assert str(publish(releases / "1.1.0", open_target(str(mirror)), date=DAY).version) == "1.1.0"
    retract(open_target(str(mirror)), sources=["demo-guide"], reason="no", date=DAY)
    done = manifest_of(mirror / "1.1.1")
    assert done["dataset"]["lineage"][-1] == manifest_of(mirror / "1.1.0")["release_hash"]
    retract(open_target(str(releases)), ids=[first_document(releases / "1.1.0")], reason="no", date=DAY)
    with pytest.raises(PublishError, match="on different lines"):
        publish(releases / "1.1.1", open_target(str(mirror)), date=DAY)


def first_document(folder: Path) -> str:
    return str(pl.read_parquet(folder / "data" / "sft" / "train.parquet")["document_id"][0])


def without_identity(folder: Path, **changed: Any) -> None:
    """The version as an earlier toolkit wrote it."""
    manifest = manifest_of(folder)
    for name in ("dataset", "comparison"):
        manifest.pop(name, None)
    write_json(folder / "manifest.json", {**manifest, **changed})


def test_versions_from_before_there_was_an_identity_are_adopted_by_name(
    releases: Path, whole: Path, renamed: Path
) -> None:
    put(whole, releases)
    for version in ("1.0.0", "1.1.0"):
        without_identity(releases / version)
    with pytest.raises(PublishError, match="this release is of `another`"):
        put(renamed, releases)
    hashes = [manifest_of(releases / version)["release_hash"] for version in ("1.0.0", "1.1.0")]
    retract(open_target(str(releases)), ids=[first_document(releases / "1.1.0")], reason="no", date=DAY)
    dataset = manifest_of(releases / "1.1.1")["dataset"]
    assert (dataset["name"], dataset["lineage"]) == ("finemed-demo", hashes)


@pytest.mark.parametrize("damage", ["x", {}, {"name": "a", "id": 3, "lineage": []}, {"name": "a", "id": "b"}, None])
def test_a_damaged_identity_stops_the_next_version(releases: Path, whole: Path, damage: Any) -> None:
    without_identity(releases / "1.0.0", dataset=damage)
    with pytest.raises(PublishError, match="`dataset` in its manifest is damaged"):
        put(whole, releases)


def test_versions_of_two_datasets_in_one_folder_are_told(
    releases: Path, renamed: Path, whole: Path, tmp_path: Path
) -> None:
    put(renamed, tmp_path / "other", version="1.5.0")
    shutil.copytree(tmp_path / "other" / "1.5.0", releases / "1.5.0")
    with pytest.raises(PublishError, match=r"1\.0\.0 is a version of the dataset `finemed-demo`.*1\.5\.0 of `another`"):
        put(whole, releases)


# --- on the Hub ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub() -> Iterator[WriteHub]:
    server = WriteHub({"example"}, {TOKEN: "write"})
    yield server
    server.stop()


def test_a_dataset_on_the_hub_takes_no_other_one(hub: WriteHub, small: Path, renamed: Path, tmp_path: Path) -> None:
    home, publishing = tmp_path / "home", ("--to", TARGET, "--date", DAY)
    assert on_hub(hub, home, "publish", small, *publishing)[0] == "v1.0.0"
    _, said = on_hub(hub, home, "publish", renamed, *publishing, code=4)
    assert "holds versions of the dataset `finemed-demo`" in said
    assert list(hub.repos[REPO].tags) == ["v1.0.0"]
    on_hub(hub, home, "publish", small, *publishing, "--version", "abc", code=2)
    assert on_hub(hub, home, "publish", renamed, *publishing, "--adopt")[0].startswith("v")
    files = hub.files(REPO, "main")
    assert files is not None
    told = json.loads(files["manifest.json"])
    assert (told["dataset"]["name"], len(told["dataset"]["lineage"])) == ("another", 1)
    assert "creator" in json.loads(files["croissant.json"])
    assert Version.parse(told["version"]) > Version(1, 0, 0)
