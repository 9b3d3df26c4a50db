"""What the commands print with ``--json``: one model an output, from which ``schemas/output.*.schema.json`` are made.

::

    finemed status run --json      {"run": "run", "stages": [{"stage": "ingest", "state": "done", "rows": 195, ...}]}

One name a thing, in every command: `rows` came in, `kept` of them stay, `dropped` counts the others by reason,
`rows_out` are what the next stage gets; `row_id`, `drop_reason` and `detail` are those of the ledger; `place`, `fact`
and `next_step` those of a finding. To document another output, write its model and add a line to `OUTPUTS`;
`tests/test_json_output.py` then asks for a call whose real output is held against it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from finemed.records.outputs.audits import ConfusionOutput, CoverageOutput, FilterExplanation, FilterOutput
from finemed.records.outputs.releases import (
    DiffOutput,
    PublishOutput,
    RetractOutput,
    ValidateOutput,
    VersionOutput,
    VersionsOutput,
)
from finemed.records.outputs.runs import (
    BuildOutput,
    DryRunOutput,
    JournalOutput,
    LedgerLine,
    PlanOutput,
    RemarkLine,
    ReparseOutput,
    SalvageOutput,
    StatusOutput,
    TrialOutput,
)
from finemed.records.outputs.tables import (
    DecontaminateExplanation,
    DecontaminateOutput,
    DedupExplanation,
    DedupOutput,
    SplitExplanation,
    SplitOutput,
)
from finemed.records.outputs.training import TttOutput


@dataclass(frozen=True)
class Output:
    """One documented output of a command."""

    command: str
    """As it is typed: `versions diff`."""
    model: type[BaseModel]
    option: str | None = None
    """The option, beside `--json`, that brings this output instead of the command's usual one."""
    lines: bool = False
    """Whether it is one object a line."""

    @property
    def name(self) -> str:
        """Name of its schema: `versions-diff`, `build-dry-run`."""
        return "-".join([*self.command.split(), *([self.option.lstrip("-")] if self.option else [])])


OUTPUTS = (
    Output("plan", PlanOutput),
    Output("trial", TrialOutput),
    Output("build", BuildOutput),
    Output("build", DryRunOutput, "--dry-run"),
    Output("status", StatusOutput),
    Output("filter", FilterOutput),
    Output("filter", FilterExplanation, "--explain"),
    Output("dedup", DedupOutput),
    Output("dedup", DedupExplanation, "--explain"),
    Output("decontaminate", DecontaminateOutput),
    Output("decontaminate", DecontaminateExplanation, "--explain"),
    Output("split", SplitOutput),
    Output("split", SplitExplanation, "--explain"),
    Output("coverage", CoverageOutput),
    Output("confusion", ConfusionOutput),
    Output("ledger", LedgerLine, lines=True),
    Output("ledger", RemarkLine, "--kept", lines=True),
    Output("journal stats", JournalOutput),
    Output("journal salvage", SalvageOutput),
    Output("reparse", ReparseOutput),
    Output("validate", ValidateOutput),
    Output("publish", PublishOutput),
    Output("versions list", VersionsOutput),
    Output("versions show", VersionOutput),
    Output("versions diff", DiffOutput),
    Output("retract", RetractOutput),
    Output("ttt answer", TttOutput),
)
"""Every output, in the order of the commands."""


def output_schema(output: Output) -> dict[str, Any]:
    """The JSON Schema that is published as ``schemas/output.<name>.schema.json``."""
    called = f"finemed {output.command}{f' {output.option}' if output.option else ''} --json"
    schema = {**output.model.model_json_schema(), "title": called}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
