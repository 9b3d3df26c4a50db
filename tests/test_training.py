"""SFT and DPO really train on a tiny release, and do not repeat the published code's defects."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl
import pytest

from finemed.errors import ConfigError, TrainingError
from finemed.training import data
from finemed.training.policy import drop_reference, load_for_answers, load_tokenizer, load_weights
from finemed.training.recipe import DpoRecipe, SftRecipe, TttRecipe, load_recipe
from finemed.training.run import train_release
from finemed.training.tiny import make_tiny
from finemed.training.tune import run_trainer, sft_arguments

NEEDED = ("torch", "transformers", "trl", "peft", "datasets")
pytestmark = [
    # find_spec, for importing them takes six seconds of every collection
    pytest.mark.skipif(any(find_spec(name) is None for name in NEEDED), reason="needs finemed[train]"),
    # peft 0.21.2 asks transformers for an attribute by its old name; ours to drop once peft has the new one
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
RECIPES = Path(__file__).resolve().parents[1] / "recipes"
TOPICS = {
    "gout": "uric acid crystals settle in a joint and it swells overnight",
    "asthma": "the small airways narrow and breathing out becomes hard",
    "migraine": "a throbbing headache on one side comes with nausea",
    "psoriasis": "skin grows too fast and scales appear on elbows and knees",
    "glaucoma": "pressure in the eye rises and harms the optic nerve",
    "anemia": "too few red cells carry too little oxygen, so the patient is pale",
    "appendicitis": "pain moves from the navel to the lower right abdomen",
    "croup": "a child coughs like a seal because the larynx is swollen",
}


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _assistant(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def write_release(folder: Path, topics: dict[str, str] = TOPICS) -> Path:
    """A release as `finemed build` writes it, with more columns than training wants."""
    sft: list[dict[str, Any]] = []
    dpo: list[dict[str, Any]] = []
    for number, (name, fact) in enumerate(topics.items()):
        question, short = f"What happens in {name}?", f"In {name}, {fact}."
        long = f"**Thought**\nThe question is about {name}.\n\n**Summarization**\n{short}"
        sft.append(
            {
                "id": f"s{number}",
                "messages": _user(question) + _assistant(short),
                "prompt": _user(question),
                "completion": _assistant(short),
                "instruction": question,
                "response": short,
                "licence": "CC0-1.0",
                "quality": 8,
            }
        )
        dpo.append(
            {
                "id": f"d{number}",
                "prompt": _user(question),
                "chosen": _assistant(long),
                "rejected": _assistant(short),
                "licence": "CC0-1.0",
            }
        )
    front = "configs:\n"
    pools: dict[str, list[dict[str, Any]]] = {"sft": sft, "dpo": dpo}
    for pool, rows in pools.items():
        (folder / "data" / pool).mkdir(parents=True)
        pl.DataFrame(rows).write_parquet(folder / "data" / pool / "train.parquet")
        front += f"- config_name: {pool}\n  data_files:\n  - split: train\n    path: data/{pool}/train.parquet\n"
    (folder / "README.md").write_text(f"---\n{front}---\n# A tiny release\n", "utf-8")
    (folder / "manifest.json").write_text('{"version": "0"}', "utf-8")
    return folder


def script(kind: str) -> Any:
    """A recipe's script as a module, imported from its file as a user's copy would be."""
    spec = spec_from_file_location(f"recipe_{kind}", RECIPES / kind / f"{kind}.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sft_recipe(release: Path, out: Path, *more: str) -> SftRecipe:
    settings = [f"release={release}", f"output_dir={out}", "trainer.max_steps=3", "trainer.logging_steps=1", *more]
    return load_recipe(RECIPES / "sft" / "cpu-tiny.yaml", settings, SftRecipe)


def dpo_recipe(release: Path, model: Path, out: Path, *more: str) -> DpoRecipe:
    settings = [f"release={release}", f"model={model}", f"output_dir={out}"]
    short = ["trainer.max_steps=3", "trainer.warmup_steps=0", "trainer.logging_steps=1"]
    return load_recipe(RECIPES / "dpo" / "cpu-tiny.yaml", [*settings, *short, *more], DpoRecipe)


def weights_of(model: Any) -> dict[str, Any]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("training")
    os.environ["HF_DATASETS_CACHE"] = str(root / "cache")
    return write_release(root / "release")


@pytest.fixture(scope="module")
def base(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny(str(release), tmp_path_factory.mktemp("base"), seed=17)


@pytest.fixture(scope="module")
def tokenizer(base: Path, release: Path) -> Any:
    return load_tokenizer(sft_recipe(release, base / "unused"), str(base))


@pytest.fixture(scope="module")
def sft_out(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("chain") / "sft"
    recipe = sft_recipe(release, out)
    trainer, counts = script("sft").build(recipe)
    before = weights_of(trainer.model)
    run_trainer(trainer, recipe, counts, None)
    after = weights_of(trainer.model)
    moved = {name for name in after if not after[name].equal(before[name])}
    assert moved
    assert all("lora_" in name for name in moved)
    assert {name for name in after if "lora_B" in name} <= moved
    return out


# ---------------------------------------------------------------------------------------------------------- tiny model


def test_the_tiny_model_is_byte_equal_when_made_twice(release: Path, base: Path, tmp_path: Path) -> None:
    again = make_tiny(str(release), tmp_path / "again", seed=17)
    names = sorted(path.name for path in base.iterdir())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(names)
    assert [path.name for path in sorted(again.iterdir())] == names
    assert all((base / name).read_bytes() == (again / name).read_bytes() for name in names)
    other = make_tiny(str(release), tmp_path / "other", seed=18)
    assert (other / "model.safetensors").read_bytes() != (base / "model.safetensors").read_bytes()


def test_the_tiny_model_is_small_and_its_special_tokens_differ(base: Path, tokenizer: Any) -> None:
    model = load_weights(str(base))
    assert 0.5e6 < sum(parameter.numel() for parameter in model.parameters()) < 1.5e6
    special = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert len(set(special)) == 3
    assert len(tokenizer) <= model.config.vocab_size == 2048
    assert [model.config.pad_token_id, model.config.bos_token_id, model.config.eos_token_id] == special


def test_the_tiny_template_marks_the_answer_for_assistant_only_loss(tokenizer: Any) -> None:
    messages = _user("What is gout?") + _assistant("An arthritis.")
    out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    answer = [i for i, mark in zip(out["input_ids"], out["assistant_masks"], strict=True) if mark]
    assert tokenizer.decode(answer) == "An arthritis.</s>"


# ------------------------------------------------------------------------------------------------- what is trained on


def test_only_the_answer_and_its_end_are_trained_on(tokenizer: Any) -> None:
    sample = data.encode_answer(tokenizer, _user("What is gout?"), _assistant("An arthritis."), 64)
    labelled = [label for label in sample.labels if label != data.IGNORED]
    assert tokenizer.decode(labelled) == "An arthritis.</s>"
    assert sample.labels[-1] == tokenizer.eos_token_id
    assert sample.input_ids.count(tokenizer.bos_token_id) == 1
    prompt_tokens = len(sample.input_ids) - len(labelled)
    asked = tokenizer.apply_chat_template(_user("What is gout?"), add_generation_prompt=True)["input_ids"]
    assert sample.input_ids[:prompt_tokens] == list(asked)


def test_trl_masks_rows_with_messages_and_completion_as_we_do(
    release: Path, base: Path, tokenizer: Any, tmp_path: Path
) -> None:
    from trl import SFTTrainer

    rows = data.load_pool(str(release), "sft")
    assert {"messages", "prompt", "completion"} <= set(rows.column_names)
    recipe = sft_recipe(release, tmp_path)
    trainer = SFTTrainer(
        model=load_weights(str(base)), args=sft_arguments(recipe), train_dataset=rows, processing_class=tokenizer
    )
    ours, counts = data.encode_pool(rows, tokenizer, recipe.max_length, "sft")
    assert trainer.train_dataset["input_ids"] == ours["input_ids"]
    assert trainer.train_dataset["labels"] == ours["labels"]
    assert counts.rows == len(TOPICS)
    assert counts.supervised_tokens < counts.tokens


def test_the_batch_keeps_eos_and_ignores_padding(release: Path, tmp_path: Path) -> None:
    trainer, _ = script("sft").build(sft_recipe(release, tmp_path / "out"))
    batch = next(iter(trainer.get_train_dataloader()))
    eos, pad = trainer.processing_class.eos_token_id, trainer.processing_class.pad_token_id
    assert bool((batch["labels"] == eos).any(dim=1).all())
    assert bool((batch["labels"][batch["input_ids"] == pad] == data.IGNORED).all())
    assert bool((batch["input_ids"] == trainer.processing_class.bos_token_id).sum(dim=1).eq(1).all())


def test_eos_is_trained_on_even_where_pad_equals_eos(base: Path, release: Path) -> None:
    tokenizer = load_tokenizer(sft_recipe(release, base / "unused"), str(base))
    tokenizer.pad_token = tokenizer.eos_token
    sample = data.encode_answer(tokenizer, _user("What is gout?"), _assistant("An arthritis."), 64)
    assert sample.labels[-1] == tokenizer.eos_token_id


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (("+ eos_token", ""), "does not close an answer with the EOS token"),
        (("{{- bos_token }}", "{{- bos_token + bos_token }}"), "2 BOS tokens"),
        (("{{- '<|assistant|>' }}", "{{- 'Answer:' }}"), "renders a question with its answer otherwise"),
    ],
)
def test_a_faulty_chat_template_is_refused(base: Path, release: Path, change: tuple[str, str], wanted: str) -> None:
    tokenizer = load_tokenizer(sft_recipe(release, base / "unused"), str(base))
    assert change[0] in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(*change)
    with pytest.raises(TrainingError, match=wanted):
        data.encode_answer(tokenizer, _user("What is gout?"), _assistant("An arthritis."), 64)


def test_a_tokenizer_without_a_template_needs_one_from_the_recipe(base: Path, release: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    tokenizer = load_tokenizer(sft_recipe(release, base / "unused"), str(base))
    template = tokenizer.chat_template
    tokenizer.chat_template = None
    tokenizer.save_pretrained(bare)
    with pytest.raises(TrainingError, match="no chat template"):
        load_tokenizer(sft_recipe(release, bare), str(bare))
    (tmp_path / "mine.jinja").write_text(template, "utf-8")
    recipe = sft_recipe(release, bare, f"chat_template={tmp_path / 'mine.jinja'}")
    assert load_tokenizer(recipe, str(bare)).chat_template == template


def test_long_rows_are_counted_and_refused_when_none_is_whole(release: Path, tokenizer: Any) -> None:
    rows = data.load_pool(str(release), "sft")
    lengths = sorted(data.encode_answer(tokenizer, row["prompt"], row["completion"], 999).length for row in rows)
    limit = lengths[3]
    _, counts = data.encode_pool(rows, tokenizer, limit, "sft")
    assert counts.truncated == sum(length > limit for length in lengths) > 0
    assert counts.longest == lengths[-1]
    with pytest.raises(
        TrainingError, match=f"all 8 rows are longer than `max_length` = 10 .* shortest has {lengths[0]}"
    ):
        data.encode_pool(rows, tokenizer, 10, "sft")
    with pytest.raises(TrainingError, match="pool `dpo`: all 8 rows"):
        data.count_pairs(data.load_pool(str(release), "dpo"), tokenizer, 10, "dpo")


@pytest.mark.parametrize(
    ("pool", "split", "at_least", "wanted"),
    [
        ("sft_surgery", "train", 1, "pool `sft_surgery` cannot be loaded"),
        ("sft", "test", 1, "split `test` of the pool `sft`"),
        ("sft", "train", 9, "has 8 rows, 9 are needed"),
    ],
)
def test_a_pool_that_is_missing_or_small_is_named(
    release: Path, pool: str, split: str, at_least: int, wanted: str
) -> None:
    with pytest.raises(TrainingError, match=wanted):
        data.load_pool(str(release), pool, split, at_least=at_least)


def test_a_rebuilt_release_and_another_of_the_same_name_give_their_own_rows(tmp_path: Path) -> None:
    one, two = (
        write_release(tmp_path / "a" / "release"),
        write_release(tmp_path / "b" / "release", {"gout": "it hurts"}),
    )
    assert [len(data.load_pool(str(folder), "sft")) for folder in (one, two)] == [8, 1]
    file = one / "data" / "sft" / "train.parquet"
    pl.read_parquet(file).head(3).write_parquet(file)
    assert len(data.load_pool(str(one), "sft")) == 3


def test_a_pool_without_the_needed_columns_is_refused(release: Path) -> None:
    with pytest.raises(TrainingError, match="the pool `dpo` has no column completion; it has id, prompt, chosen"):
        data.load_pool(str(release), "dpo", columns=("prompt", "completion"))


# ------------------------------------------------------------------------------------------------------------ training


def test_sft_writes_what_it_did_and_where_it_came_from(release: Path, sft_out: Path) -> None:
    metrics = json.loads((sft_out / "metrics.json").read_text())
    assert (metrics["rows"], metrics["steps"], metrics["truncated"]) == (8, 3, 0)
    assert metrics["loss_last"] < metrics["loss_first"]
    assert 0 < metrics["supervised_tokens"] < metrics["tokens"]
    told = json.loads((sft_out / "provenance.json").read_text())
    assert len(told["release_manifest_sha256"]) == 64
    assert told["recipe"]["trainer"]["max_steps"] == 3
    assert {"torch", "transformers", "trl", "peft", "datasets", "finemed"} == set(told["versions"])
    assert told["seed"] == 17


def test_sft_twice_gives_equal_weights_and_metrics(release: Path, sft_out: Path, tmp_path: Path) -> None:
    recipe = sft_recipe(release, tmp_path / "again")
    trainer, counts = script("sft").build(recipe)
    run_trainer(trainer, recipe, counts, None)
    names = sorted(path.relative_to(sft_out) for path in sft_out.rglob("*") if path.is_file())
    assert Path("base/model.safetensors") in names
    assert {Path("README.md"), Path("training_args.bin")}.isdisjoint(names)
    for name in names:
        if name.name not in ("provenance.json", "adapter_config.json"):  # these two name the folder they are in
            assert (sft_out / name).read_bytes() == (recipe.output_dir / name).read_bytes(), name
    targets = json.loads((sft_out / "adapter_config.json").read_text())["target_modules"]
    assert targets == sorted(targets)
    assert len(targets) == 7


def test_the_sft_folder_loads_with_peft_and_keeps_the_template(release: Path, sft_out: Path) -> None:
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    model = AutoPeftModelForCausalLM.from_pretrained(sft_out)
    assert list(model.peft_config) == ["default"]
    tokenizer = AutoTokenizer.from_pretrained(sft_out)
    base_tokenizer = AutoTokenizer.from_pretrained(sft_out / "base")
    assert tokenizer.chat_template == base_tokenizer.chat_template


def test_a_finished_output_folder_is_not_trained_into_again(release: Path, sft_out: Path) -> None:
    arguments = [
        str(RECIPES / "sft" / "cpu-tiny.yaml"),
        "--set",
        f"release={release}",
        "--set",
        f"output_dir={sft_out}",
    ]
    assert script("sft").main(arguments) == 4
    recipe = RECIPES / "sft" / "cpu-tiny.yaml"
    with pytest.raises(TrainingError, match="holds a finished training already"):
        train_release(release, sft_out.parent, sft_recipe=recipe, stages=["sft"])


def test_dpo_measures_against_the_sft_policy_and_saves_no_reference(
    release: Path, sft_out: Path, tmp_path: Path
) -> None:
    from peft import AutoPeftModelForCausalLM
    from safetensors.torch import load_file

    recipe = dpo_recipe(release, sft_out, tmp_path / "dpo")
    trainer, counts, reference = script("dpo").build(recipe)
    sft = load_file(sft_out / "adapter_model.safetensors")

    def adapter(name: str) -> dict[str, Any]:
        found = {k: v for k, v in weights_of(trainer.model).items() if f".{name}." in k}
        return {k.replace(f".{name}.", "."): v for k, v in found.items()}

    assert reference == f"a frozen copy of the adapter in {sft_out}"
    assert adapter("ref").keys() == sft.keys()
    assert all(adapter("ref")[name].equal(sft[name]) for name in sft)
    trainer.train()
    assert all(adapter("ref")[name].equal(sft[name]) for name in sft)
    assert not all(adapter("default")[name].equal(sft[name]) for name in sft)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert log[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # log 2: policy and reference are still the same
    assert log[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-3)
    assert log[-1]["rewards/margins"] > 0
    assert counts.rows == 8
    assert drop_reference(trainer.model)
    trainer.save_model(str(recipe.output_dir))
    assert not (recipe.output_dir / "ref").exists()
    saved = AutoPeftModelForCausalLM.from_pretrained(recipe.output_dir)
    assert list(saved.peft_config) == ["default"]


def test_all_weights_train_by_recipe_and_dpo_follows(release: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    recipe = sft_recipe(release, tmp_path / "sft", "lora=null", "trainer.max_steps=2")
    trainer, counts = script("sft").build(recipe)
    run_trainer(trainer, recipe, counts, None)
    sft = AutoModelForCausalLM.from_pretrained(tmp_path / "sft")
    start = load_weights(str(tmp_path / "sft" / "base"))
    assert not sft.model.layers[0].mlp.up_proj.weight.equal(start.model.layers[0].mlp.up_proj.weight)
    for name, lora in (("full", ["lora=null"]), ("fresh", [])):
        preferences = dpo_recipe(release, tmp_path / "sft", tmp_path / name, "trainer.max_steps=1", *lora)
        dpo, counts, reference = script("dpo").build(preferences)
        metrics = run_trainer(dpo, preferences, counts, reference)
        assert metrics["loss_first"] == pytest.approx(0.6931, abs=1e-3)
        assert (tmp_path / name / ("model.safetensors" if lora else "adapter_model.safetensors")).is_file()


def test_an_adapter_of_another_shape_is_refused(release: Path, sft_out: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the adapter has r = 8, the recipe asks for 4"):
        script("dpo").build(dpo_recipe(release, sft_out, tmp_path, "lora.r=4"))


def test_a_merged_adapter_answers_as_the_adapter_does(release: Path, sft_out: Path) -> None:
    import torch
    from peft import AutoPeftModelForCausalLM

    ttt = load_recipe(RECIPES / "ttt" / "cpu-tiny.yaml", [f"release={release}", f"model={sft_out}"], TttRecipe)
    model, tokenizer = load_for_answers(ttt)
    ids = torch.tensor([tokenizer("What happens in gout?")["input_ids"]])
    with torch.no_grad():
        torch.testing.assert_close(
            model(ids).logits, AutoPeftModelForCausalLM.from_pretrained(sft_out)(ids).logits, atol=1e-5, rtol=1e-4
        )


# ----------------------------------------------------------------------------------------------------- the whole chain


def test_train_release_runs_both_stages_with_copied_scripts(
    release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = {}
    for kind in ("sft", "dpo"):
        copied[kind] = tmp_path / f"my-{kind}.yaml"
        text = (RECIPES / kind / "cpu-tiny.yaml").read_text("utf-8")
        copied[kind].write_text(text.replace(f"script: {kind}.py", f"script: my_{kind}.py"), "utf-8")
        source = (RECIPES / kind / f"{kind}.py").read_text("utf-8")
        (tmp_path / f"my_{kind}.py").write_text(source + f"# run by {kind}\n", "utf-8")
    result = train_release(
        release,
        tmp_path / "out",
        sft_recipe=copied["sft"],
        dpo_recipe=copied["dpo"],
        overrides=["trainer.logging_steps=1", "sft.trainer.max_steps=2", "dpo.trainer.max_steps=1", "dpo.beta=0.2"],
    )
    assert [stage.stage for stage in result.stages] == ["sft", "dpo"]
    assert [stage.metrics["steps"] for stage in result.stages] == [2, 1]
    told = json.loads((tmp_path / "out" / "dpo" / "provenance.json").read_text())
    assert told["recipe"]["beta"] == 0.2
    assert told["recipe"]["model"] == str(tmp_path / "out" / "sft")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "sft: 8 rows, " in captured.err
    assert "supervised tokens, 0 truncated, loss " in captured.err
    assert "reward margin " in captured.err


def test_a_failing_script_is_named(release: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.yaml").write_text((RECIPES / "sft" / "cpu-tiny.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "sft.py").write_text("import sys\nprint('no luck', file=sys.stderr)\nsys.exit(3)\n", "utf-8")
    with pytest.raises(TrainingError, match=r"sft\.py ended with exit code 3"):
        train_release(release, tmp_path / "out", sft_recipe=tmp_path / "mine.yaml", stages=["sft"])
    assert "no luck" in capsys.readouterr().err


def test_faults_are_found_before_anything_is_trained(release: Path, tmp_path: Path) -> None:
    bundled = {kind: RECIPES / kind / "cpu-tiny.yaml" for kind in ("sft", "dpo")}
    recipes: Any = {"sft_recipe": bundled["sft"], "dpo_recipe": bundled["dpo"]}
    with pytest.raises(ConfigError, match="`beta` is -1"):
        train_release(release, tmp_path / "out", **recipes, overrides=["dpo.beta=-1"])
    with pytest.raises(TrainingError, match="holds no finished SFT for DPO"):
        train_release(release, tmp_path / "out", **recipes, stages=["dpo"])
    with pytest.raises(ConfigError, match="stages: ppo given"):
        train_release(release, tmp_path / "out", **recipes, stages=["ppo"])
    assert not (tmp_path / "out").exists()
