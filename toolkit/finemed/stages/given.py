"""Rows whose source brings the question itself, and what the stages down the line make of them.

=================================== ================================================================================
such a row                          is
=================================== ================================================================================
`given_response` alone              common; its answer is the one ordinary answer, word for word
`given_response` and `given_chosen` complex; the chosen answer is the reasoning answer, the other the ordinary one
neither                             routed by its score and answered by the backend, without a background text
=================================== ================================================================================

Its `text` is the question with its answers: what the filter, the dedup, the PHI scan and the classification look at. It
is no background: a backend that is asked for an answer, or to judge one, does not see it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GIVEN = "given"
"""Stands for model, prompt and style of what a source brought."""


def background(row: Mapping[str, Any]) -> str:
    """The text behind a question; empty where the question was not written from one."""
    return "" if row["given_instruction"] is not None else str(row["text"])
