"""What is written twice is generated or checked: pages, schemas, the template, the README's commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from finemed.assets import demo_file
from finemed.cli.main import COMMANDS
from finemed.config import BuildConfig, load_config
from finemed.pipeline.plan import STAGES
from finemed.prompts import load_prompt, prompt_names

ROOT = Path(__file__).resolve().parents[1]


def test_generated_pages_and_schemas_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_template_is_a_configuration_with_the_defaults() -> None:
    config = load_config(demo_file("template.yaml"))
    raw = yaml.safe_load(demo_file("template.yaml").read_text("utf-8"))
    for section, settings in raw.items():
        default = BuildConfig.model_fields[section].default
        if isinstance(default, BaseModel) and section != "card":
            for key, value in (settings or {}).items():
                assert getattr(default, key) == value, f"{section}.{key}"
    assert config.name == "my-dataset"


def test_commented_settings_of_the_template_exist_and_show_the_default() -> None:
    text = demo_file("template.yaml").read_text("utf-8")
    shown = re.findall(r"^( *)# (\w+): (\S+)", text, flags=re.MULTILINE)
    known: dict[str, list[Any]] = {}
    for model in _models(BuildConfig):
        for name, field in model.model_fields.items():
            known.setdefault(name, []).append(field.default)
    for _, name, value in shown:
        assert name in known, name
        if name not in ("top_share", "type", "backends", "main"):
            assert yaml.safe_load(value) in known[name], name


def _models(model: type[BaseModel]) -> list[type[BaseModel]]:
    from finemed.config import CardConfig, Columns, SourceConfig

    sections = ("route", "dedup_passages", "decontaminate", "split")
    defaults = [type(BuildConfig.model_fields[section].default) for section in sections]
    return [model, SourceConfig, Columns, CardConfig, *defaults]


def test_the_pipeline_page_names_every_stage_and_command_pages_every_command() -> None:
    pipeline = (ROOT / "docs" / "pipeline.md").read_text("utf-8")
    cli = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert [stage for stage in STAGES if f"| `{stage}` |" not in pipeline] == []
    assert [command for command in COMMANDS if f"## `finemed {command}`" not in cli] == []


@pytest.mark.parametrize("page", ["README.md", "docs/pipeline.md", "docs/own-data.md", "CONTRIBUTING.md"])
def test_commands_and_options_in_prose_exist(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    help_text = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for command in re.findall(r"finemed (\w+)", text):
        if command in ("ttt", "train", *COMMANDS):
            assert f"`finemed {command}`" in help_text
    for option in set(re.findall(r"finemed \w+[^`\n]*?(--[a-z-]+)", text)):
        assert option in help_text, option


def test_ci_runs_the_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert readme.count("<!-- test command -->") == readme.count("<!-- main command -->") == 1
    assert "<!-- test command -->" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_every_prompt_has_a_stage_that_uses_it_and_a_version() -> None:
    of_stages = {"classify", "generate", "judge", "judge_answer", "reason", "respond"}
    assert set(prompt_names()) == of_stages | {"probe"}  # what servers are asked before a stage
    assert all(load_prompt(name).version >= 1 for name in prompt_names())


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_justfile_has_every_recipe_once_and_names_scripts_that_are_there() -> None:
    text = (ROOT / "Justfile").read_text("utf-8")
    recipes = re.findall(r"(?m)^([a-z][a-z-]*)[^:=\n]*:(?!=)", text)
    assert sorted(recipes) == sorted(set(recipes))
    assert all((ROOT / name).exists() for name in re.findall(r"(?:tests|benchmarks|docs)/[\w/]+\.(?:py|sh)", text))
