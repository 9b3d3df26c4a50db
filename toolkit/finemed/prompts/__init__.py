"""The prompts: one Jinja template per task, each with a version that is part of every result.

::

    prompt = load_prompt("judge")
    prompt.render({"instruction": "What causes croup?", "text": "..."})
    ->  [{"role": "system", "content": ...}, {"role": "user", "content": ...}]

A template has the blocks `system` and `user` and opens with ``{# version: N #}``. Text of the corpus enters as a value
and is never read as a template.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

_FOLDER = Path(__file__).resolve().parent
_VERSION = re.compile(r"\{#\s*version:\s*(\d+)\s*#\}")


@dataclass(frozen=True)
class Prompt:
    """A task's template."""

    name: str
    version: int
    sha256: str
    template: Template

    @property
    def label(self) -> str:
        """Name and version as rows carry them: ``judge@1``."""
        return f"{self.name}@{self.version}"

    def render(self, inputs: Mapping[str, Any]) -> list[dict[str, str]]:
        """The chat messages for these inputs; a missing input is an error, not an empty string."""
        messages = []
        for role in ("system", "user"):
            context = self.template.new_context(dict(inputs))
            content = "".join(self.template.blocks[role](context)).strip()
            messages.append({"role": role, "content": content})
        return messages


@cache
def load_prompt(name: str) -> Prompt:
    """Loads ``prompts/<name>.jinja``."""
    source = (_FOLDER / f"{name}.jinja").read_text("utf-8")
    version = _VERSION.match(source)
    if version is None:
        raise ValueError(f"{name}.jinja: does not open with {{# version: N #}}")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)  # noqa: S701
    digest = hashlib.sha256(source.encode()).hexdigest()
    return Prompt(name, int(version.group(1)), digest, environment.from_string(source))


def prompt_names() -> list[str]:
    """All tasks that have a template."""
    return sorted(path.stem for path in _FOLDER.glob("*.jinja"))
