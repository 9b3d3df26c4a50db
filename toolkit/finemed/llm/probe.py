"""Finds out whether a server really enforces a reply's JSON Schema: some accept the field and ignore it.

The probe asks for one plain word and sends a schema that allows only an object with one fixed value. A reply with that
object shows that the schema was enforced; a plain word, or anything else, shows that it was not. The schema has the
keywords that the stages' replies have: a server that does not take them refuses the probe, and not a stage's calls.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

from finemed.config import stable_hash
from finemed.llm.base import Completion, Request, Sampling
from finemed.llm.structured import UnparsableError, parse_json
from finemed.models import ModelProfile, split_reasoning
from finemed.prompts import load_prompt
from finemed.records import Reply
from finemed.records.replies import Score10

PROBE = "probe"
_SAMPLING = Sampling(temperature=0.0, top_p=1.0, max_tokens=1024)
"""Room for a model that reasons before it answers; others need twenty tokens."""
_KEPT = ("type", "enum", "const", "minimum", "maximum", "anyOf", "items", "properties", "$defs", "$ref")


class ProbeReply(Reply):
    """What only a server that enforces the schema replies."""

    word: str
    code: Literal["k3-17"]
    certainty: Score10
    certain: bool


def probe_request(address: str, number: int) -> Request:
    """The call to the server with this number of a pool; each address has an answer of its own in the journal."""
    sample = int(stable_hash(address)[:8], 16)
    return Request((PROBE, PROBE), load_prompt(PROBE), {"endpoint": number}, _SAMPLING, ProbeReply, sample=sample)


def enforces_schema(completion: Completion, profile: ModelProfile) -> bool:
    """Whether the reply to the probe shows it."""
    if completion.finish != "stop":
        return False
    try:
        parse_json(split_reasoning(completion.text, profile)[1], ProbeReply)
    except UnparsableError:
        return False
    return True


@cache
def portable_schema_of(reply: type[BaseModel]) -> dict[str, Any]:
    """`portable_schema` of a reply's model; not to be changed."""
    return portable_schema(reply.model_json_schema())


def portable_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema in the subset that strict servers take: nothing but declared keys, all of them required."""
    kept = {key: value for key, value in schema.items() if key in _KEPT}
    for group in ("properties", "$defs"):
        if isinstance(kept.get(group), dict):
            kept[group] = {name: portable_schema(value) for name, value in kept[group].items()}
    if isinstance(kept.get("items"), dict):
        kept["items"] = portable_schema(kept["items"])
    if isinstance(kept.get("anyOf"), list):
        kept["anyOf"] = [portable_schema(choice) for choice in kept["anyOf"]]
    if "properties" in kept:
        kept["required"] = list(kept["properties"])
        kept["additionalProperties"] = False
    return kept
