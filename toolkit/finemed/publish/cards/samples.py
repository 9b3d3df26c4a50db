"""What a card shows of the rows themselves: totals by split, and one row of each pool.

::

    totals(data)["sft"]["train"]       {"rows": 690, "tokens": 91204, "bytes": 412331}
    examples(data)["dpo"]              {"id": "s3f0...", "split": "train", "question": "...", "chosen": "...", ...}

`data` is config -> split -> Parquet file. Both follow from the files alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from finemed.records import POOLS, SPLITS
from finemed.text.segment import estimate_tokens

Data = Mapping[str, Mapping[str, Path]]
LONGEST = {"question": 400, "answer": 700, "chosen": 700, "rejected": 700}
"""Characters of an example's texts; the rest is in the files."""
_TEXTS = {"answer": "completion", "chosen": "chosen", "rejected": "rejected"}
BATCH_ROWS = 2_000


def totals(data: Data) -> dict[str, dict[str, dict[str, int]]]:
    """Rows, tokens and bytes of the pools by split.

    Tokens are estimated (1.3 a word, one a character of scripts without blanks) over question and answers together;
    bytes are those of the file.
    """
    return {
        pool: {
            split: {
                "rows": pq.read_metadata(path).num_rows,
                "tokens": sum(estimate_tokens(text) for text in _texts(path)),
                "bytes": path.stat().st_size,
            }
            for split, path in _ordered(data[pool])
        }
        for pool in POOLS
        if pool in data
    }


def examples(data: Data) -> dict[str, dict[str, Any]]:
    """One row of each pool, shortened: the smallest id of the first split that repeats no benchmark.

    Rows in which the scan for personal data found something are not shown; a pool of such rows alone has no example.
    """
    found: dict[str, dict[str, Any]] = {}
    for pool in POOLS:
        for split, path in _ordered(data.get(pool, {})):
            row = _first(path)
            if row is not None:
                found[pool] = {"id": row["id"], "split": split, **_shown(row)}
                break
    return found


def _ordered(splits: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    yield from ((split, splits[split]) for split in SPLITS if split in splits)


def _turns(path: Path) -> list[str]:
    present = pq.read_schema(path).names
    return [name for name in ("prompt", *_TEXTS.values()) if name in present]


def _texts(path: Path) -> Iterator[str]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=_turns(path)):
            for column in batch.columns:
                yield from (turn["content"] or "" for turns in column.to_pylist() for turn in turns or () if turn)


def _first(path: Path) -> dict[str, Any] | None:
    """The row that stands for a file; None where none may be shown."""
    present = pq.read_schema(path).names
    if not {"id", "phi_state"} <= set(present):
        return None
    facts = pq.read_table(path, columns=[name for name in ("id", "phi_state", "contamination") if name in present])
    best: tuple[bool, str, int] | None = None
    for number, row in enumerate(facts.to_pylist()):
        if row["phi_state"] != "found" and row["id"]:
            best = min(best or (True, "\uffff", -1), (row.get("contamination") is not None, row["id"], number))
    if best is None:
        return None
    names = [name for name in ("id", "source", *_turns(path)) if name in present]
    with pq.ParquetFile(path) as file:
        before = 0
        for group in range(file.num_row_groups):
            height = file.metadata.row_group(group).num_rows
            if best[2] < before + height:
                found: dict[str, Any] = (
                    file.read_row_group(group, columns=names).slice(best[2] - before, 1).to_pylist()[0]
                )
                return found
            before += height
    return None


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    told = {"question": "prompt", **_TEXTS}
    texts = {name: _joined(row[column]) for name, column in told.items() if column in row}
    return {
        **{name: _cut(text, LONGEST[name]) for name, text in texts.items()},
        "source": row.get("source"),
    }


def _joined(turns: list[dict[str, str]] | None) -> str:
    return "\n".join(turn["content"] or "" for turn in turns or () if turn)


def _cut(text: str, longest: int) -> str:
    if len(text) <= longest:
        return text
    head = text[:longest]
    return f"{head[: head.rfind(' ')] if ' ' in head[longest // 2 :] else head} …"
