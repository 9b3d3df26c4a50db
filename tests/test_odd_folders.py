"""A run, its release and its versions work in a folder of any name."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import succeed

from finemed.pipeline.plan import STAGES


@pytest.mark.parametrize("name", ["d[x]", "a b*c?", "{x}%20é#", "new\nline"])
def test_a_demo_in_a_folder_of_this_name(name: str, tmp_path: Path) -> None:
    from finemed.training.data import load_pool

    folder = tmp_path / name
    succeed("demo", folder)
    run = folder / "run"
    assert succeed("status", run).stdout.count(" done ") == len(STAGES)
    assert succeed("ledger", run, "--limit", 0).stdout.count("\n") > 100
    assert " passages, " in succeed("filter", run).stdout
    succeed("coverage", run)
    assert succeed("build", "-c", folder / "finemed.yaml", "--dry-run").stdout.count(" reuse ") == len(STAGES)
    succeed("publish", run, "--to", folder / "out", "--date", "2026-11-01")
    succeed("validate", folder / "out" / "1.0.0")
    assert succeed("versions", "list", folder / "out").stdout.startswith("1.0.0 ")
    assert len(load_pool(str(run / "release"), "sft", "train", columns=("id",))) > 20
