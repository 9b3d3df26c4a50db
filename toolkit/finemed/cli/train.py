"""``finemed train``: SFT, then DPO, on a release."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("release")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Takes a folder per stage."
)
@click.option("--sft", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Recipe of the SFT stage.")
@click.option("--dpo", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Recipe of the DPO stage.")
@click.option("--stage", "stages", multiple=True, type=click.Choice(["sft", "dpo"]), help="Run this stage only.")
@click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a setting of the recipes.")
def train(
    release: str, out: Path, sft: Path | None, dpo: Path | None, stages: tuple[str, ...], overrides: tuple[str, ...]
) -> None:
    """Train on RELEASE: supervised fine-tuning, then preference optimisation of what it gave.

    RELEASE is the folder of a release or the id of a dataset on the Hub. Without --sft and --dpo the bundled cpu-tiny
    recipes run: minutes on two cores, no medicine learnt. A --set that begins with sft. or dpo. is for that stage
    alone. Prints the folder of each finished stage.
    """
    from finemed.training.run import STAGES, train_release

    result = train_release(
        Path(release) if Path(release).exists() else release,
        out,
        sft_recipe=sft,
        dpo_recipe=dpo,
        overrides=overrides,
        stages=stages or STAGES,
    )
    for stage in result.stages:
        click.echo(stage.output_dir)
