"""Settings of the dataset card: what only the owner of the data can say.

``CardConfig(title="Cardiology questions", publisher="Heart Centre", license="CC-BY-4.0")``
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finemed.config.base import Settings


class CardConfig(Settings):
    """What the dataset card says beyond what the run knows."""

    title: str | None = None
    """Heading and name on the Hub; without one it is the build's `name`."""
    summary: str | None = None
    """One paragraph on what the release is for."""
    license: str | None = None
    """Licence of the release as a whole; null lists the sources' licences only."""
    contact: str | None = None
    """Where to report a problem with the data."""
    publisher: str | None = None
    """Who publishes the dataset, a person or an organisation: the author in its citation, the creator in its Croissant
    metadata. Without one it is the owner of the repository on the Hub, and not stated in a folder."""
    notes: Annotated[str | None, Field(max_length=20_000)] = None
    """Your own words, in a section of the card. Blank lines part paragraphs, lines that open with `- ` make lists; all
    else is shown as it is written."""
