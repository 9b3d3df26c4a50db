"""What the SFT and the DPO script share around the trainer: arguments, progress, provenance, saving.

::

    trainer = SFTTrainer(model=..., args=sft_arguments(recipe), ...)
    run_trainer(trainer, recipe, counts, reference=None)    # trains, saves, writes metrics.json and provenance.json

``metrics.json`` depends on data, recipe and seed alone; what a clock or a path decides is in ``provenance.json``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from finemed.errors import TrainingError
from finemed.records.counts import how_many
from finemed.training.data import Counts
from finemed.training.libraries import library_versions
from finemed.training.policy import drop_reference
from finemed.training.recipe import DpoRecipe, SftRecipe


def sft_arguments(recipe: SftRecipe) -> Any:
    """The recipe as a ``trl.SFTConfig``."""
    from trl import SFTConfig

    return SFTConfig(**_shared_arguments(recipe))


def dpo_arguments(recipe: DpoRecipe) -> Any:
    """The recipe as a ``trl.DPOConfig``."""
    from trl import DPOConfig

    return DPOConfig(beta=recipe.beta, loss_type=[recipe.loss_type], **_shared_arguments(recipe))


def _shared_arguments(recipe: SftRecipe | DpoRecipe) -> dict[str, Any]:
    return {
        **recipe.trainer.model_dump(),
        "output_dir": str(recipe.output_dir),
        "max_length": recipe.max_length,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }


def refuse_used_output(recipe: SftRecipe | DpoRecipe) -> None:
    """An output folder takes one training; mixing two would leave weights of both kinds in it.

    Raises:
        TrainingError: the folder holds a finished training.
    """
    if (recipe.output_dir / "metrics.json").exists():
        raise TrainingError(
            f"{recipe.output_dir}: holds a finished training already; remove it or name another output folder"
        )


def run_trainer(trainer: Any, recipe: SftRecipe | DpoRecipe, counts: Counts, reference: str | None) -> dict[str, Any]:
    """Train, save model and tokenizer, and say in one line what happened.

    Args:
        trainer: an ``SFTTrainer`` or a ``DPOTrainer``.
        recipe: what it was made from.
        counts: what became of the pool's rows.
        reference: for DPO, what it measures against, in words.

    Returns:
        What was written to ``metrics.json``.

    Raises:
        TrainingError: no step was taken, or the loss is no number.
    """
    from transformers import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(_talk(recipe.kind))
    begun = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - begun
    metrics = _metrics(trainer, recipe.kind, counts)
    drop_reference(trainer.model)
    trainer.save_model(str(recipe.output_dir))
    _tidy(recipe.output_dir)
    _write(recipe.output_dir / "provenance.json", provenance(recipe, reference, seconds))
    _write(recipe.output_dir / "metrics.json", metrics)
    _say(summary(metrics))
    return metrics


def summary(metrics: dict[str, Any]) -> str:
    """One line for a person: ``sft: 60 rows, 4,210 supervised tokens, 2 truncated, loss 7.62 -> 5.90 in 20 steps``."""
    line = (
        f"{metrics['stage']}: {how_many(metrics['rows'], 'row')}, {metrics['supervised_tokens']:,} supervised tokens, "
        f"{metrics['truncated']:,} truncated, loss {metrics['loss_first']:.3f} -> {metrics['loss_last']:.3f} "
        f"in {metrics['steps']:,} steps"
    )
    if metrics["rows_dropped"]:
        line += f"; {how_many(metrics['rows_dropped'], 'row')} dropped, nothing of their answer fits `max_length`"
    if "margin_last" in metrics:
        line += f"; reward margin {metrics['margin_first']:+.4f} -> {metrics['margin_last']:+.4f}"
    return line


def provenance(recipe: SftRecipe | DpoRecipe, reference: str | None, seconds: float) -> dict[str, Any]:
    """What a trained folder came from: release, recipe, libraries, seed, time.

    Args:
        recipe: as it ran, overrides included.
        reference: for DPO, what it measured against.
        seconds: wall time of the training alone.
    """
    manifest = Path(recipe.release) / "manifest.json"
    return {
        "stage": recipe.kind,
        "release": recipe.release,
        "release_manifest_sha256": _sha256(manifest) if manifest.is_file() else None,
        "recipe": recipe.model_dump(mode="json"),
        "reference": reference,
        "seed": recipe.seed,
        "versions": library_versions(),
        "seconds": round(seconds, 3),
    }


def _metrics(trainer: Any, stage: str, counts: Counts) -> dict[str, Any]:
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not log:
        raise TrainingError(f"{stage}: no step was taken on {how_many(counts.rows, 'row')}; raise `trainer.max_steps`")
    if log[-1]["loss"] != log[-1]["loss"]:
        raise TrainingError(f"{stage}: the loss is no number at step {log[-1]['step']}; lower `trainer.learning_rate`")
    metrics: dict[str, Any] = {"stage": stage, **counts.as_dict(), "steps": trainer.state.global_step}
    metrics |= {"loss_first": log[0]["loss"], "loss_last": log[-1]["loss"]}
    if "rewards/margins" in log[0]:
        metrics |= {"margin_first": log[0]["rewards/margins"], "margin_last": log[-1]["rewards/margins"]}
    metrics["trainable_parameters"] = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    metrics["log"] = log
    return metrics


def _talk(stage: str) -> Any:
    """A trainer callback that writes one plain line to stderr whenever the trainer logs."""
    from transformers import TrainerCallback

    class Talk(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs and state.is_world_process_zero:
                _say(f"{stage} step {state.global_step}/{state.max_steps} loss {float(logs['loss']):.3f}")

    return Talk()


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _tidy(folder: Path) -> None:
    """Take out the trainer's pickle and peft's unfilled model card; put the adapter's target modules in order.

    peft writes a set in whatever order the process has it, so that equal trainings would differ in that one file.
    """
    for name in ("training_args.bin", "README.md"):
        (folder / name).unlink(missing_ok=True)
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        config = json.loads(adapter.read_text("utf-8"))
        if isinstance(config.get("target_modules"), list):
            config["target_modules"].sort()
        _write(adapter, config)


def _write(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, sort_keys=True) + "\n", "utf-8")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
