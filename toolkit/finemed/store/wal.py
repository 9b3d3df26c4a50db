"""SQLite's write-ahead log, read without SQLite: its frames, and whether some were lost in the middle.

SQLite ends its reading at the first frame whose checksum does not fit. After a crash that is the torn end of the log.
Where sound frames of the same log follow, it is damage, and replies that were stored would be silently left out.
"""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from pathlib import Path

from finemed.store.atomic import read_plain

HEADER = 32
FRAME_HEADER = 24
_MAGIC = (0x377F0682, 0x377F0683)


@dataclass(frozen=True)
class Frame:
    """One frame: a page of the database."""

    number: int
    page: int
    size: int
    start: int
    """Where the page's bytes begin in the log."""
    sound: bool
    """Its checksum follows from the frame before."""


def lost_frames(path: Path) -> int:
    """Frames from the first unsound one on, where a sound one of the same log stands among them; 0 otherwise."""
    lost = _lost(path)
    if lost:
        time.sleep(0.2)  # another process may just be writing there
        lost = _lost(path)
    return lost


def _lost(path: Path) -> int:
    try:
        data = read_plain(path)
    except FileNotFoundError:
        return 0
    found = frames(data)
    first = next((place for place, frame in enumerate(found) if not frame.sound), len(found))
    return len(found) - first if any(frame.sound for frame in found[first:]) else 0


def frames(data: bytes) -> list[Frame]:
    """The frames that belong to the log's own header, in order.

    Where the header itself is damaged, those that agree among themselves.
    """
    if len(data) < HEADER + FRAME_HEADER:
        return []
    order = ">" if data[3] & 1 else "<"
    size, salts, end = _page_size(data), data[16:24], struct.unpack(">II", data[24:32])
    if struct.unpack(">I", data[:4])[0] in _MAGIC and _checksum(data[:24], (0, 0), order) == end:
        return _frames(data, size, order, salts, end)
    salts = data[HEADER + 8 : HEADER + 16]
    tries = [_frames(data, pages, words, salts, None) for pages in {size: 0, 4096: 0} for words in "<>"]
    return max(tries, key=lambda found: sum(frame.sound for frame in found))


def _frames(data: bytes, size: int, order: str, salts: bytes, before: tuple[int, int] | None) -> list[Frame]:
    found = []
    step = FRAME_HEADER + size
    for number, start in enumerate(range(HEADER, len(data) - step + 1, step)):
        head = data[start : start + FRAME_HEADER]
        stated: tuple[int, int] = struct.unpack(">II", head[16:24])
        if head[8:16] == salts:
            sound = before is not None and stated == _checksum(
                data[start + FRAME_HEADER : start + step], _checksum(head[:8], before, order), order
            )
            found.append(Frame(number, struct.unpack(">I", head[:4])[0], size, start + FRAME_HEADER, sound))
        before = stated
    return found


def _page_size(data: bytes) -> int:
    """The size of the log's pages; SQLite's usual one where the header does not say."""
    stated = struct.unpack(">I", data[8:12])[0]
    return int(stated) if 512 <= stated <= 65536 and stated & (stated - 1) == 0 else 4096


def _checksum(data: bytes, state: tuple[int, int], order: str) -> tuple[int, int]:
    """SQLite's running checksum over pairs of words."""
    one, two = state
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        one = (one + even + two) & 0xFFFFFFFF
        two = (two + odd + one) & 0xFFFFFFFF
    return one, two
