"""The commands on a loopback Hub: what they make there is what they make in a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import WriteHub, environment
from releases import DAY, build, build_small, contents, manifest_of, put, rows_of

from finemed.publish.targets.target import open_target
from finemed.publish.versions.retract import retract

TOKEN = "hf_write"
REPO = "example/cardiology-qa"
TARGET = f"hf://{REPO}"
ONLY_HUB = {"README.md", "manifest.json", "croissant.json", ".gitattributes"}
"""Files that may name the repository or the parent's commit, or that the Hub makes itself."""


@pytest.fixture
def hub() -> Iterator[WriteHub]:
    server = WriteHub({"example"}, {TOKEN: "write"})
    yield server
    server.stop()


def finemed(hub: WriteHub, home: Path, *arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """Runs a command against the server; what it printed and what it said."""
    command = [sys.executable, "-m", "finemed", *map(str, arguments)]
    env = environment(hub, home, HF_TOKEN=TOKEN)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done.stdout.strip(), done.stderr


def test_a_dataset_on_the_hub_goes_through_versions_as_in_a_folder(hub: WriteHub, tmp_path: Path) -> None:
    home, local = tmp_path / "home", tmp_path / "local"
    small = build_small(tmp_path / "one")
    put(small, local)
    whole = build(tmp_path / "two", previous=local)
    row = next(iter(rows_of(whole / "release")["dpo"].values()))

    publish = ("--to", TARGET, "--date", DAY)
    shown, _ = finemed(hub, home, "publish", small, *publish, "--dry-run")
    assert shown.startswith("version 1.0.0, after none")
    assert hub.repos == {}, "a dry run makes no repository"
    assert finemed(hub, home, "publish", small, *publish)[0] == "v1.0.0"
    assert "no version was made" in finemed(hub, home, "publish", small, *publish)[1]
    assert finemed(hub, home, "publish", whole, *publish)[0] == "v1.1.0"
    gone = ("retract", *publish, "--id", row["document_id"], "--reason", "a patient is named")
    assert finemed(hub, home, *gone)[0] == "v1.1.1"
    again, said = finemed(hub, home, "publish", whole, *publish)
    assert (again, "Retracted rows left out: dpo" in said) == ("", True)

    put(whole, local)
    retract(open_target(str(local)), ids=[row["document_id"]], reason="a patient is named", date=DAY)
    for version in ("1.0.0", "1.1.0", "1.1.1"):
        there, here = hub.files(REPO, f"v{version}"), contents(local / version)
        assert there is not None
        assert there.keys() - ONLY_HUB == here.keys() - ONLY_HUB
        assert {name for name in here.keys() - ONLY_HUB if there[name] != here[name]} == set()
        told, own = json.loads(there["manifest.json"]), manifest_of(local / version)
        assert (told["repo"], told["release_hash"], told["content"]) == (REPO, own["release_hash"], own["content"])
        assert f'load_dataset("{REPO}", "sft", revision="v{version}")' in there["README.md"].decode()

    listed = json.loads(finemed(hub, home, "versions", "list", TARGET, "--json")[0])
    assert [(held["version"], held["ref"]) for held in listed] == [(f"1.{n}", f"v1.{n}") for n in ("0.0", "1.0", "1.1")]
    shown = json.loads(finemed(hub, home, "versions", "show", TARGET, "1.1.1", "--json")[0])
    assert shown["parent"] == {
        "version": "1.1.0",
        "release_hash": listed[1]["release_hash"],
        "commit": listed[1]["commit"],
    }
    assert shown["tombstones"] == 1
    on_hub = finemed(hub, home, "versions", "diff", TARGET, "1.1.0", "1.1.1")[0]
    assert on_hub == finemed(hub, home, "versions", "diff", local, "1.1.0", "1.1.1")[0]
    assert "- `dpo`: " in on_hub
