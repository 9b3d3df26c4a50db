"""Outputs of the commands that make a run and look into it: plan, trial, build, status, ledger, journal, reparse."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, RootModel

from finemed.records.outputs.base import Count, OutputModel, Reasons, Share
from finemed.records.rows import Sample


class StageEstimate(OutputModel):
    """One stage that asks a paid backend."""

    stage: str
    """Name of the stage."""
    model: str
    """The model that is asked, as rows carry it: `openai:NAME`."""
    rows: Count
    """Rows that enter the stage."""
    calls: Count
    """Calls still to be made."""
    stored: Count
    """Replies that the journal already holds."""
    prompt_tokens: Count
    """Tokens to be sent."""
    completion_tokens: Count
    """Tokens to be received."""
    cost: float | None
    """Price of both; null where the backend states none."""
    currency: str | None
    """Currency of the cost."""
    seconds: float | None
    """Time that it takes; null where nothing was measured yet."""
    rests_on: str
    """What the estimate rests on."""


class PlanOutput(OutputModel):
    """What a build would ask of paid backends."""

    stages: list[StageEstimate]
    """The stages that ask one; empty where all backends are free."""
    calls: Count
    """Calls of all stages."""
    prompt_tokens: Count
    """Tokens to be sent by all stages."""
    completion_tokens: Count
    """Tokens to be received by all stages."""
    cost: float | None
    """Price of all stages; null where one of them has no price, or none asks a paid backend."""


class StageTrial(OutputModel):
    """What a stage made of the trial's rows."""

    stage: str
    """Name of the stage."""
    prompt: str
    """Prompt with its version: `judge@2`."""
    model: str
    """The model that was asked."""
    rows: Count
    """Rows that entered the stage."""
    states: Reasons
    """How the replies ended: `parsed`, `unparsable`, `truncated`, `refused`, `error`, ... -> how many."""
    parsed_share: Share
    """Share of the replies that could be read."""
    rows_out_share: float = Field(ge=0, alias="yield")
    """Rows out for each row in."""
    calls: Count
    """Calls that were made."""
    stored: Count
    """Replies that the journal already held."""
    prompt_tokens: Count
    """Tokens sent."""
    completion_tokens: Count
    """Tokens received."""
    calls_per_second: float | None
    """Rate; null where replies were stored already."""
    spread: dict[str, Reasons]
    """Score -> value -> how many rows have it."""
    facts: dict[str, float]
    """Shares that tell about the questions."""


class TrialOutput(OutputModel):
    """What prompts and models made of a few passages."""

    stages: list[StageTrial]
    """The stages that ask a backend."""
    before: list[StageTrial]
    """What earlier trials measured with other prompts or models."""
    samples: list[Sample]
    """Finished samples to read, beside the passages that they were made from."""


class StageCounts(OutputModel):
    """A stage's rows: `rows` = `kept` + the sum of `dropped`."""

    stage: str
    """Name of the stage."""
    rows: Count
    """Rows that entered."""
    kept: Count
    """Those of them that were kept."""
    dropped: Reasons
    """The others, by reason."""
    rows_out: Count
    """Rows that the next stage gets; a stage may make several of one."""


class BuildOutput(OutputModel):
    """What a build came to."""

    run: str
    """Folder of the run."""
    release: str | None
    """Folder of the release; null where the build stopped before the last stage."""
    configs: dict[str, Reasons] | None
    """Config of the release -> split -> rows; null without a release."""
    stages: list[StageCounts]
    """The finished stages, in order."""


class StageAction(OutputModel):
    """What a build would do with one stage."""

    stage: str
    """Name of the stage; the last one is `card`, the release with its card."""
    action: Literal["reuse", "run", "depends"]
    """`reuse` what is finished, or `run` it; `depends`: run only if its input changes."""
    note: str
    """More about it; may be empty."""


class DryRunOutput(OutputModel):
    """What a build would do."""

    run: str
    """Folder of the run."""
    stages: list[StageAction]
    """Every stage up to the last one asked for."""


class StageStatus(OutputModel):
    """How far one stage is."""

    stage: str
    """Name of the stage."""
    state: Literal["done", "partial", "stale", "todo"]
    """`stale` is of earlier settings or inputs."""
    rows: Count | None
    """Rows that entered; null where the stage is not done."""
    kept: Count | None
    """Those of them that were kept; null where the stage is not done."""
    dropped: Reasons
    """Rows dropped so far, by reason."""
    rows_out: Count | None
    """Rows that the next stage gets; null where the stage is not done."""


class StatusOutput(OutputModel):
    """How far a run is."""

    run: str
    """Folder of the run."""
    stages: list[StageStatus]
    """Every stage, in order."""
    release: str | None
    """Folder of its release; null where there is none yet."""
    release_state: Literal["none", "current", "outdated"]
    """`outdated` is of earlier settings or inputs than the run."""


class SalvageOutput(OutputModel):
    """What a salvage took out of a damaged journal."""

    recovered: Count
    """Replies in the new journal."""
    bad: Count
    """Replies that could be read and are not what was stored."""
    unreadable: Count
    """Pages of the file that could not be read."""
    kept: str | None
    """The old file; null where the journal was sound and nothing was done."""


class LedgerLine(OutputModel):
    """A row that was dropped."""

    stage: str
    """The stage that dropped it."""
    row_id: str
    """Its id there; a record that could not be read has its place."""
    drop_reason: str
    """Why, as a code."""
    detail: str
    """What was measured or seen."""


class RemarkLine(OutputModel):
    """A row that was kept with a remark."""

    stage: str
    """The stage that made the remark."""
    row_id: str
    """Its id there."""
    remark: str
    """The remark, as a code, such as `clinical_variant`."""
    detail: str
    """What was measured or seen."""


class StoredReplies(OutputModel):
    """The stored replies to one prompt of one model."""

    task: str
    """Prompt with its version: `judge@2`."""
    model: str
    """The model that replied."""
    replies: Count
    """How many."""
    prompt_tokens: Count | None
    """Tokens sent for them; null where no server told."""
    completion_tokens: Count | None
    """Tokens received; null where no server told."""


class JournalOutput(RootModel[list[StoredReplies]]):
    """What a run's journal holds, by prompt and model."""


class ReparseOutput(OutputModel):
    """How a stage's stored replies end under the present parser."""

    stage: str
    """Name of the stage."""
    rows: Count
    """Rows that enter the stage's prompts."""
    states: Reasons
    """`parsed`, `unparsable`, `truncated`, `refused`, `not_stored`, ... -> how many."""
