"""Finds the files that ship beside the code: recipes, schemas, cards.

In a wheel they lie under ``finemed/_assets/``, in a checkout at the top of the repository::

    asset("schemas", "taxonomy.yaml").read_text("utf-8")
"""

from __future__ import annotations

from pathlib import Path

from finemed.errors import FineMedError

_PACKAGE = Path(__file__).resolve().parent


def asset_root() -> Path:
    """The folder that holds ``recipes/``, ``schemas/`` and ``dataset_cards/``.

    Raises:
        FineMedError: neither an installed wheel nor a checkout was found.
    """
    for root in (_PACKAGE / "_assets", _PACKAGE.parents[1]):
        if (root / "schemas" / "taxonomy.yaml").is_file():
            return root
    raise FineMedError(
        f"{_PACKAGE}: schemas/taxonomy.yaml is neither in the package nor in a checkout around it; reinstall finemed"
    )


def asset(*parts: str) -> Path:
    """Path of one shipped file, such as ``asset("recipes", "sft", "cpu-tiny.yaml")``.

    Raises:
        FineMedError: there is no such file.
    """
    path = asset_root().joinpath(*parts)
    if not path.exists():
        raise FineMedError(f"{path}: no such bundled file; reinstall finemed")
    return path


def demo_file(name: str) -> Path:
    """Path of a file of the bundled sample corpus, such as ``corpus.jsonl``."""
    return _PACKAGE / "demo" / name
