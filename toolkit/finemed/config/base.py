"""What all settings have in common.

Fields marked *volatile* (where, how fast, with which key) never change what comes out, so they enter no hash.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from finemed.records.languages import language_setting

VOLATILE: dict[str, Any] = {"volatile": True}
Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]


def _host_and_port(address: str) -> str:
    try:
        parts = urlsplit(address)
        whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole:
        raise ValueError("not an address with a host, such as http://localhost:8000/v1")
    return address


Address = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_host_and_port)]


Language = Annotated[str, BeforeValidator(language_setting)]
"""A code such as `en`; `en-US` and `eng` are folded into it, and what is no code is refused."""


def each_once(given: list[Any]) -> list[Any]:
    """A list without the entries that stood in it before: `[en, en-US]` are one language."""
    return list(dict.fromkeys(given))


class Settings(BaseModel):
    """Base of all settings; no number may be infinite or none."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)
