"""What a card says beyond plain counts, worked out from the release's manifest.

::

    model_rows(manifest)[0]
    # {"step": "classification", "model": "rules@3", "name": "rules@3", "licence": "Apache-2.0", "rows": 1452}

A fact that the manifest does not have is None here, and "not stated" on the card.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
from pydantic.fields import FieldInfo

from finemed.publish.cards.markdown import escape
from finemed.publish.cards.plots import NOWHERE, by_department
from finemed.records import POOLS, PUBLISHED
from finemed.records.counts import how_many
from finemed.stages.given import GIVEN

Manifest = Mapping[str, Any]
_HASH = re.compile(r"[0-9a-f]{64}")
BIASED = 2 / 3
"""Share of pairs from which on one side's length may be what a model learns."""
MOST_CHANGES = 25
"""Lines of the changelog that the card repeats."""
_ANSWERS = {
    "sft": "`sft`",
    "sft_reasoning": "`sft_reasoning`",
    "dpo_chosen": "`dpo`, chosen",
    "dpo_rejected": "`dpo`, rejected",
    "ttt": "`ttt`",
}
_STEPS = (
    "classification",
    "questions",
    "judgement of questions",
    "reasoning answers",
    "ordinary answers",
    "judgement of answers",
)
_WRITERS = (
    ("questions", "judgement of questions", "questions"),
    ("ordinary answers", "judgement of answers", "ordinary answers"),
    ("reasoning answers", "judgement of answers", "long answers"),
)


def model_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Who did each step, with the licence of the model's outputs; the source itself where it brought the text."""
    known, models = manifest.get("backends", {}), manifest["figures"]["models"]
    return [
        {
            "step": step,
            "model": told,
            "name": model,
            "licence": "of its source" if model == GIVEN else known.get(model, {}).get("license"),
            "rows": rows,
        }
        for step in sorted(models, key=lambda step: (_STEPS.index(step) if step in _STEPS else len(_STEPS), step))
        for told, rows in models[step].items()
        for model in [_model(step, told)]
    ]


def _model(step: str, told: str) -> str:
    """The model of an entry such as ``rules@3, respond@2``; classification has no prompt beside it."""
    return told if step == "classification" else told.rpartition(", ")[0]


def setting_rows(manifest: Manifest) -> list[tuple[str, str]]:
    """(stage, its settings in one line); nested ones have dotted names, hashes are shortened."""
    return [
        (stage["stage"], "; ".join(f"{name}: {value}" for name, value in _flat(stage.get("settings", {}), "")))
        for stage in manifest["stages"]
    ]


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and not any(isinstance(inner, dict | list) for inner in value):
        yield name, ", ".join(map(_plain, value)) or "none"
    elif isinstance(value, list):
        for number, inner in enumerate(value, 1):
            yield from _flat(inner, f"{name}.{number}")
    elif name:
        yield name, _plain(value)


def _plain(value: Any) -> str:
    if value is None or value == {}:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text[:16] if _HASH.fullmatch(text) else text


def answer_rows(manifest: Manifest) -> list[tuple[str, dict[str, Any]]]:
    """(name, scores and lengths) of each kind of answer; empty where the build did not count them."""
    found = manifest["figures"].get("answers", {})
    return [(name, found[kind]) for kind, name in _ANSWERS.items() if found.get(kind, {}).get("rows")]


def length_facts(manifest: Manifest) -> dict[str, Any] | None:
    """How often the chosen answer is the longer one; None where there are no pairs or nobody counted."""
    found = manifest["figures"].get("chosen_length")
    pairs = sum(found[name] for name in ("longer", "equal", "shorter")) if found else 0
    if not pairs:
        return None
    sides = {"long": found["longer"] / pairs, "short": found["shorter"] / pairs}
    return {**found, "pairs": pairs, "biased": next((side for side, share in sides.items() if share >= BIASED), None)}


def column_types(schema: pa.Schema) -> list[dict[str, str]]:
    """Name and type of every column, in the files' order, for the release's manifest."""
    return [{"name": field.name, "type": _type(field.type)} for field in schema]


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "{" + ", ".join(f"{field.name}: {_type(field.type)}" for field in kind) + "}"
    return {"double": "float64"}.get(str(kind), str(kind))


def column_tables(manifest: Manifest) -> list[dict[str, Any]]:
    """Columns of the configs with what they mean; configs with equal columns share a table."""
    tables: list[dict[str, Any]] = []
    for pool in POOLS:
        known = manifest.get("columns", {}).get(pool)
        if known is None:
            continue
        fields = PUBLISHED[pool].model_fields
        own = manifest.get("extra_columns", {})
        columns = [
            {**column, "meaning": _own_meaning(own[name]) if name in own else _meaning(fields.get(name))}
            for column in known
            for name in [column["name"]]
        ]
        name = f"<code>{pool}</code>{' and its views' if pool == 'sft' else ''}"
        shared = next((table for table in tables if table["columns"] == columns), None)
        if shared is None:
            tables.append({"names": [name], "columns": columns})
        else:
            shared["names"].append(name)
    return tables


def _own_meaning(told: Mapping[str, Any]) -> str:
    """What a column means that sources brought themselves."""
    said = f"{escape(told['description'].rstrip('. '))}. " if told.get("description") else ""
    names = told["sources"]
    return f"{said}Column of the source{'s' * (len(names) > 1)} {', '.join(map(escape, names))}."


def _meaning(field: FieldInfo | None) -> str:
    """What a column means; it is our own text, so it keeps its marks."""
    told = field.description if field is not None else None
    return (told or "not stated").replace("|", "\\|")


def limits(manifest: Manifest) -> list[str]:
    """Known limits of this very release, as Markdown."""
    figures = manifest["figures"]
    found = [
        f"{_listed(steps)} were written and judged by the same backend, {escape(model)}: it may favour its own style."
        for model, steps in _own_judges(manifest).items()
    ]
    questions = sum(figures["quality"].values())
    unlicensed = sum(row["questions"] for row in figures["licences"] if not row["license"])
    if unlicensed:
        found.append(f"No licence is known for the sources of {unlicensed:,} of {how_many(questions, 'question')}.")
    silent = sorted({row["name"] for row in model_rows(manifest) if row["licence"] is None})
    if silent:
        found.append(f"The licence of what these models write is not stated: {', '.join(map(escape, silent))}.")
    if len(figures["languages"]) == 1:
        found.append(f"All texts are in one language: {escape(next(iter(figures['languages'])))}.")
    nowhere = by_department(manifest).get(NOWHERE)
    if nowhere:
        total = sum(nowhere[pool] for pool in ("sft", "dpo", "ttt"))
        found.append(
            f"{total:,} of {how_many(questions, 'question')} {'fits' if total == 1 else 'fit'} no department (`none`)."
        )
    return found


def _own_judges(manifest: Manifest) -> dict[str, list[str]]:
    """Model -> what it both wrote and judged."""
    models = manifest["figures"]["models"]
    found: dict[str, list[str]] = {}
    for written, judged, name in _WRITERS:
        writers = {_model(written, told) for told in models.get(written, {})} - {GIVEN}
        for model in sorted(writers & {_model(judged, told) for told in models.get(judged, {})}):
            found.setdefault(model, []).append(name)
    return found


def _listed(names: list[str]) -> str:
    """``Questions, ordinary answers and long answers``."""
    text = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return text[0].upper() + text[1:]


def recent_changes(manifest: Manifest) -> str:
    """The version's entry in the changelog without its heading, cut where it is long."""
    lines = manifest.get("changelog", "").strip().split("\n")
    body = "\n".join(lines[1:] if lines[0].startswith("## ") else lines).strip().split("\n")
    if len(body) > MOST_CHANGES:
        body = [*body[:MOST_CHANGES], "", f"{len(body) - MOST_CHANGES} more lines are in the changelog."]
    return "\n".join(body)
