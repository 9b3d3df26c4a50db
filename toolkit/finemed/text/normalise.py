"""The forms of a text that other kernels compare: tidy, normalised, words.

::

    words("IgA-mediated: 5 mg/kg.")  ->  ["iga", "mediated", "5", "mg", "kg"]
"""

from __future__ import annotations

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:[.,](?=\d)\d+)*", re.UNICODE)
_INDENT = re.compile(r"[ \t\u00a0]+")
_LINES = re.compile(r" ?\n ?")
_PARAGRAPHS = re.compile(r"\n{3,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def words(text: str) -> list[str]:
    """Lower-case words in order: runs of letters and digits; decimal numbers such as 2.5 stay whole."""
    return _WORD.findall(text.lower())


def normalise(text: str) -> str:
    """The words joined by blanks, after compatibility normalisation: what exact comparison uses."""
    return " ".join(words(unicodedata.normalize("NFKC", text)))


def tidy(text: str) -> str:
    """The text as a reader wants it: no control characters, runs of blanks and indentation collapsed, lines kept."""
    text = _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _LINES.sub("\n", _INDENT.sub(" ", text))
    return _PARAGRAPHS.sub("\n\n", text).strip()
