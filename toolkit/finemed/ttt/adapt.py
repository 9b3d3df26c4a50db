"""A LoRA that lives for one question, on a base that is provably put back.

::

    with adapted(model, [encode_answer(tokenizer, prompt, completion, 768)], recipe) as adaptation:
        adaptation.model.generate(...)
    adaptation.hash_after == adaptation.hash_before    # always: anything else raises

The base weights are frozen, not copied: an optimizer of its own, fresh for each question, sees the adapter alone.
Leaving the block, by an exception too, puts the module tree back object by object.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from finemed.errors import TrainingError
from finemed.training.data import Encoded
from finemed.training.policy import lora_config
from finemed.training.recipe import TttRecipe


@dataclass
class Adaptation:
    """What happens inside one ``with adapted(...)``."""

    hash_before: str
    model: Any = None
    """The model with its adapter, in eval mode; good for generating only inside the block."""
    losses: list[float] = field(default_factory=list)
    """Mean loss over the samples before each step."""
    hash_after: str | None = None
    """Set when the block is left."""


def state_hash(model: Any) -> str:
    """SHA-256 over every parameter and buffer: name, dtype, shape and bytes, in the order of the names.

    Buffers that no checkpoint holds (rotary frequencies) count too.
    """
    import torch

    digest = hashlib.sha256()
    tensors = [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


@contextmanager
def adapted(model: Any, samples: Sequence[Encoded], settings: TttRecipe) -> Iterator[Adaptation]:
    """Adapt `model` on `samples` for as long as the block lasts.

    Args:
        model: a full model, without adapters.
        samples: encoded with ``encode_answer``; the loss is on their answers only, averaged over the samples.
        settings: steps, learning rate, shape of the adapter, seed.

    Yields:
        The adapted model and its losses.

    Raises:
        TrainingError: a sample has no answer token left, the loss is no number, or the base is not bit-equal
            afterwards (then load the model again).
    """
    if not samples or not all(sample.supervised for sample in samples):
        raise TrainingError("a sample has no answer token within `max_length`; raise `max_length`")
    adaptation = Adaptation(state_hash(model))
    put_back = _remember(model)
    try:
        adaptation.model = _with_adapter(model, settings)
        _train(adaptation, samples, settings)
        yield adaptation
    finally:
        put_back()
        adaptation.model = None
        adaptation.hash_after = state_hash(model)
        if adaptation.hash_after != adaptation.hash_before:
            raise TrainingError(
                "the base model is not what it was before this question (its state hash went from "
                f"{adaptation.hash_before[:12]} to {adaptation.hash_after[:12]}); load it again before going on"
            )


def _with_adapter(model: Any, settings: TttRecipe) -> Any:
    """Put a fresh adapter on; its random half depends on the seed alone, not on earlier questions."""
    import torch
    from peft import get_peft_model

    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        return get_peft_model(model, lora_config(settings.lora)).eval()


def _train(adaptation: Adaptation, samples: Sequence[Encoded], settings: TttRecipe) -> None:
    """Take the steps, one sample at a time in memory, with gradients summed over the samples of a step."""
    import torch

    model = adaptation.model
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=0.0)
    with torch.enable_grad():
        for step in range(settings.steps):
            total = 0.0
            for sample in samples:
                batch = {
                    "input_ids": torch.tensor([sample.input_ids], device=model.device),
                    "labels": torch.tensor([sample.labels], device=model.device),
                }
                loss = model(**batch).loss / len(samples)
                loss.backward()
                total += float(loss.detach())
            if total != total:
                raise TrainingError(f"the loss is no number at step {step + 1}; lower `learning_rate`")
            adaptation.losses.append(total)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def _remember(model: Any) -> Any:
    """A function that puts back the module tree, the flags and the attributes that peft changes.

    It holds references, no copies of weights: peft replaces modules and never writes into frozen ones, which the
    state hash then proves.
    """
    children = [(module, dict(module._modules), module.training) for module in model.modules()]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    own = set(vars(model))

    def put_back() -> None:
        for module, before, training in children:
            module._modules.clear()
            module._modules.update(before)
            module.training = training
        for parameter, requires_grad in flags:
            parameter.requires_grad_(requires_grad)
            if not requires_grad:
                parameter.grad = None
        for name in set(vars(model)) - own:
            delattr(model, name)

    return put_back
