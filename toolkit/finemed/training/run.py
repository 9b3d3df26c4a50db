"""``finemed train``: SFT on a release, then DPO on what SFT wrote.

::

    result = train_release(Path("release"), Path("out"), sft_recipe=None, dpo_recipe=None)
    result.stages[-1].output_dir       # out/dpo, to hand to `finemed ttt answer --model`

Each stage is the recipe's own script in a process of its own, so that a copied and edited script runs exactly as its
owner left it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import finemed
from finemed.assets import asset
from finemed.errors import ConfigError, TrainingError
from finemed.training.libraries import require_training
from finemed.training.recipe import DpoRecipe, SftRecipe, load_recipe
from finemed.training.tune import refuse_used_output

STAGES = ("sft", "dpo")


@dataclass(frozen=True)
class StageResult:
    """One finished stage."""

    stage: str
    output_dir: Path
    metrics: dict[str, Any]


@dataclass(frozen=True)
class TrainResult:
    """The stages that ran, in order."""

    stages: tuple[StageResult, ...]


def train_release(
    release: Path | str,
    out: Path,
    *,
    sft_recipe: Path | None = None,
    dpo_recipe: Path | None = None,
    overrides: Sequence[str] = (),
    stages: Sequence[str] = STAGES,
) -> TrainResult:
    """Run SFT, then DPO, on a release; each stage writes ``out/<stage>``.

    Args:
        release: folder of a release, or a dataset id on the Hub.
        out: takes one folder per stage.
        sft_recipe: YAML file; the bundled ``recipes/sft/cpu-tiny.yaml`` by default.
        dpo_recipe: YAML file; the bundled ``recipes/dpo/cpu-tiny.yaml`` by default.
        overrides: ``a.b=c``; ``sft.`` or ``dpo.`` in front restricts one to that stage.
        stages: which ones to run. DPO alone continues ``out/sft``, or the model of ``dpo.model=...``.

    Raises:
        ConfigError: a stage or a setting is wrong; found before anything is trained.
        MissingExtraError: the ``train`` extra is not installed.
        TrainingError: a stage failed; what it said is on stderr.
    """
    require_training()
    unknown = [stage for stage in stages if stage not in STAGES]
    if unknown or not stages:
        raise ConfigError(f"stages: {', '.join(unknown) or 'none'} given; name one or more of {', '.join(STAGES)}")
    recipes = {
        "sft": sft_recipe or asset("recipes", "sft", "cpu-tiny.yaml"),
        "dpo": dpo_recipe or asset("recipes", "dpo", "cpu-tiny.yaml"),
    }
    source = str(release.resolve()) if isinstance(release, Path) else release
    commands = []
    for stage in (stage for stage in STAGES if stage in stages):
        settings = [f"release={json.dumps(source)}", f"output_dir={json.dumps(str((out / stage).resolve()))}"]
        if stage == "dpo":
            settings += _sft_checkpoint(out / "sft", "sft" in stages, overrides)
        settings += _overrides_of(stage, overrides)
        commands.append((stage, _command(stage, recipes[stage], settings)))
    return TrainResult(tuple(_run(stage, command, out / stage) for stage, command in commands))


def _overrides_of(stage: str, overrides: Sequence[str]) -> list[str]:
    """Those that are for all stages, and those for this one without their prefix."""
    mine = []
    for text in overrides:
        owner, _, rest = text.partition(".")
        if owner not in STAGES:
            mine.append(text)
        elif owner == stage:
            mine.append(rest)
    return mine


def _sft_checkpoint(folder: Path, coming: bool, overrides: Sequence[str]) -> list[str]:
    """The setting that hands SFT's output to DPO."""
    if coming or (folder / "metrics.json").is_file():
        return [f"model={json.dumps(str(folder.resolve()))}"]
    if any(text.startswith(("dpo.model=", "model=")) for text in overrides):
        return []
    raise TrainingError(
        f"{folder}: holds no finished SFT for DPO to start from; run the stage `sft` first, "
        "or name a model with `--set dpo.model=PATH`"
    )


def _command(stage: str, path: Path, settings: Sequence[str]) -> list[str]:
    """The command line of a stage, its recipe checked beforehand."""
    recipe: SftRecipe | DpoRecipe
    recipe = load_recipe(path, settings, SftRecipe) if stage == "sft" else load_recipe(path, settings, DpoRecipe)
    refuse_used_output(recipe)
    script = path.parent / recipe.script
    if not script.is_file():
        raise ConfigError(f"{path}: `script` is {recipe.script}, and {script} does not exist; copy it beside the YAML")
    flags = [part for setting in settings for part in ("--set", setting)]
    return [sys.executable, str(script), str(path), *flags]


def _run(stage: str, command: list[str], folder: Path) -> StageResult:
    """Run one script; its stderr is passed on line by line, its stdout too, for it carries no data."""
    root = str(Path(finemed.__file__).resolve().parents[1])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    with subprocess.Popen(  # noqa: S603 the recipe's own script, named by the user
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        try:
            for line in process.stdout or ():
                sys.stderr.write(line)
                sys.stderr.flush()
        except BaseException:
            process.terminate()
            raise
    if process.returncode != 0:
        raise TrainingError(f"{stage}: {command[1]} ended with exit code {process.returncode}; what it said is above")
    metrics = folder / "metrics.json"
    if not metrics.is_file():
        raise TrainingError(f"{stage}: {command[1]} wrote no {metrics}; let it call `run_trainer`, or write that file")
    return StageResult(stage, folder, json.loads(metrics.read_text("utf-8")))
