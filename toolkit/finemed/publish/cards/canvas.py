"""What all plots of a card share: size, colours, font, and how they are saved.

::

    with plain_style():
        figure, axes = sheet(3.0, rows=2)
        ...
        png(figure)

Nothing of the machine shows: matplotlib's own DejaVu Sans from its package, its default settings whatever a
``matplotlibrc`` says, no date, no version. Equal inputs give equal bytes under equal versions of matplotlib and Pillow.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 8.0
"""Inches; at `DPI` that is 1,600 pixels, twice what a card's column shows."""
DPI = 200
INK = "#24292f"
FAINT = "#6e7781"
GRID = "#d0d7de"
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
"""Of Okabe and Ito's palette, which stays apart under every common colour blindness."""
FONT = "FineMed DejaVu Sans"


@contextmanager
def plain_style() -> Iterator[None]:
    """Matplotlib's defaults, this card's colours and font; what the process had set before comes back."""
    import matplotlib as mpl

    _add_font()
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(
            {
                "font.family": FONT,
                "font.size": 9.5,
                "text.parse_math": False,
                "text.color": INK,
                "axes.labelcolor": INK,
                "axes.edgecolor": FAINT,
                "axes.titlesize": 9.5,
                "axes.titlelocation": "left",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.axisbelow": True,
                "axes.unicode_minus": True,
                "grid.color": GRID,
                "grid.linewidth": 0.6,
                "xtick.color": INK,
                "ytick.color": INK,
            }
        )
        yield


def _add_font() -> None:
    """Makes the font that matplotlib ships known under a name that no installed font has."""
    import matplotlib as mpl
    from matplotlib import font_manager

    faces = {entry.name for entry in font_manager.fontManager.ttflist}
    if FONT in faces:
        return
    for file, weight in (("DejaVuSans.ttf", 400), ("DejaVuSans-Bold.ttf", 700)):
        path = Path(mpl.get_data_path(), "fonts", "ttf", file)
        entry = font_manager.FontEntry(
            fname=str(path),
            name=FONT,
            style="normal",
            variant="normal",
            weight=weight,
            stretch="normal",
            size="scalable",
        )
        font_manager.fontManager.ttflist.append(entry)


def sheet(height: float, *, rows: int = 1, columns: int = 1, **shared: Any) -> tuple[Figure, list[Axes]]:
    """An empty figure of the card's width and `height` inches, and its axes row by row."""
    from matplotlib.figure import Figure as Sheet

    figure = Sheet(figsize=(WIDTH, height), dpi=DPI, facecolor="white", layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    return figure, list(axes.flat)


def headline(figure: Figure, text: str, note: str = "") -> None:
    """The figure's title, and in smaller type below it what must be known to read it."""
    figure.suptitle(f"{text}\n" if note else text, x=0.015, ha="left", fontsize=12, fontweight="bold")
    if note:
        figure.text(0.015, 1 - 0.42 / figure.get_figheight(), note, ha="left", va="center", color=FAINT, fontsize=9)


def png(figure: Figure) -> bytes:
    """A figure as a PNG without date or version."""
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    return data.getvalue()


def drawn_with() -> dict[str, str]:
    """Versions of the libraries that decide a picture's bytes."""
    import matplotlib as mpl
    import PIL

    return {"matplotlib": mpl.__version__, "pillow": PIL.__version__}


def label(text: str, limit: int) -> str | None:
    """A text of the configuration as one line, cut in its middle if long; None where the font cannot show it.

    Marks that turn the direction of writing or cannot be seen are left out.
    """
    from matplotlib import font_manager

    seen = "".join(
        " " if mark.isspace() else mark
        for mark in text
        if mark.isspace() or unicodedata.category(mark) not in ("Cc", "Cf", "Cs", "Co", "Cn")
    )
    flat = " ".join(seen.split())
    face = font_manager.get_font(font_manager.findfont(font_manager.FontProperties(family=FONT)))
    if not flat or any(face.get_char_index(ord(mark)) == 0 for mark in flat):
        return None
    if len(flat) <= limit:
        return flat
    tail = limit // 3
    return f"{flat[: limit - tail - 1].rstrip()}…{flat[-tail:].lstrip()}"


def counted(number: float) -> str:
    """A number as the card writes it."""
    return f"{number:,}"


def short(number: float) -> str:
    """A number on an axis: ``900``, ``2.5k``, ``3M``."""
    for size, mark in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:g}{mark}"
    return f"{number:g}"


def percent(part: float, whole: float) -> str:
    """A share with one digit: ``11.7%``; ``<0.1%`` and ``>99.9%`` rather than a rounded 0 or 100."""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "<0.1%"
    return ">99.9%" if 99.9 < share < 100 else f"{share:.1f}%"
