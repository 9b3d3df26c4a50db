"""Semantic versions of releases, and which one a change asks for.

::

    Version.parse("v1.2.0").bump("minor")              Version(1, 3, 0), "1.3.0", tag "v1.3.0"
    next_version(Version(1, 2, 0), "major")            2.0.0: a column came, went or changed its type
    next_version(None, "none")                         1.0.0: the first release
    next_version(Version(1, 2, 0), "minor", "1.2.1")   refused: rows changed, so 1.3.0 is the least

Major: who reads the columns, or loads a config or split by its name, must look again. Minor: rows came, went or
changed. Patch: only card or metadata did. A retraction is a patch although rows go, unless a config or a pool's split
goes with them: see `docs/versions.md`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from finemed.errors import ConfigError

Change = Literal["none", "patch", "minor", "major"]
_PATTERN = re.compile(r"v?(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, order=True)
class Version:
    """Major, minor, patch; ordered as numbers."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> Version:
        """Reads ``1.2.0`` or the tag ``v1.2.0``.

        Raises:
            ConfigError: it is neither.
        """
        found = _PATTERN.fullmatch(text.strip())
        if found is None:
            raise ConfigError(f"version {text!r}: not of the form MAJOR.MINOR.PATCH, such as 1.2.0")
        major, minor, patch = map(int, found.groups())
        return cls(major, minor, patch)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"

    @property
    def tag(self) -> str:
        """Name of the Git tag, such as ``v1.2.0``."""
        return f"v{self}"

    def step_from(self, earlier: Version) -> Change | None:
        """The step that the numbers say: which is the first that rose; None where this one is not above the other."""
        if self <= earlier:
            return None
        if self.major > earlier.major:
            return "major"
        return "minor" if self.minor > earlier.minor else "patch"

    def bump(self, change: Literal["major", "minor", "patch"]) -> Version:
        """The least version above this one for such a change."""
        if change == "major":
            return Version(self.major + 1, 0, 0)
        if change == "minor":
            return Version(self.major, self.minor + 1, 0)
        return Version(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


def wanted_version(text: str, *, after: Version | None = None, least: Version | None = None) -> Version:
    """The version that a curator asks for, which must be above the last one whether or not something changed.

    Raises:
        ConfigError: it is no version, or not above the last one.
    """
    version = Version.parse(text)
    if after is not None and version <= after:
        raise ConfigError(
            f"version {version}: not above {after}, the last one; the least is {least or after.bump('patch')}: give "
            "that or a higher one, or leave `--version` out"
        )
    return version


def next_version(parent: Version | None, change: Change, wanted: str | None = None, *, why: str = "") -> Version:
    """The version of a release that differs from its parent by `change`, or the wanted one where that is allowed.

    Args:
        parent: last version; None before the first release.
        change: what the diff says.
        wanted: what the curator asks for; may be higher than needed.
        why: the diff in a few words, for the message.

    Raises:
        ConfigError: the wanted version is not above the parent, or too low for the change.
    """
    if parent is None:
        return FIRST if wanted is None else wanted_version(wanted)
    least = parent.bump("patch" if change == "none" else change)
    if wanted is None:
        return least
    version = wanted_version(wanted, after=parent, least=least)
    if version < least:
        told = f" ({why})" if why else ""
        raise ConfigError(
            f"version {version}: the change since {parent} is {change}{told}; the least version is {least}: give that "
            "or a higher one, or leave `--version` out"
        )
    return version
