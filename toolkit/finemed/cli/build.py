"""``finemed build``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from finemed.cli.options import CONFIG, OVERRIDES, RUN


@click.command()
@CONFIG
@RUN
@OVERRIDES
@click.option("--until", metavar="STAGE", help="Stop after this stage.")
@click.option(
    "--from",
    "restart_from",
    metavar="STAGE",
    help="Run this stage and all after it anew, from their beginning; paid replies are kept.",
)
@click.option("--max-tokens", type=click.IntRange(min=1), help="Stop before a call that could exceed this many tokens.")
@click.option(
    "--max-cost",
    type=click.FloatRange(min=0, min_open=True),
    help="Stop before a call that could cost more; needs prices.",
)
@click.option("--dry-run", is_flag=True, help="Say what would run, and run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def build(
    config_path: Path,
    run: Path | None,
    overrides: tuple[str, ...],
    until: str | None,
    restart_from: str | None,
    max_tokens: int | None,
    max_cost: float | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Build a release: from medical text to pools and card.

    What is finished stays. After an interruption the same command goes on; after a changed setting it re-runs just what
    depends on it. Prints the folder of the release. A limit on tokens or money counts all calls of the run, earlier
    ones included; where it is reached the build stops with exit code 3, and goes on with a higher one.
    """
    from finemed.cli.progress import shown_progress
    from finemed.config import load_config
    from finemed.pipeline.plan import Plan
    from finemed.publish.build import build_release, preview_release

    config = load_config(config_path, overrides)
    plan = Plan(config, config_path.parent)
    folder = run or config_path.parent / config.run_dir
    if dry_run:
        actions = preview_release(plan, folder, restart_from=restart_from, until=until)
        if as_json:
            stages = [{"stage": name, "action": action, "note": note} for name, action, note in actions]
            click.echo(json.dumps({"run": str(folder), "stages": stages}, indent=2))
        else:
            for name, action, note in actions:
                click.echo(f"{name:<22} {action:<8} {note}".rstrip())
        return
    budget = plan.budget(max_tokens=max_tokens, max_cost=max_cost)
    with shown_progress() as progress:
        outcome = build_release(plan, folder, until=until, restart_from=restart_from, progress=progress, budget=budget)
    click.echo(json.dumps(outcome.summary(), indent=2) if as_json else str(outcome.path))
    click.echo(outcome.explain(), err=True)
