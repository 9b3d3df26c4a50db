"""Every recipe in the repository is one that the current code and the current trl take."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from finemed.errors import ConfigError
from finemed.training.recipe import KINDS, DpoRecipe, Recipe, SftRecipe, TttRecipe, load_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
FILES = sorted(RECIPES.rglob("*.yaml"))


def test_the_recipes_are_all_found() -> None:
    assert [path.relative_to(RECIPES).as_posix() for path in FILES] == [
        "dpo/cpu-tiny.yaml",
        "sft/cpu-tiny.yaml",
        "ttt/cpu-tiny.yaml",
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_parses_into_the_trainers_real_config(path: Path, tmp_path: Path) -> None:
    overrides = [] if path.parent.name == "ttt" else [f"output_dir={tmp_path}"]
    recipe: Recipe = load_recipe(path, overrides)
    assert isinstance(recipe, KINDS[path.parent.name])
    assert (path.parent / recipe.script).is_file()
    if isinstance(recipe, TttRecipe):
        return
    if find_spec("trl") is None:
        pytest.skip("needs finemed[train]")
    from finemed.training.tune import dpo_arguments, sft_arguments

    assert isinstance(recipe, SftRecipe | DpoRecipe)
    config = sft_arguments(recipe) if isinstance(recipe, SftRecipe) else dpo_arguments(recipe)
    assert config.max_length == recipe.max_length
    assert config.max_steps == recipe.trainer.max_steps
    assert config.bf16 is False
    if isinstance(recipe, DpoRecipe):
        assert (config.beta, config.loss_type) == (recipe.beta, [recipe.loss_type])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_opens_with_the_command_that_runs_it(path: Path) -> None:
    first = path.read_text("utf-8").splitlines()[0]
    kind = path.parent.name
    assert first.startswith(f"# python recipes/{kind}/{kind}.py recipes/{kind}/{path.name} --set release=DIR ")


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.py")), ids=lambda path: path.name)
def test_a_script_is_thin(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 200


def test_all_faults_of_a_recipe_are_told_at_once() -> None:
    overrides = ["trainer.learning_rate=-1", "trainer.warmup_ratio=0.1", "max_length=long", "beta", "lora.r=0"]
    with pytest.raises(ConfigError) as caught:
        load_recipe(RECIPES / "dpo" / "cpu-tiny.yaml", overrides)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert all("recipes/dpo/cpu-tiny.yaml: `" in line for line in lines)
    for wanted in (
        "--set beta",
        "`trainer.learning_rate` is -1",
        "`trainer.warmup_ratio` is no setting",
        "`max_length`",
    ):
        assert any(wanted in line for line in lines), wanted
    assert not re.search(r"pydantic|For further information", str(caught.value))


def test_a_missing_setting_says_how_to_give_it(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("kind: ttt\nmodel: out\nmax_length: 64\nlearning_rate: 1e-3\n")
    with pytest.raises(ConfigError, match=r"`release` is missing; add it to the file or give `--set release=\.\.\.`"):
        load_recipe(tmp_path / "mine.yaml")


def test_an_override_may_remove_a_section() -> None:
    assert load_recipe(RECIPES / "sft" / "cpu-tiny.yaml", ["lora=null"], SftRecipe).lora is None


def test_the_wrong_kind_of_recipe_is_refused() -> None:
    with pytest.raises(ConfigError, match="`kind` is 'ttt'"):
        load_recipe(RECIPES / "ttt" / "cpu-tiny.yaml", [], SftRecipe)
