"""The bundled sample corpus, built."""

from __future__ import annotations

from pathlib import Path

from finemed.assets import demo_file
from finemed.config import load_config
from finemed.engines.base import Progress
from finemed.pipeline.plan import Plan
from finemed.publish.build import BuildOutcome, build_release
from finemed.store.atomic import write_atomic

FILES = ("finemed.yaml", "corpus.jsonl", "hypertension.txt", "benchmark.jsonl")


def build_demo(folder: Path, progress: Progress | None = None) -> BuildOutcome:
    """Copies the sample corpus to `folder` (what is already there stays) and builds it there.

    Raises:
        FineMedError: the folder holds files of that name that do not make a build.
    """
    for name in FILES:
        if not (folder / name).exists():
            write_atomic(folder / name, demo_file(name).read_bytes())
    config = load_config(folder / "finemed.yaml")
    return build_release(Plan(config, folder), folder / config.run_dir, progress=progress)
