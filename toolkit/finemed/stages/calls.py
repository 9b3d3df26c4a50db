"""What the stages that call a backend share: building requests, and the settings that decide the replies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from finemed.config import LlmConfig, identity
from finemed.llm.ask import parser_of
from finemed.llm.base import Backend, Request, Sampling
from finemed.prompts import load_prompt


class Caller:
    """Base of the llm stages: one prompt, one backend."""

    def __init__(self, config: LlmConfig, backend: Backend, prompt: str) -> None:
        self.backend = backend
        self.max_reasks = config.max_reasks
        self.prompt = load_prompt(prompt)
        self._config = config
        self._sampling = Sampling(config.temperature, config.top_p, config.max_tokens)

    def settings(self) -> dict[str, Any]:
        """Sampling, backend and prompt; the names that only point to them are left out."""
        own = {key: value for key, value in identity(self._config).items() if key not in ("backend", "model")}
        return {
            **own,
            "backend": self.backend.identity(),
            "prompt": {"name": self.prompt.label, "sha256": self.prompt.sha256},
        }

    def request(
        self, row_id: str, inputs: Mapping[str, Any], reply: type[BaseModel] | None = None, *, label: str | None = None
    ) -> Request:
        """A request of this stage; `label` tells several calls of one row apart."""
        return Request((row_id, label or self.prompt.name), self.prompt, inputs, self._sampling, reply)

    def parse(self, request: Request, text: str) -> Any:
        """Reads a reply by the request's schema."""
        return parser_of(request)(text)
