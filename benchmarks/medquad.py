"""The build that the benchmarks measure: MedQuAD with the `rules` backend, against all benchmark files.

::

    write_config(Path("work"), corpus)   ->  work/finemed.yaml
"""

from __future__ import annotations

import json
from pathlib import Path

from measure import data_folder


def write_config(folder: Path, corpus: Path | None = None) -> Path:
    """Writes ``finemed.yaml`` into `folder` for MedQuAD, or for a multiple of it."""
    data = data_folder()
    config = {
        "name": "medquad",
        "sources": [
            {
                "name": "medquad",
                "path": str(corpus or data / "corpus_medquad.parquet"),
                "columns": {"text": "text", "title": "focus", "id": "doc_id", "url": "url"},
                "license": "CC-BY-4.0",
                "attribution": "abachaa/MedQuAD",
            }
        ],
        "decontaminate": {"benchmarks": [str(path) for path in sorted(data.glob("bench_*.jsonl"))]},
        "route": {"top_share": 0.1},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "finemed.yaml"
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")  # JSON is YAML
    return path
