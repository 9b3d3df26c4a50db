"""``finemed coverage``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), default="run")
@click.option("--backfill", "fill", is_flag=True, help="Let the next build draw held-back passages of short nodes.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def coverage(run: Path, fill: bool, as_json: bool) -> None:
    """Show how the run in folder RUN (default: run) covers the department tree.

    For each node: samples wanted (`quota`), passages classified there, drawn by the quota and held back, samples got.
    """
    from finemed.publish.inspect.coverage import backfill, read_coverage
    from finemed.publish.inspect.status import printable

    found = read_coverage(run)
    more = backfill(run) if fill else {}
    if as_json:
        click.echo(json.dumps(found.plain() | {"backfill": more if fill else None}, indent=2))
    else:
        short = {node.id for node in found.under_filled()}
        click.echo(f"{'node':<38} {'wanted':>8} {'passages':>9} {'drawn':>8} {'held':>8} {'got':>8} {'missing':>8}")
        for node in found.nodes:
            name = f"{'  ' if node.subdepartment else ''}{printable(node.subdepartment or node.department)}"
            wanted = "" if node.wanted is None else node.wanted
            cells = f"{wanted:>8} {node.available:>9} {node.drawn:>8} {node.held:>8} {node.got:>8}"
            missing = node.missing if node.missing else ("none" if node.id in short else "")
            click.echo(f"{name[:38]:<38} {cells} {missing:>8}".rstrip())
        click.echo(
            f"entropy over sub-departments {found.entropy:.2f} of {found.greatest_entropy:.2f} bits; "
            f"{len(short)} under-filled; `got` counts rows of `{found.stage}`"
        )
    if fill:
        click.echo(_advice(more, run), err=True)


def _advice(more: dict[str, int], run: Path) -> str:
    if not more:
        return "Nothing to draw: no node that is short has passages held back; add text or lower `quota`."
    drawn = ", ".join(f"{node} {count}" for node, count in more.items())
    return f"The next build draws more passages ({drawn}); run `finemed build`. {run / 'backfill.json'} holds the sum."
