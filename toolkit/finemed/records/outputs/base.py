"""What all outputs have in common: no field without a name, a type and a description.

``Sizes(OutputModel)`` with ``rows: Count`` and a docstring under it becomes one property of the schema.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Reasons = dict[str, Count]
"""Reason -> how many."""


class OutputModel(BaseModel):
    """Base of all outputs: every field is named, and no other is there."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
