"""Runs whose next stage is `judge`: what comes before is written by hand, so that there are as many rows as wanted.

::

    prepared = prepare(tmp_path, server.url, rows=2000)
    prepared.build("--until", "judge")      # `finemed build` in a process of its own
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from rows import question

from finemed.config import load_config
from finemed.pipeline.plan import STAGES, Plan, fingerprint, output_hash, stage_folder
from finemed.records import Drop, Instruction, frame
from finemed.store.shards import ShardFolder

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 120.0


@dataclass
class Prepared:
    """A configuration and a run that is finished up to `generate`."""

    config: Path
    run: Path
    environment: dict[str, str] = field(default_factory=dict)

    def start(self, *more: str, log: Any = subprocess.PIPE) -> subprocess.Popen[str]:
        """Starts `finemed build` up to `judge`."""
        paths = [str(ROOT / "toolkit"), *filter(None, [os.environ.get("PYTHONPATH")])]
        command = [sys.executable, "-m", "finemed", "build", "-c", str(self.config), "--until", "judge", *more]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", **self.environment}
        return subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8", start_new_session=True
        )

    def build(self, *more: str) -> tuple[int, str]:
        """Runs it to its end; exit code and what it said."""
        process = self.start(*more)
        try:
            said = process.communicate(timeout=PATIENCE_S)[1]
        finally:
            process.kill()
        return process.returncode, said

    def output(self) -> dict[str, bytes]:
        """The files of the judge's stage, the manifest and the ledger."""
        files = [*stage_folder(self.run, "judge").glob("*"), self.run / "manifest.json"]
        return {path.name: path.read_bytes() for path in files if path.exists()}


def prepare(
    folder: Path, *urls: str, rows: int, shard_rows: int = 200, judge: dict[str, Any] | None = None, **backend: Any
) -> Prepared:
    """Writes the configuration and all stages before `judge`."""
    folder.mkdir(parents=True, exist_ok=True)
    where: dict[str, Any] = {"base_url": urls[0]} if len(urls) == 1 else {"endpoints": [{"base_url": u} for u in urls]}
    chosen = {"type": "openai", "model": "loop", "api_key_env": None, "structured": "off", "concurrency": 8, **where}
    settings = {
        "name": "prepared",
        "sources": [{"name": "none", "path": "none.jsonl"}],
        "backends": {"loop": {**chosen, "retry_wait_s": 0.02, **backend}},
        "judge": {"backend": "loop", "max_tokens": 100, **(judge or {})},
    }
    (folder / "none.jsonl").write_text('{"text": "Croup."}\n')
    config = folder / "finemed.yaml"
    config.write_text(yaml.safe_dump(settings), "utf-8")
    questions = [
        question(instruction_id=f"i{number:05d}", instruction=f"Question {number}?", text=f"Croup is viral. {number}")
        for number in range(rows)
    ]
    parts = [frame(Instruction, questions[start : start + shard_rows]) for start in range(0, rows, shard_rows)]
    plan = Plan(load_config(config), folder)
    before = plan.source_hash()
    for stage in plan.stages()[: STAGES.index("judge")]:
        last = stage.contract.name == "generate"
        before = _finish(stage, folder / "run", before, parts if last else [pl.DataFrame(schema=stage.contract.schema)])
    return Prepared(config, folder / "run")


def _finish(stage: Any, run: Path, before: str, parts: Sequence[pl.DataFrame]) -> str:
    contract = stage.contract
    out = ShardFolder(stage_folder(run, contract.name), contract.schema)
    mark = fingerprint(stage, before)
    out.begin(mark)
    for index, part in enumerate(parts):
        out.write(index, part, frame(Drop, []))
    total = sum(part.height for part in parts)
    counts = {"rows_in": total, "rows_kept": total, "rows_dropped": 0, "rows_out": total}
    report = {"stage": contract.name, "version": contract.version, "fingerprint": mark, "settings": stage.settings()}
    return output_hash(out.finish({**report, "counts": counts, "drops": {}, "facts": {}}))
