"""A build over the three corpora of the data folder with the rules backend: the funnel that docs/runs.md records.

``python benchmarks/build_corpora.py [FOLDER]`` writes the configuration and the run to FOLDER (default: temporary)
and prints the funnel as Markdown. The data are looked for in $FINEMED_DATA, else in ../shared/data beside the checkout.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import polars as pl

from finemed.config import load_config
from finemed.pipeline.plan import Plan
from finemed.publish.build import build_release

DATA = Path(os.environ.get("FINEMED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
CONFIG = """\
name: three-corpora
sources:
  - name: medquad
    path: {data}/corpus_medquad.parquet
    columns: {{text: text, title: focus, id: doc_id, url: url}}
    license: CC-BY-4.0
    attribution: MedQuAD (Ben Abacha and Demner-Fushman)
  - name: openstax
    path: {data}/corpus_openstax.parquet
    columns: {{text: text, title: title, id: doc_id, url: url}}
    license: CC-BY-4.0
    attribution: OpenStax
  - name: cdc
    path: {data}/corpus_cdc.parquet
    columns: {{text: text, id: doc_id, url: url, language: language}}
    license: CC0-1.0
    attribution: Centers for Disease Control and Prevention
decontaminate:
  benchmarks:
    - {data}/bench_medqa_us_4opt_test.jsonl
    - {data}/bench_mmlu_med_test.jsonl
    - {data}/bench_mmlu_pro_biology_test.jsonl
    - {data}/bench_pubmedqa_pqal_cv.jsonl
route: {{top_share: 0.1}}
split: {{min_rows: {{sft: 1000, sft_reasoning: 100, dpo: 100, ttt: 100}}}}
card: {{title: Three corpora}}
"""


def main() -> None:
    """Builds and prints."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="finemed-"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "finemed.yaml"
    path.write_text(CONFIG.format(data=DATA.resolve()), "utf-8")
    config = load_config(path)
    outcome = build_release(Plan(config, folder), folder / config.run_dir)
    print("| stage | in | kept | dropped | out | reasons |\n|---|--:|--:|--:|--:|---|")
    for stage in outcome.run.manifest["stages"]:
        counts = stage["counts"]
        numbers = " | ".join(f"{counts[key]:,}" for key in ("rows_in", "rows_kept", "rows_dropped", "rows_out"))
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in stage["drops"].items())
        print(f"| {stage['stage']} | {numbers} | {reasons} |")
    ledger = pl.read_parquet(folder / "run" / "ledger.parquet").filter(pl.col("stage") == "filter")
    passages = pl.read_parquet(folder / "run" / "stages" / "01-ingest" / "kept-*.parquet")
    by_source = (
        ledger.join(passages, left_on="row_id", right_on="passage_id")
        .group_by("source", "drop_reason")
        .len()
        .sort("source", "drop_reason")
    )
    print("\n| source | dropped by filter as | passages |\n|---|---|--:|")
    for source, reason, count in by_source.iter_rows():
        print(f"| {source} | {reason} | {count:,} |")
    release = outcome.release
    print("\n| config | train | validation | test |\n|---|--:|--:|--:|")
    for name, splits in (release.manifest["configs"] if release else {}).items():
        print(f"| {name} | {' | '.join(f'{splits.get(split, 0):,}' for split in ('train', 'validation', 'test'))} |")


if __name__ == "__main__":
    main()
