"""Preference optimisation (DPO) on a release's pairs, from what SFT wrote.

    python recipes/dpo/dpo.py recipes/dpo/cpu-tiny.yaml --set release=DIR --set model=SFT_OUT --set output_dir=OUT

The reference is the SFT policy itself; `finemed.training.policy` says how, for LoRA and for all weights. Copy this file
and its YAML, and change them; `finemed train RELEASE --out OUT --dpo YOUR.yaml` runs your copy. Needs `finemed[train]`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from finemed.errors import FineMedError
from finemed.training.data import Counts, count_pairs, load_pool
from finemed.training.libraries import require_training
from finemed.training.policy import load_start
from finemed.training.recipe import DpoRecipe, load_recipe
from finemed.training.tune import dpo_arguments, refuse_used_output, run_trainer


def build(recipe: DpoRecipe) -> tuple[Any, Counts, str]:
    """The trainer, what became of the pool's rows, and what the policy is measured against."""
    from trl import DPOTrainer

    start = load_start(recipe)
    pool = load_pool(recipe.release, recipe.pool, "train", columns=("prompt", "chosen", "rejected"))
    rows, counts = count_pairs(pool, start.tokenizer, recipe.max_length, recipe.pool)
    trainer = DPOTrainer(
        model=start.model,
        ref_model=start.reference_model,
        args=dpo_arguments(recipe),
        train_dataset=rows,  # prompt, chosen, rejected as the release has them
        processing_class=start.tokenizer,
        peft_config=start.lora,
    )
    return trainer, counts, start.reference


def main(arguments: list[str] | None = None) -> int:
    """Run the recipe; the exit code."""
    parser = argparse.ArgumentParser(description="Preference optimisation on a release's pairs.")
    parser.add_argument("recipe", type=Path, help="YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting")
    given = parser.parse_args(arguments)
    try:
        require_training()
        recipe = load_recipe(given.recipe, given.set, DpoRecipe)
        refuse_used_output(recipe)
        trainer, counts, reference = build(recipe)
        run_trainer(trainer, recipe, counts, reference)
    except FineMedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
