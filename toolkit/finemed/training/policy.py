"""Which weights a stage starts from, and against which ones DPO measures.

::

    start = load_start(recipe)          # recipe.model: out/sft, a LoRA adapter from SFT
    start.reference                     # "a frozen copy of the adapter in out/sft"

DPO's reference is always the policy that the stage starts from, chosen on purpose, in each of four cases:

==================  ==================  ======================================================================
`model` is          recipe trains       reference
==================  ==================  ======================================================================
a LoRA adapter      LoRA                trl's frozen "ref" copy of that adapter (it is removed before saving)
a LoRA adapter      all weights         a second copy of base + adapter, merged
a full model        LoRA                the same model with the new adapter switched off
a full model        all weights         a second copy of the model
==================  ==================  ======================================================================

The case to fear is the first one done wrongly: the base model with a fresh adapter, whose reference would be the base
and would undo SFT.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finemed.errors import TrainingError
from finemed.training.libraries import quiet_libraries
from finemed.training.recipe import TINY, DpoRecipe, LoraSettings, Recipe, SftRecipe, TttRecipe
from finemed.training.tiny import make_tiny

REFERENCE_ADAPTER = "ref"
"""The name that trl gives the frozen copy of an adapter."""


@dataclass(frozen=True)
class Start:
    """What a trainer is handed."""

    model: Any
    tokenizer: Any
    lora: Any | None
    """A ``peft.LoraConfig`` for a fresh adapter; None when the model has one already or all weights are trained."""
    reference_model: Any | None
    reference: str
    """Says in words what DPO measures against."""


def is_adapter(model: str) -> bool:
    """Whether `model` is the folder of a LoRA adapter."""
    return (Path(model) / "adapter_config.json").is_file()


def lora_config(settings: LoraSettings) -> Any:
    """The recipe's ``lora`` section as a ``peft.LoraConfig``."""
    from peft import LoraConfig

    targets = settings.target_modules
    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def load_tokenizer(recipe: Recipe, model: str) -> Any:
    """The tokenizer of `model`, with the recipe's chat template if it names one.

    Raises:
        TrainingError: it cannot be loaded, or neither brings a chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as error:
        raise _not_loaded(model, "a tokenizer", error) from error
    if recipe.chat_template is not None:
        try:
            tokenizer.chat_template = recipe.chat_template.read_text("utf-8")
        except OSError as error:
            raise TrainingError(f"`chat_template` {recipe.chat_template} cannot be read: {error.strerror}") from error
    if not tokenizer.chat_template:
        raise TrainingError(
            f"{model}: its tokenizer has no chat template, so training and inference could not agree on one; "
            "set `chat_template` to a Jinja file"
        )
    if tokenizer.eos_token_id is None:
        raise TrainingError(f"{model}: its tokenizer has no EOS token, so no answer could end; add one to it")
    return tokenizer


def load_weights(model: str) -> Any:
    """A full model in float32; an adapter is merged into its base.

    Float32 whatever the checkpoint holds: steps of 1e-7 are lost to rounding in bfloat16 weights.

    Raises:
        TrainingError: the model, or the base that an adapter names, cannot be loaded.
    """
    import torch
    from transformers import AutoModelForCausalLM

    quiet_libraries()
    if is_adapter(model):
        return _load_adapter(model, trainable=False).merge_and_unload()
    try:
        return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise _not_loaded(model, "a language model", error) from error


def load_start(recipe: SftRecipe | DpoRecipe) -> Start:
    """Load what a training stage starts from; the table in this module's docstring is the rule.

    Raises:
        TrainingError: the model cannot be loaded, or its adapter has another shape than the recipe asks for.
    """
    model = recipe.model
    if model == TINY:
        model = str(make_tiny(recipe.release, recipe.output_dir / "base", recipe.seed))
    tokenizer = load_tokenizer(recipe, model)
    if recipe.lora is None:
        second = load_weights(model) if isinstance(recipe, DpoRecipe) else None
        return Start(load_weights(model), tokenizer, None, second, f"a second copy of {model}")
    if is_adapter(model):
        policy = _load_adapter(model, trainable=True)
        _same_shape(policy, recipe.lora, model)
        return Start(policy, tokenizer, None, None, f"a frozen copy of the adapter in {model}")
    return Start(
        load_weights(model), tokenizer, lora_config(recipe.lora), None, f"{model} with the new adapter switched off"
    )


def load_for_answers(recipe: TttRecipe) -> tuple[Any, Any]:
    """Model (float32, an adapter merged, in eval mode) and tokenizer to answer with.

    Raises:
        TrainingError: they cannot be loaded.
    """
    import torch

    if recipe.model == TINY:
        raise TrainingError("`model` is `tiny`, which knows nothing; name the folder that SFT or DPO wrote")
    device = recipe.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_weights(recipe.model).to(device).eval(), load_tokenizer(recipe, recipe.model)


def drop_reference(model: Any) -> bool:
    """Remove trl's "ref" adapter, so that the saved folder holds the policy alone; whether there was one."""
    adapters = getattr(model, "peft_config", {})
    if REFERENCE_ADAPTER not in adapters:
        return False
    model.delete_adapter(REFERENCE_ADAPTER)
    return True


def _not_loaded(model: str, what: str, error: Exception) -> TrainingError:
    fact = str(error).strip().splitlines()[0].rstrip(".")
    return TrainingError(
        f"{model}: cannot be loaded as {what}: {fact}; "
        "name a folder that `finemed train` wrote, a full model's folder, or a model id on the Hub"
    )


def _load_adapter(model: str, *, trainable: bool) -> Any:
    from peft import PeftConfig, PeftModel

    base = PeftConfig.from_pretrained(model).base_model_name_or_path
    if not base:
        raise TrainingError(
            f"{model}: the adapter does not say which model it belongs to; merge it and name the result"
        )
    return PeftModel.from_pretrained(load_weights(base), model, is_trainable=trainable)


def _same_shape(policy: Any, wanted: LoraSettings, model: str) -> None:
    """An adapter that is trained further keeps its shape: a recipe with another one is refused, not ignored."""
    has = policy.peft_config["default"]
    for name, found, asked in (("r", has.r, wanted.r), ("alpha", has.lora_alpha, wanted.alpha)):
        if found != asked:
            raise TrainingError(
                f"{model}: the adapter has {name} = {found:g}, the recipe asks for {asked:g}; "
                f"set `lora.{name}` to {found:g} to train it further, or `lora` to null to train all weights"
            )
