r"""Evens out characters that hide an identifier from a plain expression: `text.fold`, and marks of lists and breaks.

::

    fold("020\u00a07946\u20110112").text  ->  "020 7946-0112"
"""

from __future__ import annotations

import polars as pl

from finemed.text import fold as forms
from finemed.text.fold import Folded

_OWN = {"\t": " ", "\r": " ", "\x0b": " ", "\x0c": " ", "\u2014": ",", "\u2015": ",", "\ufe58": ",", "\uff0c": ","}
_TABLE = str.maketrans(_OWN)


def fold(text: str) -> Folded:
    """The folded text, which knows the places of its characters in the original."""
    folded = forms.fold_in_place(text)
    return Folded(folded.text.translate(_TABLE), folded.starts, folded.ends)


def fold_all(texts: pl.Series) -> pl.Series:
    """The folded form of many texts at once."""
    swaps = {**forms.SWAPS, **_OWN}
    return texts.str.replace_many(list(swaps), list(swaps.values())).str.normalize("NFC")
