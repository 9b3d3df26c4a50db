"""``finemed trial``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from finemed.cli.options import CONFIG, OVERRIDES, RUN


@click.command()
@CONFIG
@RUN
@click.option("-n", "rows", type=click.IntRange(min=1), default=50, show_default=True, help="Passages to try.")
@OVERRIDES
@click.option("--max-tokens", type=click.IntRange(min=1), help="Stop before a call that could exceed this many tokens.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def trial(
    config_path: Path,
    run: Path | None,
    rows: int,
    overrides: tuple[str, ...],
    max_tokens: int | None,
    as_json: bool,
) -> None:
    """Try prompts and models on a few passages before a build.

    Shows per stage how many replies could be read, tokens, the spread of the scores, whether questions stand alone, and
    samples to read; beside it what earlier trials with other prompt versions or models measured. Replies are stored:
    the build does not pay for them again.
    """
    from finemed.cli.progress import shown_progress
    from finemed.config import load_config
    from finemed.pipeline.estimate import free_stages
    from finemed.pipeline.trial import trial as try_out
    from finemed.publish.build import build_release
    from finemed.publish.versions.previous import opened_plan

    config = load_config(config_path, overrides)
    plan = click.get_current_context().with_resource(opened_plan(config, config_path.parent))
    folder = run or config_path.parent / config.run_dir
    budget = plan.budget(max_tokens=max_tokens, max_cost=None)
    with shown_progress() as progress:
        build_release(plan, folder, until=free_stages(plan) or "quota", progress=progress)
        found = try_out(replace(plan, backfill={}), folder, rows=rows, progress=progress, budget=budget)
    entries = [stage.plain() for stage in found.stages]
    if as_json:
        click.echo(json.dumps({"stages": entries, "before": found.before, "samples": found.samples}, indent=2))
        return
    for entry in entries:
        for line in _lines(entry):
            click.echo(line)
        for past in (past for past in found.before if past["stage"] == entry["stage"]):
            for line in _lines(past):
                click.echo(f"    before: {line.strip()}")
    for sample in found.samples:
        click.echo("\n" + "\n".join(_side_by_side(sample)))


def _lines(entry: dict[str, Any]) -> list[str]:
    from finemed.records.counts import how_many

    states = ", ".join(f"{state} {count}" for state, count in entry["states"].items())
    calls = max(1, entry["calls"])
    tokens = f"{entry['prompt_tokens'] / calls:,.0f} + {entry['completion_tokens'] / calls:,.0f} tokens a call"
    rate = f", {entry['calls_per_second']:.1f} calls/s" if entry["calls_per_second"] else ""
    made = f"{tokens}{rate}" if entry["calls"] else "all replies stored before"
    lines = [
        f"{entry['stage']} ({entry['prompt']}, {entry['model']}): {how_many(entry['rows'], 'row')}, {states}; "
        f"{entry['parsed_share']:.0%} readable; {made}"
    ]
    for score, counts in entry["spread"].items():
        lines.append(f"    {score:<11} " + "  ".join(f"{value}: {count}" for value, count in counts.items()))
    if entry["facts"]:
        lines.append(
            "    " + ", ".join(f"{name.replace('_', ' ')} {share:.0%}" for name, share in entry["facts"].items())
        )
    return lines


def _side_by_side(sample: dict[str, Any]) -> list[str]:
    """A sample as two columns: the passage on the left, question, answer and scores on the right."""
    import textwrap

    from finemed.publish.inspect.status import printable

    left = textwrap.wrap(printable(sample["text"]), 56)[:18]
    scores = f"quality {sample['quality']}, complexity {sample['complexity']}, answer {sample['response_score']:.1f}"
    right = [
        *textwrap.wrap("Q: " + printable(sample["instruction"]), 56),
        f"[{sample['task_type']}; {scores}]",
        *textwrap.wrap("A: " + printable(sample["response"]), 56)[:12],
    ]
    height = max(len(left), len(right))
    rows = zip(left + [""] * (height - len(left)), right + [""] * (height - len(right)), strict=True)
    return [f"{a:<58}| {b}".rstrip() for a, b in rows]
