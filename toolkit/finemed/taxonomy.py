"""The department tree: what a sample may be filed under, read from ``schemas/taxonomy.yaml``.

::

    tree = load_taxonomy()
    tree.department("internal-medicine").children[1].label    # "Cardiology"
    tree.parent_of("cardiology").label                        # "Internal Medicine"
    tree.labels()[1]                                          # ("Internal Medicine", "Cardiology")

The tree has two levels. At each the answer may also be `NONE_LABEL`: none of these.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from finemed.assets import asset
from finemed.errors import ConfigError

NONE_LABEL = "none"

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is six times as fast
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TERM = re.compile(r"[a-z0-9]+( [a-z0-9]+){0,2}")
_STEM = re.compile(r"[a-z0-9]{3,}\*|\*[a-z0-9]{3,}")
_TREE_KEYS = ("version", "name", "ignored", "departments")
_NODE_KEYS = ("id", "label", "description", "gathers", "cues", "children")


class Node(BaseModel):
    """A department, or one of its sub-departments.

    ``cues`` maps a lower-case term of one to three words, or a stem such as ``nephr*``, to its weight: 1 a hint,
    2 typical, 3 nearly decisive. ``gathers`` marks a department of illnesses of many organs at once: evidence that is
    spread over the other departments counts for it in part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str
    label: str
    description: str
    cues: dict[str, int]
    gathers: bool = False
    children: tuple[Node, ...] = ()


class Taxonomy(BaseModel):
    """The whole tree. Order matters: it breaks ties, so it is part of `content_hash`.

    ``ignored`` lists terms that use their words up and are evidence for nothing, such as the names of institutes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: str
    name: str
    ignored: tuple[str, ...] = ()
    departments: tuple[Node, ...]

    def nodes(self) -> Iterator[Node]:
        """All nodes in tree order, each department before its sub-departments."""
        for department in self.departments:
            yield department
            yield from department.children

    def department(self, id_or_label: str) -> Node:
        """A primary department; case does not matter.

        Raises:
            ConfigError: no primary department has that id or label.
        """
        for department in self.departments:
            if id_or_label.casefold() in (department.id, department.label.casefold()):
                return department
        known = ", ".join(department.id for department in self.departments)
        raise ConfigError(f"taxonomy {self.name}: `{id_or_label}` is no department; use one of {known}")

    def labels(self) -> list[tuple[str, str]]:
        """Every pair of primary label and sub-department label, in tree order."""
        return [(department.label, child.label) for department in self.departments for child in department.children]

    def parent_of(self, sub_id: str) -> Node:
        """The primary department that holds a sub-department.

        Raises:
            ConfigError: no sub-department has that id.
        """
        parents = {child.id: department for department in self.departments for child in department.children}
        if sub_id not in parents:
            known = ", ".join(parents)
            raise ConfigError(f"taxonomy {self.name}: `{sub_id}` is no sub-department; use one of {known}")
        return parents[sub_id]

    def content_hash(self) -> str:
        """SHA-256 in hex over canonical JSON: comments, layout and the order of cues in the file do not change it."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode("utf-8")).hexdigest()

    def outline(self) -> str:
        """Labels and descriptions as an indented list, to be put into a prompt."""
        lines = []
        for department in self.departments:
            lines.append(f"- {department.label}: {department.description}")
            lines += [f"  - {child.label}: {child.description}" for child in department.children]
        return "\n".join(lines)


def load_taxonomy(path: Path | None = None) -> Taxonomy:
    """Reads and checks a tree; without `path`, the one that ships with FineMed.

    Raises:
        ConfigError: the file cannot be read, or the tree is wrong; the message lists every fault, one per line.
    """
    path = path or asset("schemas", "taxonomy.yaml")
    try:
        raw = yaml.load(path.read_text("utf-8"), _LOADER)  # noqa: S506 - both are safe loaders
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); give a UTF-8 YAML file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        problem = getattr(error, "problem", None) or "unreadable"
        raise ConfigError(f"{place}: not YAML ({problem}); mend the syntax") from error
    faults = list(_tree_faults(raw))
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return Taxonomy(
        version=raw["version"],
        name=raw["name"],
        ignored=tuple(raw.get("ignored") or ()),
        departments=tuple(_node(entry) for entry in raw["departments"]),
    )


def _node(raw: Mapping[str, object]) -> Node:
    """Builds a node from an entry that `_tree_faults` found no fault with."""
    children = raw.get("children") or ()
    nodes = tuple(_node(child) for child in children) if isinstance(children, list | tuple) else ()
    return Node.model_validate({**raw, "children": nodes})


def _tree_faults(raw: object) -> Iterator[str]:
    if not isinstance(raw, dict):
        yield f"holds {_kind(raw)} instead of a mapping; write the keys {_listed(_TREE_KEYS)}"
        return
    yield from _key_faults("", raw, _TREE_KEYS, optional=("ignored",))
    for key in ("version", "name"):
        yield from _text_faults("", raw, key)
    yield from _ignored_faults(raw.get("ignored", []))
    yield from _list_faults("departments", raw.get("departments", ()))
    first_place: dict[tuple[str, str], str] = {}
    for place, depth, entry in _walk("departments", raw.get("departments"), depth=1):
        if depth == 3:
            yield f"`{place}` is a third level; the tree has two, move it up"
            continue
        yield from _node_faults(place, entry)
        if "gathers" in entry and (depth > 1 or not isinstance(entry["gathers"], bool)):
            yield f"`{place}.gathers` is {entry['gathers']!r}; set it to true or false, and at departments only"
        for key in ("id", "label"):
            value = entry.get(key)
            if isinstance(value, str):
                first = first_place.setdefault((key, value.casefold()), place)
                if first != place:
                    yield f"`{place}.{key}` is {value!r}, as is `{first}.{key}`; make it unique in the tree"


def _walk(place: str, raw: object, depth: int) -> Iterator[tuple[str, int, dict[object, object]]]:
    """The place, depth and entry of every node, as far as they are mappings in lists; nothing below level three."""
    if not isinstance(raw, list) or depth > 3:
        return
    for position, entry in enumerate(raw):
        if isinstance(entry, dict):
            yield f"{place}[{position}]", depth, entry
            yield from _walk(f"{place}[{position}].children", entry.get("children"), depth + 1)


def _node_faults(place: str, entry: dict[object, object]) -> Iterator[str]:
    yield from _key_faults(f"{place}.", entry, _NODE_KEYS, optional=("gathers", "children"))
    for key in ("id", "label", "description"):
        yield from _text_faults(f"{place}.", entry, key)
    node_id = entry.get("id")
    if isinstance(node_id, str) and not _ID.fullmatch(node_id):
        yield f"`{place}.id` is {node_id!r}; write it in kebab-case, such as 'internal-medicine'"
    for key in ("id", "label"):
        value = entry.get(key)
        if isinstance(value, str) and value.casefold() == NONE_LABEL:
            yield f'`{place}.{key}` is {value!r}, the answer "none of these"; choose another'
    if entry.get("children") is not None:
        yield from _list_faults(f"{place}.children", entry["children"])
    if "cues" in entry:
        yield from _cue_faults(f"{place}.cues", entry["cues"])


def _ignored_faults(ignored: object) -> Iterator[str]:
    if not isinstance(ignored, list):
        yield f"`ignored` is {_kind(ignored)} instead of a list; write it as [food and drug, skip directly to]"
        return
    for position, term in enumerate(ignored):
        if not isinstance(term, str) or not _TERM.fullmatch(term):
            yield f"`ignored[{position}]` is {term!r}; write one to three lower-case words with single blanks"


def _cue_faults(place: str, cues: object) -> Iterator[str]:
    if not isinstance(cues, dict):
        yield f"`{place}` is {_kind(cues)} instead of a mapping; write it as {{stroke: 3, headache: 1}}"
        return
    if not cues:
        yield f"`{place}` is empty; give at least one term, such as {{stroke: 3}}"
    for term, weight in cues.items():
        if not isinstance(term, str) or not (_TERM.fullmatch(term) or _STEM.fullmatch(term)):
            yield (
                f"`{place}` has the term {term!r}; write one to three lower-case words with single blanks, or a stem "
                "such as nephr*"
            )
        if isinstance(weight, bool) or not isinstance(weight, int) or not 1 <= weight <= 3:
            yield f"`{place}.{term}` is {weight!r}, not a weight; set 1, 2 or 3"


def _key_faults(
    place: str, entry: dict[object, object], keys: tuple[str, ...], optional: tuple[str, ...]
) -> Iterator[str]:
    for key in keys:
        if key not in entry and key not in optional:
            yield f"`{place}{key}` is missing; add it"
    for found in entry:
        if found not in keys:
            yield f"`{place}{found}` is no known key; use {_listed(keys)}"


def _text_faults(place: str, entry: dict[object, object], key: str) -> Iterator[str]:
    value = entry.get(key)
    if key in entry and (not isinstance(value, str) or not value.strip()):
        yield f"`{place}{key}` is {value!r}, not a text; write it in quotes"


def _list_faults(place: str, raw: object) -> Iterator[str]:
    if not isinstance(raw, (list, tuple)):
        yield f"`{place}` is {_kind(raw)} instead of a list; start each entry with `- id:`"
        return
    if isinstance(raw, list) and not raw:
        yield f"`{place}` is empty; give at least one entry"
    for position, entry in enumerate(raw):
        if not isinstance(entry, dict):
            yield f"`{place}[{position}]` is {_kind(entry)} instead of a mapping; write {_listed(_NODE_KEYS)}"


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return "a text"
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else "a single value"


def _listed(keys: tuple[str, ...]) -> str:
    return ", ".join(keys)
