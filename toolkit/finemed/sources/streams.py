r"""Bytes of a file in chunks and in lines, uncompressed on the way, never more than one record of them in memory.

::

    for line in lines(file):       # Line(number=1, data=b'{"text": "Croup ..."}\n', size=23, whole=True)
        ...

What comes before a break in a file (a compressed file cut off, a bad block) is given out before `BreakError` is raised.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from finemed.sources.files import MAX_RECORD, InputFile, compression_of

CHUNK = 1 << 18
LFS = "unreadable_file: is a Git LFS pointer, not the file itself; run `git lfs pull` where it was cloned"
_MARKS = (
    (b"\xff\xfe\x00\x00", "not_utf8: the file is UTF-32; convert it to UTF-8"),
    (b"\x00\x00\xfe\xff", "not_utf8: the file is UTF-32; convert it to UTF-8"),
    (b"\xff\xfe", "not_utf8: the file is UTF-16; convert it to UTF-8"),
    (b"\xfe\xff", "not_utf8: the file is UTF-16; convert it to UTF-8"),
    (b"\x1f\x8b", "unreadable_file: holds gzip data under another ending; name it .gz"),
    (b"\x28\xb5\x2f\xfd", "unreadable_file: holds Zstandard data under another ending; name it .zst"),
    (b"PAR1\x15", "unreadable_file: holds Parquet data under another ending; name it .parquet"),
    (b"PK\x03\x04", "unreadable_file: holds a ZIP archive under another ending; unpack it"),
    (b"version https://git-lfs.github.com/", LFS),
    (b"%PDF-", "unreadable_file: holds a PDF under another ending; convert it to text"),
)


class BreakError(Exception):
    """A file cannot be read from here on; its message is the fault, as `code: fact`."""


class Line(NamedTuple):
    """A line with its end; without its bytes where it is longer than `MAX_RECORD`."""

    number: int
    data: bytes
    size: int
    whole: bool
    """False for what stands before a break in the file."""


def too_large(size: int | None) -> str:
    """The fault of a record that is too long to be held in memory; without a size where nobody counted on."""
    told = f"more than {MAX_RECORD:,} bytes" if size is None else f"{size:,} bytes, most is {MAX_RECORD:,}"
    return f"too_large: {told}; cut it into several records"


def unreadable(file: InputFile, error: Exception) -> str:
    """The fault without the folder that the file lies in, which is this machine's affair."""
    path = str(getattr(file.place, "path", ""))
    told = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return f"unreadable_file: {' '.join((told.replace(path, file.name) if path else told).split())[:200]}"


def chunks(file: InputFile) -> Iterator[bytes]:
    """The file's content, uncompressed.

    Raises:
        BreakError: it cannot be read, or not to its end.
    """
    compression = compression_of(file.name)
    content = {"gzip": _gzip, "zstd": _zstd}.get(compression or "", _plain)(file)
    try:
        head = next(content, b"")
        for mark, fault in _MARKS:
            if head.startswith(mark):
                raise BreakError(fault)
        yield head
        yield from content
    except (OSError, EOFError) as error:
        raise BreakError(unreadable(file, error)) from None


def head_fault(file: InputFile) -> str | None:
    """What the first bytes of a file that cannot be decoded say it is instead."""
    with file.place.open() as stream:
        head = stream.read(64)
    if not head:
        return "empty_file: it holds no byte"
    return next((fault for mark, fault in _MARKS if head.startswith(mark) and not mark.startswith(b"PAR1")), None)


def _plain(file: InputFile) -> Iterator[bytes]:
    with file.place.open() as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def _gzip(file: InputFile) -> Iterator[bytes]:
    member = zlib.decompressobj(31)
    begun = False
    with file.place.open() as stream:
        while data := stream.read(1 << 16):
            while data:
                begun, before = True, member.copy()
                try:
                    out = member.decompress(data, CHUNK)
                except zlib.error as error:
                    yield b"".join(_sound_part(before, data))
                    raise EOFError(f"no gzip data, or damaged ({error})") from None
                yield out
                data = member.unconsumed_tail
                if member.eof:
                    data, begun = member.unused_data.lstrip(b"\0"), False  # members may follow, or padding
                    member = zlib.decompressobj(31)
    if begun:
        yield member.flush()
        raise EOFError("the gzip data ends too early; fetch the file again")


def _sound_part(member: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """What a bad block gives up before its fault."""
    try:
        for at in range(len(data)):
            yield member.decompress(data[at : at + 1])
    except zlib.error:
        return


def _zstd(file: InputFile) -> Iterator[bytes]:
    import pyarrow as pa

    given = 0
    try:
        with file.place.open() as stream, pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd") as content:
            while chunk := content.read(CHUNK):
                given += len(chunk)
                yield chunk
    except OSError:
        with file.place.open() as stream, pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd") as content:
            yield b"".join(_sound_rest(content, given))
        raise


def _sound_rest(content: BinaryIO, given: int) -> Iterator[bytes]:
    """What follows the first `given` bytes up to the fault; a read that fails gives nothing, so each is read singly."""
    while given > 0:
        given -= len(content.read(min(given, CHUNK)))
    try:
        while byte := content.read(1):
            yield byte
    except OSError:
        return


def lines(file: InputFile) -> Iterator[Line]:
    """The file's lines, whichever of the three usual line ends they have.

    Raises:
        BreakError: the file cannot be read, or not to its end.
    """
    number, held, passed = 0, bytearray(), 0
    try:
        for chunk in chunks(file):
            within = b"\n" not in chunk and b"\r" not in chunk and not held.endswith(b"\r")
            held += chunk
            if not within:
                parts = bytes(held).splitlines(keepends=True)
                held = bytearray(parts.pop() if parts and not parts[-1].endswith(b"\n") else b"")
                for part in parts:
                    number += 1
                    yield _line(number, part, passed)
                    passed = 0
            if len(held) > MAX_RECORD:
                kept = b"\r" if held.endswith(b"\r") else b""  # its other half may come next
                passed, held = passed + len(held) - len(kept), bytearray(kept)
    except BreakError:
        if held or passed:
            yield _line(number + 1, bytes(held), passed)._replace(whole=False)
        raise
    if held or passed:
        yield _line(number + 1, bytes(held), passed)


def _line(number: int, part: bytes, passed: int) -> Line:
    size = passed + len(part)
    return Line(number, part if size <= MAX_RECORD else b"", size, True)
