"""``finemed reparse``."""

from __future__ import annotations

import json
from pathlib import Path

import click

from finemed.cli.options import CONFIG, RUN


@click.command()
@click.argument("stage")
@CONFIG
@RUN
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def reparse(stage: str, config_path: Path, run: Path | None, as_json: bool) -> None:
    """Read the stored replies of STAGE under the present parser, without a call.

    Shows how they would end now; `finemed build --from STAGE` takes that over, again from the stored replies.
    """
    from finemed.config import load_config
    from finemed.pipeline.reparse import reparse as read_again
    from finemed.publish.inspect.status import printable
    from finemed.publish.versions.previous import opened_plan

    config = load_config(config_path)
    folder = run or config_path.parent / config.run_dir
    plan = click.get_current_context().with_resource(opened_plan(config, config_path.parent))
    found = read_again(plan, folder, stage, lambda fault: click.echo(fault, err=True))
    if as_json:
        click.echo(
            json.dumps(
                {"stage": stage, "rows": found.states.total(), "states": dict(sorted(found.states.items()))}, indent=2
            )
        )
        return
    total = sum(found.states.values())
    for state, count in sorted(found.states.items()):
        click.echo(f"{state:<12} {count:>9,}  {count / total:.1%}")
    for state, examples in sorted(found.examples.items()):
        for row_id, detail in examples:
            click.echo(f"{state}\t{row_id}\t{printable(detail)}", err=True)
