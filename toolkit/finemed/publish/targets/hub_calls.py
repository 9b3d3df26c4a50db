"""Asks the Hub: tries again where that may help, and tells what to do where it does not.

::

    persist(lambda: api.list_repo_refs(repo, repo_type="dataset"))     429, 5xx, lost connections: a few tries more
    refusal("hf://example/qa", error, "publish")                       PublishError with the next step

Nothing told has a token or the query of a signed address in it.
"""

from __future__ import annotations

import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx2

from finemed.errors import PublishError, is_of_programming
from finemed.publish.targets.contents import unreadable
from finemed.sources.web import shown

TRIES = 4
WAIT_S = 1.0
LONGEST_WAIT_S = 120.0
"""A Hub that asks for more patience than this is taken at its word in the message instead."""
_RESET = re.compile(r"\bt=(\d+)")
T = TypeVar("T")


def persist(ask: Callable[[], T], done: Callable[[], T | None] = lambda: None) -> T:
    """Asks, and asks again after a while where the Hub is busy or the connection was lost.

    Args:
        ask: one call.
        done: says what an earlier try came to although its answer was lost; None where it came to nothing.

    Raises:
        Exception: what the last try raised.
    """
    for tried in range(1, TRIES + 1):
        try:
            return ask()
        except Exception as error:
            wait = _wait(error, tried)
            if wait is None or tried == TRIES:
                raise
            time.sleep(wait)
            found = done()
            if found is not None:
                return found
    raise AssertionError("unreachable")


def _wait(error: Exception, tried: int) -> float | None:
    """Seconds until another try; None where none would help."""
    backoff = WAIT_S * float(2 ** (tried - 1))
    if isinstance(error, _wire_errors("TransportError")):
        return backoff
    status = status_of(error)
    if status is None or (status != 429 and status < 500):
        return None
    wait = _asked_wait(error)
    if wait is None:
        return backoff
    return wait if wait <= LONGEST_WAIT_S else None


def _wire_errors(name: str) -> tuple[type[Exception], ...]:
    """An error class of the HTTP package: `huggingface_hub` speaks through httpx2 from version 2 on, httpx before."""
    packages = (httpx2, sys.modules.get("httpx"))
    return tuple(getattr(package, name) for package in packages if package is not None)


def status_of(error: Exception) -> int | None:
    """The HTTP status behind an error, if that is what it is."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def _asked_wait(error: Any) -> float | None:
    headers = error.response.headers
    asked = headers.get("retry-after", "").strip()
    if asked.isdigit():
        return float(asked)
    reset = _RESET.search(headers.get("ratelimit", ""))
    return float(reset[1]) if reset and error.response.status_code == 429 else None


def refusal(place: str, error: Exception, doing: str) -> PublishError:
    """What to say of a call that failed for good.

    Args:
        place: the target, or a file of it.
        error: of `huggingface_hub`, of the network, or of the operating system.
        doing: what was tried, such as "read" or "publish".
    """
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        error = error.__cause__  # how an upload thread tells of its error
    if is_of_programming(error):
        raise error
    status = status_of(error)
    if status is not None:
        return PublishError(f"{place}: {_answered(place, status, error, doing)}")
    from huggingface_hub import errors

    if isinstance(error, errors.OfflineModeIsEnabled):
        return PublishError(f"{place}: HF_HUB_OFFLINE is set; unset it, or publish to a folder")
    if isinstance(error, (*_wire_errors("HTTPError"), errors.LocalEntryNotFoundError)):
        cause = f"{type(error).__name__}: {_line(error)}".strip(" :")
        return PublishError(
            f"{place}: the connection to the Hub was lost ({cause}); check it and HF_ENDPOINT, then run the same "
            "command again: what is uploaded is not sent twice"
        )
    if isinstance(error, OSError):
        return unreadable(place, error)
    return PublishError(f"{place}: the Hub cannot {doing} it ({type(error).__name__}: {_line(error)}); mend that first")


def _answered(place: str, status: int, error: Any, doing: str) -> str:
    from huggingface_hub import constants, errors

    said = _line(getattr(error, "server_message", None) or error.response.headers.get("X-Error-Message") or "")
    told = f"status {status}" + (f": {said}" if said else "")
    tokens = f"{shown(constants.ENDPOINT)}/settings/tokens"
    owner = place.removeprefix("hf://").partition("/")[0]
    if status == 401 and not isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"the Hub does not accept the token ({told}); make one with write access at {tokens} and set HF_TOKEN to "
            "it, or run `hf auth login`"
        )
    if status == 403:
        return (
            f"this login may not {doing} here ({told}); take a token with write access to {owner} ({tokens}), or an "
            "owner that you may write to"
        )
    if status in (401, 404):
        return (
            f"there is no such dataset or owner for this login ({told}); check the name, and that the token of "
            f"HF_TOKEN or `hf auth login` may see {owner}"
        )
    if status == 429:
        wait = _asked_wait(error)
        soon = f"{wait:.0f} s" if wait else "some minutes"
        return f"too many requests ({told}); run the same command again in {soon}: what is uploaded is not sent twice"
    if status >= 500:
        return (
            f"the Hub fails ({told}); run the same command again later: what is uploaded is not sent twice, and "
            "nothing is half published"
        )
    return f"the Hub cannot {doing} it ({told}); mend that, then run the same command again"


def _line(text: object) -> str:
    """A message as one short line without secrets."""
    from huggingface_hub import get_token

    flat = " ".join(shown(str(text)).split())
    with contextlib.suppress(Exception):  # a token that cannot be had cannot be told either
        flat = flat.replace(get_token() or "\0", "***")
    return flat[:240]


class _Shown(logging.Filter):
    """Takes the signature out of upload addresses in the client's talk."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(record.getMessage()), ()
        return True


@contextlib.contextmanager
def plain_talk() -> Iterator[None]:
    """Progress bars on a terminal only, and no signed addresses in the client's warnings."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    quiet = not sys.stderr.isatty() and not are_progress_bars_disabled()
    logger, only = logging.getLogger("huggingface_hub.utils._http"), _Shown()
    logger.addFilter(only)
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        logger.removeFilter(only)
        if quiet:
            enable_progress_bars()
