r"""stdout and stderr as a command line needs them, whoever reads them.

A reader of stdout that stops early (``finemed ledger | head -1``) ends the command quietly; a full disk behind it is an
error with a message. Talk on stderr never stops work: who closed it does not want it. A terminal gets no character that
steers it, an encoding without a character gets its escape (`\u03bc`), and nothing fails as the interpreter shuts down.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

import click

from finemed.errors import StoreError

ERRORS = "finemed.printed"
"""Name of the codecs' error handler of both streams."""


def printable(text: str) -> str:
    """Text that cannot steer a terminal; line ends and tabs stay."""
    return "".join(char if char.isprintable() or char in "\n\t" else "\ufffd" for char in text)


class _Stream:
    """A text stream whose failures are told apart; all else is the stream's own."""

    def __init__(self, stream: TextIO, number: int) -> None:
        self._stream, self._number = stream, number
        self._terminal = stream.isatty()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return 0 if text == "" else self._stream.write(text)
        except OSError as error:
            self._failed(error)
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        """What was not written goes nowhere, so that closing the stream later cannot fail again."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._number)
        os.close(nowhere)


class _Data(_Stream):
    """stdout: it stops the command, now and at every later use, whoever catches it meanwhile."""

    _fault: OSError | None = None

    def write(self, text: str) -> int:
        self._stop()
        return super().write(printable(text) if self._terminal and isinstance(text, str) else text)

    def flush(self) -> None:
        self._stop()
        super().flush()

    def _failed(self, error: OSError) -> None:
        super()._failed(error)
        self._fault = error
        self._stop()

    def _stop(self) -> None:
        if self._fault is None:
            return
        if self._fault.errno == errno.EPIPE:
            raise SystemExit(0)
        raise StoreError(f"stdout: {self._fault.strerror}; what was printed is incomplete; print it elsewhere")


@contextlib.contextmanager
def closing_streams() -> Iterator[None]:
    """Puts both streams in order, and writes out what is left in them at the end.

    Raises:
        SystemExit: with 4 where stdout cannot take the rest of what a command that was all right printed.
    """
    _open_closed()
    given = sys.stdout, sys.stderr
    for stream in given:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)
    sys.stdout = cast(TextIO, given[0] and _Data(given[0], 1))  # None where it was closed
    sys.stderr = cast(TextIO, given[1] and _Stream(given[1], 2))
    left: BaseException | None = None
    try:
        yield
    except BaseException as error:
        left = error
    failed = left is not None and not (isinstance(left, SystemExit) and not left.code)
    code = _flushed(quiet=failed)
    sys.stdout, sys.stderr = given  # the interpreter flushes them once more
    if failed and left is not None:
        raise left
    sys.exit(code)


def _flushed(*, quiet: bool) -> int:
    """Writes out what is left; the exit code that this comes to."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except SystemExit:
            continue
        except StoreError as error:
            if not quiet:
                click.echo(f"finemed: {error}", err=True)
            return error.exit_code
    return 0


def _escaped(error: UnicodeError) -> tuple[bytes, int]:
    """A file's name as the bytes that it has on disk; any other character that the encoding lacks as its escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = b""
    for char in error.object[error.start : error.end]:
        byte = "\udc80" <= char <= "\udcff"
        shown += char.encode("ascii", "surrogateescape" if byte else "backslashreplace")
    return shown, error.end


codecs.register_error(ERRORS, _escaped)


def _open_closed() -> None:
    """Gives numbers 0 to 2 back to the standard streams, lest a file that is opened later gets one of them."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
