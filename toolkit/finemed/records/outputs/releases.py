"""Outputs of the commands on releases and published versions: validate, publish, versions, retract."""

from __future__ import annotations

from typing import Any

from pydantic import RootModel


class ValidateOutput(RootModel[dict[str, Any]]):
    """What a validation found."""


class PublishOutput(RootModel[dict[str, Any]]):
    """What a publication came to."""


class VersionsOutput(RootModel[list[dict[str, Any]]]):
    """The versions of a dataset, oldest first."""


class VersionOutput(RootModel[dict[str, Any]]):
    """What one version holds."""


class DiffOutput(RootModel[dict[str, Any]]):
    """How two versions differ."""


class RetractOutput(RootModel[dict[str, Any]]):
    """What a retraction came to."""
