"""A file behind an `http(s)` address, read as it comes; what was not asked for is not fetched.

::

    with WebFile("https://example.org/corpus.jsonl.gz").open() as stream:
        stream.read(1 << 20)

A lost connection is taken up again where it broke off. The standard library is enough for this: fsspec's own file
system for `https` needs aiohttp, which nothing else here does.
"""

from __future__ import annotations

import base64
import email.message
import functools
import http.client
import io
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar

from finemed import __version__
from finemed.errors import InputError

TRIES = 5
WAIT_S = 0.5
PIECE = 1 << 20
TIMEOUT_S = 60.0
T = TypeVar("T")
_USER = re.compile(r"(?<=//)[^/@\s'\"]+@")
_QUERY = re.compile(r"[?#][^\s'\"<>)]+")
_TOKEN = re.compile(r"\bhf_\w+|(?i:bearer|basic) [\w.+/=-]+")


def shown(url: str) -> str:
    """An address, or a message with one in it, without user, password, query and tokens."""
    return _TOKEN.sub("***", _QUERY.sub("", _USER.sub("", url)))


def _next_step(code: int, _: email.message.Message) -> str:
    if code in (401, 403):
        return "put credentials into the address, or download the file and give its path"
    return "check `sources.path`"


@dataclass(frozen=True)
class WebFile:
    """A file behind an address."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent to this host only, not where it redirects to."""
    next_step: Callable[[int, email.message.Message], str] = field(default=_next_step, repr=False)
    """What a person can do about a refusal, from its status and headers."""
    pinned: bool = False
    """The address is that of one version for ever."""

    def open(self) -> BinaryIO:
        return io.BufferedReader(_Stream(self), 1 << 18)

    def facts(self) -> dict[str, Any]:
        with _Stream(self) as stream:
            stream.look()
            return {"bytes": stream.size, "sha256": None, "version": stream.version}


class _Stream(io.RawIOBase):
    """The file's bytes from anywhere in it, over one connection at a time."""

    def __init__(self, file: WebFile) -> None:
        self._file = file
        self._at = 0
        self._response: http.client.HTTPResponse | None = None
        self._piece: int | None = None
        self._until: int | None = None
        self.size: int | None = None
        self.version: str | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        self._hang_up()
        super().close()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_END and self.size is None:
            self.look()
            if self.size is None:
                raise self._error("does not say how long it is, which Parquet needs; download it and give its path")
        target = offset + (0, self._at, self.size or 0)[whence]
        if target != self._at:
            self._hang_up()
            self._at, self._piece = target, PIECE
        return self._at

    def readinto(self, buffer: Any) -> int:
        return self._persist(lambda: self._read(buffer))

    def look(self) -> None:
        """Asks for size and version alone."""
        self._persist(lambda: self._connect("bytes=0-0"))
        self._hang_up()

    def _persist(self, act: Callable[[], T]) -> T:
        """Does what needs a connection, and tries again where there is none."""
        told = ""
        for tried in range(TRIES):
            if tried:
                time.sleep(WAIT_S * 2 ** (tried - 1))
            try:
                return act()
            except (OSError, http.client.HTTPException) as error:
                told = shown(str(getattr(error, "reason", "") or error) or type(error).__name__)
                self._hang_up()
        raise self._error(f"cannot be read ({told}); check the connection and run the same command again")

    def _read(self, buffer: Any) -> int:
        if self.size is not None and self._at >= self.size:
            return 0
        if self._at == self._until:
            self._hang_up()
            self._piece = 4 * (self._piece or PIECE)
        if self._response is None:
            self._ask()
        count = self._response.readinto(buffer) if self._response else 0
        if not count and self.size is not None:
            raise OSError("the connection broke off")
        self._at += count
        return count

    def _ask(self) -> None:
        """Asks for the file to its end; after a seek, for pieces that grow while they are read on."""
        self._until = None if self._piece is None else self._at + self._piece
        if self._until is not None:
            self._connect(f"bytes={self._at}-{self._until - 1}")
        else:
            self._connect(f"bytes={self._at}-" if self._at else None)

    def _connect(self, wanted: str | None) -> None:
        try:
            response = _opener().open(self._request(wanted), timeout=TIMEOUT_S)
        except urllib.error.HTTPError as error:
            with error:
                if error.code in (408, 429) or error.code >= 500:
                    raise OSError(f"status {error.code}") from None
                raise self._error(f"status {error.code}; {self._file.next_step(error.code, error.headers)}") from None
        except (UnicodeError, ValueError) as error:
            raise self._error(f"is no address ({shown(str(error))}); check `sources.path`") from None
        self._response, headers = response, response.headers
        version = headers.get("ETag") or headers.get("Last-Modified")
        if self.version not in (None, version) and not self._file.pinned:
            raise self._error("changed while it was read; run the same command again")
        self.version = version
        total = headers.get("Content-Length", "")
        if response.status == 206:
            total = headers.get("Content-Range", "").rpartition("/")[2]
        elif self._at:
            raise self._error("is sent from its beginning only; download it and give its path")
        self.size = int(total) if total.isdigit() else None

    def _request(self, wanted: str | None) -> urllib.request.Request:
        parts = urllib.parse.urlsplit(self._file.url)
        user, _, host = parts.netloc.rpartition("@")
        path, query = (urllib.parse.quote(part, safe="/%+:@!$&'()*,;=~?") for part in (parts.path, parts.query))
        bare = parts._replace(netloc=host, path=path, query=query, fragment="").geturl()
        request = urllib.request.Request(bare, headers={"User-Agent": f"finemed/{__version__}"})  # noqa: S310
        if wanted is not None:
            request.add_header("Range", wanted)
        if user:
            credentials = base64.b64encode(urllib.parse.unquote_to_bytes(user)).decode()
            request.add_unredirected_header("Authorization", f"Basic {credentials}")
        for name, value in self._file.headers.items():
            request.add_unredirected_header(name, value)
        return request

    def _hang_up(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    def _error(self, fact: str) -> InputError:
        return InputError(f"{shown(self._file.url)}: {fact}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Credentials go along a redirect within a host, and not to another one."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: Any,
        newurl: str,
    ) -> urllib.request.Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)
        if request is not None and (request.type, request.host) == (req.type, req.host):
            for name in req.unredirected_hdrs.keys() & {"Authorization"}:
                request.add_unredirected_header(name, req.unredirected_hdrs[name])
        return request


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Redirects)
