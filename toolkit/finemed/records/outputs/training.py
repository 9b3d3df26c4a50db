"""Outputs of the commands that use a model: ttt answer."""

from __future__ import annotations

from pydantic import Field

from finemed.records.outputs.base import OutputModel


class NearSample(OutputModel):
    """A sample that was adapted on."""

    id: str
    """Id of its row."""
    similarity: float
    """Cosine with the question."""


class TttOutput(OutputModel):
    """One question's answer, from the base model and from the model adapted to it."""

    question: str
    """As it was asked."""
    neighbours: list[NearSample]
    """The samples that were adapted on; without any, both answers are the base model's."""
    answer_base: str
    """The base model's answer."""
    answer: str
    """The adapted model's answer."""
    losses: list[float]
    """Mean loss on the neighbours before each step."""
    base_hash_before: str
    """Hash of the base weights before."""
    base_hash_after: str
    """Hash of the base weights after they were put back."""
    restored: bool
    """Whether the two hashes are equal."""
    seconds_adapt: float = Field(ge=0)
    """Time of the adaptation."""
    seconds_generate: float = Field(ge=0)
    """Time of both answers together."""
