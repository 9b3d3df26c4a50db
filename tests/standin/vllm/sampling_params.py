"""Takes the arguments that are used, and no others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class StructuredOutputsParams:
    json: dict[str, Any]


@dataclass
class SamplingParams:
    temperature: float
    top_p: float
    max_tokens: int
    structured_outputs: StructuredOutputsParams | None = None
