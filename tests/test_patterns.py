"""No pattern has a possessive quantifier: before Python 3.11.5 these match wrongly (cpython#106052)."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import finemed

ROOT = Path(finemed.__file__).parent
OPTIONAL = ("finemed.training", "finemed.ttt", "finemed.llm.vllm", "finemed.__main__")


def possessive(pattern: str) -> bool:
    """Whether Python's own parser reads a possessive quantifier in a pattern."""
    from re import _constants, _parser  # type: ignore[attr-defined]

    def within(parsed: Any) -> bool:
        if isinstance(parsed, _parser.SubPattern | list | tuple):
            return any(item is _constants.POSSESSIVE_REPEAT or within(item) for item in parsed)
        return False

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return within(_parser.parse(pattern))


def literal_patterns(path: Path) -> Iterator[tuple[int, str]]:
    """Patterns that a module gives to `re` as they stand, when it is called rather than when it is imported."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        first = node.args[0]
        of_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
        if of_re and isinstance(first, ast.Constant) and isinstance(first.value, str):
            yield node.lineno, first.value


@pytest.mark.parametrize(
    ("pattern", "found"), [("a*+", True), (r"(?:x|y{1,3}+)z", True), ("(?>a*)b++", True), (r"(?>a+)\++[+*]+", False)]
)
def test_possessive_quantifiers_are_recognised(pattern: str, found: bool) -> None:
    assert possessive(pattern) is found


def test_no_module_compiles_a_possessive_quantifier(monkeypatch: pytest.MonkeyPatch) -> None:
    held: dict[str, str] = {}
    for module in pkgutil.walk_packages([str(ROOT)], "finemed."):
        if module.name.startswith(OPTIONAL):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            values = (
                value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            )
            for each in values:
                if isinstance(each, re.Pattern) and isinstance(each.pattern, str):
                    held[f"{module.name}.{name}"] = each.pattern
    assert len(held) > 100
    assert [name for name, pattern in held.items() if possessive(pattern)] == []


def test_no_module_uses_a_possessive_quantifier_when_it_runs() -> None:
    places = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.rglob("*.py"))
        for line, pattern in literal_patterns(path)
        if possessive(pattern)
    ]
    assert places == []


def test_a_path_is_never_read_as_a_pattern() -> None:
    """polars takes brackets in a path for a pattern unless it is told otherwise; a folder may have such a name."""
    reads = re.compile(r"pl\.(?:read|scan)_parquet\((?!io\.BytesIO)(?![^\n]*glob=False)|read_parquet_schema")
    found = [path.name for path in sorted(ROOT.rglob("*.py")) if reads.search(path.read_text("utf-8"))]
    assert found == []
