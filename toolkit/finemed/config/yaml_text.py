r"""YAML as settings: nothing in a file, however odd or hostile, is more than a fault with a place.

::

    parse("seed: 7\nname: 2020-01-01")     ->  {"seed": 7, "name": "2020-01-01"}
    parse("seed: 7\nseed: 8")               ->  ValueError: `seed` stands twice in one section, line 2

Dates stay text. A key may stand once in a section, where YAML would silently take the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

MAX_BYTES = 4_000_000
"""Largest file of settings."""
MAX_DEPTH = 40
"""Deepest nesting; settings need six levels."""
MAX_VALUES = 200_000
"""Most values, each alias counted as often as it is used."""


class _Loader(yaml.SafeLoader):
    """Safe, without dates, and with keys that stand once."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_VALUES:
            raise yaml.constructor.ConstructorError(None, None, "too many merged keys", node.start_mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    own = [key for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
    seen: set[Any] = set()
    for key, node_of in ((loader.construct_object(key, deep=True), key) for key in own):
        try:
            twice = key in seen
            seen.add(key)
        except TypeError:
            raise yaml.constructor.ConstructorError(
                None, None, "a list or a section cannot be a key", node_of.start_mark
            ) from None
        if twice:
            raise yaml.constructor.ConstructorError(
                None, None, f"`{key}` stands twice in one section", node_of.start_mark
            )
    loader.flatten_mapping(node)
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def parse(text: str) -> Any:
    """The value of a YAML text.

    Raises:
        ValueError: it is no YAML, or none that settings may be; the message is one line.
    """
    try:
        value = yaml.load(text, _Loader)  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:500]}") from None
    except RecursionError:
        raise ValueError(f"nested too deeply; settings have at most {MAX_DEPTH} levels") from None
    except (ValueError, OverflowError) as error:  # a number of more digits than Python reads, a broken escape
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:500]}") from None
    fault = next(_faults(value), None)
    if fault is not None:
        raise ValueError(fault)
    return value


def _faults(value: Any) -> Iterator[str]:
    """What no setting may be, looked for without recursion, aliases followed as often as they are used."""
    waiting: list[tuple[str, Any, int]] = [("", value, 0)]
    looked_at = 0
    while waiting:
        place, item, depth = waiting.pop()
        looked_at += 1
        if depth > MAX_DEPTH:
            yield f"nested too deeply; settings have at most {MAX_DEPTH} levels"
            return
        if looked_at > MAX_VALUES:
            yield f"holds more than {MAX_VALUES:,} values, aliases counted as often as they are used"
            return
        if isinstance(item, dict):
            waiting += [(f"{place}.{key}".lstrip("."), inner, depth + 1) for key, inner in reversed(item.items())]
            if any(isinstance(key, str) and "\0" in key for key in item):
                yield f"`{place or 'the file'}`: a key holds a NUL character"
        elif isinstance(item, list | set | tuple):
            waiting += [(f"{place}.{at}".lstrip("."), inner, depth + 1) for at, inner in enumerate(item)]
        elif isinstance(item, bytes):
            yield f"`{place}`: binary data; write text"
        elif isinstance(item, str) and "\0" in item:
            yield f"`{place}`: holds a NUL character"
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            yield f"`{place}`: does not fit in 64 bits"
