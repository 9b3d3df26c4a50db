"""Ten kills of a judge stage of 2,000 requests; `python tests/kill_calls.py --kills 100` kills a hundred runs."""

from __future__ import annotations

from pathlib import Path

from kill_calls import CONCURRENCY, REQUESTS, Kill, one_run, undisturbed


def test_ten_kills_lose_no_recorded_reply(tmp_path: Path) -> None:
    reference = undisturbed(tmp_path / "undisturbed")
    kills, wrong = one_run(tmp_path / "killed", reference, range(10), seed=1)
    assert wrong == []
    assert [kill.faults() for kill in kills] == [[]] * 10
    assert any(kill.repeated for kill in kills), "nothing was in flight"
    assert sum(0 < len(kill.recorded) < REQUESTS for kill in kills) >= 9
    assert all(len(kill.asked) - len(kill.recorded) <= CONCURRENCY for kill in kills)


def test_the_count_sees_what_must_not_be() -> None:
    asked = {f"Question {number}?" for number in range(40)}
    again = {f"Question {number}?" for number in range(20)}
    kill = Kill(0, 1, 0.0, killed=True, recorded={"Question 5?", "Question 99?"}, asked=asked, again=again)
    assert kill.faults() == [
        "1 recorded replies were asked for again",
        "20 calls repeated",
        "the journal holds what was never asked",
    ]
