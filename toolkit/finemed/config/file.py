"""Reads ``finemed.yaml`` and ``--set``, and reports all faults at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from finemed.config.settings import LLM_SECTIONS, BuildConfig
from finemed.config.yaml_text import MAX_BYTES, parse
from finemed.errors import ConfigError


def load_config(path: Path, overrides: Sequence[str] = ()) -> BuildConfig:
    """Reads a configuration file and applies ``a.b=c`` overrides (values are YAML).

    Raises:
        ConfigError: with every fault of the file, each with its place.
    """
    try:
        raw = parse(_text(path))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(raw, dict):
        held = "nothing" if raw is None else type(raw).__name__
        raise ConfigError(f"{path}: holds {held}, not settings; `finemed init` writes an example")
    raw = {key: value for key, value in raw.items() if value is not None}  # a section without settings has defaults
    wrong = _applied(raw, overrides)
    faults = _consistency(raw)
    try:
        config = BuildConfig.model_validate(raw)
    except ValidationError as error:
        faults = _faults(error) + faults
    if faults or wrong:
        raise ConfigError("\n".join([*wrong, *(f"{path}: {fault}" for fault in faults)]))
    return config


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; `finemed init` writes one") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES:,} bytes, so it holds no settings; give the right file")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from None


def load_section(name: str, path: Path | None, overrides: Sequence[str] = ()) -> Any:
    """One section of a configuration, or its defaults, with ``key=value`` overrides of its settings.

    Args:
        name: the section, such as `dedup_instructions`.
        path: the configuration; None takes the defaults.
        overrides: settings of this section alone.

    Raises:
        ConfigError: with every fault, each with its place.
    """
    if path is not None:
        return getattr(load_config(path, [f"{name}.{override}" for override in overrides]), name)
    raw: dict[str, Any] = {}
    wrong = _applied(raw, overrides)
    section: Any = BuildConfig.model_fields[name].annotation
    try:
        settings = section.model_validate(raw)
    except ValidationError as error:
        wrong += [f"--set {fault}" for fault in _faults(error)]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return settings


def _applied(raw: dict[str, Any], overrides: Sequence[str]) -> list[str]:
    """Puts the overrides into the settings; what is wrong with those that cannot be."""
    faults = []
    for override in overrides:
        try:
            _apply(raw, override)
        except ConfigError as error:
            faults.append(str(error))
    return faults


def _apply(raw: dict[str, Any], override: str) -> None:
    key, eq, value = override.partition("=")
    if not eq or not key:
        raise ConfigError(f"--set {override}: not of the form section.key=value")
    try:
        parsed = parse(value)
    except ValueError as error:
        raise ConfigError(f"--set {override[:200]}: the value is {error}; quote it") from None
    *parents, last = key.split(".")
    if not all([*parents, last]):
        raise ConfigError(f"--set {override}: a part of the name is empty; write section.key=value")
    node: Any = raw
    for part in parents:
        node = node[_index(node, part, override)] if isinstance(node, list) else _inside(node, part)
        if not isinstance(node, dict | list):
            raise ConfigError(f"--set {override}: `{part}` is a value, not a section")
    if isinstance(node, list):
        node[_index(node, last, override)] = parsed
    else:
        node[last] = parsed


def _inside(node: dict[str, Any], part: str) -> Any:
    """The section of this name; one that has no settings yet begins empty."""
    if node.get(part) is None:
        node[part] = {}
    return node[part]


def _index(node: list[Any], part: str, override: str) -> int:
    if not (part.isascii() and part.isdigit() and len(part) < 10 and int(part) < len(node)):
        raise ConfigError(f"--set {override}: `{part}` is not an index below {len(node)}")
    return int(part)


def _faults(error: ValidationError) -> list[str]:
    lines = []
    for fault in error.errors():
        loc, type_at = fault["loc"], 2 if fault["loc"][:1] == ("backends",) else None  # the type is no key of the file
        place = ".".join(str(part) for i, part in enumerate(loc) if i != type_at) or "the file"
        value = fault.get("input")
        hidden = (
            isinstance(value, dict | list) or value is None or place.endswith(("api_key_env", "base_url"))
        )  # it may be the key itself, or hold a password
        shown = "" if hidden else f" (got {str(value)[:60]!r})"
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "no such setting; see docs/configuration.md or `finemed init`"
        lines.append(f"`{place}`: {message}{shown}")
    return lines


def _consistency(raw: dict[str, Any]) -> list[str]:
    """Faults between sections, looked for whatever else is wrong."""
    sources, backends = raw.get("sources"), raw.get("backends")
    entries = [source for source in sources if isinstance(source, dict)] if isinstance(sources, list) else []
    names = [str(entry["name"]) for entry in entries if "name" in entry]
    faults = [
        f"`sources`: the name `{name}` is used twice; names are part of ids, give each source its own"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if isinstance(backends, dict) and "rules" in backends:
        faults.append("`backends.rules`: the name belongs to the embedded backend; choose another")
    known = {"rules", *(str(name) for name in backends)} if isinstance(backends, dict) else {"rules"}
    phi = raw.get("phi")
    allowed = phi.get("allow_backends") if isinstance(phi, dict) else None
    faults += [
        f"`phi.allow_backends`: `{name}` is not defined; known are {', '.join(sorted(known))}"
        for name in (allowed if isinstance(allowed, list) else [])
        if str(name) not in known
    ]
    for section in LLM_SECTIONS:
        settings = raw.get(section)
        backend = settings.get("backend", "rules") if isinstance(settings, dict) else "rules"
        if isinstance(backend, str) and backend not in known:
            faults.append(f"`{section}.backend`: `{backend}` is not defined; known are {', '.join(sorted(known))}")
        if backend == "rules" and isinstance(settings, dict) and settings.get("model") is not None:
            faults.append(f"`{section}.model`: the rules backend has no models; set `{section}.backend` or remove it")
        chosen = backends.get(backend) if isinstance(backends, dict) and isinstance(backend, str) else None
        if section != "classify" and isinstance(chosen, dict) and chosen.get("type") == "embeddings":
            faults.append(f"`{section}.backend`: `{backend}` is of type embeddings, which can only `classify`")
    return faults
