"""``finemed plan``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from finemed.cli.options import CONFIG, OVERRIDES, RUN


@click.command()
@CONFIG
@RUN
@OVERRIDES
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def plan(config_path: Path, run: Path | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Estimate calls, tokens, money and time of a build before the first call.

    Runs the free stages that come before the first paid one (a build takes them over), then counts what is there and
    estimates the rest. Each line says what it rests on; `finemed trial` replaces assumptions by measurements.
    """
    from finemed.cli.progress import shown_progress
    from finemed.config import load_config
    from finemed.pipeline.estimate import BuildEstimate, estimate, free_stages
    from finemed.publish.build import build_release
    from finemed.publish.versions.previous import opened_plan

    config = load_config(config_path, overrides)
    build_plan = click.get_current_context().with_resource(opened_plan(config, config_path.parent))
    folder = run or config_path.parent / config.run_dir
    build_plan.check_sources()
    last = free_stages(build_plan)
    if last is None:
        nothing = json.dumps(BuildEstimate().plain(), indent=2)
        click.echo(nothing if as_json else "No stage asks a paid backend: no call, no cost.")
        return
    with shown_progress() as progress:
        build_release(build_plan, folder, until=last, progress=progress)
    found = estimate(build_plan, folder, lambda fault: click.echo(fault, err=True))
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
        return
    click.echo(
        f"{'stage':<14} {'model':<34} {'rows':>9} {'calls':>9} {'stored':>8} {'tokens in':>12} {'tokens out':>12}"
        f" {'cost':>12} {'time':>9}"
    )
    for stage in found.stages:
        price = "no price" if stage.cost is None else f"{stage.cost:,.2f} {stage.currency}"
        time = "unknown" if stage.seconds is None else _duration(stage.seconds)
        click.echo(
            f"{stage.stage:<14} {stage.model[:34]:<34} {stage.rows:>9,} {stage.calls:>9,} {stage.stored:>8,}"
            f" {stage.prompt_tokens:>12,} {stage.completion_tokens:>12,} {price:>12} {time:>9}"
        )
    from finemed.records.counts import how_many

    whole = found.plain()
    total = "unknown: a model has no price" if found.cost is None else f"{found.cost:,.2f}"
    click.echo(
        f"in all {how_many(whole['calls'], 'call')}, {how_many(whole['prompt_tokens'], 'token')} in, "
        f"{whole['completion_tokens']:,} out; cost {total}; re-asks not included"
    )
    for stage in found.stages:
        click.echo(f"  {stage.stage} rests on: {stage.rests_on}")


def _duration(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours else f"{minutes}m{left:02d}s"
