"""Stands in for vLLM where it is not installed: takes what `finemed.llm.vllm` hands over, records it, answers by rule.

The real one is exercised by the engine test (tests/engine); what it refuses and how is copied from there.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from vllm.sampling_params import SamplingParams

__all__ = ["LLM", "SamplingParams"]

DEFAULT: Callable[[str], tuple[str, str]] = lambda prompt: (f"Answer to {prompt[-20:]}", "stop")  # noqa: E731


class VLLMClientError(Exception):
    """Of a request; no ValueError since 0.32."""


class VLLMValidationError(VLLMClientError):
    """A prompt that is too long."""


class LLM:
    """Records its arguments and its batches."""

    opened: list[LLM] = []  # noqa: RUF012
    answer: Callable[[str], tuple[str, str]] = staticmethod(DEFAULT)

    def __init__(self, **arguments: Any) -> None:
        self.arguments = arguments
        self.batches: list[SimpleNamespace] = []
        self.running = True
        self.llm_engine = SimpleNamespace(engine_core=SimpleNamespace(shutdown=self._shutdown))
        LLM.opened.append(self)
        if arguments["model"] == "broken":
            raise RuntimeError("Engine core initialization failed")

    def _shutdown(self) -> None:
        self.running = False

    def chat(self, messages: list[Any], sampling_params: list[Any], **more: Any) -> list[Any]:
        """One output per conversation; one prompt that is too long refuses all."""
        assert self.running
        assert len(messages) == len(sampling_params)
        self.batches.append(SimpleNamespace(messages=messages, params=sampling_params, **more))
        outputs = []
        for conversation in messages:
            prompt = conversation[-1]["content"]
            if len(prompt.split()) > 500:
                raise VLLMValidationError(
                    f"The decoder prompt (length {len(prompt.split())}) is longer than the maximum"
                )
            text, finish = LLM.answer(prompt)
            if finish == "dead":
                raise RuntimeError("EngineCore encountered an issue")
            reply = SimpleNamespace(text=text, finish_reason=finish, token_ids=text.split())
            outputs.append(SimpleNamespace(prompt_token_ids=prompt.split(), outputs=[reply]))
        return outputs
