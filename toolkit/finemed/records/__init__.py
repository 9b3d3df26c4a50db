"""The rows that cross a stage or a file, and the replies that a language model is asked for.

One row of the ``sft`` pool, shortened::

    {"id": "s3f0...", "messages": [{"role": "user", "content": "How is croup recognised?"},
                                   {"role": "assistant", "content": "A barking cough ..."}],
     "quality": 8, "complexity": 5, "source": "demo", "license": "CC0-1.0", "passage_id": "p91c...", ...}

Rows grow down the pipeline: each class adds the columns that its stage writes, so a row always carries its ancestors'
ids, its licence and the models that made it. The polars schema (`frame_schema`) and the JSON Schemas under ``schemas/``
are generated from these classes.
"""

from __future__ import annotations

from finemed.records.frames import (
    ID_PREFIX,
    PUBLISHED,
    SCHEMAS,
    content_id,
    frame,
    frame_schema,
    json_schema,
)
from finemed.records.replies import (
    AnswerJudgementReply,
    ClassificationReply,
    JudgementReply,
    QuestionsReply,
    Reply,
    Score6,
    Score10,
    Text,
)
from finemed.records.rows import (
    EXTRACTIVE_NOTICE,
    OTHER_TASK,
    POOLS,
    SPLITS,
    TASK_TYPES,
    ChatRow,
    ClassifiedPassage,
    Drop,
    Instruction,
    JudgedInstruction,
    JudgedResponse,
    Kind,
    LedgerRow,
    Message,
    Origin,
    Passage,
    PhiState,
    Pool,
    PooledSample,
    PreferenceRow,
    ReasonedInstruction,
    Response,
    Route,
    RoutedInstruction,
    Row,
    Sample,
    ScannedPassage,
    Split,
)

__all__ = [
    "EXTRACTIVE_NOTICE",
    "ID_PREFIX",
    "OTHER_TASK",
    "POOLS",
    "PUBLISHED",
    "SCHEMAS",
    "SPLITS",
    "TASK_TYPES",
    "AnswerJudgementReply",
    "ChatRow",
    "ClassificationReply",
    "ClassifiedPassage",
    "Drop",
    "Instruction",
    "JudgedInstruction",
    "JudgedResponse",
    "JudgementReply",
    "Kind",
    "LedgerRow",
    "Message",
    "Origin",
    "Passage",
    "PhiState",
    "Pool",
    "PooledSample",
    "PreferenceRow",
    "QuestionsReply",
    "ReasonedInstruction",
    "Reply",
    "Response",
    "Route",
    "RoutedInstruction",
    "Row",
    "Sample",
    "ScannedPassage",
    "Score6",
    "Score10",
    "Split",
    "Text",
    "content_id",
    "frame",
    "frame_schema",
    "json_schema",
]
