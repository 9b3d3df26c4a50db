"""The card says what the manifest says, nothing that it does not, and shows foreign text as text."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from cards import HOSTILE, published, table_under, tiny, tokens
from markdown_it import MarkdownIt

from finemed.publish.cards.card import escape, render_card, templates_hash
from finemed.publish.cards.card_facts import column_types, limits
from finemed.publish.cards.plots import write_plots
from finemed.publish.demo import build_demo
from finemed.publish.figures import quantile
from finemed.publish.pools import arrow_schema
from finemed.records import POOLS, PUBLISHED


def card(manifest: dict[str, Any]) -> str:
    return render_card(manifest, manifest["card"])


def head(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(card(manifest).split("---\n")[1])
    return found


def flat(text: str) -> str:
    """Prose without line breaks."""
    return " ".join(text.split())


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_the_funnel_is_the_manifests() -> None:
    rows = table_under(card(tiny()), "### What became of every row")
    assert rows[0] == ["stage", "in", "kept", "dropped", "share", "out", "reasons"]
    assert rows[1] == ["ingest", "1,200", "1,190", "10", "0.8%", "3,000", "not\\_json 10"]
    assert [row[0].replace("\\", "") for row in rows[1:]] == [stage["stage"] for stage in tiny()["stages"]]
    assert rows[-1] == ["split", "1,036", "1,036", "0", "0.0%", "1,040", ""]


def test_judge_failures_have_count_and_rate() -> None:
    text = card(tiny())
    assert "- judge: 25 of 2,500 questions had no usable judgement (1.0%)" in text
    assert "- judge_answers: 1 of 4,000 answers had no usable judgement (<0.1%)" in text
    none = tiny()
    none["stages"][3]["counts"].update(rows_in=0, rows_kept=0, rows_dropped=0)
    none["stages"][3]["drops"] = {}
    assert "- judge: 0 of 0 questions had no usable judgement (–)" in card(none)


def test_answers_and_pairs_are_the_manifests() -> None:
    text = card(tiny())
    rows = {row[0]: row[1:] for row in table_under(text, "### Answers")}
    assert rows["`sft`"] == ["1,030", "7.25", "20", "310", "349", "350"]
    assert rows["`dpo`, chosen"] == rows["`sft_reasoning`"] == ["4", "8.5", "20", "1,100", "1,199", "1,200"]
    told = flat(text)
    assert "longer than the rejected one in 3 of 4 pairs (75.0%), equally long in 0, shorter in 1" in told
    assert "at the median it has 3.55 times the characters" in told
    assert "may learn to write long answers" in told
    assert "in 2 pairs, equal in 1, lower in 1." in told


@pytest.mark.parametrize(
    ("longer", "shorter", "side"), [(3, 3, None), (2, 1, "long"), (1, 2, "short"), (1, 0, "long"), (0, 1, "short")]
)
def test_a_length_bias_is_named_only_where_there_is_one(longer: int, shorter: int, side: str | None) -> None:
    counted = {"longer": longer, "equal": 0, "shorter": shorter, "ratio": {"median": 1.5}}
    text = card(tiny(figures__chosen_length=counted))
    assert re.findall(r"may learn to write (\w+) answers", text) == ([side] if side else [])


def test_departments_are_summed_and_numbered_as_in_the_plot() -> None:
    text = card(tiny())
    assert table_under(text, "### Coverage")[1:] == [
        ["1", "Medicine", "725", "3", "3", "2"],
        ["2", "Surgery", "300", "1", "1", "0"],
        ["3", "none", "5", "0", "0", "0"],
    ]
    assert "| Medicine | Heart | 700 | 3 | 3 | 2 |" in text


def test_a_real_releases_figures_are_those_of_its_rows(tmp_path: Path) -> None:
    outcome = build_demo(tmp_path / "demo")
    assert outcome.release is not None
    folder = outcome.release.path
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    text = (folder / "README.md").read_text("utf-8")
    assert text == card(manifest)  # from the manifest alone, also once it was written and read
    pools = {pool: pl.read_parquet(sorted((folder / "data" / pool).glob("*.parquet"))) for pool in POOLS}
    rows = {row[0]: row[1:] for row in table_under(text, "### Answers")}
    sides = {f"`{pool}`": pools[pool].select(text="response", score="response_score") for pool in ("sft", "ttt")}
    for side in ("chosen", "rejected"):
        said = pl.col(side).list.first().struct.field("content")
        sides[f"`dpo`, {side}"] = pools["dpo"].select(text=said, score=f"{side}_score")
    for name, found in sides.items():
        lengths = Counter(map(len, found["text"]))
        expected = [quantile(lengths, share) for share in (0.05, 0.5, 0.95, 1)]
        score = sorted(found["score"])[(found.height - 1) // 2]
        assert rows[name] == [f"{found.height:,}", str(score), *(f"{value:,}" for value in expected)], name
    longer = sum(
        len(c) > len(r) for c, r in zip(sides["`dpo`, chosen"]["text"], sides["`dpo`, rejected"]["text"], strict=True)
    )
    assert f"in {longer} of {pools['dpo'].height} pairs" in flat(text)
    for pool, schema in ((pool, arrow_schema(pool)) for pool in POOLS):
        assert manifest["columns"][pool] == column_types(schema)
        assert [column["name"] for column in manifest["columns"][pool]] == pools[pool].columns


# --- a published version ---------------------------------------------------------------------------------------------


def test_a_builds_card_has_no_version() -> None:
    text = card(tiny())
    for word in ("## Version", "CHANGELOG", "revision=", "croissant", "tombstones", "!["):
        assert word not in text
    assert 'load_dataset("PATH_OR_REPO", "dpo")' in text
    assert "finemed train PATH_OR_REPO --out model" in text


def test_a_published_card_names_version_parent_date_and_changes() -> None:
    text = card(published(repo="example/tiny.1"))
    assert table_under(text, "## Version 1.2.0")[1] == ["1.2.0", "2026\\-11\\-20", "1.1.0", "`0123456789abcdef`"]
    assert "More surgery\\.\n\n- `sft`: 900 -> 1,030 rows: 130 added\n" in text
    assert "## 1.2.0 (" not in text
    assert 'sft = load_dataset("example/tiny.1", "sft", revision="v1.2.0")' in text
    assert "--revision v1.2.0 --local-dir release" in text
    assert "PATH_OR_REPO" not in text
    first = card(published(parent=None))
    assert "none, it is the first" in first
    assert 'load_dataset("PATH_OR_REPO", "sft", revision="v1.2.0")' in first


def test_a_long_entry_of_the_changelog_is_cut_with_a_word_of_it() -> None:
    lines = "".join(f"- line {number}\n" for number in range(60))
    text = card(published(changelog=f"## 1.2.0 (2026-11-20)\n\n{lines}"))
    assert text.count("\n- line ") == 25
    assert "35 more lines are in the changelog." in text


def test_plots_are_shown_where_they_were_drawn(tmp_path: Path) -> None:
    manifest = published()
    manifest["plots"] = write_plots(manifest, tmp_path)
    shown = re.findall(r"^!\[([^\]]{20,})\]\((\S+)\)$", card(manifest), re.MULTILINE)
    assert sorted(path for _, path in shown) == manifest["plots"]
    assert all((tmp_path / path).is_file() for _, path in shown)
    (one,) = re.findall(r"!\[.*?\]\((.*?)\)", card(published(plots=["plots/funnel.png"])))
    assert one == "plots/funnel.png"


def test_code_on_the_card_is_code() -> None:
    for manifest in (tiny(), published(repo="example/tiny"), published()):
        text = card(manifest)
        (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        ast.parse(python)
        (bibtex,) = re.findall(r"```bibtex\n(.*?)```", text, re.DOTALL)
        assert bibtex.count("{") == bibtex.count("}")
        assert max(map(len, (python + bibtex).splitlines())) <= 90


def test_retracted_rows_are_counted_once_for_their_pool() -> None:
    rows = {"sft": 3, "sft_surgery": 3, "dpo": 1, "sft_reasoning": 1}
    told = flat(card(published(retracted={"tombstones": 2, "rows": rows})))
    assert "2 ids or sources were retracted from this dataset so far, and with them 5 rows of the pools" in told
    assert "These are the counts of the build; 5 rows of the pools were retracted afterwards" in told
    assert "Nothing was retracted" in card(published())


# --- what is not known -----------------------------------------------------------------------------------------------


def test_what_is_not_known_is_called_so() -> None:
    manifest = published(columns={}, date=None)
    manifest["card"].update(license=None, contact=None)
    manifest["figures"]["licences"][0].update(license=None, attribution=None)
    del manifest["figures"]["answers"], manifest["figures"]["chosen_length"]
    manifest["inputs"][0].update(bytes=None, sha256=None)
    del manifest["backends"]
    text = card(manifest)
    assert "Licence of the release: **not stated**" in text
    assert "Contact: **not stated**." in text
    assert "| notes | **unknown** | not stated | 1,036 |" in text
    assert "| 1.2.0 | not stated | 1.1.0 |" in text
    assert "Scores and lengths of the answers: not stated" in text
    assert "**Length.**" not in text
    assert "Not stated by the build; the Parquet files name them." in text
    assert "| notes/a.jsonl | unknown | unknown |" in text
    assert {row[2] for row in table_under(text, "## How it was made")[1:]} == {"**not stated**"}
    assert "No licence is known for the sources of 1,036 of 1,036 questions." in text


def test_licences_of_models_are_given_by_name_and_never_guessed() -> None:
    rows = table_under(card(tiny()), "## How it was made")[1:]
    assert [(row[0], row[2]) for row in rows] == [
        ("classification", "**not stated**"),
        ("questions", "Big Terms 1"),
        ("judgement of questions", "**not stated**"),
        ("ordinary answers", "Big Terms 1"),
        ("judgement of answers", "**not stated**"),
    ]
    given = tiny(figures__models={"questions": {"given, given": 1036}})
    assert table_under(card(given), "## How it was made")[1][2] == "of its source"


def test_limits_follow_from_the_manifest() -> None:
    assert limits(tiny()) == [
        "The licence of what these models write is not stated: openai:judge, rules@3.",
        "All texts are in one language: en.",
        "5 of 1,036 questions fit no department (`none`).",
    ]
    models = {
        "questions": {"m, p@1": 1, "given, given": 1},
        "judgement of questions": {"m, j@1": 2},
        "ordinary answers": {"m, p@1": 2},
        "judgement of answers": {"m, j@2": 2},
    }
    (own, *_) = limits(tiny(figures__models=models, backends={"m": {"license": "MIT"}}))
    assert (
        own
        == "Questions and ordinary answers were written and judged by the same backend, m: it may favour its own style."
    )


def test_columns_are_those_of_the_release_with_their_meaning() -> None:
    text = card(tiny())
    assert "| quality | int64 | Judge's score of the question, 1 to 10. |" in text
    assert "| novel | int64 | not stated |" in text
    everything = {pool: column_types(arrow_schema(pool)) for pool in POOLS}
    text = card(tiny(columns=everything))
    summaries = re.findall(r"<summary>(.*sft.*|.*dpo.*)</summary>", text)
    assert summaries == [
        "<code>sft</code> and its views, <code>sft_reasoning</code>, <code>ttt</code>",
        "<code>dpo</code>",
    ]
    for name, field in PUBLISHED["dpo"].model_fields.items():
        assert f"| {escape(name)} | " in text
        assert field.description
        assert field.description in text
    assert "list of \\{role: string, content: string\\}" in text


# --- foreign text ----------------------------------------------------------------------------------------------------

EVERYTHING = " ".join(HOSTILE)


def hostile() -> dict[str, Any]:
    """Hostile text wherever a configuration or a corpus can put some."""
    manifest = published(repo=f'x"); import os  # {EVERYTHING}', retracted={"tombstones": 1, "rows": {"sft": 1}})
    manifest["card"] = dict.fromkeys(("title", "summary", "license", "contact"), EVERYTHING)
    manifest["backends"] = {f"openai:{EVERYTHING}": {"license": EVERYTHING}}
    manifest["benchmarks"] = {EVERYTHING: 3}
    manifest["inputs"] = [
        {"source": EVERYTHING, "file": EVERYTHING, "bytes": None, "sha256": None, "version": EVERYTHING}
    ]
    manifest["stages"][3]["settings"] = {"backend": {"model": EVERYTHING, EVERYTHING: [EVERYTHING, {"a": EVERYTHING}]}}
    figures = manifest["figures"]
    figures["licences"] = [{"source": EVERYTHING, "license": EVERYTHING, "attribution": EVERYTHING, "questions": 1036}]
    figures["models"] = {step: {f"openai:{EVERYTHING}, {EVERYTHING}": 1} for step in figures["models"]}
    figures["task_types"] = {EVERYTHING: 1036}
    figures["languages"] = {EVERYTHING: 1036}
    for row in figures["coverage"]:
        row.update(department=EVERYTHING, subdepartment=EVERYTHING)
    manifest["columns"]["dpo"] = [{"name": EVERYTHING, "type": EVERYTHING}]
    return manifest


def test_hostile_text_is_inert_everywhere() -> None:
    text = card(hostile())
    plain, found = (Counter(token.type for token in tokens(body)) for body in (card(published()), text))
    assert set(found) - set(plain) <= {"text_special"}
    for kind in ("table_open", "heading_open", "fence", "bullet_list_open", "image"):
        assert found[kind] == plain[kind], kind
    html = {token.content.strip() for token in tokens(text) if token.type in ("html_block", "html_inline")}
    assert all(re.fullmatch(r"</?details>(<summary>[\w <>/,-]*</summary>)?", block) for block in html), html
    links = {token.attrs["href"] for token in tokens(text) if token.type == "link_open"}
    assert links == {
        "https://arxiv.org/abs/2501.09213",
        "https://docs.mlcommons.org/croissant/",
        "CHANGELOG.md",
    }
    assert "49" not in [token.content for token in tokens(text) if token.type == "text"]
    assert text.count(escape(EVERYTHING)) >= 20
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in table.splitlines()}) == 1, table
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)  # our own words would be turned with it
    (python,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "import os" not in python
    assert "PATH_OR_REPO" in python


@pytest.mark.parametrize("repo", ["../up", "a/b/c", 'a"b', "a b", "", "-a/b", "a/b\n", "ä/b"])
def test_what_is_no_repo_id_is_not_put_into_commands(repo: str) -> None:
    assert 'load_dataset("PATH_OR_REPO", "sft"' in card(published(repo=repo))


# --- the front matter ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("CDLA-Permissive-2.0", {"license": "cdla-permissive-2.0"}),
        ("House terms", {"license": "other", "license_name": "House terms"}),
        (None, {"license": "unknown"}),
    ],
)
def test_the_licence_is_one_that_the_hub_knows(licence: str | None, expected: dict[str, str]) -> None:
    manifest = tiny()
    manifest["card"]["license"] = licence
    found = head(manifest)
    assert {name: value for name, value in found.items() if name.startswith("license")} == expected


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (999_999, "100K<n<1M"),
        (1_000_000, "1M<n<10M"),
        (10_000_000, "10M<n<100M"),
        (100_000_000, "100M<n<1B"),
    ],
)
def test_the_size_is_the_hubs_category(rows: int, size: str) -> None:
    assert head(tiny(figures__rows=rows))["size_categories"] == [size]


def test_the_front_matter_is_what_the_hubs_clients_read() -> None:
    from datasets.utils.metadata import MetadataConfigs
    from huggingface_hub import DatasetCard, DatasetCardData

    for manifest in (tiny(), published(), hostile()):
        read = DatasetCard(card(manifest))
        assert isinstance(read.data, DatasetCardData)
        assert read.data.to_dict() == head(manifest)
        assert read.text.strip().startswith("# ")
        configs = MetadataConfigs.from_dataset_card_data(read.data)
        assert list(configs) == ["sft", "sft_surgery", "sft_reasoning", "dpo", "ttt"]
        assert configs.get_default_config_name() == "sft"
        assert [file["path"] for file in configs["sft"]["data_files"]] == [
            f"data/sft/{split}.parquet" for split in ("train", "validation", "test")
        ]


LOADER = """
import json, sys
from datasets import load_dataset, load_dataset_builder
found = {}
for name in sys.argv[2:]:
    builder = load_dataset_builder(sys.argv[1], name)
    loaded = load_dataset(sys.argv[1], name)
    found[name] = {split: [len(rows), rows.column_names] for split, rows in loaded.items()}
print(json.dumps(found))
"""


def test_a_folder_with_a_published_card_loads_by_config_and_split(tmp_path: Path) -> None:
    manifest = published()
    for config, splits in manifest["configs"].items():
        for split, count in splits.items():
            path = tmp_path / "1.2.0" / "data" / config / f"{split}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pl.DataFrame({"id": [f"{config}{number}" for number in range(count)]}).write_parquet(path)
    manifest["plots"] = write_plots(manifest, tmp_path / "1.2.0")
    (tmp_path / "1.2.0" / "README.md").write_text(card(manifest), "utf-8")
    env = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOADER, str(tmp_path / "1.2.0"), *manifest["configs"]]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        config: {split: [count, ["id"]] for split, count in splits.items()}
        for config, splits in manifest["configs"].items()
    }


# --- always the same -------------------------------------------------------------------------------------------------


def test_the_order_of_keys_does_not_matter() -> None:
    manifest = published()
    backwards = json.loads(json.dumps(manifest), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(backwards) != list(manifest)
    assert card(backwards) == card(manifest)


def test_every_template_counts_for_what_a_release_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from finemed import assets

    before = templates_hash()
    shutil.copytree(assets.asset_root() / "dataset_cards", tmp_path / "dataset_cards")
    shutil.copytree(assets.asset_root() / "schemas", tmp_path / "schemas")
    (tmp_path / "package" / "finemed").mkdir(parents=True)
    monkeypatch.setattr(assets, "_PACKAGE", tmp_path / "package" / "finemed")
    assert templates_hash() == before
    for name in ("use.md.jinja", "hub_licences.txt"):
        text = (tmp_path / "dataset_cards" / name).read_bytes()
        (tmp_path / "dataset_cards" / name).write_bytes(text + b"\n")
        assert templates_hash() != before
        (tmp_path / "dataset_cards" / name).write_bytes(text)


# --- rows, totals, citation ------------------------------------------------------------------------------------------

EXAMPLE = {
    "id": "s1",
    "split": "train",
    "question": f"How is croup treated? {EVERYTHING}",
    "answer": f"Rest.\n\nSee https://evil.example, www.evil.example or mail me@evil.example\n{EVERYTHING}",
    "source": EVERYTHING,
}


def test_an_example_of_each_pool_is_shown_and_does_nothing() -> None:
    manifest = published(examples={"sft": EXAMPLE, "dpo": {**EXAMPLE, "chosen": EVERYTHING, "rejected": EVERYTHING}})
    text = card(manifest)
    told = table_under(text, "### One row of each pool")
    assert told[0] == ["`sft`", "s1, train"]
    assert [row[0] for row in told[1:]] == ["question", "answer", "source"]
    assert told[2][1].startswith(
        "Rest.<br>See https:<span></span>//evil.example, www<span></span>.evil.example or mail me"
    )
    plain, found = (Counter(token.type for token in tokens(body)) for body in (card(published()), text))
    for kind in ("fence", "link_open", "image", "bullet_list_open", "strong_open"):
        assert found[kind] == plain[kind], kind
    html = {token.content.strip() for token in tokens(text) if token.type in ("html_block", "html_inline")}
    assert html - {"<br>", "<span>", "</span>"} == {
        token.content.strip() for token in tokens(card(published())) if token.type in ("html_block", "html_inline")
    }
    linked = (
        MarkdownIt("commonmark", {"linkify": True}).enable(["table", "linkify"]) if find_spec("linkify_it") else None
    )
    assert linked is None or "evil.example" not in re.findall(r'href="([^"]*)"', linked.render(text))
    assert not re.search("[\x1b\u202a-\u202e\u2066-\u2069]", text)


def test_totals_are_given_by_split_and_pool() -> None:
    counted = {"train": {"rows": 1000, "tokens": 9000, "bytes": 5000}, "test": {"rows": 10, "tokens": 90, "bytes": 50}}
    rows = table_under(card(tiny(totals={"sft": counted})), "### Totals")
    assert rows[1:] == [
        ["`sft`", "train", "1,000", "9,000", "5,000"],
        ["`sft`", "test", "10", "90", "50"],
        ["`sft`", "**all**", "1,010", "9,090", "5,050"],
    ]


def test_the_dataset_is_cited_with_its_version_and_publisher_and_nothing_leaves_its_field() -> None:
    manifest = published(repo="example/tiny")
    manifest["card"]["title"] = r"100% {of} \it & ``` @misc{x, \n"
    (bibtex,) = re.findall(r"```bibtex\n(.*?)```", card(manifest), re.DOTALL)
    mine = bibtex.partition("@article")[0]
    assert mine.startswith("@misc{tiny-1.2.0,\n")
    assert "author       = {{example}}" in mine
    assert "year         = {2026}" in mine
    assert "version      = {1.2.0}" in mine
    assert "100\\% (of) /it \\& ''' @misc(x, /n" in mine
    manifest["card"]["publisher"] = f"Ann {EVERYTHING}"
    (bibtex,) = re.findall(r"```bibtex\n(.*?)```", card(manifest), re.DOTALL)
    assert bibtex.count("{") == bibtex.count("}")
    assert "example}}" not in bibtex.replace("Ann", "")[:80]
    (nobody,) = re.findall(r"```bibtex\n(.*?)```", card(published()), re.DOTALL)
    assert "author       =" not in nobody.partition("@article")[0]


def test_the_owners_notes_have_a_section_of_their_own_and_only_paragraphs_and_lists() -> None:
    manifest = published()
    manifest["card"]["notes"] = "Made on *Tuesdays*.\n\nMind:\n- one <b>\n- [two](x)\n\n# No heading\n1. no list"
    text = card(manifest)
    section = text.partition("## Notes of the publisher\n\n")[2].partition("\n## ")[0]
    kinds = Counter(token.type for token in tokens(section))
    assert (kinds["bullet_list_open"], kinds["list_item_open"]) == (1, 2)
    assert not {"em_open", "heading_open", "ordered_list_open", "link_open", "html_inline"} & kinds.keys()
    assert "## Notes of the publisher" not in card(published())


def test_a_version_says_how_it_compares_and_what_changed_stands_last() -> None:
    compared = {
        "version": "1.1.0",
        "change": "minor",
        "judges": "other",
        "splits": [{"config": "sft", "split": "test", "before": 8, "now": 10, "both": 7}],
    }
    text = card(published(comparison=compared))
    assert "**Compared with 1.1.0** this is a minor change" in text
    assert "| sft | test | 8 | 10 | 7 |" in text
    assert "scores of the two versions do not compare" in text
    assert text.rpartition("\n## ")[2].startswith("What changed\n")
    assert text.rstrip().endswith("130 added")


def test_the_address_of_a_source_is_shown_where_it_is_one() -> None:
    def told(**changed: Any) -> str:
        return table_under(card(tiny(**changed)), "## Licences and sources")[1][-1]

    assert told() == "not stated"
    assert told(sources={"notes": "https://example.org/a_b"}) == "<https://example.org/a_b>"
    for wrong in (
        "javascript:alert(1)",
        "https://a b",
        "https://example.org/|x",
        "https://u:p@example.org/",
        EVERYTHING,
    ):
        assert told(sources={"notes": wrong}) == "not stated"
    assert (
        told(inputs=[{"source": "notes", "file": "a", "bytes": 1, "sha256": "f", "repo": "example/x"}])
        == "hf://example/x"
    )


@pytest.mark.parametrize(
    ("models", "given", "told", "untold"),
    [
        (
            {"questions": {"given, given": 1036}, "ordinary answers": {"given, given": 1036}},
            {"questions": 1036, "pairs": 4},
            [
                "Medical questions that their source brought (1,036;",
                "a pair of its source",
                "come from the sources, scores",
            ],
            ["written from source passages", "answered", "at most one question per passage", "because it reasons"],
        ),
        (
            {
                "questions": {"rules@3, generate@2": 1036},
                "ordinary answers": {"rules@3, respond@2": 1036},
                "judgement of questions": {"rules@3, judge@2": 1036},
                "judgement of answers": {"rules@3, judge_answer@2": 1036},
            },
            {"questions": 0, "pairs": 0},
            ["made from source passages by rules; scored by rules", "by the rules:", "come from the rules named above"],
            ["written from source passages by a model", "opinion of a model", "because it reasons", "by the judge"],
        ),
    ],
    ids=["own data", "rules"],
)
def test_nothing_is_said_that_is_not_so(
    models: dict[str, Any], given: dict[str, int], told: list[str], untold: list[str]
) -> None:
    text = flat(card(tiny(figures__models=models, figures__given=given)))
    assert [sentence for sentence in told if sentence not in text] == []
    assert [sentence for sentence in untold if sentence in text] == []


def test_text_at_the_start_of_a_line_makes_no_numbered_list() -> None:
    manifest = published()
    manifest["card"]["summary"] = "1. First of all"
    assert "ordered_list_open" not in {token.type for token in tokens(card(manifest))}


def test_without_a_title_the_build_gives_the_name() -> None:
    manifest = tiny()
    manifest["card"]["title"] = None
    assert "\n# tiny\n" in card(manifest)
    assert head(manifest)["pretty_name"] == "tiny"
