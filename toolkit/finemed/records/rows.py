"""The row classes, from passage to published row; each adds the columns that its stage writes."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

EXTRACTIVE_NOTICE = "extractive, not for training a medical model"
POOLS = ("sft", "sft_reasoning", "dpo", "ttt")
SPLITS = ("train", "validation", "test")

TaskType = Literal[
    "explanation",
    "mechanism",
    "presentation",
    "differential_diagnosis",
    "interpretation",
    "next_step",
    "treatment",
    "complications",
    "prevention",
    "counselling",
]
TASK_TYPES: tuple[TaskType, ...] = get_args(TaskType)
Difficulty = Literal["basic", "intermediate", "advanced"]
DIFFICULTIES: tuple[Difficulty, ...] = get_args(Difficulty)
OTHER_TASK = "other"

Pool = Literal["sft", "sft_reasoning", "dpo", "ttt"]
Split = Literal["train", "validation", "test"]
Route = Literal["common", "complex"]
Kind = Literal["ordinary", "reasoning"]
PhiState = Literal["found", "none_found", "not_scanned"]


class Row(BaseModel):
    """Base of all rows: immutable, no column beyond the declared ones."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Span(Row):
    """A stretch of the passage's `text`, counted in characters."""

    start: int = Field(description="First character of the piece.")
    end: int = Field(description="One past its last character.")


_SPANS = (
    "Of an answer cut by rules: where its pieces stand in the passage's `text` (as it lies in the run, not in the "
    "document); joined by blanks they are the answer"
)


class Passage(Row):
    """A piece of a document that is short enough to ask questions about."""

    passage_id: str = Field(description="Content id: `document_id` and the span.")
    document_id: str = Field(description="Content id: source name, the source's own id if mapped, raw text.")
    record_id: str = Field(description="Where the document was read: `source/file:record`, counted from 1.")
    span_start: int = Field(description="First character of the passage in the document as read.", ge=0)
    span_end: int = Field(description="One past the last character of the passage in the document as read.", ge=0)
    title: str | None = Field(description="Title or topic that the source gives.")
    text: str = Field(
        description="The span without runs of blanks and indentation; of a given question, it and its answers."
    )
    source: str = Field(description="Name of the source in the configuration.")
    license: str | None = Field(description="Licence of this row's source; null where none was stated.")
    attribution: str | None = Field(description="Whom the licence wants named.")
    url: str | None = Field(description="Address of the document.")
    language: str | None = Field(description="ISO 639-1 code given by the source or identified; `und` if unknown.")
    source_id: str | None = Field(
        description="The record's own id in its source (`columns.id`); null where it has none."
    )
    extra: str | None = Field(
        description="The source's own columns that are published too (`columns.extra`), as JSON; null without any."
    )
    given_instruction: str | None = Field(
        description="Question that the source itself brings (instruction and preference datasets); null for documents."
    )
    given_response: str | None = Field(description="Answer that the source brings; of a pair, the rejected one.")
    given_chosen: str | None = Field(description="Preferred answer that the source brings, beside a rejected one.")


class ScannedPassage(Passage):
    """A passage that was looked through for protected health information."""

    phi_state: PhiState = Field(
        description="`found`, `none_found`, or `not_scanned` where the detector does not know the language."
    )
    phi_kinds: str | None = Field(description="Kinds found, each with its highest confidence, such as `phone 0.80`.")
    phi_confidence: float = Field(description="Highest confidence of all findings, 0 to 1; 0 without any.")


class ClassifiedPassage(ScannedPassage):
    """A passage with its place in the department tree."""

    department: str = Field(description="Primary department's label, or `none`.")
    subdepartment: str = Field(description="Sub-department's label, or `none`.")
    department_confidence: float = Field(description="Confidence of the classification, 0 to 1.")
    classify_model: str = Field(description="Backend and model that classified the passage.")


class Instruction(ClassifiedPassage):
    """A question written from a passage."""

    instruction_id: str = Field(description="Content id: `passage_id` and the question.")
    instruction: str = Field(description="The question, self-contained.")
    task_type: str = Field(description="What the question asks for, such as `mechanism` or `treatment`.")
    target_difficulty: Difficulty | None = Field(
        description="How hard the question was meant to be; null where the source brought it."
    )
    instruction_model: str = Field(description="Backend and model that wrote the question.")
    instruction_prompt: str = Field(description="Prompt and version, such as `generate@1`.")


class JudgedInstruction(Instruction):
    """A question with the judge's scores."""

    quality: int = Field(description="Clear and unambiguous, 1 to 10.", ge=1, le=10)
    complexity: int = Field(
        description="Expertise and analysis needed, 1 to 10 (the judge's `difficulty`).", ge=1, le=10
    )
    relevance: int = Field(description="Relevance to medicine, 1 to 6.", ge=1, le=6)
    mentions_details: bool = Field(description="Leans on details of a case or passage that the reader does not see.")
    rationale: str = Field(description="The judge's reason.")
    judge_model: str = Field(description="Backend and model that judged the question.")
    judge_prompt: str = Field(description="Prompt and version of the judgement.")


class CheckedInstruction(JudgedInstruction):
    """A question that was compared with benchmarks."""

    contamination: str | None = Field(
        description="Benchmark item that question or answer repeats, where such rows are marked: a line each, with "
        "what was found, score and characters; null where none was found."
    )


class RoutedInstruction(CheckedInstruction):
    """A question that will be answered, and how."""

    route: Route = Field(description="`complex` questions get a long reasoning answer too.")


class ReasonedInstruction(RoutedInstruction):
    """A question with its long answer, where it needs one."""

    reasoning: str | None = Field(
        description="The long answer (Thought and Summarization), or a pair's chosen one; null where common."
    )
    reasoning_model: str | None = Field(description="Backend and model that wrote it.")
    reasoning_prompt: str | None = Field(description="Prompt and version that it was written with.")
    reasoning_extractive: bool | None = Field(description="True where it was cut from the passage by rules.")
    reasoning_spans: list[Span] | None = Field(
        description=f"{_SPANS}, those of Thought first, then those of Summarization. Null for written answers."
    )


class Response(RoutedInstruction):
    """One answer to a question."""

    response_id: str = Field(description="Content id: `instruction_id`, kind, style and the answer.")
    kind: Kind = Field(description="`ordinary` or `reasoning` (Thought and Summarization).")
    style: str = Field(
        description="Style that was asked for: `concise`, `explanatory`, `reasoning`; or `given` by the source."
    )
    response: str = Field(description="The answer.")
    response_model: str = Field(description="Backend and model that wrote the answer.")
    response_prompt: str = Field(description="Prompt and version of the answer.")
    missing_answer: str | None = Field(
        description="Style, state and detail of an ordinary answer that failed beside it."
    )
    extractive: bool = Field(description="True where the text was cut from the passage by rules, not written.")
    answer_spans: list[Span] | None = Field(
        description=f"{_SPANS}; of a long answer those of Thought, then those of Summarization. Null for written ones."
    )


class JudgedResponse(Response):
    """One answer with the judge's scores."""

    grounded: int = Field(description="Supported by the passage, 1 to 10.", ge=1, le=10)
    correct: int = Field(description="Medically correct, 1 to 10.", ge=1, le=10)
    complete: int = Field(description="Answers the whole question, 1 to 10.", ge=1, le=10)
    safe: int = Field(description="Safe for a reader who acts on it, 1 to 10.", ge=1, le=10)
    ungrounded_numbers: str | None = Field(
        description="Quantities of a written answer that neither passage nor question holds, where they are let pass."
    )
    response_score: float = Field(description="Mean of the four scores.", ge=1, le=10)
    response_rationale: str = Field(description="The judge's reason.")
    answer_judge_model: str = Field(description="Backend and model that judged the answer.")
    answer_judge_prompt: str = Field(description="Prompt and version of the judgement.")


class Sample(RoutedInstruction):
    """A question with its better ordinary answer and, where complex, its reasoning answer."""

    response_id: str = Field(description="Id of the ordinary answer that won.")
    response: str = Field(description="The ordinary answer that won.")
    style: str = Field(description="Its style.")
    model_name: str = Field(description="Backend and model that wrote it.")
    response_prompt: str = Field(description="Prompt and version that it was written with.")
    answer_spans: list[Span] | None = Field(description=f"{_SPANS}. Null for written answers.")
    response_score: float = Field(description="Its mean score.")
    response_rationale: str = Field(description="The judge's reason for that score.")
    reasoning_id: str | None = Field(description="Id of the reasoning answer; null for common questions.")
    reasoning: str | None = Field(description="The reasoning answer with its two sections.")
    reasoning_model: str | None = Field(description="Backend and model that wrote it.")
    reasoning_prompt: str | None = Field(description="Prompt and version that it was written with.")
    reasoning_spans: list[Span] | None = Field(description="The same of the reasoning answer, section by section.")
    reasoning_score: float | None = Field(description="Its mean score.")
    answer_judge_model: str = Field(description="Backend and model that judged the answers.")
    answer_judge_prompt: str = Field(description="Prompt and version of the answers' judgement.")
    extractive: bool = Field(description="True where any answer was cut from the passage by rules.")


class PooledSample(Sample):
    """A sample's place in one pool and split; a complex sample of `dpo` is in `sft_reasoning` too."""

    row_id: str = Field(description="Content id: pool and the ids of the answers.")
    pool: Pool = Field(description="`sft`, `sft_reasoning`, `dpo` or `ttt`.")
    split: Split = Field(description="`train`, `validation` or `test`.")
    component_id: str = Field(description="Smallest instruction id of the near-duplicate component.")


class Message(Row):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Origin(Row):
    """What every published row says about where it comes from."""

    department: str = Field(description="Primary department's label, or `none`.")
    subdepartment: str = Field(description="Sub-department's label, or `none`.")
    task_type: str = Field(description="What the question asks for.")
    target_difficulty: Difficulty | None = Field(
        description="How hard the question was meant to be; null where the source brought it."
    )
    language: str | None = Field(description="ISO 639-1 code; `und` if unknown.")
    phi_state: PhiState = Field(description="What the scan for personal data said of the passage.")
    phi_kinds: str | None = Field(description="Kinds of personal data found in it, each with its highest confidence.")
    quality: int = Field(description="Judge's score of the question, 1 to 10.")
    complexity: int = Field(description="Judge's score of the question, 1 to 10.")
    relevance: int = Field(description="Judge's score of the question, 1 to 6.")
    rationale: str = Field(description="The judge's reason for the question's scores.")
    classify_model: str = Field(description="Backend and model that classified the passage.")
    instruction_model: str = Field(description="Backend and model that wrote the question.")
    instruction_prompt: str = Field(description="Prompt and version that it was written with.")
    judge_model: str = Field(description="Backend and model that judged the question.")
    judge_prompt: str = Field(description="Prompt and version of the judgement.")
    answer_judge_model: str = Field(description="Backend and model that judged the answers.")
    answer_judge_prompt: str = Field(description="Prompt and version of the answers' judgement.")
    extractive: bool = Field(description="True where text was cut from the passage by rules: not for training.")
    notice: str | None = Field(description=f"`{EXTRACTIVE_NOTICE}` on extractive rows, else null.")
    source: str = Field(description="Name of the source.")
    license: str | None = Field(description="Licence of the source; null where none was stated.")
    attribution: str | None = Field(description="Whom the licence wants named.")
    url: str | None = Field(description="Address of the document.")
    source_id: str | None = Field(
        description="The record's own id in its source (`columns.id`); null where it has none."
    )
    document_id: str = Field(description="Id of the document.")
    passage_id: str = Field(description="Id of the passage.")
    span_start: int = Field(description="First character of the passage in the document.")
    span_end: int = Field(description="One past its last character.")
    instruction_id: str = Field(description="Id of the question.")
    component_id: str = Field(
        description="Near-duplicate component; never in two splits, nor in `ttt` and another pool."
    )
    contamination: str | None = Field(
        description="Benchmark item that question or answer repeats, where such rows are marked; null where none was."
    )


class ChatRow(Origin):
    """A row of `sft`, `sft_<department>`, `sft_reasoning` or `ttt`."""

    id: str = Field(description="Id of the row, stable while pool and answer stay the same.")
    messages: list[Message] = Field(description="Question and answer as one conversation.")
    prompt: list[Message] = Field(description="The question alone.")
    completion: list[Message] = Field(description="The answer alone.")
    instruction: str = Field(description="The question as text.")
    response: str = Field(description="The answer as text.")
    response_id: str = Field(description="Id of the answer.")
    answer_spans: list[Span] | None = Field(description=f"{_SPANS}. Null for written answers.")
    response_score: float = Field(description="Judge's mean score of the answer, 1 to 10.")
    model_name: str = Field(description="Backend and model that wrote the answer.")
    response_prompt: str = Field(description="Prompt and version that it was written with.")


class PreferenceRow(Origin):
    """A row of `dpo`: the reasoning answer is preferred over the ordinary one."""

    id: str = Field(description="Id of the row, stable while both answers stay the same.")
    prompt: list[Message] = Field(description="The question.")
    chosen: list[Message] = Field(description="The reasoning answer.")
    rejected: list[Message] = Field(description="The ordinary answer.")
    chosen_id: str = Field(description="Id of the reasoning answer.")
    chosen_spans: list[Span] | None = Field(description=f"{_SPANS}, section by section. Null for written answers.")
    rejected_id: str = Field(description="Id of the ordinary answer.")
    rejected_spans: list[Span] | None = Field(description="The same of the ordinary answer.")
    chosen_model: str = Field(description="Backend and model that wrote the reasoning answer.")
    rejected_model: str = Field(description="Backend and model that wrote the ordinary answer.")
    chosen_score: float = Field(description="Judge's mean score of the reasoning answer.")
    rejected_score: float = Field(description="Judge's mean score of the ordinary answer.")


class Drop(Row):
    """One line of the ledger: a row that left the pipeline, where and why."""

    row_id: str = Field(description="Id of the row that was dropped.")
    drop_reason: str = Field(description="Reason code.")
    detail: str = Field(description="Fact behind the reason: a value, the kept row, a benchmark item.")


class LedgerRow(Drop):
    """A drop with its stage, as it stands in `ledger.parquet`."""

    stage: str = Field(description="Stage that dropped the row.")


class NoteRow(Row):
    """A remark on a row that was kept, as it stands in `notes.parquet`."""

    row_id: str = Field(description="Id of the row.")
    remark: str = Field(description="Code, such as `clinical_variant`: nearly repeats another row, but not clinically.")
    detail: str = Field(description="Fact behind the remark: the other row, their similarity, what sets them apart.")
    stage: str = Field(description="Stage that made the remark.")
