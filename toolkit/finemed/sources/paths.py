"""Values inside others, by their paths: `fields.prompt` of `{"fields": {"prompt": "Why?"}}`.

::

    value_at({"result": [{"text": "a"}, {"text": "b"}]}, "result.text")   ->  ["a", "b"]
    named_paths("data", {"question": "Why?", "url": "x", "ok": True})     ->  {"data.question": False, "data.ok": True}
    pattern_at([{"a": "x"}, {"a": None}], "a")                            ->  [1, 0]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from finemed.sources.nested import field_kind, is_held
from finemed.sources.part_names import Kind, is_metadata, named_kind
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


def pattern_at(value: Any, path: str) -> list[Any] | None:
    """How many values each object of a list has under a path; None where it is one each, or there is no such list."""
    found = _pattern(value, path.split("."))
    return found if isinstance(found, list) and any(each != 1 for each in found) and _any(found) else None


def _pattern(value: Any, keys: Sequence[str]) -> Any:
    if not keys:
        return sum(map(is_held, value)) if isinstance(value, list | tuple) else int(is_held(value))
    if isinstance(value, list | tuple):
        found = [_pattern(item, keys) for item in value if isinstance(item, Mapping)]
        return found[0] if len(found) == 1 else found or 0
    return _pattern(value.get(keys[0]), keys[1:]) if isinstance(value, Mapping) else 0


def _any(pattern: Any) -> bool:
    return any(map(_any, pattern)) if isinstance(pattern, list) else bool(pattern)


def named_paths(path: str, value: Any) -> dict[str, bool]:
    """Paths below a column whose last names are those of parts, such as `prompt`, `text` or `label`.

    True marks those of truth values, whose names say nothing: `is_impossible` beside a question.
    """
    found: dict[str, bool] = {}
    for below, flag in _below(path, value, 0):
        found[below] = found.get(below, True) and flag
    return found


def _below(path: str, value: Any, depth: int) -> Iterator[tuple[str, bool]]:
    if depth > _DEEP:
        return
    for item in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(item, Mapping):
            continue
        found: list[tuple[str, bool]] = []
        flags: list[tuple[str, bool]] = []
        for key, held in item.items():
            if held is None or held == [] or not isinstance(key, str) or "." in key:
                continue
            deeper = [] if _is_conversation(held) else list(_below(f"{path}.{key}", held, depth + 1))
            if deeper:
                found += deeper
            elif not isinstance(held, Mapping) and (named_kind(key) or field_kind(key, held, None, item)) is not None:
                found.append((f"{path}.{key}", False))
            elif isinstance(held, bool) and not is_metadata(key):
                flags.append((f"{path}.{key}", True))
        yield from found
        yield from flags if found else ()


def _is_conversation(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) and are_said(dict(item)) for item in value)


def schema_paths(column: Any) -> dict[str, bool]:
    """The same of a field of an Arrow schema."""
    return dict(_of_type(column.name, column.type, 0))


def _of_type(path: str, kind: Any, depth: int) -> Iterator[tuple[str, bool]]:
    import pyarrow.types as types

    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
    if not types.is_struct(kind) or depth > _DEEP:
        return
    found: list[tuple[str, bool]] = []
    flags: list[tuple[str, bool]] = []
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
            found += deeper
        elif (named_kind(field.name) or _role(field.name, siblings)) is not None and (
            spoken or not types.is_struct(inner)
        ):
            found.append((f"{path}.{field.name}", False))
        elif types.is_boolean(inner) and not is_metadata(field.name):
            flags.append((f"{path}.{field.name}", True))
    yield from found
    yield from flags if found else ()


def _role(name: str, beside: list[str]) -> Kind | None:
    """What a field is whose name is that of a speaker; values are not known here."""
    return None if role_of(name) is None else field_kind(name, None, None, beside)
