"""Where a release's questions, answers and scores come from, so that no sentence of its card says what is not so.

::

    found = Origin.of(manifest)
    found.opening        "Medical questions written from source passages by a model, judged, deduplicated, ..."
    found.judge          "the judge", or "the rules" where no model judged
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from finemed.records import POOLS
from finemed.records.counts import how_many
from finemed.stages.given import GIVEN

RULES = "rules@"
_ANSWERS = ("ordinary answers", "reasoning answers")
_JUDGEMENTS = ("judgement of questions", "judgement of answers")


@dataclass(frozen=True)
class Origin:
    """Who wrote and judged what."""

    questions: int
    given: int
    """Questions that their source brought."""
    pairs: int
    """Pairs of `dpo`."""
    given_pairs: int
    questions_by_rules: bool
    """Whether all questions that were written were made by rules."""
    answers: str
    """Who answered: `model`, `rules`, or `source` where every answer was brought."""
    long: str
    """What the long answers are."""
    judged_by_rules: bool
    pools: tuple[str, ...]

    @classmethod
    def of(cls, manifest: Mapping[str, Any]) -> Origin:
        """What a manifest says of it."""
        figures = manifest["figures"]
        models = figures["models"]
        writers = {model for kind in _ANSWERS for model in models.get(kind, {})}
        written = {model for model in writers if not _is_given(model)}
        pairs, given = figures["preference"], figures["given"]
        return cls(
            sum(figures["quality"].values()),
            given["questions"],
            sum(pairs[name] for name in ("higher", "equal", "lower")),
            given["pairs"],
            _all_rules(model for model in models.get("questions", {}) if not _is_given(model)),
            "source" if writers and not written else "rules" if _all_rules(written) else "model",
            _long(models.get("reasoning answers", {})),
            _all_rules(model for kind in _JUDGEMENTS for model in models.get(kind, {})),
            tuple(pool for pool in POOLS if pool in manifest["configs"]),
        )

    @property
    def written(self) -> int:
        """Questions that were made from passages."""
        return self.questions - self.given

    @property
    def opening(self) -> str:
        """The card's first sentence, up to the method."""
        brought = f"that their source brought ({self.given:,}; with its answers word for word, where it had any)"
        by_rules = self.questions_by_rules
        made = "made from source passages by rules" if by_rules else "written from source passages by a model"
        kinds = [brought] * bool(self.given) + [f"{'that were ' * bool(self.given)}{made}"] * bool(self.written)
        subject = " or ".join(kinds) or made
        scored = "scored by rules" if self.judged_by_rules else "judged"
        answered = {"model": ", answered", "rules": ", answered by rules", "source": ""}[self.answers]
        return f"Medical questions {subject}; {scored}, deduplicated{answered} and ranked in the manner of"

    @property
    def judge(self) -> str:
        """Who scored."""
        return "the rules" if self.judged_by_rules else "the judge"

    @property
    def uses(self) -> str:
        """What the pools that are there can be trained on."""
        tuned = [f"`{pool}`" for pool in ("sft", "sft_reasoning") if pool in self.pools]
        kinds = [f"supervised fine-tuning ({', '.join(tuned)})"] * bool(tuned)
        kinds += ["preference optimisation (`dpo`)"] * ("dpo" in self.pools)
        kinds += ["test-time training (`ttt`)"] * ("ttt" in self.pools)
        return listed(kinds)

    @property
    def preference(self) -> str:
        """Why the chosen answer of a pair is chosen; empty without pairs."""
        long = "is the longer form" if self.answers == "rules" else "reasons"
        if not self.pairs:
            return ""
        if not self.given_pairs:
            return f"In `dpo` the long answer is preferred because it {long}, not because of its score"
        others = self.pairs - self.given_pairs
        rest = f"; in the others it is the long answer because it {long}" if others else ""
        return (
            f"{how_many(self.given_pairs, 'pair of `dpo` came with its', 'pairs of `dpo` came with their')} source, "
            f"which says what is preferred{rest}; the score does not decide"
        )

    @property
    def dpo(self) -> str:
        """What a row of `dpo` holds."""
        own, brought = "long answer as chosen, ordinary one as rejected", "a pair of its source"
        return own if not self.given_pairs else brought if self.given_pairs == self.pairs else f"{own}; or {brought}"

    @property
    def unreviewed(self) -> str:
        """Whose word the texts are."""
        who = {"model": "the backends named above", "rules": "the rules named above", "source": "the sources"}
        texts = who[self.answers]
        if self.given and self.answers != "source":
            texts = f"the sources and {texts}"
        scores = "the judge named above"
        if self.judged_by_rules:
            scores = "rules, which look at form and at overlap with the passage"
        return (
            f"Questions and answers come from {texts}, scores from {scores}; none were reviewed by a clinician for "
            "this release."
        )


def _long(models: Iterable[str]) -> str:
    brought = [_is_given(model) for model in models]
    if brought and all(brought):
        return "preferred answers of pairs"
    return "long answers, or preferred ones of pairs" if any(brought) else "long answers"


def _is_given(model: str) -> bool:
    return model == GIVEN or model.startswith(f"{GIVEN},")


def _all_rules(models: Iterable[str]) -> bool:
    found = list(models)
    return bool(found) and all(model.startswith(RULES) for model in found)


def listed(parts: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))
