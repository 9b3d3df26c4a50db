"""Supervised fine-tuning on one pool of a release, on the answers only.

    python recipes/sft/sft.py recipes/sft/cpu-tiny.yaml --set release=DIR --set output_dir=OUT

Copy this file and its YAML, and change them; `finemed train RELEASE --out OUT --sft YOUR.yaml` runs your copy.
Writes the model (or LoRA adapter) and its tokenizer, metrics.json and provenance.json to OUT. Needs `finemed[train]`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from finemed.errors import FineMedError
from finemed.training.data import Counts, encode_pool, load_pool
from finemed.training.libraries import require_training
from finemed.training.policy import load_start
from finemed.training.recipe import SftRecipe, load_recipe
from finemed.training.tune import refuse_used_output, run_trainer, sft_arguments


def build(recipe: SftRecipe) -> tuple[Any, Counts]:
    """The trainer, and what became of the pool's rows."""
    from trl import SFTTrainer

    start = load_start(recipe)
    pool = load_pool(recipe.release, recipe.pool, "train", columns=("prompt", "completion"))
    rows, counts = encode_pool(pool, start.tokenizer, recipe.max_length, recipe.pool)
    trainer = SFTTrainer(
        model=start.model,
        args=sft_arguments(recipe),
        train_dataset=rows,  # input_ids and labels: trl pads them and leaves them as they are
        processing_class=start.tokenizer,
        peft_config=start.lora,
    )
    return trainer, counts


def main(arguments: list[str] | None = None) -> int:
    """Run the recipe; the exit code."""
    parser = argparse.ArgumentParser(description="Supervised fine-tuning on one pool of a release.")
    parser.add_argument("recipe", type=Path, help="YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting")
    given = parser.parse_args(arguments)
    try:
        require_training()
        recipe = load_recipe(given.recipe, given.set, SftRecipe)
        refuse_used_output(recipe)
        trainer, counts = build(recipe)
        run_trainer(trainer, recipe, counts, reference=None)
    except FineMedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
