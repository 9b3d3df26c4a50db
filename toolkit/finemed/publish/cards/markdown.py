r"""Foreign text as Markdown that shows it and does nothing else.

::

    escape("a | b <script>")   ->   r"a \| b &lt;script\>"
"""

from __future__ import annotations

import re
from typing import Any

_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""Marks that turn the direction of writing, also of the words after the text."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$>-])")


def one_line(text: str) -> str:
    """Text without line breaks, runs of blanks, and marks that would turn what follows it."""
    return " ".join(_TURNING.sub("", text).split())


def escape(value: Any) -> str:
    """Text as one line that Markdown and HTML show literally."""
    flat = one_line(str(value)).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", flat)


def unescape(text: str) -> str:
    """Markdown of ours for a terminal, without the marks that `escape` put in."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")
