"""Values inside others, by their paths: `fields.prompt` of `{"fields": {"prompt": "Why?"}}`.

::

    value_at({"result": [{"text": "a"}, {"text": "b"}]}, "result.text")   ->  ["a", "b"]
    named_paths("data", {"question": "Why?", "url": "x"})                 ->  {"data.question": None}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from finemed.sources.nested import field_kind
from finemed.sources.part_names import Kind, named_kind
from finemed.sources.turns import are_said, role_of

_DEEP = 8


def value_at(value: Any, path: str) -> Any:
    """What stands under a path; of a list of objects a list; None where there is nothing."""
    for key in path.split("."):
        if isinstance(value, list | tuple):
            held = [item.get(key) for item in value if isinstance(item, Mapping)]
            value = [each for item in held for each in (item if isinstance(item, list) else [item])]
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
    return None if value == [] else value


def named_paths(path: str, value: Any) -> dict[str, None]:
    """Paths below a column whose last names are those of parts, such as `prompt`, `text` or `label`."""
    return dict.fromkeys(_below(path, value, 0))


def _below(path: str, value: Any, depth: int) -> Iterator[str]:
    if depth > _DEEP:
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(item, Mapping):
            continue
        for key, held in item.items():
            if held is None or not isinstance(key, str) or "." in key:
                continue
            deeper = [] if _is_conversation(held) else list(_below(f"{path}.{key}", held, depth + 1))
            if deeper:
                yield from deeper
            elif not isinstance(held, Mapping) and (named_kind(key) or field_kind(key, held, None, item)) is not None:
                yield f"{path}.{key}"


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) and are_said(dict(item)) for item in value)


def schema_paths(column: Any) -> dict[str, None]:
    """The same of a field of an Arrow schema."""
    return dict.fromkeys(_of_type(column.name, column.type, 0))


def _of_type(path: str, kind: Any, depth: int) -> Iterator[str]:
    import pyarrow.types as types

    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    if not types.is_struct(kind) or depth > _DEEP:
        return
    siblings = [kind.field(number).name for number in range(kind.num_fields)]
    for number in range(kind.num_fields):
        field = kind.field(number)
        if "." in field.name:
            continue
        inner = field.type
        while types.is_list(inner) or types.is_large_list(inner):
            inner = inner.value_type
        names = [inner.field(at).name for at in range(inner.num_fields)] if types.is_struct(inner) else []
        spoken = not {"role", "from"}.isdisjoint(names)
        deeper = [] if spoken else list(_of_type(f"{path}.{field.name}", field.type, depth + 1))
        if deeper:
            yield from deeper
        elif (named_kind(field.name) or _role(field.name, siblings)) is not None and (
            spoken or not types.is_struct(inner)
        ):
            yield f"{path}.{field.name}"


def _role(name: str, beside: list[str]) -> Kind | None:
    """What a field is whose name is that of a speaker; values are not known here."""
    return None if role_of(name) is None else field_kind(name, None, None, beside)
