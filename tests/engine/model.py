"""Makes what the engine test serves: a tiny random Llama with a chat template, and a random LoRA adapter for it.

``python tests/engine/model.py RELEASE FOLDER`` writes ``FOLDER/tiny`` and ``FOLDER/style`` (runs in the engine's own
environment, which has no peft: the adapter's two files are written here).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

RANK = 8
ADAPTED = ("q_proj", "v_proj")
REASONING = ("<think>", "</think>")


def make_adapter(model: Path, folder: Path, seed: int = 5) -> None:
    """A LoRA in peft's format whose second factor is not zero, so that it changes what the model says."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((model / "config.json").read_text("utf-8"))
    width, layers = config["hidden_size"], config["num_hidden_layers"]
    random = torch.Generator().manual_seed(seed)
    weights = {}
    for layer in range(layers):
        for name in ADAPTED:
            key = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            weights[f"{key}.lora_A.weight"] = torch.randn((RANK, width), generator=random) * width**-0.5
            weights[f"{key}.lora_B.weight"] = torch.randn((width, RANK), generator=random)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(weights, folder / "adapter_model.safetensors")
    facts = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": list(ADAPTED),
        "base_model_name_or_path": "tiny",
    }
    (folder / "adapter_config.json").write_text(json.dumps(facts, indent=2), "utf-8")


def add_tokens(model: Path, seed: int = 5) -> None:
    """Gives the model the marks of reasoning as tokens of their own: vLLM's reasoning parsers ask for them."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, llama = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    tokenizer.add_tokens(list(REASONING))
    torch.manual_seed(seed)
    llama.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    llama.save_pretrained(model)
    tokenizer.save_pretrained(model)


def main(release: str, folder: Path) -> None:
    from finemed.training.tiny import make_tiny

    model = make_tiny(release, folder / "tiny")
    add_tokens(model)
    make_adapter(model, folder / "style")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
