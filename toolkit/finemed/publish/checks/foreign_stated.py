"""What anybody's data says of itself: ids, languages, licence.

::

    stated = Stated()
    stated.look(batch, faults)                 # rows.jsonl:17: `language` is 'English', no code; write `en`
    stated.finish(path, files, batch, faults)  # data: no row and no card states a licence; ...

A licence may stand in the rows, in the front matter of a README.md beside them, or as a file LICENSE in their folder.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from finemed.errors import FineMedError
from finemed.publish.checks.faults import KEPT, Faults
from finemed.publish.checks.foreign_phi import LANGUAGE_COLUMNS
from finemed.publish.checks.foreign_rows import Rows
from finemed.publish.checks.provenance import is_stated
from finemed.sources.files import InputFile, LocalFile, Place
from finemed.sources.hub import HubFile
from finemed.sources.turns import fold
from finemed.text.language_codes import code_of, known_code

_LICENCES = frozenset(("license", "licence", "licenses", "licences", "license_name", "licence_name"))
_FRONT = re.compile(r"\A\ufeff?---\s*\n(.*?)\n---", re.DOTALL)
_CARD_LICENCE = re.compile(r"^licen[sc]e(?:_name)?:[ \t]*\n?[ \t]*(?:-[ \t]*)?([^\s#\[\]][^\n]*)$", re.MULTILINE)
_LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "LICENCE.md", "COPYING")
_CARD_BYTES = 1 << 18
_STATE = "state the licence of its source"


@dataclass
class Stated:
    """What the rows say; holds a hash of every id."""

    ids: set[int] = field(default_factory=set)
    has_id: bool = False
    has_language: bool = False
    licensed: int = 0
    unlicensed: int = 0
    without: list[str] = field(default_factory=list)
    """Places of the first rows without a licence."""

    def look(self, batch: Rows, faults: Faults) -> None:
        for place, values in zip(batch.places, batch.values, strict=True):
            columns = {fold(name): value for name, value in values.items()}
            if "id" in columns:
                self._id(place, columns["id"], faults)
            for name in sorted(LANGUAGE_COLUMNS & columns.keys()):
                self._language(place, name, columns[name], faults)
            named = [columns[name] for name in sorted(_LICENCES & columns.keys())]
            if any(is_stated(each) or _is_list(each) for each in named):
                self.licensed += 1
            else:
                self.unlicensed += 1
                if len(self.without) < KEPT:
                    self.without.append(place)

    def _id(self, place: str, value: Any, faults: Faults) -> None:
        self.has_id = True
        key = hash(str(value))
        if value is None:
            faults.add("ids", place, "`id` is null", "give every record an id of its own", kind="null")
        elif key in self.ids:
            faults.add("ids", place, "its `id` occurs before", "give every record an id of its own", kind="repeated")
        self.ids.add(key)

    def _language(self, place: str, name: str, value: Any, faults: Faults) -> None:
        if value is None:
            return
        self.has_language = True
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, str) or not known_code(each):
                code = code_of(each) if isinstance(each, str) else None
                shown = ascii(each)[:60]
                kind = f"{shown} is the name of a language" if code else f"{shown} is no language"
                remedy = f"write `{code}`" if code else "write an ISO 639-1 code such as `en`"
                faults.add("language", place, f"`{name}` is {shown}, no code that exists", remedy, kind=kind)

    def finish(self, path: str, files: Sequence[InputFile], faults: Faults) -> None:
        """Says what all rows together state."""
        for rule, seen, why in (
            ("ids", self.has_id, "the records have no `id`"),
            ("language", self.has_language, "the records have no `language`"),
        ):
            if seen:
                faults.apply(rule)
            else:
                faults.skip(rule, why)
        faults.apply("licence")
        if not self.unlicensed or _beside(path, files):
            return
        if not self.licensed:
            fact = "no row, card or file beside the data states a licence"
            faults.add(
                "licence", path, fact, "add a column `license`, or a README.md with `license:` in its front matter"
            )
            return
        for place in self.without:
            faults.add("licence", place, "`license` says nothing", _STATE)
        if self.unlicensed > len(self.without):
            faults.more("licence", "", self.unlicensed - len(self.without))


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(is_stated, value))


def _beside(path: str, files: Sequence[InputFile]) -> bool:
    """Whether a card or a licence file lies beside the data."""
    card = _card(path, files)
    if card and (front := _FRONT.match(card)) and (named := _CARD_LICENCE.search(front[1])):
        return is_stated(named[1].strip().strip("'\""))
    folder = Path(path)
    return folder.is_dir() and any((folder / name).is_file() for name in _LICENCE_FILES)


def _card(path: str, files: Sequence[InputFile]) -> str:
    """The README.md beside the data; empty where there is none."""
    place: Place = files[0].place
    if isinstance(place, HubFile):
        place = dataclasses.replace(place, path="README.md", bytes=0, sha256=None, blob_id="")
    elif isinstance(place, LocalFile):
        folder = Path(path) if Path(path).is_dir() else place.path.parent
        if not (folder / "README.md").is_file():
            return ""
        place = LocalFile(folder / "README.md")
    else:
        return ""
    try:
        with place.open() as stream:
            return stream.read(_CARD_BYTES).decode("utf-8", "replace").replace("\r\n", "\n")
    except (OSError, FineMedError):
        return ""
