"""The dataset card: YAML for the Hub, Markdown for people, from the release's manifest alone.

Every text that comes from a corpus or a configuration is escaped, so it can neither format the card nor run in a
browser.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from finemed.assets import asset
from finemed.config import stable_hash
from finemed.publish.cards.canvas import percent
from finemed.publish.cards.card_facts import (
    answer_rows,
    column_tables,
    length_facts,
    limits,
    model_rows,
    recent_changes,
    setting_rows,
)
from finemed.publish.cards.citation import citation, repo_of, title_of
from finemed.publish.cards.markdown import escape, one_line, passage, prose
from finemed.publish.cards.origin import Origin, listed
from finemed.publish.cards.plots import by_department
from finemed.publish.pools import split_order
from finemed.records import EXTRACTIVE_NOTICE, POOLS, rows
from finemed.records.counts import how_many
from finemed.store.atomic import file_hash

__all__ = ["card_hash", "escape", "front_matter", "render_card", "renderer_hash", "templates_hash"]

TEMPLATE = "release.md.jinja"

_LANGUAGE = re.compile(r"[a-z]{2,3}")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9/._~%?=&+,;:@!$'()*#-]*)?")
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)


def _line(text: str) -> str:
    """Text as one line without HTML: a reader that does not know front matter would take it for Markdown."""
    return one_line(text).translate({ord("<"): "‹", ord(">"): "›"})


def front_matter(manifest: dict[str, Any], card: dict[str, Any]) -> str:
    """The card's YAML: configs with their files, licence, languages, size."""
    licence = str(card["license"] or "").lower()
    on_hub = set(asset("dataset_cards", "hub_licences.txt").read_text("utf-8").split())
    rows = manifest["figures"]["rows"]
    languages = [code for code in manifest["figures"]["languages"] if _LANGUAGE.fullmatch(code) and code != "und"]
    head: dict[str, Any] = {
        "pretty_name": _line(title_of(manifest)),
        "license": licence if licence in on_hub else ("other" if licence else "unknown"),
        **({"language": languages} if languages else {}),
        "task_categories": ["question-answering", "text-generation"],
        "size_categories": [next((label for limit, label in _SIZES if rows < limit), "100M<n<1B")],
        "tags": [
            "medical",
            "instruction-tuning",
            *(["dpo"] if "dpo" in manifest["configs"] else []),
            "finemed",
            *(["extractive"] if manifest["extractive"] else []),
        ],
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
    if licence and licence not in on_hub:
        head["license_name"] = _line(str(card["license"]))
    return yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=110)


def render_card(manifest: dict[str, Any], card: dict[str, Any]) -> str:
    """The whole ``README.md`` of a release.

    What publishing adds to the manifest (`version`, `parent`, `date`, `changelog`, `plots`, `repo`) is shown where it
    is there. `repo` is the dataset's id on the Hub; without it the card says PATH_OR_REPO.
    """
    manifest = _ordered(manifest)
    environment = Environment(
        loader=FileSystemLoader(asset("dataset_cards")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - Markdown, where every value goes through `escape`
        keep_trailing_newline=True,
    )
    environment.filters["md"] = escape
    environment.filters["passage"] = passage
    environment.filters["prose"] = prose
    environment.filters["n"] = lambda value: f"{value:,}"
    environment.filters["how_many"] = how_many
    environment.filters["share"] = lambda part, whole: percent(part, whole) if whole else "–"
    body = environment.get_template(TEMPLATE).render(manifest=manifest, card=card, **_view(manifest))
    return f"---\n{front_matter(manifest, card)}---\n\n{body}"


def _ordered(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest with its keys in the same order whether it was read or has just been made; `sft` leads."""
    plain: dict[str, Any] = json.loads(json.dumps(manifest, sort_keys=True))
    names = ["sft", *(name for name in plain["configs"] if name not in POOLS), *POOLS[1:]]
    plain["configs"] = {name: plain["configs"][name] for name in names if name in plain["configs"]}
    return plain


def templates_hash() -> str:
    """Hash of all templates and their data, which is part of what a release is."""
    folder = asset("dataset_cards")
    return stable_hash({path.name: file_hash(path) for path in folder.iterdir() if path.is_file()})


@cache
def renderer_hash() -> str:
    """Hash of all that decides how a card, its metadata and its plots read: templates, their code, the columns."""
    code = [*Path(__file__).parent.glob("*.py"), Path(rows.__file__)]
    return stable_hash({"templates": templates_hash(), "code": {path.name: file_hash(path) for path in code}})


def card_hash(facts: dict[str, Any]) -> str | None:
    """SHA-256 of the card as it reads without a version; None where the facts are not those of our manifests."""
    if not {"card", "figures", "stages"} <= facts.keys():
        return None
    text = render_card(facts | {"release_hash": "0" * 64, "files": {}}, facts["card"])
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _view(manifest: dict[str, Any]) -> dict[str, Any]:
    """What the templates show beside manifest and settings."""
    drawn = {PurePosixPath(name).stem: name for name in manifest.get("plots", [])}

    def plot(name: str, says: str) -> str:
        return f"![{says}]({drawn[name]})\n\n" if name in drawn else ""

    version = manifest.get("version")
    repo, retracted = repo_of(manifest), manifest.get("retracted")
    return {
        "title": title_of(manifest),
        "origin": Origin.of(manifest),
        "trained": listed([f"`{pool}`" for pool in ("sft", "sft_reasoning", "dpo") if pool in manifest["configs"]]),
        "totals": _totals(manifest),
        "examples": [(pool, found) for pool in POOLS if (found := manifest.get("examples", {}).get(pool))],
        "addresses": _addresses(manifest),
        "citation": citation(manifest),
        "notice": EXTRACTIVE_NOTICE,
        "notes": [part for part in re.split(r"\n\s*\n", str(manifest["card"].get("notes") or "")) if part.strip()],
        "by_name": {stage["stage"]: stage for stage in manifest["stages"]},
        "plot": plot,
        "version": version,
        "changes": recent_changes(manifest),
        "repo": repo,
        "place": repo or "PATH_OR_REPO",
        "folder": "release" if repo and version else repo or "PATH_OR_REPO",
        "revision": f', revision="v{version}"' if version else "",
        "retracted": retracted,
        "retracted_rows": sum(rows for name, rows in retracted["rows"].items() if name in POOLS) if retracted else 0,
        "models": model_rows(manifest),
        "settings": setting_rows(manifest),
        "answers": answer_rows(manifest),
        "length": length_facts(manifest),
        "departments": by_department(manifest),
        "columns": column_tables(manifest),
        "limits": limits(manifest),
    }


def _totals(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows, tokens and bytes by pool and split, and of each pool with several; empty where the build did not count."""
    counted, rows = manifest.get("totals", {}), []
    for pool in (pool for pool in POOLS if pool in counted):
        splits = counted[pool]
        rows += [{"config": f"`{pool}`", "split": split, **splits[split]} for split in split_order(splits)]
        if len(splits) > 1:
            sums = {name: sum(found[name] for found in splits.values()) for name in ("rows", "tokens", "bytes")}
            rows.append({"config": f"`{pool}`", "split": "**all**", **sums})
    return rows


def _addresses(manifest: dict[str, Any]) -> dict[str, str | None]:
    """Where each source can be found, as Markdown: what the configuration says, or the dataset that was read."""
    stated = manifest.get("sources", {})
    repos = {file["source"]: file["repo"] for file in manifest["inputs"] if file.get("repo")}
    found: dict[str, str | None] = {}
    for source in (row["source"] for row in manifest["figures"]["licences"]):
        url = stated.get(source)
        known = isinstance(url, str) and _ADDRESS.fullmatch(url)
        found[source] = f"<{url}>" if known else escape(f"hf://{repos[source]}") if source in repos else None
    return found
