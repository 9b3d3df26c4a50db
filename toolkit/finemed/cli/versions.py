"""``finemed versions``: what a published dataset's versions hold, and how they differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from finemed.cli.publish import shown

TARGET = click.argument("target")
JSON = click.option("--json", "as_json", is_flag=True, help="Print as JSON.")


@click.group()
def versions() -> None:
    """Look at the versions of a dataset: a folder that `finemed publish` filled, or hf://owner/name."""


@versions.command("list")
@TARGET
@JSON
def list_(target: str, as_json: bool) -> None:
    """List the versions of TARGET, oldest first; exits with 1 where one is damaged."""
    from finemed.publish.targets.target import open_target
    from finemed.publish.versions.history import list_versions

    found, damaged = list_versions(open_target(target))
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for held in found:
            click.echo(shown(f"{held['version']:<12} {held['release_hash'][:12]}  {held['commit'] or held['ref']}"))
    if not found and not damaged:
        click.echo(f"{target}: no version is published there", err=True)
    for fault in damaged:
        click.echo(shown(f"finemed: {fault}"), err=True)
    if damaged:
        raise SystemExit(1)


@versions.command()
@TARGET
@click.argument("version")
@JSON
def show(target: str, version: str, as_json: bool) -> None:
    """Show what VERSION of TARGET holds: rows, parent, models, sources and licences, retractions."""
    from finemed.publish.targets.target import open_target
    from finemed.publish.versions.history import show_version

    found = show_version(open_target(target), version)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(shown("\n".join(_lines(found))))


@versions.command("diff")
@click.argument("target")
@click.argument("old")
@click.argument("new", required=False)
@JSON
def diff_(target: str, old: str, new: str | None, as_json: bool) -> None:
    """Show how version OLD of TARGET and version NEW differ.

    Without NEW, TARGET and OLD are two release folders, published or not.
    """
    from finemed.publish.cards.markdown import unescape
    from finemed.publish.targets.target import open_target
    from finemed.publish.versions.diff import diff
    from finemed.publish.versions.history import diff_versions

    found = diff(Path(target), Path(old)) if new is None else diff_versions(open_target(target), old, new)
    if as_json:
        click.echo(json.dumps(found.plain(), indent=2))
        return
    change, why = found.step()
    told = f"change: {change}" + (f" ({why})" if why else "")
    click.echo(shown(unescape(f"{told}\n{found.markdown()}")), nl=False)


def _lines(found: dict[str, Any]) -> list[str]:
    from finemed.records.counts import how_many

    parent = found["parent"]["version"] if found["parent"] else "none"
    lines = [f"version {found['version']}, {found['date']}, after {parent}", f"release_hash: {found['release_hash']}"]
    for config, splits in found["rows"].items():
        lines.append(f"{config:<32} " + "  ".join(f"{split} {rows:,}" for split, rows in splits.items()))
    lines += [f"{kind}: {', '.join(counts)}" for kind, counts in found["models"].items()]
    for row in found["sources"]:
        terms = f"{row['license'] or 'licence unknown'}, {row['attribution'] or 'no attribution'}"
        lines.append(f"source {row['source']}: {terms}, {how_many(row['questions'], 'question')}")
    return [*lines, f"retracted ids and sources: {found['tombstones']:,}"]
