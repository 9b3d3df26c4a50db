"""The Croissant metadata of a release is valid, complete, says what is so, and loads the rows."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from published import manifest_of, published, rows_of

from finemed.publish.cards.croissant import croissant
from finemed.store.atomic import file_hash

pytestmark = [
    pytest.mark.skipif(find_spec("mlcroissant") is None, reason="needs finemed[dev]"),
    # rdflib 7.6 reads JSON-LD through a class that it deprecates itself; ours to drop once it does not
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    # so does mlcroissant 1.1 with a keyword of pandas 3.1
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("croissant"))


@pytest.fixture(scope="module")
def found(release: Path) -> dict[str, Any]:
    """The file as it was published."""
    loaded: dict[str, Any] = json.loads((release / "croissant.json").read_text("utf-8"))
    return loaded


@pytest.fixture(scope="module")
def dataset(release: Path) -> Any:
    """What the reference implementation makes of it."""
    import mlcroissant

    return mlcroissant.Dataset(str(release / "croissant.json"))


def text_of(value: Any) -> Any:
    """Texts come as bytes, and the names of fields with those of their record set."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, dict):
        return {str(name).rpartition("/")[2]: text_of(item) for name, item in value.items()}
    return [text_of(item) for item in value] if isinstance(value, list) else value


def test_mlcroissant_has_nothing_to_say_against_it(dataset: Any) -> None:
    assert dataset.metadata.issues.errors == set()
    assert dataset.metadata.issues.warnings == set()
    assert dataset.metadata.version == "1.0.0"


@pytest.mark.parametrize(("config", "split"), [("dpo", "train"), ("sft_reasoning", "test"), ("sft_surgery", "train")])
def test_mlcroissant_loads_the_rows(dataset: Any, release: Path, config: str, split: str) -> None:
    loaded = [text_of(row) for row in dataset.records(f"{config}/{split}")]
    own = rows_of(release, config, split)
    assert len(loaded) == len(own) > 0
    for one, other in zip(loaded, own, strict=True):
        assert set(one) == set(other)
        for name in ("id", "department", "quality", "extractive", "prompt", "messages", "chosen", "rejected"):
            assert one.get(name) == other.get(name)


def test_every_file_of_rows_is_there_with_its_hash(found: dict[str, Any], release: Path) -> None:
    files = {file["contentUrl"]: file for file in found["distribution"]}
    assert set(files) == {path.relative_to(release).as_posix() for path in release.rglob("*.parquet")}
    for name, file in files.items():
        assert file["sha256"] == file_hash(release / name)
        assert file["contentSize"] == f"{(release / name).stat().st_size} B"


def test_every_config_and_split_is_a_record_set_with_all_columns(found: dict[str, Any], release: Path) -> None:
    configs = manifest_of(release)["configs"]
    sets = {one["@id"]: one for one in found["recordSet"]}
    assert set(sets) == {f"{config}/{split}" for config, splits in configs.items() for split in splits}
    for name, one in sets.items():
        row = rows_of(release, *name.split("/"))[0]
        assert [field["@id"] for field in one["field"]] == [f"{name}/{column}" for column in row]
        assert all(field["description"] for field in one["field"])


def test_it_says_what_the_run_knows(found: dict[str, Any], release: Path) -> None:
    assert found["license"] == "CC0-1.0"
    assert found["creator"] == [{"@type": "Organization", "name": "FineMed contributors"}]
    assert (found["version"], found["datePublished"]) == ("1.0.0", "2026-11-20")
    assert found["conformsTo"][0].endswith("/1.1")
    stages = manifest_of(release)["stages"]
    assert len(found["rai:dataPreprocessingProtocol"]) == len(stages)
    assert found["rai:machineAnnotationTools"] == ["rules@3 (licence of its outputs: Apache-2.0)"]
    assert any("extracti" in limit or "cut text" in limit for limit in found["rai:dataLimitations"])
    assert "arXiv:2501.09213" in found["citeAs"]


def test_what_nobody_stated_is_left_out(release: Path) -> None:
    manifest = manifest_of(release)
    manifest["card"]["license"] = manifest["card"]["publisher"] = None
    for row in manifest["figures"]["licences"]:
        row["license"] = row["attribution"] = None
    del manifest["version"], manifest["date"]
    bare = croissant(manifest, release)
    assert not {"license", "creator", "version", "datePublished"} & set(bare)
    assert str(release) not in json.dumps(bare)


def test_equal_releases_have_equal_metadata(release: Path, found: dict[str, Any]) -> None:
    assert croissant(manifest_of(release), release) == found


def test_the_creator_is_who_publishes_and_not_who_is_attributed(release: Path) -> None:
    manifest = manifest_of(release)
    manifest["card"]["publisher"] = "Example Clinic \x1b[31m"
    assert croissant(manifest, release)["creator"] == [{"@type": "Organization", "name": "Example Clinic \ufffd[31m"}]
    manifest["card"]["publisher"] = None
    assert "creator" not in croissant(manifest, release)
    told = croissant({**manifest, "repo": "example/tiny"}, release)
    assert told["creator"] == [{"@type": "Organization", "name": "example"}]
    assert "author       = {{example}}" in told["citeAs"]
    assert "attribution FineMed contributors" in " ".join(told["rai:dataCollectionRawData"])
