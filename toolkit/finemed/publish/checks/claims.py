"""What validation reads of a manifest.

::

    Manifest.model_validate_json(b'{"configs": {"sft": {"train": 83}}, "files": {"README.md": "9727..."}, ...}')

A manifest may come from anywhere; what does not have these types is refused as a whole, with the first fault.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError


class OwnColumn(BaseModel):
    """A source's own column, as the configuration declared it."""

    type: Literal["string", "integer", "number", "boolean"]
    sources: list[str]
    description: str | None = None


class Manifest(BaseModel):
    """What validation reads of a manifest; the rest is left alone."""

    model_config = ConfigDict(extra="ignore", strict=True)

    configs: dict[str, dict[str, int]]
    files: dict[str, str]
    content: dict[str, str] = {}
    version: str | None = None
    backends: dict[str, Any] = {}
    columns: dict[str, list[dict[str, str]]] = {}
    extra_columns: dict[str, OwnColumn] = {}
    stages: list[dict[str, Any]] = []
    dpo_questions: str = "all"

    @property
    def whole_documents(self) -> bool:
        """Whether a document lies in one split alone; as the split stage was told."""
        stage = next((stage for stage in self.stages if stage.get("stage") == "split"), {})
        settings = stage.get("settings")
        return bool(settings.get("whole_documents", True)) if isinstance(settings, dict) else True


def short(error: Exception) -> str:
    """An error in one line; of a manifest, where it is and what."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return f"`{where[:80]}`: {first['msg'][:120]}" if where else first["msg"][:120]
    return " ".join(str(error).split())[:160]
