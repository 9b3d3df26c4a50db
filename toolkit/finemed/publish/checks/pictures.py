"""PNG files of a release: made of the parts that this toolkit writes, and showing what it draws.

::

    no_png(Path("plots/funnel.png"))     None, or "holds a part b'tEXt' that no plot has"
    alike(found, made)                   False where a reader could see a difference, or where bytes hide behind one
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path

_PNG = b"\x89PNG\r\n\x1a\n"
_CHUNKS = (b"IHDR", b"pHYs", b"IDAT", b"IEND")
"""Parts of a PNG that this toolkit writes; others can hold texts that nobody looks at."""
_LEVELS = 4
"""Difference of a pixel, of 255, that may come from another machine's rounding and that nobody sees."""


def no_png(path: Path) -> str | None:
    """Says what makes a file no plain PNG; None where it is one."""
    try:
        data = b"" if path.is_symlink() or not path.is_file() else path.read_bytes()
    except OSError:
        data = b""
    if not data.startswith(_PNG):
        return "is no PNG"
    parts = list(_parts(data))
    if strange := [kind for kind, _, _ in parts if kind not in _CHUNKS]:
        return f"holds a part {strange[0]!a} that no plot has"
    if not parts or parts[-1][0] != b"IEND":
        return "breaks off, or is damaged"
    return None if parts[-1][2] == len(data) else "goes on behind its end"


def _parts(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Kind, content and end of every part up to the last one, with its checksum."""
    at = len(_PNG)
    while at + 12 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content, check = data[at + 8 : at + 8 + size], data[at + 8 + size : at + 12 + size]
        at += 12 + size
        if zlib.crc32(kind + content).to_bytes(4, "big") != check:
            return
        yield kind, content, at
        if kind == b"IEND":
            return


def alike(found: bytes, made: bytes) -> bool:
    """Whether two PNGs show the same and hold nothing else; rounding on another machine may differ by a shade."""
    if found == made:
        return True
    import numpy as np
    from PIL import Image

    if _beside_pixels(found) != _beside_pixels(made):
        return False
    try:
        pictures = [np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(np.int16) for data in (found, made)]
    except Exception:  # a damaged picture can make Pillow raise nearly anything
        return False
    return pictures[0].shape == pictures[1].shape and int(np.abs(pictures[0] - pictures[1]).max()) <= _LEVELS


def _beside_pixels(data: bytes) -> list[tuple[bytes, bytes | int]] | None:
    """All parts but the pixels, and how long those are; None where bytes hide behind them."""
    parts = list(_parts(data))
    pixels = zlib.decompressobj()
    try:
        size = len(pixels.decompress(b"".join(content for kind, content, _ in parts if kind == b"IDAT")))
    except zlib.error:
        return None
    if not pixels.eof or pixels.unused_data:
        return None
    return [(kind, content) for kind, content, _ in parts if kind != b"IDAT"] + [(b"IDAT", size)]
