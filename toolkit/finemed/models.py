"""One profile per model family: how it marks its reasoning.

::

    split_reasoning("<think>fever, cough</think>Influenza.", profile_for("qwen"))  ->  ("fever, cough", "Influenza.")
"""

from __future__ import annotations

from dataclasses import dataclass

from finemed.errors import ConfigError


@dataclass(frozen=True)
class ModelProfile:
    """What is known about a family of models."""

    family: str
    reasoning_open: str = "<think>"
    reasoning_close: str = "</think>"


PROFILES = {
    profile.family: profile for profile in (ModelProfile("generic"), ModelProfile("llama"), ModelProfile("qwen"))
}


def profile_for(family: str | None) -> ModelProfile:
    """The profile of a family; None is `generic`.

    Raises:
        ConfigError: no such family.
    """
    if (family or "generic") not in PROFILES:
        raise ConfigError(f"model_family `{family}` is unknown; known are {', '.join(PROFILES)}")
    return PROFILES[family or "generic"]


def split_reasoning(text: str, profile: ModelProfile) -> tuple[str, str]:
    """Hidden reasoning and the answer after it; reasoning that was never closed leaves an empty answer."""
    before, close, after = text.rpartition(profile.reasoning_close)
    if close:
        return before.replace(profile.reasoning_open, "", 1).strip(), after.strip()
    if text.lstrip().startswith(profile.reasoning_open):
        return text.replace(profile.reasoning_open, "", 1).strip(), ""
    return "", text.strip()
