"""Finds out whether a server really enforces a reply's JSON Schema: some accept the field and ignore it.

The probe asks for one plain word and sends a schema that allows only an object with one fixed value. A reply with that
object shows that the schema was enforced; a plain word, or anything else, shows that it was not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from finemed.config import stable_hash
from finemed.llm.base import Request, Sampling
from finemed.llm.structured import UnparsableError, parse_json
from finemed.prompts import load_prompt
from finemed.records import Reply

_SAMPLING = Sampling(temperature=0.0, top_p=1.0, max_tokens=64)
_UNKNOWN_TO_STRICT = ("title", "default", "minLength", "maxLength", "description")


class ProbeReply(Reply):
    """What only a server that enforces the schema replies."""

    code: Literal["k3-17"]


def probe_request(addresses: Sequence[tuple[str | None, str | None]]) -> Request:
    """The call; servers at other addresses are asked anew, since its sample number follows from the address."""
    sample = int(stable_hash([address for address, _ in addresses])[:8], 16)
    return Request(("probe", "probe"), load_prompt("probe"), {}, _SAMPLING, ProbeReply, sample=sample)


def enforces_schema(text: str) -> bool:
    """Whether the reply to the probe shows it."""
    try:
        parse_json(text, ProbeReply)
    except UnparsableError:
        return False
    return True


def portable_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in the subset that strict servers take: nothing but declared keys, all of them required."""
    kept = {key: value for key, value in schema.items() if key not in _UNKNOWN_TO_STRICT}
    if isinstance(kept.get("properties"), dict):
        kept["properties"] = {name: portable_schema(value) for name, value in kept["properties"].items()}
        kept["required"] = list(kept["properties"])
        kept["additionalProperties"] = False
    return kept
