"""What of the settings decides the output, and a hash of it that is the same everywhere."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def identity(settings: BaseModel) -> dict[str, Any]:
    """The part of settings that decides the output: everything but volatile fields."""
    kept: dict[str, Any] = {}
    for name, field in type(settings).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("volatile"):
            continue
        value = _plain(getattr(settings, name))
        kept[name] = stable_hash(value) if isinstance(extra, dict) and extra.get("hashed") and value else value
    return kept


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity(value)
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in sorted(value.items())}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def stable_hash(value: Any) -> str:
    """SHA-256 of canonical JSON, in hexadecimal."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
