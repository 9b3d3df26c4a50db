"""The dataset card: YAML for the Hub, Markdown for people, from the release's manifest alone.

Every text that comes from a corpus or a configuration is escaped, so it can neither format the card nor run in a
browser.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from finemed.assets import asset
from finemed.publish.pools import split_order
from finemed.records import EXTRACTIVE_NOTICE

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~$>-])")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_HUB_LICENCES = frozenset(
    [
        "apache-2.0",
        "mit",
        "cc0-1.0",
        "cc-by-4.0",
        "cc-by-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-4.0",
        "odc-by",
        "odbl",
        "pddl",
        "gpl-3.0",
        "bsd-3-clause",
    ]
)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def escape(value: Any) -> str:
    """Text as one line that Markdown and HTML show literally."""
    flat = " ".join(str(value).split())
    flat = flat.replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", flat)


def _line(text: str) -> str:
    """Text as one line without HTML: a reader that does not know front matter would take it for Markdown."""
    return " ".join(text.split()).translate({ord("<"): "‹", ord(">"): "›"})


def front_matter(manifest: dict[str, Any], card: dict[str, Any]) -> str:
    """The card's YAML: configs with their files, licence, languages, size."""
    licence = str(card["license"] or "").lower()
    rows = manifest["figures"]["rows"]
    languages = [code for code in manifest["figures"]["languages"] if _LANGUAGE.fullmatch(code) and code != "und"]
    head: dict[str, Any] = {
        "pretty_name": _line(str(card["title"])),
        "license": licence if licence in _HUB_LICENCES else ("other" if licence else "unknown"),
        **({"language": languages} if languages else {}),
        "task_categories": ["question-answering", "text-generation"],
        "size_categories": [next((label for limit, label in _SIZES if rows < limit), "1M<n<10M")],
        "tags": ["medical", "instruction-tuning", "finemed"] + (["extractive"] if manifest["extractive"] else []),
        "configs": [
            {
                "config_name": config,
                # `datasets` caches a local folder by its name and this list: the hash keeps releases apart
                "description": f"content {manifest['content'][config][:16]}",
                **({"default": True} if config == "sft" else {}),
                "data_files": [
                    {"split": split, "path": f"data/{config}/{split}.parquet"} for split in split_order(splits)
                ],
            }
            for config, splits in manifest["configs"].items()
        ],
    }
    if licence and licence not in _HUB_LICENCES:
        head["license_name"] = _line(str(card["license"]))
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=110)


def render_card(manifest: dict[str, Any], card: dict[str, Any]) -> str:
    """The whole ``README.md`` of a release."""
    environment = Environment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, where every value goes through `escape`
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape
    environment.filters["n"] = lambda value: f"{value:,}"
    template = environment.from_string(asset("dataset_cards", "release.md.jinja").read_text("utf-8"))
    body = template.render(manifest=manifest, card=card, notice=EXTRACTIVE_NOTICE, split_order=split_order)
    return f"---\n{front_matter(manifest, card)}---\n\n{body}"
