"""Plots show the manifest's numbers, are always the same bytes, and break on nothing."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import unicodedata
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from cards import HOSTILE, answers, stage, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.publish.cards.canvas import label, percent, plain_style, short
from finemed.publish.cards.plots import PLOTS, by_department, write_plots
from finemed.publish.figures import LENGTH_EDGES, RATIO_EDGES, Figures, binned, quantile

NAMES = ["answer_lengths", "answer_scores", "coverage", "funnel", "length_bias", "question_scores"]


def drawn(name: str, manifest: dict[str, Any]) -> Any:
    """The figure as it is before it is saved."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with plain_style():
        figure = PLOTS[name](manifest)
        assert figure is not None
        FigureCanvasAgg(figure).draw()
        return figure


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all plots of the tiny manifest."""
    folder = tmp_path_factory.mktemp("plots")
    assert write_plots(tiny(), folder) == [f"plots/{name}.png" for name in NAMES]
    return folder


def texts(figure: Any) -> list[str]:
    """Every text that is shown, tick labels included."""
    from matplotlib.text import Text

    return [text.get_text() for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


def chunks(data: bytes) -> list[tuple[str, bytes]]:
    """A PNG file's chunks; each checksum is compared."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        found.append((kind.decode(), body))
        at += 12 + length
    return found


# --- files -----------------------------------------------------------------------------------------------------------


def test_every_plot_is_an_opaque_png_of_the_cards_width_without_date_or_version(one: Path) -> None:
    from PIL import Image

    for name in NAMES:
        path = one / "plots" / f"{name}.png"
        parts = chunks(path.read_bytes())
        assert {kind for kind, _ in parts} <= {"IHDR", "pHYs", "IDAT", "IEND"}
        width, height = struct.unpack(">II", parts[0][1][:8])
        assert width == 1600
        assert 400 <= height <= 2600
        with Image.open(path) as picture:
            picture.load()
            assert picture.convert("RGBA").getextrema()[3] == (255, 255)
            corners = [(0, 0), (width - 1, 0), (0, height - 1), (width - 1, height - 1)]
            assert {picture.convert("RGB").getpixel(corner) for corner in corners} == {(255, 255, 255)}
            shades = picture.convert("RGB").getcolors(1 << 24)
            assert shades is not None
            assert len(shades) > 10


WRITER = """
import json, sys
from pathlib import Path
from finemed.publish.cards.plots import write_plots
assert "matplotlib" not in sys.modules
print(*write_plots(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])))
"""


def test_equal_manifests_give_equal_bytes_whatever_the_machine_is_set_to(one: Path, tmp_path: Path) -> None:
    names = [f"plots/{name}.png" for name in NAMES]
    (tmp_path / "matplotlibrc").write_text("font.family: serif\nfont.size: 30\nsavefig.dpi: 33\naxes.grid: True\n")
    (tmp_path / "manifest.json").write_text(json.dumps(tiny(), sort_keys=True))
    clock = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "11", "LC_ALL": "C", "MPLCONFIGDIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(tmp_path / "manifest.json"), str(tmp_path / "other")]
    done = subprocess.run(
        command, env={**os.environ, **clock}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == names
    for name in names:
        assert (one / name).read_bytes() == (tmp_path / "other" / name).read_bytes(), name


def test_another_number_is_another_picture(one: Path, tmp_path: Path) -> None:
    write_plots(tiny(figures__quality={"5": 37, "8": 900, "10": 100}), tmp_path)
    changed = [
        name
        for name in NAMES
        if (one / f"plots/{name}.png").read_bytes() != (tmp_path / f"plots/{name}.png").read_bytes()
    ]
    assert changed == ["question_scores"]


def test_the_settings_of_the_process_come_back(tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 33, "axes.grid": True}):
        write_plots(tiny(stages=[], figures__coverage=[], figures__answers={}), tmp_path)
        assert (mpl.rcParams["font.size"], mpl.rcParams["axes.grid"]) == (33, True)


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_the_funnel_shows_what_each_stage_read_kept_and_dropped() -> None:
    figure = drawn("funnel", tiny())
    shown = texts(figure)
    assert "1,190 kept, 10 dropped (0.8%)" in shown
    assert "2,500 kept, 490 dropped (16.4%)" in shown
    assert "3,999 kept, 1 dropped (<0.1%)" in shown
    assert "4,000 kept" in shown
    assert [text for text in shown if text in ("records", "passages", "questions", "answers")] == [
        "records",
        "questions",
        "answers",
    ]  # `filter`, which passages are named at, is not in this run
    (axes,) = figure.axes
    assert [round(bar.get_width()) for bar in axes.patches[:4]] == [1190, 10, 2990, 10]
    assert [text.get_text() for text in axes.get_yticklabels()] == [report["stage"] for report in tiny()["stages"]]


def test_bars_are_shares_of_the_questions_and_the_median_is_marked() -> None:
    figure = drawn("question_scores", tiny())
    quality, complexity = figure.axes
    heights = [bar.get_height() for bar in quality.patches]
    assert heights == pytest.approx([0, 0, 0, 0, 3600 / 1036, 0, 0, 90000 / 1036, 0, 10000 / 1036])
    assert [bar.get_height() for bar in complexity.patches] == [0, 0, 0, 0, 0, 0, 0, 0, 100, 0]
    assert {"median 8", "median 9", "quality  (questions: 1,036)"} <= set(texts(figure))


def test_answers_are_shown_by_pool_and_equal_ones_once() -> None:
    titles = [axes.get_title(loc="left") for axes in drawn("answer_scores", tiny()).axes]
    assert titles == [
        "sft  (answers: 1,030)",
        "dpo, chosen = sft_reasoning  (answers: 4)",
        "dpo, rejected  (answers: 4)",
        "ttt  (answers: 2)",
    ]
    figures = tiny()["figures"]["answers"] | {"sft_reasoning": answers({"3": 1}, [[16, 19, 1]], 17, 17)}
    titles = [axes.get_title(loc="left") for axes in drawn("answer_lengths", tiny(figures__answers=figures)).axes]
    assert titles[1:3] == ["dpo, chosen  (answers: 4)", "sft_reasoning  (answers: 1)"]


def test_length_bias_shows_both_sides_of_equal_length() -> None:
    figure = drawn("length_bias", tiny())
    assert "Chosen answers longer than the rejected ones: 3 of 4\n" in texts(figure)
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    assert low < 0 < high
    assert [bar.get_height() for bar in axes.patches] == [25, 75]


def test_departments_stand_in_order_with_empty_ones_and_none_last() -> None:
    quota = stage("quota", (1, 1, 1), facts={"nodes": [{"department": "Pediatrics"}, {"department": "Surgery"}]})
    manifest = tiny(stages=[*tiny()["stages"], quota])
    departments = by_department(manifest)
    assert list(departments) == ["Medicine", "Surgery", "Pediatrics", "none"]
    assert departments["Medicine"] == Counter(sft=725, sft_reasoning=3, dpo=3, ttt=2)
    figure = drawn("coverage", manifest)
    first = figure.axes[0]
    assert [text.get_text() for text in first.get_yticklabels()] == list(departments)
    assert [bar.get_width() for bar in first.patches] == pytest.approx([72500 / 1030, 30000 / 1030, 0, 500 / 1030])
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "sft\n1,030 rows",
        "dpo, sft_reasoning\n4 rows",
        "ttt\n2 rows",
    ]


# --- empty, single, crowded ------------------------------------------------------------------------------------------


def test_nothing_to_show_is_no_picture(tmp_path: Path) -> None:
    nothing = tiny(
        stages=[],
        figures__quality={},
        figures__complexity={},
        figures__coverage=[],
        figures__answers={},
        figures__chosen_length={"longer": 0, "equal": 0, "shorter": 0, "ratio": {}},
    )
    assert write_plots(nothing, tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    older = tiny()
    del older["figures"]["answers"], older["figures"]["chosen_length"]
    assert write_plots(older, tmp_path) == ["plots/coverage.png", "plots/funnel.png", "plots/question_scores.png"]


def test_a_single_answer_and_a_single_pair_are_drawn_in_the_middle_of_an_axis() -> None:
    one = {"sft": answers({"1": 1}, [[16, 19, 1]], 17, 17)}
    bias = {"longer": 0, "equal": 1, "shorter": 0, "ratio": {"median": 1.0, "bins": [[1.0, 1.1892, 1]]}}
    manifest = tiny(figures__answers=one, figures__chosen_length=bias, figures__quality={"10": 1})
    for name in ("answer_lengths", "length_bias"):
        (axes,) = drawn(name, manifest).axes
        low, high = axes.get_xlim()
        (bar,) = axes.patches
        assert bar.get_height() == 100
        assert low < bar.get_x() + bar.get_width() / 2 < high
        assert len(axes.get_xticks()) >= 3
    assert drawn("question_scores", manifest).axes[0].patches[9].get_height() == 100


def crowded() -> dict[str, Any]:
    """Many departments with long names, and millions of rows."""
    rows = [
        {"department": f"Department of long names no. {at}", "subdepartment": "none", "sft": at + 1, "dpo": at * 1000}
        for at in range(55)
    ]
    stages = [
        {**report, "counts": {key: 1_234_567 * value for key, value in report["counts"].items()}}
        for report in tiny()["stages"]
    ]
    coverage = [{**row, "sft_reasoning": row["dpo"], "ttt": 0} for row in rows]
    return tiny(figures__coverage=coverage, stages=stages)


@pytest.mark.parametrize("name", NAMES)
def test_no_text_is_cut_off_and_no_tick_label_covers_another(name: str) -> None:
    for manifest in (tiny(), crowded()):
        figure = drawn(name, manifest)
        from matplotlib.text import Text

        width, height = figure.canvas.get_width_height()
        for text in figure.findobj(Text):
            if text.get_visible() and text.get_text():
                box = text.get_window_extent()
                inside = (box.x0 >= 0, box.y0 >= 0, box.x1 <= width, box.y1 <= height)
                assert all(inside), (text.get_text(), box, width, height)
        for axes in figure.axes:
            for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
                boxes = [tick.get_window_extent() for tick in ticks if tick.get_visible() and tick.get_text()]
                assert not any(a.overlaps(b) for a, b in pairwise(boxes)), name
        titles = [axes._left_title.get_window_extent() for axes in figure.axes if axes.get_title(loc="left")]
        assert not any(a.overlaps(b) for at, a in enumerate(titles) for b in titles[at + 1 :])


def test_departments_beyond_forty_are_one_bar() -> None:
    figure = drawn("coverage", crowded())
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(names) == 41
    assert names[-1] == "15 more departments"
    assert len(set(names)) == 41
    assert sum(bar.get_width() for bar in figure.axes[0].patches) == pytest.approx(100)


# --- foreign text ----------------------------------------------------------------------------------------------------


def test_hostile_names_are_drawn_as_text_or_numbered() -> None:
    rows = [
        {"department": text, "subdepartment": text, "sft": 20 - at, "sft_reasoning": 0, "dpo": 0, "ttt": 0}
        for at, text in enumerate(HOSTILE)
    ]
    manifest = tiny(figures__coverage=rows)
    names = [text.get_text() for text in drawn("coverage", manifest).axes[0].get_yticklabels()]
    assert names[0] == "<script>alert(1)</script>"
    assert names[9] == "no. 10 of the table"  # the font has none of its letters
    assert "$x^2$" in names[7]
    assert not any(unicodedata.category(mark).startswith("C") for name in names for mark in name)


@given(st.text(), st.integers(4, 40))
@settings(max_examples=300, deadline=None)
def test_a_label_is_one_short_line_of_marks_that_the_font_has(text: str, limit: int) -> None:
    with plain_style():
        found = label(text, limit)
    if found is not None:
        assert 0 < len(found) <= limit
        assert found == " ".join(found.split())
        assert not any(unicodedata.category(mark) in ("Cc", "Cf", "Cs", "Co", "Cn") for mark in found)


def test_long_labels_keep_their_ends() -> None:
    with plain_style():
        assert label("Department of Surgery, Ward 12", 20) == "Department of…ard 12"
        shortened = [label(f"Department of long names no. {number}", 24) for number in (11, 12)]
    assert shortened[0] != shortened[1]


def test_numbers_are_written_without_false_roundness() -> None:
    assert [percent(*pair) for pair in ((0, 9), (1, 3000), (1, 8), (2999, 3000), (9, 9))] == [
        "0.0%",
        "<0.1%",
        "12.5%",
        ">99.9%",
        "100.0%",
    ]
    assert [short(number) for number in (0, 900, 2500, 3e6, 1.5e9)] == ["0", "900", "2.5k", "3M", "1.5G"]


# --- figures ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10_000_000), min_size=1, max_size=60))
def test_bins_hold_every_value_and_quantiles_are_values(values: list[int]) -> None:
    counts = Counter(values)
    bins = binned(counts, LENGTH_EDGES)
    assert sum(count for _, _, count in bins) == len(values)
    assert bins[0][2] > 0
    assert bins[-1][2] > 0
    for low, high, count in bins:
        assert count == sum(low <= value < high for value in values)
    ordered = sorted(values)
    assert quantile(counts, 0.5) == ordered[(len(values) - 1) // 2]
    assert (quantile(counts, 0.0), quantile(counts, 1.0)) == (ordered[0], ordered[-1])


def test_a_value_beyond_the_last_edge_is_in_the_last_bin() -> None:
    assert binned(Counter({10**9: 2}), LENGTH_EDGES) == [[LENGTH_EDGES[-2], LENGTH_EDGES[-1], 2]]
    assert 1.0 in RATIO_EDGES
    assert binned(Counter(), LENGTH_EDGES) == []


def test_pairs_are_counted_by_length_in_characters() -> None:
    figures = Figures()
    for chosen, rejected in (("aaaa", "bb"), ("é日", "xy"), ("a", "bbbb")):
        row = {
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            "chosen_score": 7.5,
            "rejected_score": 7.25,
            "chosen_model": "m",
        }
        figures._pairs(pl.DataFrame([row]))
    found = figures.plain()
    assert {name: found["chosen_length"][name] for name in ("longer", "equal", "shorter")} == {
        "longer": 1,
        "equal": 1,
        "shorter": 1,
    }
    assert found["chosen_length"]["ratio"]["median"] == 1.0
    assert found["answers"]["dpo_chosen"]["scores"] == {"7.5": 3}
    assert found["answers"]["dpo_rejected"]["characters"]["max"] == 4
