"""The third-party packages of training: are they there, which versions, and what they should keep to themselves.

::

    require_training()              # MissingExtraError: training needs `pip install 'finemed[train]'`
    library_versions()["trl"]       # "1.16.0"
"""

from __future__ import annotations

import importlib.util
import warnings
from importlib.metadata import version

from finemed import __version__
from finemed.errors import MissingExtraError

LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets")


def require_training() -> None:
    """Refuse early when the ``train`` extra is not installed.

    Raises:
        MissingExtraError: one of its packages is missing.
    """
    if any(importlib.util.find_spec(package) is None for package in LIBRARIES):
        raise MissingExtraError("training", "train")


def library_versions() -> dict[str, str]:
    """The versions that decide what a training gives, ours included."""
    return {"finemed": __version__} | {name: version(name) for name in LIBRARIES}


def quiet_libraries() -> None:
    """Switch off progress bars that last milliseconds, and one warning that no user can act on."""
    import datasets
    from transformers.utils import logging

    datasets.disable_progress_bars()
    logging.disable_progress_bar()
    # peft 0.21.2 asks transformers 5.23 for an attribute by its old name
    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
