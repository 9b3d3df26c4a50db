"""A release whose licence asks for less than its rows' do: one line that names both."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from test_cli import copy_demo, invoke

from finemed.publish.licences import demands_of, licence_warning


def said(card: str | None, *rows: tuple[str, str | None]) -> str:
    return licence_warning(card, [{"source": source, "license": licence} for source, licence in rows]) or ""


@pytest.mark.parametrize(
    ("name", "demands"),
    [
        ("CC0-1.0", ()),
        ("public domain", ()),
        ("cc-by-4.0", ("attribution",)),
        ("CC BY 4.0", ("attribution",)),
        ("cc_by_sa_3.0", ("attribution", "share-alike")),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/", ("attribution", "share-alike", "non-commercial")),
        ("https://creativecommons.org/publicdomain/zero/1.0/", ()),
        ("CC-BY-ND-4.0", ("attribution", "no-derivatives")),
        ("Apache-2.0", ("attribution",)),
        ("MIT", ("attribution",)),
        ("BSD-3-Clause", ("attribution",)),
        ("GPL-3.0-or-later", ("attribution", "share-alike")),
        ("ODC-By", ("attribution",)),
        ("terms of use of the hospital", None),
        ("", None),
    ],
)
def test_what_a_licence_demands(name: str, demands: tuple[str, ...] | None) -> None:
    assert demands_of(name) == demands


@pytest.mark.parametrize(
    ("card", "row", "lost"),
    [
        ("CC0-1.0", "CC-BY-4.0", "CC-BY-4.0 of wiki (attribution)"),
        ("CC0-1.0", "CC-BY-SA-4.0", "CC-BY-SA-4.0 of wiki (attribution, share-alike)"),
        ("CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-SA-4.0 of wiki (share-alike)"),
        ("Apache-2.0", "CC-BY-NC-4.0", "CC-BY-NC-4.0 of wiki (non-commercial)"),
        ("CC-BY-SA-4.0", "CC-BY-ND-4.0", "CC-BY-ND-4.0 of wiki (no-derivatives)"),
        ("CC-BY-4.0", None, "an unknown licence of wiki"),
        ("MIT", "unknown", "an unknown licence of wiki"),
    ],
)
def test_a_card_that_asks_for_less(card: str, row: str | None, lost: str) -> None:
    told = said(card, ("wiki", row))
    assert told.startswith(f"warning: `card.license` {card} asks for less than the licences of its rows: {lost}; ")
    assert "\n" not in told


@pytest.mark.parametrize(
    ("card", "row"),
    [("CC-BY-4.0", "CC0-1.0"), ("CC-BY-SA-4.0", "cc-by-sa-4.0"), ("CC-BY-NC-SA-4.0", "CC-BY-SA-4.0"), (None, "GPL-3.0"),
     ("unknown", "CC-BY-4.0"), ("Our terms", "our terms"), ("CC-BY-4.0", "MIT")],
)  # fmt: skip
def test_a_card_that_asks_for_as_much(card: str | None, row: str) -> None:
    assert said(card, ("wiki", row)) == ""


def test_what_is_not_known_is_named_once() -> None:
    told = said("CC0-1.0", ("a", "House terms"), ("b", "House terms"), ("c", "CC-BY-4.0"))
    assert told.count("House terms") == 1
    assert "not compared with House terms, since these are not among the licences known here" in told
    assert said("House terms", ("a", "MIT")).endswith(
        "`card.license` House terms was not compared with MIT, since it is not among the licences known here"
    )
    assert "\x1b" not in said("CC0-1.0", ("a", "\x1b[2J\nMIT"))


def test_build_and_publish_say_it(tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    settings = yaml.safe_load(config.read_text())
    assert "warning: `card.license`" not in invoke("build", "-c", config, "--run", tmp_path / "as-it-is").stderr
    settings["sources"][0]["license"] = "CC-BY-SA-4.0"
    settings["card"] = {**settings.get("card", {}), "license": "CC0-1.0"}
    config.write_text(yaml.safe_dump(settings))
    for command in (("build", "-c", config), ("publish", tmp_path / "run", "--to", tmp_path / "out")):
        result = invoke(*command)
        assert result.exit_code == 0, result.output
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("warning: `card.license` CC0-1.0")]
        assert "CC-BY-SA-4.0" in line
