"""Ctrl-C between two steps instead of in the middle of one, where a paid reply could be lost.

::

    with deferred_interrupt(lambda: print("stops soon")):
        ...                 # the first Ctrl-C prints, the second raises KeyboardInterrupt at once
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def deferred_interrupt(first: Callable[[], object]) -> Iterator[None]:
    """Calls `first` at the first Ctrl-C; does nothing in threads, or where somebody else handles Ctrl-C."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed = False

    def handle(_number: int, _frame: Any) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        first()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
