"""Whether the licence of a release asks for less than those of its rows do.

::

    licence_warning("CC0-1.0", [{"source": "wiki", "license": "CC-BY-SA-4.0"}])
    # `card.license` CC0-1.0 asks for less than the licences of its rows: CC-BY-SA-4.0 of wiki (attribution, ...); ...

A warning and no judgement in law: it knows the licences of the table, and says which ones it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

ATTRIBUTION, SHARE_ALIKE = "attribution", "share-alike"
NON_COMMERCIAL, NO_DERIVATIVES = "non-commercial", "no-derivatives"
_DEMANDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("cc0", "public-domain", "pddl", "unlicense", "wtfpl"), ()),
    **dict.fromkeys(
        (
            *("cc-by", "odc-by", "apache", "mit", "isc", "zlib", "etalab", "cdla-permissive"),
            *("bsd", "bsd-2-clause", "bsd-3-clause"),
        ),
        (ATTRIBUTION,),
    ),
    **dict.fromkeys(
        ("cc-by-sa", "odbl", "gfdl", "gpl", "agpl", "lgpl", "cdla-sharing"),
        (ATTRIBUTION, SHARE_ALIKE),
    ),
    "cc-by-nc": (ATTRIBUTION, NON_COMMERCIAL),
    "cc-by-nc-sa": (ATTRIBUTION, SHARE_ALIKE, NON_COMMERCIAL),
    "cc-by-nd": (ATTRIBUTION, NO_DERIVATIVES),
    "cc-by-nc-nd": (ATTRIBUTION, NON_COMMERCIAL, NO_DERIVATIVES),
}
"""Licence without its version -> what it demands of who passes the data on."""
_UNSTATED = frozenset(("", "unknown", "none", "null", "n/a", "unspecified", "not-stated"))
_CREATIVE_COMMONS = re.compile(r"creativecommons\.org/(?:licenses/(?P<by>[a-z-]+)|publicdomain/(?P<kind>zero|mark))")
_BETWEEN = re.compile(r"[\s_]+")
_VERSION = re.compile(r"-?v?[0-9]+(?:\.[0-9]+)*(?:-(?:or-later|only|international|igo))?\Z")
_NAMED = 5


def demands_of(licence: str) -> tuple[str, ...] | None:
    """What a licence demands, ``("attribution",)`` of ``CC BY 4.0``; None where it is none of the table."""
    name = _BETWEEN.sub("-", licence.strip().lower())
    if (address := _CREATIVE_COMMONS.search(name)) is not None:
        name = f"cc-{address['by']}" if address["by"] else {"zero": "cc0", "mark": "public-domain"}[address["kind"]]
    return _DEMANDS.get(name.strip("-"), _DEMANDS.get(_VERSION.sub("", name)))


def licence_warning(stated: str | None, rows: Iterable[Mapping[str, Any]]) -> str | None:
    """One line about a release whose licence asks for less than its rows' do; None where there is nothing to say.

    Args:
        stated: `card.license`.
        rows: the manifest's `figures.licences`: each with `source` and `license`.
    """
    if not stated or _is_unstated(stated):
        return None
    given = demands_of(stated)
    sources: dict[str, list[str]] = {}
    for row in rows:
        own = str(row["license"] or "")
        if own.strip().lower() != stated.strip().lower():
            sources.setdefault("" if _is_unstated(own) else own, []).append(str(row["source"]))
    less, unjudged = [], []
    for licence, names in sorted(sources.items()):
        demands = demands_of(licence)
        where = f"of {_list(sorted(set(map(_short, names))))}"
        if not licence:
            less.append(f"an unknown licence {where}")
        elif demands is None or given is None:
            unjudged.append(_short(licence))
        elif lacking := [each for each in demands if each not in given]:
            less.append(f"{_short(licence)} {where} ({', '.join(lacking)})")
    name = f"`card.license` {_short(stated)}"
    parts = []
    if less:
        parts.append(
            f"{name} asks for less than the licences of its rows: {_list(less)}; set one that keeps what they ask"
        )
    if unjudged:
        parts.append(
            f"{'it' if less else name} was not compared with {_list(unjudged)}, since "
            f"{'it' if given is None else 'these'} {'is' if given is None else 'are'} not among the licences known here"
        )
    return "warning: " + "; ".join(parts) if parts else None


def _is_unstated(licence: str) -> bool:
    return _BETWEEN.sub("-", licence.strip().lower()) in _UNSTATED


def _short(text: str) -> str:
    return "".join(char if char.isprintable() else "\ufffd" for char in " ".join(text.split())[:60])


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
