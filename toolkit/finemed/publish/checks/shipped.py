"""What a release says about its files: manifest, card, splits and Croissant metadata against what lies on the disk.

::

    shipped = Shipped.open(Path("releases/1.1.0"), faults)
    shipped.check(faults)
    # data/dpo/test.parquet: is not the file of the manifest (SHA-256 0c1f..., expected 9a77...); ...
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, islice
from pathlib import Path
from typing import Any

import polars as pl
import yaml
from pydantic import ValidationError

from finemed.config import stable_hash
from finemed.publish.checks.claims import Claims, short
from finemed.publish.checks.exposure import check_links
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.secrets import secret_rows
from finemed.publish.pools import split_order
from finemed.records.manifest import FORMAT, HUB_FILES, RELEASE_FILES, Manifest, first_fault
from finemed.store.atomic import file_hash, json_bytes, kind_of, open_plain, read_plain

MANIFEST = "manifest.json"
CARD = "README.md"
CROISSANT = "croissant.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_DATA = re.compile(r"data/([^/]+)/([^/]+)\.parquet")
_REMAKE = "run `finemed build` or `finemed publish` again; both write the folder as a whole"
_LINES = 1000
_LONGEST = 1_000_000
"""Lines, and characters of a line, that are looked at together."""
_MEND = "remove it from the settings of the build (or of `finemed publish`), revoke it, and build again"


@dataclass
class Shipped:
    """A release folder as it lies there."""

    path: Path
    manifest: Claims | None
    whole: Manifest | None = None
    """The manifest in full; None where it has not the form of ours."""
    raw: dict[str, Any] = field(default_factory=dict)
    """The manifest as it was read."""

    @classmethod
    def open(cls, path: Path, faults: Faults) -> Shipped:
        """Reads the manifest; a damaged one is a fault."""
        faults.apply("files")
        try:
            text = read_plain(path / MANIFEST)
            manifest = Claims.model_validate_json(text)
            raw = json.loads(text)
        except (OSError, ValidationError, ValueError, RecursionError) as error:
            fact = f"cannot be read: {short(error)}"
            faults.add("files", MANIFEST, fact, _REMAKE)
            for rule in ("splits", "croissant"):
                faults.skip(rule, "the manifest cannot be read")
            return cls(path, None)
        faults.apply("manifest")
        try:
            whole = Manifest.model_validate_json(text)
        except ValidationError as error:
            faults.add("manifest", MANIFEST, f"has not the form of a release's: {first_fault(error)}", _REMAKE)
            return cls(path, manifest, None, raw)
        if whole.format == FORMAT and text != json_bytes(raw):
            fact = "is not written as a build or `finemed publish` writes it: a key twice, or other bytes around it"
            faults.add("manifest", MANIFEST, fact, _REMAKE)
        return cls(path, manifest, whole, raw)

    @cached_property
    def names(self) -> list[str]:
        """Every file and link below the folder."""
        found = [Path(parent, name) for parent, _, files in os.walk(self.path) for name in files]
        links = [Path(parent, name) for parent, folders, _ in os.walk(self.path) for name in folders]
        found += [link for link in links if link.is_symlink()]
        return [name for name in self._relative(found) if not HUB_FILES.fullmatch(name)]

    def _relative(self, paths: Iterable[Path]) -> list[str]:
        return sorted(path.relative_to(self.path).as_posix() for path in paths)

    @cached_property
    def of_the_hub(self) -> list[str]:
        """What the Hub and its client laid beside the release; it is no part of it."""
        found = (path for path in self.path.rglob("*") if not path.is_dir() or path.is_symlink())
        return [name for name in self._relative(found) if HUB_FILES.fullmatch(name)]

    @cached_property
    def empty_folders(self) -> list[str]:
        """Folders that hold nothing, whose names could say anything."""
        found = (Path(parent) for parent, folders, files in os.walk(self.path) if not folders and not files)
        return [name for name in self._relative(found) if name != "." and not HUB_FILES.fullmatch(f"{name}/x")]

    @cached_property
    def special(self) -> list[str]:
        """Names of pipes, sockets and devices, which can be waited for forever, and of links to no file."""
        return [name for name in self.names if not (self.path / name).is_file()]

    @cached_property
    def hashes(self) -> dict[str, str | None]:
        """SHA-256 of every file but the manifest; None where it cannot be read, or is a link."""
        return {name: self._hash(self.path / name) for name in self.names if name != MANIFEST}

    @staticmethod
    def _hash(path: Path) -> str | None:
        try:
            return None if path.is_symlink() else file_hash(path)
        except OSError:
            return None

    @cached_property
    def data(self) -> dict[tuple[str, str], Path]:
        """(config, split) -> its Parquet file on the disk."""
        named = [match for name in self.names if name.isprintable() and (match := _DATA.fullmatch(name))]
        found = {(match[1], match[2]): self.path / match[0] for match in named}
        return {key: path for key, path in sorted(found.items()) if not path.is_symlink() and not kind_of(path)}

    @cached_property
    def spoilt(self) -> list[str]:
        """Tables of the manifest that are missing or other files than it names: nothing can be held against them."""
        listed = self.manifest.files if self.manifest else {}
        return [name for name in sorted(listed) if name.endswith(".parquet") and self.hashes.get(name) != listed[name]]

    def check(self, faults: Faults) -> None:
        """The rules `files`, `card`, `splits`, `croissant`, and `secrets` of what is no table."""
        head = self._front_matter(faults)
        if self.manifest is not None:
            self._files(self.manifest, faults)
            if head is not None:
                self._card(self.manifest, head, faults)
            self._croissant(self.manifest, faults)
        faults.apply("secrets")
        for name in (*self.names, *self.of_the_hub):
            if not name.endswith(".parquet"):
                self._text(name, faults)
        for name in (CARD, "CHANGELOG.md", CROISSANT):
            if name in self.names and not (self.path / name).is_symlink():
                with contextlib.suppress(OSError):
                    check_links(name, read_plain(self.path / name).decode("utf-8", "replace"), faults)

    def _files(self, manifest: Claims, faults: Faults) -> None:
        for name, expected in sorted(manifest.files.items()):
            if name not in self.hashes:
                faults.add("files", name, "is in the manifest, but not in the folder", _REMAKE)
            elif (found := self.hashes[name]) != expected:
                told = f"SHA-256 {found[:16]}, expected {expected[:16]}" if found else self._unread(name)
                faults.add("files", name, f"is not the file of the manifest ({told})", _REMAKE)
        for name in self.empty_folders:
            faults.add("files", name, "is an empty folder", f"remove it, or {_REMAKE}")
        for name in sorted(self.hashes.keys() - manifest.files.keys()):
            what = f"is {self._unread(name)}, and " if self.hashes[name] is None else "is "
            faults.add("files", name, f"{what}not in the manifest", f"remove it, or {_REMAKE}")
        for name in sorted(manifest.files):
            if not RELEASE_FILES.fullmatch(name) and not name.startswith("data/"):  # those are for `splits`
                faults.add("files", name, "is no file that a release can have", f"remove it, or {_REMAKE}")

    def _unread(self, name: str) -> str:
        """What a file without a hash is."""
        path = self.path / name
        kind = kind_of(path)
        if path.is_symlink():
            return f"a link to {kind or ('a file' if path.exists() else 'nothing')}"
        return kind or "not to be read"

    def _front_matter(self, faults: Faults) -> dict[str, Any] | None:
        faults.apply("card")
        remedy = f"it opens with the YAML between two lines of `---`: {_REMAKE}"
        try:
            text = read_plain(self.path / CARD).decode("utf-8").replace("\r\n", "\n")
            opening, head, _ = text.split("---\n", 2)
            found = yaml.safe_load(head)
            if opening or not isinstance(found, dict):
                raise ValueError("no mapping")
        except OSError as error:
            faults.add("card", CARD, f"cannot be read: {error.strerror or error}", _REMAKE)
        except (ValueError, RecursionError, yaml.YAMLError) as error:
            faults.add("card", CARD, f"its front matter cannot be read: {short(error)}", remedy)
        else:
            return found
        faults.skip("splits", "the card cannot be read")
        return None

    def _card(self, manifest: Claims, head: dict[str, Any], faults: Faults) -> None:
        """Configs and what stands with them; then their files and counts, which are `splits`."""
        listed: dict[str, dict[str, str]] = {}
        try:
            for config in head["configs"]:
                files = {str(file["split"]): str(file["path"]) for file in config["data_files"]}
                listed[str(config["config_name"])] = files
                self._described(manifest, config, faults)
        except (KeyError, TypeError, AttributeError, ValueError):
            faults.add("card", CARD, "`configs` is no list of config_name and data_files", _REMAKE)
            faults.skip("splits", "the card lists no configs")
            return
        for name in sorted(listed.keys() ^ manifest.configs.keys()):
            where = "the manifest" if name in listed else "the card"
            faults.add("card", f"{CARD}: configs", f"`{name[:60]}` is not in {where}", _REMAKE)
        if not head.get("license"):
            faults.add("card", CARD, "`license` is missing", f"set `card.license`, then {_REMAKE}")
        self._splits(manifest, listed, faults)

    def _described(self, manifest: Claims, config: dict[str, Any], faults: Faults) -> None:
        """`datasets` caches by the description: it must change with the content."""
        name, told = str(config["config_name"]), str(config.get("description", ""))
        if name not in manifest.content or not told.startswith("content "):
            return
        splits = split_order(manifest.configs.get(name, {}))
        content = stable_hash([self.hashes.get(f"data/{name}/{split}.parquet") for split in splits])
        intact = all(
            self.hashes.get(file) == manifest.files.get(file)
            for file in (f"data/{name}/{split}.parquet" for split in splits)
        )
        if intact and not content.startswith(told.removeprefix("content ").strip() or "?"):
            fact = f"`description` of {name} names other content than its files; `datasets` would load an older release"
            faults.add("card", f"{CARD}: configs", fact, _REMAKE)

    def _splits(self, manifest: Claims, listed: dict[str, dict[str, str]], faults: Faults) -> None:
        faults.apply("splits")
        for config, splits in sorted(manifest.configs.items()):
            told = listed.get(config)
            expected = {split: f"data/{config}/{split}.parquet" for split in splits}
            if not all(map(_NAME.fullmatch, (config, *splits))):
                faults.add("splits", f"{MANIFEST}: configs", f"`{config[:60]}` is no name of a config", _REMAKE)
            elif told is not None and told != expected:
                wrong = sorted(set(told.items()) ^ set(expected.items()))[0]
                fact = f"the card and the manifest differ in the split `{wrong[0][:60]}` ({wrong[1][:80]})"
                faults.add("splits", f"{CARD}: {config}", fact, _REMAKE)
        known = {f"data/{config}/{split}.parquet" for config, splits in manifest.configs.items() for split in splits}
        for name in sorted(manifest.files):
            if name.startswith("data/") and name not in known:
                faults.add("splits", name, "is no split that the manifest counts", f"remove it, or {_REMAKE}")

    def count(self, config: str, split: str, rows: int, faults: Faults) -> None:
        """Holds the rows of a file against the manifest."""
        if self.manifest is None:
            return
        faults.apply("splits")
        told = self.manifest.configs.get(config, {}).get(split)
        if told not in (None, rows):
            faults.add("splits", f"{config}/{split}", f"has {rows} rows, the manifest says {told}", _REMAKE)

    def _croissant(self, manifest: Claims, faults: Faults) -> None:
        if CROISSANT not in self.names:
            if manifest.version is None:
                faults.skip("croissant", "the release is not published yet; `finemed publish` adds croissant.json")
            else:
                faults.add("croissant", CROISSANT, "is missing", "run `finemed publish` again")
            return
        faults.apply("croissant")
        try:
            listed = json.loads(read_plain(self.path / CROISSANT))["distribution"]
            told = {file["contentUrl"]: file["sha256"] for file in listed}
        except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            faults.add("croissant", CROISSANT, f"cannot be read: {short(error)}", "run `finemed publish` again")
            return
        data = {name: found for name in manifest.files if _DATA.fullmatch(name) and (found := self.hashes.get(name))}
        for name, found in sorted(data.items()):
            if found == manifest.files[name] and told.get(name) != found:
                fact = f"{name} is not in it with its SHA-256"
                faults.add("croissant", CROISSANT, fact, "run `finemed publish` again")
        for name in sorted(set(map(str, told)) - set(manifest.files)):
            faults.add("croissant", CROISSANT, f"{name[:80]} is no file of the release", "run `finemed publish` again")

    def _text(self, name: str, faults: Faults) -> None:
        """Looks through a file that is no table, line by line."""
        path = self.path / name
        if path.is_symlink():
            return
        try:
            with io.TextIOWrapper(open_plain(path), encoding="utf-8", errors="replace") as stream:
                read = iter(lambda: stream.readline(_LONGEST), "")
                for first in count(1, _LINES):
                    lines = pl.Series(list(islice(read, _LINES)), dtype=pl.String())
                    for at, found in secret_rows(lines).items():
                        faults.add("secrets", f"{name}:{first + at}", f"it holds a {', a '.join(found)}", _MEND)
                    if lines.len() < _LINES:
                        return
        except OSError as error:
            faults.add("files", name, f"cannot be read: {error.strerror or error}", _REMAKE)
