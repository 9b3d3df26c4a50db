"""``finemed ttt answer``: one question, answered by the base and by the model adapted to it.

::

    session = Session.open(load_recipe(Path("recipes/ttt/cpu-tiny.yaml"), ["release=...", "model=..."], TttRecipe))
    outcome = session.answer("What is gout?")
    outcome.neighbours[0].id, outcome.answer, outcome.restored

The question goes through the chat template that training used, and only the question is embedded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finemed.assets import asset
from finemed.errors import TrainingError
from finemed.training.data import encode_answer, load_pool
from finemed.training.libraries import require_training
from finemed.training.policy import load_for_answers
from finemed.training.recipe import TttRecipe, load_recipe
from finemed.ttt.adapt import adapted, state_hash
from finemed.ttt.index import Index, Neighbour, make_embedder, samples_of


@dataclass(frozen=True)
class NearSample:
    """A sample that was adapted on."""

    id: str
    similarity: float


@dataclass(frozen=True)
class TttAnswer:
    """One question's outcome; without neighbours nothing was adapted and both answers are the base's."""

    question: str
    neighbours: tuple[NearSample, ...]
    answer_base: str
    answer: str
    losses: tuple[float, ...]
    """Mean loss on the neighbours before each step."""
    base_hash_before: str
    base_hash_after: str
    restored: bool
    seconds_adapt: float
    seconds_generate: float
    """Both answers together."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Session:
    """A loaded model and an index over the pool; answers any number of questions."""

    model: Any
    tokenizer: Any
    index: Index
    recipe: TttRecipe

    @classmethod
    def open(cls, recipe: TttRecipe) -> Session:
        """Load the model and embed the pool's questions.

        Raises:
            MissingExtraError: the ``train`` (or ``embed``) extra is not installed.
            TrainingError: model or pool cannot be loaded.
        """
        require_training()
        embedder = make_embedder(recipe.embedder)
        rows = load_pool(recipe.release, recipe.pool, "train", columns=("id", "prompt", "completion"))
        index = Index.build(samples_of(rows), embedder)
        model, tokenizer = load_for_answers(recipe)
        return cls(model, tokenizer, index, recipe)

    def answer(self, question: str) -> TttAnswer:
        """Answer with the base, adapt, answer again, put back.

        Raises:
            TrainingError: the question is empty, a sample cannot be adapted on, or the base was not put back.
        """
        if not question.strip():
            raise TrainingError("the question is empty; ask something")
        begun = time.monotonic()
        answer_base = self.generate(self.model, question)
        seconds_generate = time.monotonic() - begun
        neighbours = self._neighbours(question)
        if not neighbours:
            same = state_hash(self.model)
            return TttAnswer(question, (), answer_base, answer_base, (), same, same, True, 0.0, seconds_generate)
        samples = [
            encode_answer(self.tokenizer, near.sample.prompt, near.sample.completion, self.recipe.max_length)
            for near in neighbours
        ]
        begun = time.monotonic()
        with adapted(self.model, samples, self.recipe) as adaptation:
            ready = time.monotonic()
            answer = self.generate(adaptation.model, question)
            done = time.monotonic()
        return TttAnswer(
            question=question,
            neighbours=tuple(NearSample(near.sample.id, near.similarity) for near in neighbours),
            answer_base=answer_base,
            answer=answer,
            losses=tuple(round(loss, 6) for loss in adaptation.losses),
            base_hash_before=adaptation.hash_before,
            base_hash_after=str(adaptation.hash_after),
            restored=adaptation.hash_after == adaptation.hash_before,
            seconds_adapt=round(ready - begun, 3),
            seconds_generate=round(seconds_generate + done - ready, 3),
        )

    def generate(self, model: Any, question: str) -> str:
        """The greedy answer of `model` to one question, without special tokens."""
        import torch

        messages = [{"role": "user", "content": question}]
        inputs = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        ).to(self.model.device)
        pad = self.tokenizer.pad_token_id
        with torch.no_grad():
            ids = model.generate(
                **inputs,
                max_new_tokens=self.recipe.max_new_tokens,
                do_sample=False,
                eos_token_id=self.tokenizer.eos_token_id,
                pad_token_id=self.tokenizer.eos_token_id if pad is None else pad,
            )
        new = ids[0, inputs["input_ids"].shape[1] :]
        return str(self.tokenizer.decode(new, skip_special_tokens=True)).strip()

    def _neighbours(self, question: str) -> list[Neighbour]:
        nearest = self.index.nearest(question, self.recipe.neighbours)
        return [near for near in nearest if near.similarity > self.recipe.min_similarity]


def answer(
    question: str, *, release: str, model: str, recipe: Path | None = None, overrides: Sequence[str] = ()
) -> TttAnswer:
    """Answer one question with test-time training; open a ``Session`` for several.

    Args:
        question: as a user would ask it, without options or system prompt.
        release: folder or Hub id of the release whose ``ttt`` pool is searched.
        model: what SFT or DPO wrote, or a model id on the Hub.
        recipe: YAML file; the bundled ``recipes/ttt/cpu-tiny.yaml`` by default.
        overrides: ``a.b=c`` settings laid over the recipe.

    Raises:
        ConfigError: the recipe or an override is wrong.
        MissingExtraError: the ``train`` extra is not installed.
        TrainingError: model or pool cannot be used, or the base was not put back.
    """
    path = recipe or asset("recipes", "ttt", "cpu-tiny.yaml")
    settings = [f"release={json.dumps(release)}", f"model={json.dumps(model)}", *overrides]
    return Session.open(load_recipe(path, settings, TttRecipe)).answer(question)
