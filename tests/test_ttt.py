"""Test-time training finds the right sample, changes the answerer while it lasts, and leaves no trace."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

from finemed.errors import ConfigError, TrainingError
from finemed.training.recipe import TttRecipe, load_recipe
from finemed.ttt.index import HashedTfidf, Index, Sample, make_embedder

os.environ.setdefault("HF_HUB_OFFLINE", "1")
NEEDED = ("torch", "transformers", "trl", "peft", "datasets")
# peft 0.21.2 asks transformers for an attribute by its old name; ours to drop once peft has the new one
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "ttt" / "cpu-tiny.yaml"
TOPICS = {
    "gout": "uric acid crystals settle in a joint and it swells overnight",
    "asthma": "the small airways narrow and breathing out becomes hard",
    "glaucoma": "pressure in the eye rises and harms the optic nerve",
    "croup": "a child coughs like a seal because the larynx is swollen",
}


def _sample(number: int, question: str) -> Sample:
    asked = [{"role": "user", "content": question}]
    return Sample(f"t{number}", question, asked, [{"role": "assistant", "content": "It depends."}])


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("release")
    os.environ["HF_DATASETS_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    front = "configs:\n"
    for pool in ("sft", "ttt"):
        rows = [
            {
                "id": f"{pool}-{name}",
                "prompt": [{"role": "user", "content": f"What happens in {name}?"}],
                "completion": [{"role": "assistant", "content": f"**Thought**\n{fact}\n\n**Summarization**\n{name}"}],
            }
            for name, fact in TOPICS.items()
        ]
        (folder / "data" / pool).mkdir(parents=True)
        pl.DataFrame(rows).write_parquet(folder / "data" / pool / "train.parquet")
        front += f"- config_name: {pool}\n  data_files:\n  - split: train\n    path: data/{pool}/train.parquet\n"
    (folder / "README.md").write_text(f"---\n{front}---\n", "utf-8")
    return folder


@pytest.fixture(scope="module")
def session(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if any(find_spec(name) is None for name in NEEDED):
        pytest.skip("needs finemed[train]")
    from finemed.training.tiny import make_tiny
    from finemed.ttt.answer import Session

    model = make_tiny(str(release), tmp_path_factory.mktemp("model"))
    settings = [f"release={release}", f"model={model}", "max_new_tokens=8", "neighbours=2", "steps=2"]
    return Session.open(load_recipe(RECIPE, settings, TttRecipe))


def _encoded(session: Any, number: int = 0) -> Any:
    from finemed.training.data import encode_answer

    sample = session.index.samples[number]
    return encode_answer(session.tokenizer, sample.prompt, sample.completion, session.recipe.max_length)


def _logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.tensor([[1, 4, 300, 301, 302, 5]])).logits


# --------------------------------------------------------------------------------------------------------------- index


def test_the_nearest_question_is_the_one_that_shares_rare_words() -> None:
    questions = ["What happens in gout?", "What happens in asthma?", "Which drug lowers uric acid in gout attacks?"]
    index = Index.build([_sample(n, q) for n, q in enumerate(questions)], HashedTfidf())
    found = index.nearest("Which drug helps against gout attacks?", k=2)
    assert [near.sample.id for near in found] == ["t2", "t0"]
    assert 0 < found[1].similarity < found[0].similarity < 1
    assert index.nearest("What happens in gout?", k=1)[0].similarity == pytest.approx(1.0)


def test_vectors_have_length_one_and_unknown_text_is_similar_to_nothing() -> None:
    index = Index.build([_sample(0, "What is gout?"), _sample(1, "...")], HashedTfidf())
    assert np.linalg.norm(index.vectors, axis=1) == pytest.approx([1.0, 0.0])
    assert [near.similarity for near in index.nearest("?!", k=5)] == [0.0, 0.0]


def test_the_order_of_the_samples_does_not_matter() -> None:
    samples = [_sample(number, "What is gout?") for number in range(4)]
    for order in (samples, samples[::-1]):
        near = Index.build(order, HashedTfidf()).nearest("gout", k=4)
        assert [each.sample.id for each in near] == ["t0", "t1", "t2", "t3"]


def test_an_index_needs_samples_and_a_known_embedder() -> None:
    with pytest.raises(TrainingError, match="no samples"):
        Index.build([], HashedTfidf())
    with pytest.raises(ConfigError, match="`embedder` is 'bm25'"):
        make_embedder("bm25")


# --------------------------------------------------------------------------------------------------------------- adapt


def test_the_adapted_model_differs_and_the_base_comes_back(session: Any) -> None:
    from finemed.ttt.adapt import adapted, state_hash

    before, hashed = _logits(session.model), state_hash(session.model)
    with adapted(session.model, [_encoded(session, 0), _encoded(session, 1)], session.recipe) as adaptation:
        assert not _logits(adaptation.model).equal(before)
        assert adaptation.losses[1] < adaptation.losses[0]
    assert _logits(session.model).equal(before)
    assert adaptation.hash_before == adaptation.hash_after == hashed == state_hash(session.model)
    assert adaptation.model is None
    assert not hasattr(session.model, "peft_config")
    assert all(parameter.requires_grad and parameter.grad is None for parameter in session.model.parameters())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_exception_leaves_the_base_untouched(session: Any, error: type[BaseException]) -> None:
    from finemed.ttt.adapt import adapted, state_hash

    before, hashed = _logits(session.model), state_hash(session.model)
    with pytest.raises(error), adapted(session.model, [_encoded(session)], session.recipe):
        raise error
    assert state_hash(session.model) == hashed
    assert _logits(session.model).equal(before)


def test_a_failure_while_the_adapter_goes_on_is_undone(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from peft.tuners.lora import LoraModel

    from finemed.ttt.adapt import adapted, state_hash

    hashed, put_on = state_hash(session.model), LoraModel._create_and_replace
    seen: list[str] = []

    def fail_halfway(self: Any, *given: Any, **named: Any) -> None:
        seen.append("layer")
        if len(seen) == 5:
            raise MemoryError
        put_on(self, *given, **named)

    monkeypatch.setattr(LoraModel, "_create_and_replace", fail_halfway)
    with pytest.raises(MemoryError), adapted(session.model, [_encoded(session)], session.recipe):
        pass
    assert state_hash(session.model) == hashed
    assert not any("lora" in name for name, _ in session.model.named_modules())


def test_a_base_that_was_changed_is_noticed(session: Any) -> None:
    import torch

    from finemed.ttt.adapt import adapted

    weight = session.model.model.norm.weight
    with (
        pytest.raises(TrainingError, match="the base model is not what it was"),
        adapted(session.model, [_encoded(session)], session.recipe),
        torch.no_grad(),
    ):
        weight[0] += 1e-3
    with torch.no_grad():
        weight[0] = 1.0


def test_a_question_does_not_feel_the_ones_before_it(session: Any) -> None:
    from finemed.ttt.adapt import adapted

    def adapted_logits(number: int) -> Any:
        with adapted(session.model, [_encoded(session, number)], session.recipe) as adaptation:
            return _logits(adaptation.model)

    first, other, again = adapted_logits(0), adapted_logits(1), adapted_logits(0)
    assert first.equal(again)
    assert not first.equal(other)


def test_a_sample_without_an_answer_within_max_length_is_refused(session: Any) -> None:
    from finemed.training.data import encode_answer
    from finemed.ttt.adapt import adapted

    sample = session.index.samples[0]
    cut = encode_answer(session.tokenizer, sample.prompt, sample.completion, 3)
    with pytest.raises(TrainingError, match="no answer token"), adapted(session.model, [cut], session.recipe):
        pass


# -------------------------------------------------------------------------------------------------------------- answer


def test_an_answer_names_its_neighbours_and_repeats_itself(session: Any) -> None:
    one, two = (session.answer("What happens in glaucoma?") for _ in range(2))
    assert one.neighbours[0].id == "ttt-glaucoma"
    assert one.neighbours[0].similarity == pytest.approx(1.0)
    assert len(one.neighbours) == 2
    assert one.restored
    assert one.base_hash_before == one.base_hash_after
    timeless = [{k: v for k, v in each.as_dict().items() if not k.startswith("seconds")} for each in (one, two)]
    assert timeless[0] == timeless[1]


def test_without_a_similar_sample_the_base_answers(session: Any) -> None:
    outcome = session.answer("Zzz qqq xyzzy")
    assert outcome.neighbours == ()
    assert outcome.answer == outcome.answer_base
    assert outcome.restored


def test_an_empty_question_is_refused(session: Any) -> None:
    with pytest.raises(TrainingError, match="the question is empty"):
        session.answer("  ")


def test_the_command_prints_json_on_stdout(session: Any, release: Path) -> None:
    from finemed.cli.ttt import ttt

    model = session.recipe.model
    options = ["--release", str(release), "--model", model, "--recipe", str(RECIPE), "--set", "max_new_tokens=4"]
    done = CliRunner().invoke(ttt, ["answer", "What happens in croup?", *options, "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["neighbours"][0]["id"] == "ttt-croup"
    assert told["restored"] is True
    plain = CliRunner().invoke(ttt, ["answer", "What happens in croup?", *options], catch_exceptions=False)
    assert plain.stdout.strip() == told["answer"]
    assert "adapted on ttt-croup" in plain.stderr
