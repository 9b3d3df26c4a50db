"""Files that lie beside the data of a folder and are none: the papers of a repository, and reports in JSON.

::

    data, others = without_papers(files)
    others  ->  [Quarantined("README.md", "not_data: papers of a repository, beside data files", 0)]

Only where data files lie beside them; a file that is named by itself is always read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from finemed.sources.files import UNKNOWN, InputFile, LocalFile, Quarantined
from finemed.sources.hub import HubFile
from finemed.sources.jsonl import is_record

_PAPERS = re.compile(
    r"(?:readme|licen[cs]e|copying|notice|changelog|changes|citation|contributing|authors|code_of_conduct|security|"
    r"requirements|dataset_card|datacard)(?:[._-].*)?\.(?:md|txt|rst|html?|pdf)",
    re.IGNORECASE,
)
_MOST = 1 << 20
PAPERS = "not_data: papers of a repository, beside data files"
REPORT = "not_data: one JSON object without a column of records, beside data files"


def without_papers(files: Sequence[InputFile]) -> tuple[list[InputFile], list[Quarantined]]:
    """The files that hold records, and the others with the rule that each falls under."""
    reasons = {file.name: _reason(file) for file in files}
    data = [file for file in files if reasons[file.name] is None]
    if all(file.format in ("text", UNKNOWN) for file in data):  # a folder of texts, or of nothing but one object each
        return list(files), []
    return data, [Quarantined(name, reason, 0) for name, reason in reasons.items() if reason is not None]


def _reason(file: InputFile) -> str | None:
    if _PAPERS.fullmatch(PurePosixPath(file.name).name):
        return PAPERS
    return REPORT if file.format == "json" and _is_report(file) else None


def _is_report(file: InputFile) -> bool:
    """Whether a small file is one object that no record looks like."""
    if not isinstance(file.place, LocalFile | HubFile):
        return False
    try:
        with file.place.open() as stream:
            content = stream.read(_MOST + 1)
        value = json.loads(content) if len(content) <= _MOST else None
    except (OSError, ValueError, RecursionError):
        return False  # reading it says why
    return isinstance(value, dict) and not is_record(value, file)
