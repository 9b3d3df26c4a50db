from __future__ import annotations

import json
import os
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import Scripted, response, run_stage

from finemed.config import JudgeAnswersConfig
from finemed.records import Response
from finemed.stages.base import Outcome
from finemed.stages.judge_answers import JudgeAnswersStage
from finemed.text.numbers import ungrounded_numbers
from finemed.text.numerals import read_number
from finemed.text.quantities import quantities
from finemed.text.segment import sentences
from finemed.text.units import UNITS, find_unit

# --- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("1,000", 1000),
        ("1 000".replace(" ", "\u00a0"), 1000),
        ("1,250.5", Fraction(2501, 2)),
        ("2,5", Fraction(5, 2)),
        ("0,125", Fraction(1, 8)),
        (".5", Fraction(1, 2)),
        ("½", Fraction(1, 2)),
        ("2½", Fraction(5, 2)),
        ("1 1/2", Fraction(3, 2)),
        ("2 and a half", Fraction(5, 2)),
        ("half a", Fraction(1, 2)),
        ("three quarters of a", Fraction(3, 4)),
        ("twenty-five", 25),
        ("two hundred", 200),
        ("1.5 million", 1_500_000),
        ("4.5 x 10^9", 4_500_000_000),
        ("4.5 x 10⁹", 4_500_000_000),
    ],
)
def test_numbers_have_the_value_that_a_reader_sees(written: str, value: Fraction | int) -> None:
    assert read_number(written) == value


def test_every_spelling_of_a_unit_is_found_in_a_text() -> None:
    for spelling, unit in UNITS.items():
        joined = "-" if spelling == "second" else " "
        (found,) = quantities(f"Take 50{joined}{spelling} now.", ground=True)
        assert found.amounts[0].dimension == unit.dimension, spelling
        assert find_unit(spelling) == unit


# --- what is a quantity ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Give 5 mg of it.", ["5 mg"]),
        ("Give 5mg of it.", ["5 mg"]),
        ("a 5-mg tablet", ["5 mg"]),
        ("five milligrams", ["5 mg"]),
        ("two tablets", ["2 tablet"]),
        ("half a tablet", ["0.5 tablet"]),
        ("1½ teaspoons", ["1.5 tsp"]),
        ("100 µg or 100 mcg or 100 micrograms", ["100 µg", "100 µg", "100 µg"]),
        ("10-15 mg/kg/day", ["10-15 mg/kg/day"]),
        ("10 to 15 mg per kg daily", ["10-15 mg/kg/day"]),
        ("between 10 and 15 mg", ["10-15 mg"]),
        ("1 or 2 puffs", ["1 or 2 puff"]),
        ("500/125 mg", ["500/125 mg"]),
        ("5, 10 and 20 mg", ["20 mg"]),
        ("In 2010, 5 mg was usual.", ["5 mg"]),
        ("5 to 10 million units", ["5000000-10000000 IU"]),
        ("10%", ["10 %"]),
        ("10 per cent", ["10 %"]),
        ("10–15 percent", ["10-15 %"]),
        ("0.9% saline", ["0.9 %"]),
        ("1 in 5 people", ["1 in 5"]),
        ("one in 10,000 to 20,000 births", ["1 in 10000-20000"]),
        ("7.5 cases per 100,000 people", ["7.5 per 100000"]),
        ("a titre of 1:40", ["1:40"]),
        ("a threefold rise", ["3-fold"]),
        ("120/80 mm Hg", ["120/80 mmHg"]),
        ("about 120/80 at rest", ["120/80 mmHg"]),
        ("101 F (38.3 °C)", ["101 °F", "38.3 °C"]),
        ("103 degrees Fahrenheit", ["103 °F"]),
        ("pH 7.35-7.45", ["pH 7.35-7.45"]),
        ("an INR of 2 to 3", ["INR 2-3"]),
        ("a BMI of 30 or more", ["BMI 30"]),
        ("126 mg/dL", ["126 mg/dL"]),
        ("4.5-11 x 10^9/L", ["4500000000-11000000000/L"]),
        ("150,000 platelets per microliter", ["150000 cells/µL"]),
        ("60 to 100 beats per minute", ["60-100/min"]),
        ("twice a day", ["2 times/day"]),
        ("three times daily", ["3 times/day"]),
        ("once weekly for six weeks", ["1 times/week", "6 week"]),
        ("every 4 to 6 hours", ["4-6 hour"]),
        ("a 10-day course", ["10 day"]),
        ("30 minutes a day", ["30 minute/day"]),
        ("5 cm", ["5 cm"]),
    ],
)
def test_a_claim_is_read(text: str, values: list[str]) -> None:
    assert [found.value for found in quantities(text)] == values
    assert all(found.text == text[found.start : found.end] for found in quantities(text))


@pytest.mark.parametrize(
    "text",
    [
        "a 65-year-old woman, aged 65 years",
        "infants 6 to 12 months old",
        "children under 5 years and babies younger than 3 months",
        "In May 2010, on 12/05/2011, since 1998.",
        "1. Rest\n2. Fluids\n3) Food",
        "See section 5.2, table 3 and chapter 10.",
        "type 2 diabetes, grade 3, stage IV, COVID-19, IL-6, vitamin B12, CYP2D6, 17p13, omega-3",
        "at 10:30 or 3:15 p.m.",
        "24 hours a day, seven days a week",
        "one of the two feet, both hands, three types, 12 pairs of ribs",
        "two second-line drugs",
        "Half of them know it.",
        "J Med 2003;12:345-50. J Med 2004:102. J Med 2010; 59: 1135--40.",
        "It rose from 6 in 1997 to 8 in 2007.",
    ],
)
def test_other_numbers_are_no_quantities(text: str) -> None:
    assert quantities(text) == []


def test_kinds() -> None:
    text = "5 mg, 5 mg/dL, 5%, 1 in 5, 3 times a day, 5 days, 5 cm, 10 units, two tablets, 38.5 °C, 120/80 mmHg"
    assert [found.kind for found in quantities(text)] == (
        ["dose", "lab", "percentage", "ratio", "frequency", "duration", "measure", "dose", "dose", "lab", "lab"]
    )


# --- what a passage holds --------------------------------------------------------------------------------------------

HELD = [
    ("Give 500 mg.", "It is 500mg."),
    ("Give 500 mg.", "Five hundred milligrams are given."),
    ("Give 0.5 g.", "500 mg are given."),
    ("Give 1,000 mg.", "Take 1000 mg or 1 g."),
    ("Give 2,5 mg.", "Take 2.5 mg."),
    ("Give 100 mcg.", "Take 100 µg, that is 0.1 mg."),
    ("Doses of 5, 10 and 20 mg exist.", "There are 5 mg and 10 mg tablets."),
    ("Give 5-10 mg.", "Start with 5 mg and go up to 10 mg."),
    ("Give 5 mg, then 10 mg.", "Between 5 and 10 mg."),
    ("Give 20 mg daily.", "The dose is 20 mg."),
    ("Give 20 mg.", "The dose is 20 mg per day."),
    ("Give 15 mg/kg per day.", "15 mg per kilogram of body weight a day"),
    ("1 tablet b.i.d.", "One tablet, two times a day."),
    ("Twice a day.", "Take it 2 times daily."),
    ("Every day.", "Once daily."),
    ("Weekly.", "Once a week."),
    ("q8h", "Every 8 hours."),
    ("Every 12 hours.", "Every half day."),
    ("For 2 weeks.", "For 14 days."),
    ("For two years.", "For 24 months."),
    ("48 hours.", "Two days."),
    ("20% relapse.", "1 in 5 relapses; that is 20 percent."),
    ("One third relapses.", "About 33% relapse."),
    ("Half of them relapse.", "50% relapse."),
    ("1 in 8.", "12.5%"),
    ("2 of every 100 people, or 20 per 1,000.", "2% of people"),
    ("38 °C.", "100.4 °F"),
    ("A fever of 101 degrees.", "A fever of 101 °F."),
    ("Lose 10 pounds.", "Lose about 4.5 kg."),
    ("A BMI of 30.", "A BMI of 30 kg/m2 or more."),
    ("Blood pressure of 140/90 mmHg.", "140 mm Hg over 90 mm Hg"),
    ("126 mg/dL.", "1.26 g/L"),
    ("Hemoglobin (g/dL): men 13.5, women 12.0", "Below 12 g/dL in women."),
    ("Body temperature (°C): 36.5", "36.5 °C"),
    ("Give 5 mg Per Hour or 10 mg/hrs.", "5 mg/hour or 10 mg each hour"),
    ("A twofold rise.", "It doubles: a 2-fold rise."),
    ("It doubles.", "A twofold rise."),
]
ADDED = [
    ("Give 500 mg.", "Give 250 mg.", ["250 mg"]),
    ("Give 5 mg/kg.", "Give 5 mg.", ["5 mg"]),
    ("Give 5 mg.", "Give 5 mg/kg.", ["5 mg/kg"]),
    ("Give 5 mg.", "Give 5 g.", ["5 g"]),
    ("Give 5 mg.", "Give 5 mL.", ["5 mL"]),
    ("Give 5 to 10 mg.", "Give 7 mg.", ["7 mg"]),
    ("Give 5 mg.", "Give 5-15 mg.", ["5-15 mg"]),
    ("Give 10 mg/day.", "Give 10 mg/hour.", ["10 mg/hour"]),
    ("Give 10 units.", "Give 10 mg or 10 units.", ["10 mg"]),
    ("Twice a day.", "Three times a day.", ["3 times/day"]),
    ("Twice a week.", "Twice a day.", ["2 times/day"]),
    ("For 5 days.", "For 5 weeks.", ["5 week"]),
    ("For 5 days.", "For 7-10 days.", ["7-10 day"]),
    ("Every 6 hours.", "Every 8 hours.", ["8 hour"]),
    ("Some relapse.", "About 40% relapse.", ["40 %"]),
    ("40% relapse.", "60% do not.", ["60 %"]),
    ("1 in 5 relapses.", "1 in 4 relapses.", ["1 in 4"]),
    ("10 in 100,000.", "10 per 10,000 people.", ["10 per 10000"]),
    ("33% relapse.", "34% relapse.", ["34 %"]),
    ("0.5% relapse; 9 per 100,000 die.", "73 per 100,000 die.", ["73 per 100000"]),
    ("1 part per million.", "1 part per billion, or one per hundred thousand.", ["1 per 1000000000", "1 per 100000"]),
    ("Store at 2 to 8 °C.", "Store at 25 C.", ["25 °C"]),
    ("In 2010, 40 people had it.", "It takes 40 mg.", ["40 mg"]),
    ("1. Rest. 5. Give a few mg.", "Give 5 mg.", ["5 mg"]),
    ("A high temperature.", "A temperature above 39 °C.", ["39 °C"]),
    ("120/80 mmHg.", "130/80 mmHg.", ["130/80 mmHg"]),
    ("An INR of 2 to 3.", "An INR of 2.5 to 3.5.", ["INR 2.5-3.5"]),
    ("A normal pH.", "A pH of 7.4.", ["pH 7.4"]),
    ("LDL below 100 mg/dL.", "LDL below 100 mmol/L.", ["100 mmol/L"]),
    ("Hemoglobin (g/dL): men 13.5", "Below 11 g/dL.", ["11 g/dL"]),
    ("Copyright (C) 2003; the (second) 30", "40 °C for 30 seconds", ["40 °C", "30 second"]),
    ("One tablet.", "Two tablets, half a teaspoon.", ["2 tablet", "0.5 tsp"]),
    ("It rises.", "A threefold rise.", ["3-fold"]),
    ("Give 5 mg.", "Give five mg, 5mg, 5 milligrams, and 6 mg.", ["6 mg"]),
]


@pytest.mark.parametrize(("passage", "answer"), HELD)
def test_what_the_passage_says_in_any_form_is_held(passage: str, answer: str) -> None:
    assert [found.value for found in ungrounded_numbers(answer, passage)] == []


@pytest.mark.parametrize(("passage", "answer", "values"), ADDED)
def test_what_the_passage_does_not_say_is_found(passage: str, answer: str, values: list[str]) -> None:
    assert [found.value for found in ungrounded_numbers(answer, passage)] == values


def test_a_number_of_the_question_is_held_too() -> None:
    assert ungrounded_numbers("Yes, 5 mg is safe.", "It is safe.", "Is a dose of 5 mg safe?") == []


def test_the_span_leads_to_the_place_in_the_answer() -> None:
    answer = "Take it – 5 µg at first, then 10 µg."
    (found,) = ungrounded_numbers(answer, "Start with 5 mcg.")
    assert (found.kind, found.text, answer[found.start :]) == ("dose", "10 µg", "10 µg.")


# --- properties ------------------------------------------------------------------------------------------------------

PIECES = ["5", "10", "1,000", "2.5", "½", "five", "-", "–", " to ", " and ", ", ", "/", ":", " in ", " per ", " x 10^9"]
PIECES += [" mg", "mg/kg", "%", " percent", " hours", " times a day", " units", "°C", " F", "/L", "100,000", " ", "\n"]
PIECES += ["(mg)", "pH ", "BMI of ", "120/80", "aged ", " old", ".", "1 in 5", "million ", "half a "]
PIECES += ["(C) ", "(second)", "/", " Per ", " a ", "DAY", "hrs", "C", "F", *UNITS, *(f"({unit})" for unit in UNITS)]
MIXED = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=60)


@given(MIXED, MIXED)
def test_any_text_is_read_and_spans_are_in_order(answer: str, passage: str) -> None:
    found = quantities(answer)
    places = [(each.start, each.end) for each in found]
    assert places == sorted(places)
    assert all(left[1] <= right[0] for left, right in pairwise(places))
    assert all(each in found for each in ungrounded_numbers(answer, passage))


@given(MIXED)
def test_a_text_holds_its_own_numbers(text: str) -> None:
    assert ungrounded_numbers(text, text) == []


@pytest.mark.parametrize("piece", ["1, ", "1,", "5 mg/kg", "5 million ", "1:1 ", "1 in ", "half a ", "9", "(mg) 5 "])
def test_hostile_repetition_costs_no_more_than_its_length(piece: str) -> None:
    text = piece * (40_000 // len(piece))
    assert isinstance(ungrounded_numbers(text, "5 mg"), list)
    assert len(ungrounded_numbers("7 g", text)) == 1


# --- real passages ---------------------------------------------------------------------------------------------------

DATA = Path(os.environ.get("FINEMED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "corpus_medquad.parquet").exists(), reason="no real data")
def test_sentences_of_a_real_passage_are_held_by_it_and_rarely_by_another() -> None:
    import polars as pl

    texts = [
        t for t in pl.read_parquet(DATA / "corpus_medquad.parquet")["text"].to_list()[:1500] if t and quantities(t)
    ]
    own = [
        found for text in texts for start, end in sentences(text) for found in ungrounded_numbers(text[start:end], text)
    ]
    assert own == []
    found = [len(ungrounded_numbers(text, other)) for text, other in pairwise(texts)]
    assert sum(found) > 0.3 * sum(len(quantities(text)) for text in texts[:-1])


# --- at the judge of the answers -------------------------------------------------------------------------------------


def judged_answers(drop: bool, **values: Any) -> tuple[Outcome, Scripted]:
    scores = json.dumps({"rationale": "r", "grounded": 8, "correct": 8, "complete": 8, "safe": 8})
    backend = Scripted(lambda request: scores)
    stage = JudgeAnswersStage(JudgeAnswersConfig(drop_ungrounded_numbers=drop), backend)
    return run_stage(stage, Response, [response(text="Give 5 mg of prednisolone daily.", **values)]), backend


def test_a_written_answer_with_a_strange_dose_is_dropped_before_it_is_paid_for() -> None:
    outcome, backend = judged_answers(True, response="Give 50 mg of prednisolone daily.")
    assert outcome.dropped.rows() == [("r1", "ungrounded_number", "50 mg")]
    assert backend.asked == []


def test_a_dose_of_the_passage_or_of_an_extract_or_without_a_passage_stays() -> None:
    assert judged_answers(True, response="Give 5 mg daily.")[0].kept.height == 1
    assert judged_answers(True, response="Give 50 mg daily.", extractive=True)[0].kept.height == 1
    brought = {"given_instruction": "How much?", "given_response": "Give 50 mg daily."}
    assert judged_answers(True, response="Give 50 mg daily.", **brought)[0].kept.height == 1


def test_where_they_may_pass_the_row_names_the_quantities() -> None:
    outcome, backend = judged_answers(False, response="Give 50 mg, in 40% of cases 50 mg again.")
    assert outcome.kept["ungrounded_numbers"].to_list() == ["50 mg; 40 %"]
    assert len(backend.asked) == 1
