"""Datasets on the Hugging Face Hub, read as they come: nothing is downloaded that is not read.

::

    hf://m-a-p/FineFineWeb                            every data file of the dataset
    hf://m-a-p/FineFineWeb@refs/convert/parquet       another revision: branch, tag or commit
    hf://m-a-p/FineFineWeb/medical/*.jsonl            files by pattern, a folder, or one file

The revision is resolved to a commit once; the manifest names it with each file's hash, so that nothing has to be read
in order to be recorded. A token comes from `HF_TOKEN` or the login of `hf auth login`, and goes to the Hub alone.
"""

from __future__ import annotations

import email.message
import glob
import itertools
import re
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, BinaryIO, TypeVar

from finemed.errors import InputError, is_of_programming
from finemed.sources.files import SIDECARS, Place, format_of
from finemed.sources.web import WebFile, shown

_SPECIAL = re.compile(r"(refs/(?:convert|pr)/[^/]+)(?:/(.*))?$")
_NAME = re.compile(r"[\w.-]+")
T = TypeVar("T")


@dataclass(frozen=True)
class HubPath:
    """What an `hf://` address says."""

    repo: str
    revision: str | None
    path: str


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset at one commit."""

    repo: str
    commit: str
    path: str
    bytes: int
    sha256: str | None
    blob_id: str

    def open(self) -> BinaryIO:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        url = hf_hub_url(self.repo, self.path, repo_type="dataset", revision=self.commit)
        headers = {name.title(): value for name, value in build_hf_headers(library_name="finemed").items()}
        return WebFile(url, headers, self._next_step, pinned=True).open()

    def facts(self) -> dict[str, Any]:
        return {
            "bytes": self.bytes,
            "sha256": self.sha256,
            "repo": self.repo,
            "commit": self.commit,
            "blob_id": self.blob_id,
        }

    def _next_step(self, code: int, headers: email.message.Message) -> str:
        if headers.get("X-Error-Code") == "GatedRepo" or code == 403:
            return gated(self.repo)
        return private(self.repo) if code == 401 else "check `sources.path`"


def gated(repo: str) -> str:
    """What to do about a dataset with conditions."""
    from huggingface_hub import constants

    return (
        f"the dataset has conditions; accept them at {shown(constants.ENDPOINT)}/datasets/{repo}, then log in with "
        "`hf auth login` or set HF_TOKEN"
    )


def private(repo: str) -> str:
    """What to do about a dataset that is not there, or not for everybody."""
    return f"there is no dataset {repo} for this login; check its name, or set HF_TOKEN if it is private"


def parse(url: str) -> HubPath:
    """The parts of an address.

    Raises:
        InputError: it names no dataset.
    """
    parts = url.removeprefix("hf://").strip("/").split("/")
    if parts[0] in ("models", "spaces", "buckets"):
        raise InputError(f"{url}: is no dataset; write hf://owner/name or hf://datasets/owner/name")
    if parts[0] == "datasets":
        parts = parts[1:]
    if len(parts) < 2:
        raise InputError(f"{url}: names no dataset; write hf://owner/name")
    owner, rest = parts[0], "/".join(parts[1:])
    name, at, behind = rest.partition("@")
    revision: str | None = None
    if at and "/" not in name:
        special = _SPECIAL.match(urllib.parse.unquote(behind) if behind.lower().startswith("refs%2f") else behind)
        revision, path = special.groups("") if special else behind.partition("/")[::2]
        revision = urllib.parse.unquote(revision)
    else:
        name, _, path = rest.partition("/")
    if not (_NAME.fullmatch(owner) and _NAME.fullmatch(name)) or revision == "":
        raise InputError(f"{url}: names no dataset; write hf://owner/name, or hf://owner/name@revision")
    return HubPath(f"{owner}/{name}", revision, path)


def find_on_hub(url: str, any_ending: bool) -> list[tuple[str, Place]]:
    """Names and places of the data files that an address matches, at the commit that its revision is now.

    Args:
        url: an address as above.
        any_ending: take what a pattern matches whatever its ending.

    Raises:
        InputError: the dataset is not there, not open to this login, or not to be reached.
    """
    from huggingface_hub import HfApi

    at = parse(url)
    api = HfApi(library_name="finemed")
    commit = str(_asked(at, lambda: api.dataset_info(at.repo, revision=at.revision).sha))
    root, files = _asked(at, lambda: _matches(api, at, commit, any_ending))
    return [
        (
            file.path[len(root) :].lstrip("/"),
            HubFile(at.repo, commit, file.path, file.size, file.lfs.sha256 if file.lfs else None, file.blob_id),
        )
        for file in files
    ]


def _matches(api: Any, at: HubPath, commit: str, any_ending: bool) -> tuple[str, list[Any]]:
    """The folder that names count from, and the files."""

    def tree(folder: str, recursive: bool) -> Iterable[Any]:
        found = api.list_repo_tree(at.repo, folder or None, recursive=recursive, revision=commit, repo_type="dataset")
        return [entry for entry in found if hasattr(entry, "blob_id")]

    if glob.has_magic(at.path):
        root = "/".join(itertools.takewhile(lambda part: not glob.has_magic(part), at.path.split("/")))
        fits = pattern(at.path)
        files = [
            file
            for file in tree(root, recursive="/" in at.path[len(root) :].lstrip("/") or "**" in at.path)
            if fits.fullmatch(file.path) and (any_ending or (format_of(file.path) and not _is_about(file.path)))
        ]
        return root, files
    if at.path:
        entries = api.get_paths_info(at.repo, [at.path], revision=commit, repo_type="dataset")
        if any(hasattr(entry, "blob_id") for entry in entries):
            return at.path.rpartition("/")[0], entries
        if not entries:
            return at.path, []
    files = [file for file in tree(at.path, recursive=True) if format_of(file.path) not in (None, "text")]
    return at.path, [file for file in files if not _is_about(file.path)]


def _is_about(path: str) -> bool:
    """Whether a file tells of a dataset instead of being part of it."""
    name = PurePosixPath(path).name.lower()
    return name in SIDECARS or name == "readme.md" or any(part.startswith(".") for part in path.split("/"))


_TOKEN = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]]+\]|.", re.DOTALL)
_MEANING = {"**/": "(?:[^/]+/)*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def pattern(path: str) -> re.Pattern[str]:
    """A glob as a regular expression: ``*`` stays within a folder, ``**`` is any number of folders."""

    def meaning(token: str) -> str:
        if len(token) > 2 and token.startswith("["):
            return ("[^" if token[1] == "!" else "[") + re.escape(token.strip("[!]")).replace(r"\-", "-") + "]"
        return _MEANING.get(token) or re.escape(token)

    return re.compile("".join(map(meaning, _TOKEN.findall(path))), re.DOTALL)


def _asked(at: HubPath, ask: Callable[[], T]) -> T:
    from huggingface_hub import errors

    place = f"hf://{at.repo}" + (f"@{at.revision}" if at.revision else "")
    try:
        return ask()
    except errors.GatedRepoError:
        told = gated(at.repo)
    except errors.RevisionNotFoundError:
        told = "there is no such revision; check the branch, tag or commit behind `@`"
    except errors.RepositoryNotFoundError:
        told = private(at.repo)
    except errors.EntryNotFoundError:
        told = f"there is no {at.path}; check `sources.path`"
    except errors.OfflineModeIsEnabled:
        told = "HF_HUB_OFFLINE is set; unset it, or download the dataset and give its folder"
    except errors.HfHubHTTPError as error:
        told = f"the Hub answers status {error.response.status_code}; check HF_TOKEN, or try again later"
    except Exception as error:  # the network's, of whatever package
        if is_of_programming(error):
            raise
        cause = " ".join(shown(str(error)).split())[:160]
        told = f"the Hub cannot be reached ({type(error).__name__}: {cause}); check the connection and HF_ENDPOINT"
    raise InputError(f"{place}: {told}")
