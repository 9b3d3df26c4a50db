"""Makes a corpus, or a stage's output, N times as long; a child process of ``memory.py``, for it needs polars.

::

    python benchmarks/multiply.py corpus corpus_medquad.parquet ten.parquet --times 10
    python benchmarks/multiply.py shards run/stages/01-ingest ten/01-ingest --times 10

Copy 0 is the original. Every other copy has a sentence of its own at the end of each text, and other ids: in a corpus
they follow from the text, in shards they get the copy's number. A question is too short for that, all would end alike;
there the long words become others, as if it were asked of another disease. Prints the number of rows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

TEXTS = ("text", "response", "reasoning")
LONG_WORD = r"\b([A-Za-z]{7,})\b"
SPOKEN = "zero one two three four five six seven eight nine".split()  # noqa: SIM905 - reads better as text


def sentence(copy: int) -> str:
    """What copy number `copy` says at its end; nothing for the original.

    >>> sentence(12)
    ' This text is edition one two of the patient leaflet of clinic one two.'
    """
    if copy == 0:
        return ""
    name = " ".join(SPOKEN[int(digit)] for digit in str(copy))
    return f" This text is edition {name} of the patient leaflet of clinic {name}."


def multiply_corpus(source: Path, target: Path, times: int) -> int:
    """Writes a Parquet file with one row group per copy, for a reader holds a group and the original has one."""
    import polars as pl
    import pyarrow.parquet as pq

    rows = pl.read_parquet(source, columns=["doc_id", "focus", "url", "text"])
    with pq.ParquetWriter(target, rows.to_arrow().schema, compression="zstd") as writer:
        for copy in range(times):
            writer.write_table(rows.with_columns(pl.col("text") + sentence(copy)).to_arrow())
    return rows.height * times


def multiply_shards(source: Path, target: Path, times: int) -> int:
    """Writes the kept shards of a stage `times` times, in as many more shards of the same size."""
    import polars as pl

    from finemed.store.shards import ShardFolder, read_parquet

    shards = ShardFolder(source, pl.Schema())
    numbers = shards.indices()
    target.mkdir(parents=True, exist_ok=True)
    out = ShardFolder(target, pl.Schema())
    total = 0
    for copy in range(times):
        for at, number in enumerate(numbers):
            rows = read_parquet(shards.kept_path(number))
            if copy:
                letter = chr(ord("a") + copy % 26) * (1 + copy // 26)
                ids = [pl.col(name) + f"-{copy}" for name in rows.columns if name.endswith("_id")]
                texts = [pl.col(name) + sentence(copy) for name in rows.columns if name in TEXTS]
                asked = [
                    pl.col(name).str.replace_all(LONG_WORD, "${1}" + letter)
                    for name in rows.columns
                    if name == "instruction"
                ]
                rows = rows.with_columns(*ids, *texts, *asked)
            rows.write_parquet(out.kept_path(copy * len(numbers) + at), compression="zstd")
            total += rows.height
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["corpus", "shards"])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--times", type=int, default=10, help="default: 10")
    arguments = parser.parse_args()
    multiply = multiply_corpus if arguments.what == "corpus" else multiply_shards
    print(multiply(arguments.source, arguments.target, arguments.times))


if __name__ == "__main__":
    main()
