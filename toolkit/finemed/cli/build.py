"""``finemed build``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from finemed.cli.options import CONFIG, OVERRIDES, PREVIOUS, RUN


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
@PREVIOUS
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
    previous: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Build a release: from medical text to pools and card.

    What is finished stays. After an interruption the same command goes on; after a changed setting it re-runs just what
    depends on it. Prints the folder of the release. A limit on tokens or money counts all calls of the run, earlier
    ones included; where it is reached the build stops with exit code 3, and goes on with a higher one.

    With --previous (or `split.previous`) a row that an earlier version published stays in its split, and in `ttt` or
    out of it, and so does what nearly repeats it; name the target that the release will be published to.
    """
    from finemed.cli.progress import shown_progress
    from finemed.config import load_config
    from finemed.publish.build import build_release, preview_release
    from finemed.publish.inspect.status import printable
    from finemed.publish.versions.previous import opened_plan

    config = load_config(config_path, overrides)
    plan = click.get_current_context().with_resource(opened_plan(config, config_path.parent, previous))
    folder = run or config_path.parent / config.run_dir
    if dry_run:
        actions = preview_release(
            plan, folder, restart_from=restart_from, until=until, say=lambda fault: click.echo(fault, err=True)
        )
        if as_json:
            stages = [{"stage": name, "action": action, "note": note} for name, action, note in actions]
            click.echo(json.dumps({"run": str(folder), "stages": stages}, indent=2))
        else:
            for name, action, note in actions:
                click.echo(f"{name:<22} {action:<8} {note}".rstrip())
        return
    for name, fact, _ in plan.passed_over if plan.files else ():
        click.echo(f"left out: {printable(name)}: {fact.partition(': ')[2]}", err=True)
    budget = plan.budget(max_tokens=max_tokens, max_cost=max_cost)
    with shown_progress() as progress:
        outcome = build_release(plan, folder, until=until, restart_from=restart_from, progress=progress, budget=budget)
    click.echo(json.dumps(outcome.summary(), indent=2) if as_json else str(outcome.path))
    click.echo(outcome.explain(), err=True)
