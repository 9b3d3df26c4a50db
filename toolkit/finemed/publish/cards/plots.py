"""The pictures of a dataset card, from the release's manifest alone.

::

    write_plots(manifest, Path("release"))
    # ["plots/answer_lengths.png", "plots/answer_scores.png", "plots/coverage.png", ...]

A plot for which the manifest has no data is not drawn. Scores and lengths are shown as shares, each panel on its own
scale, because pools differ in size; the counts stand beside the names and in the card's tables.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finemed.publish.cards.canvas import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PURPLE,
    counted,
    headline,
    label,
    percent,
    plain_style,
    png,
    sheet,
    short,
)
from finemed.publish.cards.distributions import answer_lengths, answer_scores, length_bias, question_scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = {
    "ingest": "records",
    "filter": "passages",
    "judge": "questions",
    "decontaminate_answers": "answers",
    "split": "questions with their answers",
}
"""What the rows are that a stage reads, named at the first stage that reads them."""
MOST_DEPARTMENTS = 40
NOWHERE = "none"
POOL_COLUMNS = (("sft", "sft", BLUE), ("dpo", "dpo, sft_reasoning", GREEN), ("ttt", "ttt", PURPLE))


def write_plots(manifest: Mapping[str, Any], folder: Path) -> list[str]:
    """Draws what the manifest has data for into ``folder/plots``; the files' names, such as ``plots/funnel.png``."""
    found = pictures(manifest)
    for name, data in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return list(found)


def pictures(manifest: Mapping[str, Any]) -> dict[str, bytes]:
    """Name -> PNG of every plot that the manifest has data for."""
    return _pictures(json.dumps({name: manifest[name] for name in ("figures", "stages")}, sort_keys=True))


@lru_cache(maxsize=4)
def _pictures(facts: str) -> dict[str, bytes]:
    """The same by what the plots are drawn from: whoever publishes draws them, and validation compares them."""
    manifest, found = json.loads(facts), {}
    with plain_style():
        for name, draw in sorted(PLOTS.items()):
            figure = draw(manifest)
            if figure is not None:
                found[f"plots/{name}.png"] = png(figure)
    return found


# --- the funnel ------------------------------------------------------------------------------------------------------


def _funnel(manifest: Mapping[str, Any]) -> Figure | None:
    """Rows that each stage read, kept and dropped."""
    stages = list(manifest["stages"])
    most = max((stage["counts"]["rows_in"] for stage in stages), default=0)
    if not most:
        return None
    names, heads, place = [], [], 0.0
    figure, (axes,) = sheet(1.2 + 0.235 * (len(stages) + 0.9 * sum(stage["stage"] in UNITS for stage in stages)))
    for stage in stages:
        name, counts = stage["stage"], stage["counts"]
        if name in UNITS:
            heads.append((place, UNITS[name]))
            place += 0.9
        kept, dropped = counts["rows_kept"], counts["rows_dropped"]
        axes.barh(place, kept, 0.72, color=BLUE)
        axes.barh(place, dropped, 0.72, left=kept, color=ORANGE, hatch="////", edgecolor="white", linewidth=0)
        lost = f", {counted(dropped)} dropped ({percent(dropped, kept + dropped)})" if dropped else ""
        _note(axes, (kept + dropped, place), f"{counted(kept)} kept{lost}")
        names.append((place, label(name, 30) or "?"))
        place += 1
    for at, unit in heads:
        axes.annotate(unit, (0, at), xytext=(2, 0), textcoords="offset points", va="center", color=FAINT, fontsize=8.5)
    axes.set_yticks([at for at, _ in names], [name for _, name in names])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(place - 0.3, -0.7)
    axes.set_xlim(0, most * 1.6)
    _ticks(axes, most)
    axes.set_xlabel("rows read by the stage")
    axes.grid(axis="x")
    headline(figure, "What became of every row", "blue: kept, orange and hatched: dropped; grey: what the rows are")
    return figure


# --- coverage --------------------------------------------------------------------------------------------------------


def _coverage(manifest: Mapping[str, Any]) -> Figure | None:
    """Share of each pool's rows by department."""
    departments = by_department(manifest)
    columns = [column for column in POOL_COLUMNS if any(counts[column[0]] for counts in departments.values())]
    if not columns:
        return None
    shown = list(departments.items())[:MOST_DEPARTMENTS]
    names = [label(name, 32) or f"no. {number} of the table" for number, (name, _) in enumerate(shown, 1)]
    rest = Counter[str]()
    for counts in list(departments.values())[MOST_DEPARTMENTS:]:
        rest.update(counts)
    if rest:
        names.append(f"{len(departments) - MOST_DEPARTMENTS} more departments")
        shown.append(("", rest))
    height = max(len(shown), 3)
    figure, axes = sheet(1.35 + 0.26 * height, columns=len(columns), sharey=True, sharex=True)
    widest = 0.0
    for place, (pool, title, colour) in zip(axes, columns, strict=True):
        total = sum(counts[pool] for counts in departments.values())
        for at, (_, counts) in enumerate(shown):
            share = 100 * counts[pool] / total
            widest = max(widest, share)
            place.barh(at, share, 0.7, color=colour)
            _note(place, (share, at), counted(counts[pool]))
        place.set_title(f"{title}\n{counted(total)} rows", fontweight="bold")
        place.grid(axis="x")
        place.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(height - 0.4, -0.6)
    axes[0].set_xlim(0, widest * 1.35)
    _ticks(axes[0], widest)
    figure.supxlabel("share of the pool's rows, %; the number at a bar counts them", fontsize=9.5, color=INK)
    headline(figure, "Departments, by pool")
    return figure


def by_department(manifest: Mapping[str, Any]) -> dict[str, Counter[str]]:
    """Department -> rows by pool, the largest first, `none` last; with those of the taxonomy that got no row."""
    totals: dict[str, Counter[str]] = {}
    for stage in manifest["stages"]:
        for node in stage.get("facts", {}).get("nodes", []):
            totals.setdefault(node["department"], Counter())
    for row in manifest["figures"]["coverage"]:
        counts = {pool: row[pool] for pool in ("sft", "sft_reasoning", "dpo", "ttt")}
        totals.setdefault(row["department"], Counter()).update(counts)
    if not totals.get(NOWHERE, Counter()).total():
        totals.pop(NOWHERE, None)
    questions = {name: sum(counts[pool] for pool, _, _ in POOL_COLUMNS) for name, counts in totals.items()}
    order = sorted(totals, key=lambda name: (name == NOWHERE, -questions[name], name))
    return {name: totals[name] for name in order}


def _ticks(axes: Axes, most: float) -> None:
    """Round numbers from 0 up to the longest bar, and none where only its text is."""
    from matplotlib.ticker import MaxNLocator

    ticks = [tick for tick in MaxNLocator(nbins=5, integer=True).tick_values(0, most) if tick <= most]
    axes.set_xticks(ticks, [short(tick) for tick in ticks])


def _note(axes: Axes, at: tuple[float, float], text: str) -> None:
    """A small text to the right of a bar's end, with nothing of the grid behind it."""
    behind = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.annotate(text, at, xytext=(5, 0), textcoords="offset points", va="center", fontsize=8.5, bbox=behind)


PLOTS: dict[str, Callable[[Mapping[str, Any]], Figure | None]] = {
    "answer_lengths": answer_lengths,
    "answer_scores": answer_scores,
    "coverage": _coverage,
    "funnel": _funnel,
    "length_bias": length_bias,
    "question_scores": question_scores,
}
