r"""Foreign text as Markdown that shows it and does nothing else.

::

    escape("a | b <script>")               ->   r"a \| b &lt;script\>"
    passage("See www.x.org\nfor more")     ->   r"See www<span></span>.x.org<br>for more"
    bibtex("50% {off}")                    ->   r"50\% (off)"
"""

from __future__ import annotations

import re
from typing import Any

_TURNING = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""Marks that turn the direction of writing, also of the words after the text, and letters that nobody sees."""
_CONTROL = re.compile("[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")
"""What is no blank and steers a terminal."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$>-])")
_NUMBERED = re.compile(r"^(\d{1,9})\.(?=\s|$)")
_LINKED = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)|(?=@)", re.IGNORECASE)
"""Where readers that make links of bare addresses have to be stopped."""
_BIBTEX = {
    **{ord(char): f"\\{char}" for char in "&%$#_"},
    ord("{"): "(",
    ord("}"): ")",
    ord("\\"): "/",
    ord("`"): "'",
    ord("~"): "-",
    ord("^"): " ",
    ord('"'): "'",
    ord("<"): "‹",
    ord(">"): "›",
}


def one_line(text: str) -> str:
    """Text without line breaks, runs of blanks, control characters, and marks that would turn what follows it."""
    return " ".join(_CONTROL.sub("\ufffd", _TURNING.sub("", text)).split())


def escape(value: Any) -> str:
    """Text as one line that Markdown and HTML show literally."""
    flat = one_line(str(value)).replace("&", "&amp;").replace("<", "&lt;")
    return _NUMBERED.sub(r"\1\\.", _SPECIAL.sub(r"\\\1", flat))


def passage(text: str) -> str:
    """Text of a row, line by line, in which not even an address becomes a link."""
    lines = [escape(line) for line in text.splitlines()]
    return "<br>".join(_LINKED.sub("<span></span>", line) for line in lines if line)


def prose(text: str) -> str:
    """The owner's own words: paragraphs, and lists of lines that open with ``- ``; all else is shown literally."""
    blocks = [
        block.strip().splitlines() for block in re.split(r"\n[ \t]*\n", text.replace("\r\n", "\n")) if block.strip()
    ]
    return "\n\n".join("\n".join(_lines(block)) for block in blocks)


def _lines(block: list[str]) -> list[str]:
    listed = [line.lstrip().startswith("- ") for line in block]
    told = [
        f"- {escape(line.lstrip()[2:])}" if item else escape(line) for line, item in zip(block, listed, strict=True)
    ]
    if any(listed) and not listed[0]:
        first = listed.index(True)
        told.insert(first, "")
    return told


def bibtex(text: str) -> str:
    """Text as the value of a BibTeX field, which it cannot leave."""
    return one_line(text).translate(_BIBTEX)


def unescape(text: str) -> str:
    """Markdown of ours for a terminal, without the marks that `escape` put in."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")
