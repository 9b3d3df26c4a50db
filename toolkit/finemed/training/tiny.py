"""A tiny Llama and its tokenizer, made on the spot from a release's own text, for machines without a GPU.

::

    make_tiny("release", Path("out/base"), seed=17)    # about 0.9 M parameters, 2,048 tokens, a few seconds

It has no knowledge; it shows that a release, a recipe and a machine work together. Equal text and seed give equal
bytes. Rendered by its chat template, one sample reads::

    <s><|user|>What is gout?<|assistant|>Gout is a form of arthritis.</s>
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from finemed.errors import TrainingError
from finemed.training.data import load_pool

VOCABULARY = 2048
HIDDEN = 128
"""Width; weights start at its inverse square root, without which a LoRA on frozen random weights learns nothing."""
CONTEXT = 2048
"""Longest sequence in tokens."""
SPECIAL = ("<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
TEXT_POOLS = ("sft", "sft_reasoning")
"""Pools whose text the tokenizer sees; never ``ttt``, which stays unseen until a question asks for it."""
CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|' + message['role'] + '|>' }}"
    "{%- if message['role'] == 'assistant' %}"
    "{%- generation %}{{- message['content'] + eos_token }}{%- endgeneration %}"
    "{%- else %}{{- message['content'] }}{%- endif %}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|assistant|>' }}{%- endif %}"
)
"""No white space stands between a mark and the text, so no token can straddle question and answer."""


def make_tiny(release: str, folder: Path, seed: int = 17) -> Path:
    """Write a tiny model and its tokenizer to `folder`.

    Args:
        release: folder or Hub id of the release whose training text shapes the tokenizer.
        folder: where ``config.json``, ``model.safetensors`` and the tokenizer go.
        seed: of the random weights; the global random state is left as it was.

    Returns:
        `folder`, absolute, so that an adapter's record of its base holds from any working directory.

    Raises:
        TrainingError: the release has no text to make a tokenizer of.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = _tokenizer(sorted(set(_texts(release))))
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=HIDDEN**-0.5,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = LlamaForCausalLM(config)
    target = folder.resolve()
    target.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    return target


def _texts(release: str) -> Iterator[str]:
    found = 0
    for pool in TEXT_POOLS:
        try:
            rows = load_pool(release, pool, "train", columns=("prompt", "completion"))
        except TrainingError:
            if pool == TEXT_POOLS[0]:
                raise
            continue
        for row in rows:
            for message in (*row["prompt"], *row["completion"]):
                found += len(message["content"])
                yield message["content"]
    if not found:
        raise TrainingError(f"{release}: the pools {', '.join(TEXT_POOLS)} hold no text to make a tokenizer of")


def _tokenizer(texts: list[str]) -> Any:
    """A byte-level BPE; texts shorter than the vocabulary needs give fewer merges, never an error."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    tokenizer: Any = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=SPECIAL[0],
        bos_token=SPECIAL[1],
        eos_token=SPECIAL[2],
        extra_special_tokens=list(SPECIAL[3:]),
        model_max_length=CONTEXT,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
