"""What must hold for the rows of a release, checked on the rows that are being written.

Unique ids in every config; no empty message; every component and document in one split, not in `ttt` and another pool;
`dpo` and `sft_reasoning` hold the same questions.
"""

from __future__ import annotations

from typing import Any

from finemed.errors import StageError
from finemed.publish.pools import pool_of


class ReleaseContract:
    """Checks rows as they pass; about 300 bytes of memory a row."""

    def __init__(self, *, whole_documents: bool = True) -> None:
        self._whole_documents = whole_documents
        self._ids: dict[str, set[str]] = {}
        self._document: dict[str, tuple[str, str]] = {}
        self._component: dict[str, tuple[str, str]] = {}
        self._questions: dict[str, set[str]] = {}

    def check(self, config: str, split: str, rows: list[dict[str, Any]]) -> None:
        """Checks one batch.

        Raises:
            StageError: a rule is broken; the message names config, split and row.
        """
        ids = self._ids.setdefault(config, set())
        for row in rows:
            place = f"release: {config}/{split}, row {row['id']}"
            if row["id"] in ids:
                raise StageError(f"{place}: the id occurs twice; remove the run's split stage and build again")
            ids.add(row["id"])
            for column in ("prompt", "completion", "chosen", "rejected"):
                if any(not turn["content"].strip() for turn in row.get(column, [])):
                    raise StageError(f"{place}: `{column}` holds an empty message; the answers' parser is faulty")
            if pool_of(config) == config:
                side = "ttt" if config == "ttt" else "training"
                place_of = (side, split)
                other = self._document.setdefault(row["document_id"], place_of)
                if self._whole_documents and other != place_of:
                    raise StageError(
                        f"{place}: document {row['document_id']} is also in {other[0]}/{other[1]}; a document "
                        "must not be spread; the split stage is faulty"
                    )
                known = self._component.setdefault(row["component_id"], place_of)
                if known != place_of:
                    raise StageError(
                        f"{place}: component {row['component_id']} is also in {known[0]}/{known[1]}; "
                        "near-duplicates must not be spread; the split stage is faulty"
                    )
                self._questions.setdefault(config, set()).add(row["instruction_id"])

    def finish(self) -> None:
        """Checks what needs all rows.

        Raises:
            StageError: `dpo` and `sft_reasoning` differ.
        """
        differing = self._questions.get("dpo", set()) ^ self._questions.get("sft_reasoning", set())
        if differing:
            raise StageError(
                f"release: {len(differing)} questions are in only one of dpo and sft_reasoning, such as "
                f"{min(differing)}; the split stage is faulty"
            )
