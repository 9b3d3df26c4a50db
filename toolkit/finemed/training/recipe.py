"""Recipes: one YAML file per training, one pydantic model per kind of recipe.

::

    recipe = load_recipe(Path("recipes/sft/cpu-tiny.yaml"), ["release=demo/release", "trainer.max_steps=3"], SftRecipe)
    recipe.trainer.max_steps    # 3

Names under ``trainer`` are those of ``transformers.TrainingArguments``, so that a user finds them in its documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finemed.errors import ConfigError

TINY = "tiny"
"""The value of ``model`` that asks for a tiny Llama, made on the spot from the release's own text."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class LoraSettings(_Section):
    """Shape of a LoRA adapter; ``target_modules: all-linear`` means every linear layer but the LM head."""

    r: Annotated[int, Field(ge=1)] = 8
    alpha: Annotated[int, Field(gt=0)] = 16
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    target_modules: Literal["all-linear"] | tuple[str, ...] = "all-linear"


class TrainerSettings(_Section):
    """What is handed to ``SFTConfig`` and ``DPOConfig`` unchanged."""

    learning_rate: Annotated[float, Field(gt=0)]
    per_device_train_batch_size: Annotated[int, Field(ge=1)]
    gradient_accumulation_steps: Annotated[int, Field(ge=1)] = 1
    num_train_epochs: Annotated[float, Field(gt=0)] = 1.0
    max_steps: int = -1
    """Optimizer steps; above 0 it overrules ``num_train_epochs``."""
    warmup_steps: Annotated[float, Field(ge=0)] = 0.1
    """Steps, or below 1 the share of all steps."""
    lr_scheduler_type: str = "cosine"
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    logging_steps: Annotated[int, Field(ge=1)] = 10
    activation_checkpointing: bool = False
    """What was called gradient checkpointing before transformers 5.23."""
    bf16: bool = False
    """Autocast to bfloat16; the weights themselves are always loaded, updated and saved in float32."""
    use_cpu: bool = False


class Recipe(_Section):
    """What every recipe has."""

    kind: str
    script: str
    """The script that runs this recipe, relative to the YAML file."""
    release: str
    """Folder of a release, or the id of a dataset repository on the Hub."""
    model: str
    """``tiny``, a folder (a full model or a LoRA adapter), or a model id on the Hub."""
    chat_template: Path | None = None
    """A Jinja file, for a tokenizer that brings no chat template; it is saved with the trained model."""
    max_length: Annotated[int, Field(ge=8)]
    """Tokens of one sample, question and answer together; what is longer is cut at the end, and counted."""
    seed: int = 17


class SftRecipe(Recipe):
    """Supervised fine-tuning on the answers of one pool."""

    kind: Literal["sft"]
    script: str = "sft.py"
    output_dir: Path
    pool: str = "sft"
    lora: LoraSettings | None = None
    """``null`` trains all weights."""
    trainer: TrainerSettings


class DpoRecipe(Recipe):
    """Preference optimisation; the reference is the policy it starts from (see ``finemed.training.policy``)."""

    kind: Literal["dpo"]
    script: str = "dpo.py"
    output_dir: Path
    pool: str = "dpo"
    beta: Annotated[float, Field(gt=0)] = 0.1
    loss_type: str = "sigmoid"
    lora: LoraSettings | None = None
    trainer: TrainerSettings


class TttRecipe(Recipe):
    """Test-time training: one question, its nearest samples, a LoRA that lives for one answer."""

    kind: Literal["ttt"]
    script: str = "ttt.py"
    pool: str = "ttt"
    embedder: str = "tfidf"
    """``tfidf`` or ``sentence-transformers:<folder or model id>``."""
    neighbours: Annotated[int, Field(ge=1)] = 1
    min_similarity: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Samples whose cosine does not exceed it are not adapted on; with none left the base answers alone."""
    steps: Annotated[int, Field(ge=1)] = 1
    learning_rate: Annotated[float, Field(gt=0)]
    lora: LoraSettings = LoraSettings()
    max_new_tokens: Annotated[int, Field(ge=1)] = 512
    device: Literal["auto", "cpu", "cuda"] = "auto"


R = TypeVar("R", bound=Recipe)
KINDS: dict[str, type[Recipe]] = {"sft": SftRecipe, "dpo": DpoRecipe, "ttt": TttRecipe}


def load_recipe(path: Path, overrides: Sequence[str] = (), kind: type[R] | None = None) -> R:
    """Read a recipe and lay ``a.b=c`` overrides over it; values are YAML, so ``lora=null`` works.

    Args:
        path: the YAML file.
        overrides: settings laid over the file, in order, the last one winning.
        kind: the class that is wanted; without it the file's own ``kind`` decides.

    Raises:
        ConfigError: the file cannot be read, or settings are wrong; all faults are listed, one a line.
    """
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as a recipe: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: is no mapping of settings; start from a copy of a bundled recipe")
    named = data.get("kind")
    wanted: Any = kind or KINDS.get(named if isinstance(named, str) else "")
    if wanted is None:
        raise ConfigError(f"{path}: `kind` is {named!r}; set one of {', '.join(KINDS)}")
    faults = [fault for text in overrides if (fault := _lay_over(data, text))]
    try:
        recipe: R = wanted.model_validate(data)
    except ValidationError as error:
        faults += [_fault(dict(item)) for item in error.errors()]
    if faults:
        raise ConfigError("\n".join(f"{path}: {fault}" for fault in faults))
    return recipe


def _lay_over(data: dict[str, Any], text: str) -> str | None:
    """Apply one ``a.b=c`` to `data` in place; what is wrong with it, or None."""
    name, sign, value = text.partition("=")
    *parents, last = name.strip().split(".")
    if not sign or not last:
        return f"`--set {text}` is no setting; write it as name=value, such as trainer.max_steps=3"
    section = data
    for parent in parents:
        if section.get(parent) is None:
            section[parent] = {}
        section = section[parent]
        if not isinstance(section, dict):
            return f"`--set {text}`: `{parent}` is no section"
    try:
        section[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        return f"`--set {text}`: the value is not valid YAML; quote it"
    return None


def _fault(item: dict[str, Any]) -> str:
    """One pydantic error as place, value and fact."""
    place = ".".join(str(part) for part in item["loc"])
    if item["type"] == "missing":
        return f"`{place}` is missing; add it to the file or give `--set {place}=...`"
    if item["type"] == "extra_forbidden":
        return f"`{place}` is no setting of this recipe; remove it or correct its name"
    return f"`{place}` is {item['input']!r}: {item['msg'][:1].lower()}{item['msg'][1:]}"
