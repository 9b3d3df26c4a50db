"""``finemed ttt``: answers with test-time training."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def ttt() -> None:
    """Adapt a model to one question, answer, and put the weights back."""


@ttt.command()
@click.argument("question")
@click.option("--release", required=True, help="Release (folder or Hub id) whose ttt pool is searched.")
@click.option("--model", required=True, help="What `finemed train` wrote, or a model id on the Hub.")
@click.option("--recipe", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Recipe (YAML).")
@click.option("--set", "overrides", multiple=True, metavar="A.B=C", help="Override a setting of the recipe.")
@click.option("--json", "as_json", is_flag=True, help="Print everything that was measured, as JSON.")
def answer(
    question: str, release: str, model: str, recipe: Path | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Answer QUESTION after adapting to the nearest samples of the release's ttt pool.

    The base model is hashed before and after; anything but bit-equality is an error.
    """
    import json

    from finemed.ttt.answer import answer as answer_question

    outcome = answer_question(question, release=release, model=model, recipe=recipe, overrides=overrides)
    if as_json:
        click.echo(json.dumps(outcome.as_dict(), ensure_ascii=False, indent=2, sort_keys=True))
        return
    for near in outcome.neighbours:
        click.echo(f"adapted on {near.id} (similarity {near.similarity:.3f})", err=True)
    if not outcome.neighbours:
        click.echo("no sample is similar enough: this is the base model's answer", err=True)
    click.echo(f"base weights put back, sha256 {outcome.base_hash_after[:12]}", err=True)
    click.echo(outcome.answer)
