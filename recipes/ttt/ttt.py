"""Answer one question with test-time training, and print the outcome as JSON.

    python recipes/ttt/ttt.py recipes/ttt/cpu-tiny.yaml --set release=DIR --set model=MODEL --question "What is gout?"

Copy this file and its YAML, and change them; the steps are spelled out here so that each can be replaced.
Needs `finemed[train]`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from finemed.errors import FineMedError
from finemed.training.recipe import TttRecipe, load_recipe
from finemed.ttt.answer import Session, TttAnswer


def run(recipe: TttRecipe, questions: list[str]) -> list[TttAnswer]:
    """One outcome per question; the model is loaded once and is the same bits before each of them."""
    session = Session.open(recipe)
    return [session.answer(question) for question in questions]


def main(arguments: list[str] | None = None) -> int:
    """Run the recipe; the exit code."""
    parser = argparse.ArgumentParser(description="Answer questions with test-time training.")
    parser.add_argument("recipe", type=Path, help="YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="override a setting")
    parser.add_argument("--question", action="append", required=True, help="may be given several times")
    given = parser.parse_args(arguments)
    try:
        for outcome in run(load_recipe(given.recipe, given.set, TttRecipe), given.question):
            print(json.dumps(outcome.as_dict(), ensure_ascii=False, sort_keys=True))
    except FineMedError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
