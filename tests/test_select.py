"""The published selection rule, branch by branch."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import pytest
from rows import details, judged, reasons, run_stage

from finemed.records import JudgedInstruction
from finemed.stages.base import Outcome
from finemed.stages.select import SelectStage

Scores = tuple[int, int, int]
"""Quality, complexity, relevance."""

# name: scores of a, scores of b, who wins on scores alone, what decides
COMPARISONS: dict[str, tuple[Scores, Scores, str, str]] = {
    "sum": ((8, 5, 6), (8, 5, 5), "a", "quality + complexity + relevance 18 < 19"),
    "sum against quality": ((5, 8, 6), (9, 5, 4), "a", "quality + complexity + relevance 18 < 19"),
    "equal sum": ((7, 6, 4), (7, 5, 5), "a", "quality + complexity 12 < 13"),
    "equal sum, against quality": ((5, 9, 3), (7, 6, 4), "a", "quality + complexity 13 < 14"),
    "equal but quality": ((8, 5, 6), (7, 6, 6), "a", "quality 7 < 8"),
    "all equal": ((7, 5, 6), (7, 5, 6), "coin", "a coin, all scores equal"),
}


def ask(name: str, scores: Scores = (7, 5, 6), *, details: bool = False, passage_id: str = "p1") -> dict[str, Any]:
    quality, complexity, relevance = scores
    return judged(
        instruction_id=name,
        passage_id=passage_id,
        quality=quality,
        complexity=complexity,
        relevance=relevance,
        mentions_details=details,
    )


def chosen(*questions: dict[str, Any], seed: int = 0) -> Outcome:
    return run_stage(SelectStage(seed), JudgedInstruction, list(questions))


def winners(outcome: Outcome) -> list[str]:
    return outcome.kept["instruction_id"].to_list()


@pytest.mark.parametrize("reverse", [False, True], ids=["a first", "b first"])
@pytest.mark.parametrize("swap", [False, True], ids=["a better", "b better"])
@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize(("details_a", "details_b"), list(product([False, True], repeat=2)))
def test_every_branch_of_the_rule(details_a: bool, details_b: bool, comparison: str, swap: bool, reverse: bool) -> None:
    scores_a, scores_b, better, decides = COMPARISONS[comparison]
    if swap:
        scores_a, scores_b = scores_b, scores_a
        better = {"a": "b", "coin": "coin"}[better]
    pair = [ask("a", scores_a, details=details_a), ask("b", scores_b, details=details_b)]
    outcome = chosen(*(reversed(pair) if reverse else pair))
    dropped, facts = reasons(outcome), details(outcome)

    if details_a and details_b:
        assert winners(outcome) == []
        assert dropped == {"a": "mentions_details", "b": "mentions_details"}
    elif details_a or details_b:
        loser, winner = ("a", "b") if details_a else ("b", "a")
        assert winners(outcome) == [winner]
        assert dropped == {loser: "mentions_details"}
    else:
        (winner,) = winners(outcome)
        (loser,) = {"a", "b"} - {winner}
        assert better in ("coin", winner)
        assert dropped == {loser: "not_selected"}
        assert facts[loser] == f"{decides}; winner {winner}"


def test_the_kept_row_is_unchanged() -> None:
    better = ask("a", (9, 5, 6))
    assert chosen(better, ask("b")).kept.to_dicts() == [better]


def test_a_question_whose_partner_was_never_judged_stands_alone() -> None:
    assert winners(chosen(ask("a", (1, 1, 1)))) == ["a"]


def test_a_lone_question_with_details_still_loses() -> None:
    outcome = chosen(ask("a", (10, 10, 6), details=True))
    assert (winners(outcome), reasons(outcome)) == ([], {"a": "mentions_details"})


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_three_questions_leave_the_best_whatever_their_order(order: tuple[str, ...]) -> None:
    scores = {"a": (7, 5, 6), "b": (9, 5, 6), "c": (8, 5, 6)}
    outcome = chosen(*(ask(name, scores[name]) for name in order))
    assert winners(outcome) == ["b"]
    assert reasons(outcome) == {"a": "not_selected", "c": "not_selected"}


@pytest.mark.parametrize("passage_id", [f"p{number}" for number in range(8)])
def test_three_equal_questions_leave_the_same_one_whatever_their_order(passage_id: str) -> None:
    found = {
        tuple(winners(chosen(*(ask(name, passage_id=passage_id) for name in order)))) for order in permutations("abc")
    }
    assert len(found) == 1
    assert len(found.pop()) == 1


def test_passages_do_not_compete_with_each_other() -> None:
    outcome = chosen(
        ask("a", (9, 9, 6), passage_id="p1"), ask("b", (1, 1, 1), passage_id="p2"), ask("c", (2, 1, 1), passage_id="p2")
    )
    assert winners(outcome) == ["a", "c"]
    assert reasons(outcome) == {"b": "not_selected"}


def coins(passages: int, seed: int, *, swapped: bool = False) -> list[bool]:
    """For each passage whether `x` wins over `y`, all scores equal."""
    names = ("y", "x") if swapped else ("x", "y")
    rows = [ask(f"{name}{number:04d}", passage_id=f"p{number:04d}") for number in range(passages) for name in names]
    kept = chosen(*rows, seed=seed).kept.sort("passage_id")["instruction_id"]
    return [name.startswith("x") for name in kept]


def test_the_coin_falls_the_same_way_again_and_in_any_order() -> None:
    assert coins(200, seed=3) == coins(200, seed=3)
    assert coins(200, seed=3) == coins(200, seed=3, swapped=True)


def test_the_coin_depends_on_the_seed() -> None:
    same = sum(left == right for left, right in zip(coins(1000, seed=1), coins(1000, seed=2), strict=True))
    assert 436 <= same <= 564  # two independent coins: 500 +- 4 standard deviations of 15.8


def test_the_coin_is_fair() -> None:
    for seed in range(3):
        assert 911 <= sum(coins(2000, seed)) <= 1089  # 1000 +- 4 standard deviations of 22.4


def test_the_seed_alone_is_the_setting() -> None:
    assert SelectStage(1).settings() == {"seed": 1}
