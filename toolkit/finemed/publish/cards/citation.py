"""Who publishes a dataset, what it is called, and how it is cited.

::

    citation(manifest)
    # @misc{cardiology-1.1.0, title = {Cardiology questions}, author = {{Example Clinic}}, year = {2026}, ...}
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from finemed.publish.cards.markdown import bibtex, one_line

METHOD = "arXiv:2501.09213"
REPO = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?", re.ASCII)
"""An id on the Hub."""
WIDTH = 76


def title_of(manifest: Mapping[str, Any]) -> str:
    """The dataset's name for people: the card's title, or the build's name."""
    return str(manifest["card"].get("title") or manifest["name"])


def repo_of(manifest: Mapping[str, Any]) -> str | None:
    """Its id on the Hub; None where it has none, or one that is no id."""
    known = manifest.get("repo")
    return known if isinstance(known, str) and REPO.fullmatch(known) else None


def publisher_of(manifest: Mapping[str, Any]) -> str | None:
    """Who publishes it: the card's publisher, or the repository's owner; None where nobody said."""
    stated = manifest["card"].get("publisher")
    repo = repo_of(manifest)
    owner = repo.partition("/")[0] if repo and "/" in repo else None
    return one_line(str(stated)) if stated and one_line(str(stated)) else owner


def citation(manifest: Mapping[str, Any]) -> str:
    """The dataset as a BibTeX entry; what is not known is left out."""
    version, repo, date = manifest.get("version"), repo_of(manifest), str(manifest.get("date") or "")
    publisher = publisher_of(manifest)
    fields = {
        "title": title_of(manifest),
        "author": f"{{{bibtex(publisher)}}}" if publisher else None,
        "year": date[:4] if re.match(r"\d{4}-", date) else None,
        "version": version,
        "howpublished": f"Dataset {repo} on the Hub" if repo else None,
        "note": f"Release {str(manifest.get('release_hash', ''))[:16]}",
    }
    key = re.sub(r"[^A-Za-z0-9_.-]", "-", f"{manifest['name']}-{version}" if version else str(manifest["name"]))
    lines = [_field(name, value if name == "author" else bibtex(str(value))) for name, value in fields.items() if value]
    return f"@misc{{{key[:60]},\n" + ",\n".join(lines) + "\n}"


def _field(name: str, value: str) -> str:
    told = textwrap.wrap(value, WIDTH - 16, break_on_hyphens=False) or [""]
    return f"  {name:<12} = {{" + f"\n{' ' * 18}".join(told) + "}"
