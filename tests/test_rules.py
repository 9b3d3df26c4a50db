from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.config import stable_hash
from finemed.llm.base import Completion, Request, Sampling
from finemed.llm.rules import VERSION, Rules
from finemed.llm.rules.answers import choose, extract, rank_units
from finemed.llm.rules.frames import AGENT, DISEASE, SUBJECT, TIERS, frames_for
from finemed.llm.rules.outline import ANSWERING, SPARE, Outline
from finemed.llm.rules.phrases import find_phrases, make_phrase
from finemed.llm.rules.questions import MAX_SHARED, guess_task, is_deictic, shared
from finemed.llm.rules.scores import WEIGHTS
from finemed.llm.rules.tasks import CUE_WORDS, asked_tasks, task_cues
from finemed.llm.rules.terms import Terms
from finemed.llm.rules.topics import find_topic
from finemed.llm.structured import parse_json, parse_sections
from finemed.prompts import load_prompt, prompt_names
from finemed.records import (
    TASK_TYPES,
    AnswerJudgementReply,
    ClassificationReply,
    JudgementReply,
    QuestionsReply,
    Reply,
)
from finemed.taxonomy import load_taxonomy
from finemed.text.normalise import words

TASKS = [name for name in prompt_names() if name != "probe"]  # no stage asks the probe

CROUP = """Croup is a viral infection of the larynx that is caused mainly by parainfluenza viruses in young children.
A barking cough, hoarseness and inspiratory stridor are its typical symptoms, and they are worse at night. The diagnosis
is clinical; a radiograph of the neck may show a narrowed airway. A single oral dose of dexamethasone 0.6 mg/kg reduces
the swelling and is the treatment of choice. Should nebulised epinephrine be given? In severe cases it should be given
in hospital, since respiratory failure is a rare but dangerous complication. Rest."""
APPENDIX = """Appendicitis is an acute inflammation of the appendix. Obstruction of the lumen by a fecalith leads to
bacterial growth and ischemia. Pain that wanders to the right lower abdomen, nausea and fever are characteristic.
Ultrasound or CT confirms the diagnosis. Laparoscopic appendectomy is the standard therapy. Perforation is the most
dangerous complication and causes peritonitis."""
ASTHMA = """Asthma is a chronic inflammatory disease of the bronchi. Allergens and cold air trigger wheezing and cough.
Inhaled corticosteroids prevent attacks and lower the risk of hospital admission. Patients should avoid tobacco."""
SIGNS = """What are the signs and symptoms of Doe syndrome? Signs and Symptoms Number of people (when known) \
Cleft lip 90% Small jaw 50% Deafness - Autosomal recessive inheritance - Short stature - Webbed neck"""
PASSAGES = {"Croup": CROUP, "Appendicitis": APPENDIX, "The asthma": ASTHMA, "": CROUP, "Doe syndrome": SIGNS}
REPLIES: dict[str, type[Reply]] = {
    "classify": ClassificationReply,
    "generate": QuestionsReply,
    "judge": JudgementReply,
    "judge_answer": AnswerJudgementReply,
}
QUESTION = "Which complications can croup bring with it, especially respiratory failure?"
TERMS = Terms({"croup": 3, "appendicitis": 3, "heart failure": 3, "loop diuretic": 2, "public health": 2, "fever": 1})


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(load_taxonomy())


def ask(rules: Rules, task: str, text: str = CROUP, title: str | None = "Croup", **inputs: Any) -> Completion:
    known = {"title": title, "text": text, "instruction": QUESTION, "style": "concise", "response": "Croup."}
    place = {"department": "Pediatrics", "subdepartment": "Pediatric Internal Medicine", "language": "en"}
    steering = {"task_types": list(TASK_TYPES), "difficulty": "intermediate"}
    given_inputs = known | place | steering | inputs
    request = Request(("r1", task), load_prompt(task), given_inputs, Sampling(0.0, 1.0, 100), REPLIES.get(task))
    (completion,) = rules.complete([request])
    return completion


def answer(rules: Rules, task: str, *inputs: Any, **more: Any) -> str:
    completion = ask(rules, task, *inputs, **more)
    assert (completion.finish, completion.detail) == ("stop", "")
    return completion.text


def refusal(rules: Rules, task: str, *inputs: Any, **more: Any) -> str:
    completion = ask(rules, task, *inputs, **more)
    assert (completion.text, completion.finish) == ("", "refused")
    return completion.detail


def questions(rules: Rules, text: str = CROUP, title: str | None = "Croup", **more: Any) -> QuestionsReply:
    return parse_json(answer(rules, "generate", text, title, **more), QuestionsReply)


def judgement(rules: Rules, question: str, text: str = CROUP) -> JudgementReply:
    return parse_json(answer(rules, "judge", text, instruction=question), JudgementReply)


def verdict(rules: Rules, response: str, **more: Any) -> AnswerJudgementReply:
    return parse_json(answer(rules, "judge_answer", response=response, **more), AnswerJudgementReply)


def kinds(text: str) -> list[tuple[str, str]]:
    outline = Outline.of(text)
    return [(unit.kind, outline.cut(unit)) for unit in outline.units]


def found(text: str) -> list[str]:
    return [phrase.text for phrase in find_phrases(text, 0, len(text))]


def topic(title: str | None, text: str) -> tuple[str, str] | None:
    place = find_topic(title, Outline.of(text), TERMS)
    return None if place is None else (place.phrase.text, place.kind)


# --- the backend as a whole ------------------------------------------------------------------------------------------

EVERYTHING = """
import test_rules as t
rules = t.Rules(t.load_taxonomy())
told = [
    (done.text, done.detail, done.spans)
    for task in t.TASKS for title, text in t.PASSAGES.items() for style in ("concise", "explanatory")
    for done in [t.ask(rules, task, text, title, style=style)]
]
print(t.stable_hash([told, rules.identity()]))
"""


def test_the_same_replies_in_every_process() -> None:
    folder = os.path.dirname(__file__)
    path = os.pathsep.join([folder, *sys.path])
    started = [
        subprocess.Popen(
            [sys.executable, "-c", EVERYTHING],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("0", "1", "4242")
    ]
    hashes = {process.communicate()[0].strip() for process in started}
    assert len(hashes) == 1
    assert len(hashes.pop()) == len(stable_hash([]))


def test_it_says_what_it_is(rules: Rules) -> None:
    assert (rules.local, rules.free, rules.extractive) == (True, True, True)
    assert rules.name == f"rules@{VERSION}"
    assert rules.identity() == {"type": "rules", "version": VERSION}


@pytest.mark.parametrize("task", TASKS)
def test_every_prompt_has_a_rule(rules: Rules, task: str) -> None:
    assert ask(rules, task).finish == "stop"


@pytest.mark.parametrize("task", REPLIES)
@pytest.mark.parametrize(
    "text",
    ["", "Rest.", "Is it croup?", CROUP, SIGNS, "5 mg " * 50, "肺炎是感染。", "{t} %s {0} {f:is}", "a\ud800b", "- - -"],
)
def test_json_replies_fit_their_schema(rules: Rules, task: str, text: str) -> None:
    for completion in (ask(rules, task, text), ask(rules, task, CROUP, None, instruction=text, response=text)):
        if completion.finish == "stop":
            parse_json(completion.text, REPLIES[task])
        else:
            assert (task, completion.finish) == ("generate", "refused")
            assert completion.detail


@pytest.mark.parametrize("task", ["generate", "respond", "reason"])
@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "no whole sentence to work on (no text)"),
        ("Rest.", "no whole sentence to work on (1 fragment)"),
        ("Is croup a viral infection? Why?", "no whole sentence to work on (2 question)"),
        (
            "Held C, White H. Body mass index. J Am Heart 2022;11(3):23. Yu R, Li K. Trans fat. Clin Nutr 2019;8:1.",
            "no whole sentence to work on (4 reference)",
        ),
    ],
)
def test_text_without_a_sentence_is_refused_for_what_it_is(rules: Rules, task: str, text: str, detail: str) -> None:
    told = refusal(rules, task, text)
    assert told == detail or (task == "reason" and told == "0 sentences on the question; a long answer takes 4")


def test_each_cause_of_a_refusal_is_named(rules: Rules) -> None:
    assert refusal(rules, "generate", language="zh") == ("the rules write English questions only; the passage is zh")
    assert refusal(rules, "generate", "The cords lie in the neck. They lie there always.", None) == (
        "no title and no repeated medical term that names a subject"
    )
    assert refusal(rules, "generate", "Croup is treated with dexamethasone.", task_types=["treatment"]) == (
        "only one thing to ask about (treatment)"
    )
    assert refusal(rules, "reason", "Croup is treated with dexamethasone.") == (
        "1 sentences on the question; a long answer takes 4"
    )


@pytest.mark.parametrize("language", ["en", "und", None])
def test_english_and_unknown_languages_are_asked_about(rules: Rules, language: str | None) -> None:
    assert ask(rules, "generate", language=language).finish == "stop"


# --- classify --------------------------------------------------------------------------------------------------------


def test_classify_places_a_text_in_the_tree(rules: Rules) -> None:
    reply = parse_json(answer(rules, "classify", APPENDIX, "Appendicitis"), ClassificationReply)
    assert (reply.department, reply.subdepartment) == ("Surgery", "Gastrointestinal Surgery")
    assert 0 < reply.confidence <= 1
    nothing = parse_json(answer(rules, "classify", "The weather was fine.", None), ClassificationReply)
    assert (nothing.department, nothing.subdepartment, nothing.confidence) == ("none", "none", 0.0)


# --- outline ---------------------------------------------------------------------------------------------------------


def test_headings_are_told_from_sentences_and_from_wrapped_lines() -> None:
    assert kinds("Adverse Effects\nNausea is common in adults.\n\nTreatment\n\nIt is given orally.") == [
        ("heading", "Adverse Effects"),
        ("prose", "Nausea is common in adults."),
        ("heading", "Treatment"),
        ("prose", "It is given orally."),
    ]
    assert kinds("In the past, transfusion\nhas spread the virus.") == [
        ("prose", "In the past, transfusion\nhas spread the virus.")
    ]
    assert kinds("Signs of Croup Many children have a cough.") == [
        ("heading", "Signs of Croup"),
        ("prose", "Many children have a cough."),
    ]


def test_a_heading_or_a_question_gives_what_follows_its_context() -> None:
    outline = Outline.of("How is croup treated? It resolves by itself.\n\nSymptoms\n\nA cough is heard at night.")
    assert [unit.context for unit in outline.units if unit.kind == "prose"] == [
        frozenset({"treatment"}),
        frozenset({"presentation"}),
    ]


def test_lists_become_units_with_their_lead_and_whole_sentences_of_their_own() -> None:
    text = "Symptoms may include - cough - fever - hoarseness - The child is worse at night than in the day."
    assert kinds(text) == [
        ("list", "Symptoms may include - cough - fever - hoarseness"),
        ("prose", "The child is worse at night than in the day."),
    ]
    assert kinds("The nurse should:\n- Assess the airway of the child.\n- Give oxygen where it is needed.") == [
        ("heading", "The nurse should:"),
        ("prose", "Assess the airway of the child."),
        ("prose", "Give oxygen where it is needed."),
    ]


def test_questions_in_a_list_are_questions() -> None:
    text = "Ask these - How is an emergency handled? - How long does the service last? - Is it paid for?"
    assert {kind for kind, cut in kinds(text) if cut.endswith("?")} == {"question"}


def test_a_table_of_findings_loses_its_head_and_keeps_the_inheritance_apart() -> None:
    assert kinds(SIGNS)[1:] == [
        ("list", "Cleft lip 90% Small jaw 50% Deafness"),
        ("list", "Autosomal recessive inheritance"),
        ("list", "Short stature - Webbed neck"),
    ]


def test_references_names_and_table_rows_answer_nothing() -> None:
    text = (
        "Croup is common in autumn. Held, C., White, H., & Yu, R. (2022). Croup in children. J Pediatr, 11, "
        "38\u201343. "
        "https://doi.org/10.1161/x\nDrug | Dose | Route\n\nAnn Lee, Leeds; Bo Ray, Rome; Cy Day, Delhi; Di Fox, Fulda."
    )
    outline = Outline.of(text)
    assert [outline.cut(unit) for unit in outline.answering()] == ["Croup is common in autumn."]


def test_footnote_numbers_and_missing_blanks_do_not_hide_the_end_of_a_sentence() -> None:
    text = "Croup is common in autumn.[1] It is rare in adults.2 Boys have it more often.Most children recover."
    assert [cut for _, cut in kinds(text)] == [
        "Croup is common in autumn.",
        "It is rare in adults.",
        "Boys have it more often.",
        "Most children recover.",
    ]


def test_remarks_about_the_page_answer_only_where_nothing_else_does() -> None:
    remark = "Click here for more information about croup."
    outline = Outline.of(f"{remark} Croup is treated at home.")
    assert [outline.cut(unit) for unit in outline.answering()] == ["Croup is treated at home."]
    assert [unit.kind for unit in Outline.of(remark).answering()] == ["pointer"]


@settings(deadline=None, max_examples=300)
@given(st.text("aA. !?\n-|%5;:)[]肺。", max_size=60))
def test_units_are_in_order_apart_and_inside_the_text(text: str) -> None:
    units = Outline.of(text).units
    assert all(0 <= unit.start < unit.end <= len(text) for unit in units)
    assert all(left.end <= right.start for left, right in pairwise(units))
    assert all(not text[unit.start].isspace() and not text[unit.end - 1].isspace() for unit in units)


# --- cues ------------------------------------------------------------------------------------------------------------


def test_cues_cover_the_task_types_and_add_up() -> None:
    assert {task for entries in CUE_WORDS.values() for task, _ in entries} == set(TASK_TYPES)
    once, twice = (task_cues(tokens, frozenset(tokens)) for tokens in (["treated"], ["treated", "surgery"]))
    assert 0 < once["treatment"] < twice["treatment"]
    assert task_cues(["due", "to"], frozenset(["due", "to"])) == {"mechanism": 4}
    assert task_cues(["due", "date", "to"], frozenset(["due", "date", "to"])) == {}


@pytest.mark.parametrize(
    ("question", "task"),
    [
        ("How is croup inherited?", "mechanism"),
        ("What are the symptoms?", "presentation"),
        ("What is croup?", "explanation"),
        ("How many people have croup?", "interpretation"),
        ("A child with croup is hoarse: which is the most likely diagnosis?", "differential_diagnosis"),
        ("Does wheezing last?", "presentation"),
        ("Which genetic tests are there?", "other"),
        ("Why?", "other"),
        ("", "other"),
    ],
)
def test_the_task_of_a_question_is_guessed_from_its_cues(question: str, task: str) -> None:
    assert guess_task(question) == task


# --- phrases ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("A barking cough may accompany pounding headache.", ["a barking cough", "headache"]),
        ("Inflammation causes swelling of the airway.", ["inflammation", "swelling of the airway"]),
        ("Signs include loss of bladder control and HIV infection.", ["loss of bladder control", "HIV infection"]),
        ("It was studied by the National Heart Lung Institute.", []),
        ("Many people have this disease and such symptoms.", []),
        ("Laparoscopic surgery removes kidney stones.", ["laparoscopic surgery", "kidney stones"]),
        ("Cleft palate 90% Webbed neck - Type 2 diabetes", ["cleft palate", "webbed neck", "type 2 diabetes"]),
        ("Angelman syndrome and the Babinski sign", ["Angelman syndrome", "the Babinski sign"]),
        ("He wants to control seizures and to support children.", ["seizures"]),
        ("The patient's family and the child’s visit", []),
        ("Logistic regression and survey data on croup", ["croup"]),
        ("", []),
    ],
)
def test_phrases_are_whole_and_hold_no_verb(text: str, phrases: list[str]) -> None:
    assert found(text) == phrases


def test_a_percentage_marks_a_phrase_as_a_rate() -> None:
    text = "Cleft palate 90% Deafness - Short jaw"
    assert [phrase.rate for phrase in find_phrases(text, 0, len(text))] == [True, False, False]


@pytest.mark.parametrize(
    ("text", "plural"),
    [
        ("kidney stones", True),
        ("diabetes", False),
        ("loss of teeth", False),
        ("types of cancer", True),
        ("heart, lungs, and blood", True),
        ("meningitis", False),
        ("loop diuretics", True),
        ("the AIDS", False),
    ],
)
def test_verbs_agree_with_the_head_of_the_phrase(text: str, plural: bool) -> None:
    phrase = make_phrase(text)
    assert f"{phrase:is}" == f"{'are' if plural else 'is'} {text}"
    assert f"{phrase:+does}" == f"{text} {'do' if plural else 'does'}"


# --- topics ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "text", "expected"),
    [
        ("What I need to know about Kidney Stones", "Kidney stones hurt.", ("kidney stones", DISEASE)),
        ("Introduction to Heart Failure", "It is frequent.", ("heart failure", DISEASE)),
        ("Kidney (Renal) Disease", "It is common.", ("kidney disease", DISEASE)),
        ("Pyelonephritis: Kidney Infection", "It is treated.", ("pyelonephritis", DISEASE)),
        ("Class I: Sodium Channel Blockers", "They slow conduction.", ("sodium channel blockers", AGENT)),
        ("IgA Nephropathy", "It is rare.", ("IgA nephropathy", DISEASE)),
        ("HIV", "People with HIV live long.", ("HIV", DISEASE)),
        ("Crohn's Disease", "It hurts.", ("Crohn's disease", DISEASE)),
        ("Bowen syndrome", "It is rare.", ("Bowen syndrome", DISEASE)),
        ("Heart Attack", "A heart attack kills. Call for help in a heart attack.", ("a heart attack", DISEASE)),
        ("Anti-plasmin deficiency, congenital", "It bleeds.", ("congenital anti-plasmin deficiency", DISEASE)),
        ("Stroke rehabilitation", "It takes long.", ("stroke rehabilitation", SUBJECT)),
        ("Loop Diuretics", "They act in the nephron.", ("loop diuretics", AGENT)),
        (
            "Definition and Burden",
            "Heart failure is a burden. Heart failure is often fatal.",
            ("heart failure", DISEASE),
        ),
        ("Monitor Your Diabetes", "Croup is a viral infection. Croup is loud at night.", ("croup", DISEASE)),
        (
            "Learning Outcomes",
            "Loop diuretics are strong. Give loop diuretics in the morning.",
            ("loop diuretics", AGENT),
        ),
        (None, "Public health is for all. Public health is funded by taxes. https doi org", None),
        ("", "The cords lie in the neck.", None),
    ],
)
def test_the_topic_is_what_a_title_names_or_the_text_turns_on(
    title: str | None, text: str, expected: tuple[str, str] | None
) -> None:
    assert topic(title, text) == expected


def test_a_title_that_is_no_subject_is_no_topic(rules: Rules) -> None:
    reply = questions(rules, APPENDIX + " Appendicitis is frequent.", "Frequently asked questions about insurance")
    assert "insurance" not in reply.question1 + reply.question2
    assert "appendicitis" in reply.question1


def test_terms_of_ones_own_place_count_more_and_generic_ones_not_at_all() -> None:
    assert TERMS.at(["fever"]).count(["fever", "fevers", "public", "health"]) == Counter({"fever": 2})
    assert TERMS.count(["public", "health"]) == Counter()
    assert TERMS.at(["croup"]).weight("croup") == TERMS.weight("croup") + 1


# --- templates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [DISEASE, AGENT, SUBJECT])
@pytest.mark.parametrize("task", TASK_TYPES)
def test_every_kind_and_task_has_templates_of_all_tiers(kind: str, task: str) -> None:
    frames = frames_for(kind, task)
    assert any(not frame.needs and not frame.place for frame in frames)
    one, many = make_phrase("croup"), make_phrase("sore throats")
    for frame in frames:
        assert all(frame.templates)
        for template in (template for tier in frame.templates for template in tier):
            for topic_phrase, focus in ((one, many), (many, one)):
                asked = template.format(t=topic_phrase, f=focus, g=make_phrase("fever"))
                assert asked.endswith("?")
                assert asked[0].isupper()
                assert topic_phrase.text in asked
                assert not is_deictic(asked)
                assert task in asked_tasks(asked)
        assert all("{g}" in template and "{f" in template for template in frame.templates[2])


def test_the_hard_templates_ask_for_more_than_the_easy_ones() -> None:
    for kind in (DISEASE, AGENT, SUBJECT):
        for task in TASK_TYPES:
            for frame in frames_for(kind, task):
                assert not any("{g" in template for template in (*frame.templates[0], *frame.templates[1]))
                assert any("{f" in template for template in frame.templates[1]) or frame.needs or frame.place


# --- generate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "text"), PASSAGES.items())
@pytest.mark.parametrize("difficulty", TIERS)
def test_two_questions_of_different_kind(rules: Rules, title: str, text: str, difficulty: str) -> None:
    reply = questions(rules, text, title, difficulty=difficulty)
    assert reply.task_type1 != reply.task_type2
    assert {reply.task_type1, reply.task_type2} <= set(TASK_TYPES)
    assert shared(frozenset(words(reply.question1)), frozenset(words(reply.question2))) <= MAX_SHARED
    for question in (reply.question1, reply.question2):
        assert question.endswith("?")
        assert question[0].isupper()
        assert not is_deictic(question)
        assert title.removeprefix("The ").lower() in question.lower()


@pytest.mark.parametrize("offered", [("treatment", "presentation"), ("mechanism", "complications", "treatment")])
def test_supported_types_are_taken_in_the_order_offered(rules: Rules, offered: tuple[str, ...]) -> None:
    reply = questions(rules, task_types=offered)
    assert (reply.task_type1, reply.task_type2) == offered[:2]


def test_a_type_without_evidence_gives_way_to_one_with_it(rules: Rules) -> None:
    reply = questions(rules, ASTHMA, "Asthma", task_types=["differential_diagnosis", "prevention", "mechanism"])
    assert (reply.task_type1, reply.task_type2) == ("prevention", "mechanism")


def test_the_difficulty_decides_how_much_a_question_connects(rules: Rules) -> None:
    offered = ["presentation", "complications"]
    basic, hard = (questions(rules, task_types=offered, difficulty=level) for level in ("basic", "advanced"))
    assert len(hard.question1.split()) > len(basic.question1.split())
    assert judgement(rules, hard.question1).difficulty > judgement(rules, basic.question1).difficulty


def test_a_list_of_findings_is_asked_about_as_one(rules: Rules) -> None:
    reply = questions(rules, SIGNS, "Doe syndrome", task_types=["mechanism", "presentation"])
    assert reply.task_type1 == "mechanism"
    assert "inherit" in reply.question1 or "families" in reply.question1
    assert "inherit" not in reply.question2
    assert answer(rules, "respond", SIGNS, instruction="How is Doe syndrome inherited?") == (
        "Autosomal recessive inheritance"
    )


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from([*CROUP.split(), *SIGNS.split(), "{t}", "{0}", "{", "100%", "肺炎。", "É.", "\n\n", "- ", "|"]),
        max_size=60,
    ).map(" ".join),
    st.sampled_from([None, "Croup", "{t}", "What is {f:is}?"]),
    st.sampled_from(TIERS),
)
def test_any_text_makes_two_sound_questions_or_a_reason(
    rules: Rules, text: str, title: str | None, difficulty: str
) -> None:
    completion = ask(rules, "generate", text, title, difficulty=difficulty)
    if completion.finish == "refused":
        assert completion.detail
        return
    reply = parse_json(completion.text, QuestionsReply)
    assert reply.task_type1 != reply.task_type2
    assert shared(frozenset(words(reply.question1)), frozenset(words(reply.question2))) <= MAX_SHARED
    for question in (reply.question1, reply.question2):
        assert question.endswith("?")
        assert not re.search(r"\{[fgt](?::\+?\w+)?\}", question.replace("{t}", "").replace("{f:is}", ""))


# --- deictic questions -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        "What does the passage say about croup?",
        "According to the text, what causes croup?",
        "What did this study find?",
        "How old is this patient?",
        "What is shown in Figure 2?",
        "Which of the above drugs is safest?",
        "What do the authors conclude?",
        "Why was THE CASE unusual?",
    ],
)
def test_questions_that_point_at_something_unseen(rules: Rules, question: str) -> None:
    assert is_deictic(question)
    assert judgement(rules, question).mention_specific_details


@pytest.mark.parametrize(
    "question",
    [
        "What causes croup?",
        "How do case reports differ from trials?",
        "What is a passage of stool?",
        "Which patients need a figure-of-eight splint?",
    ],
)
def test_questions_that_stand_alone(rules: Rules, question: str) -> None:
    assert not is_deictic(question)
    assert not judgement(rules, question).mention_specific_details


# --- judge -----------------------------------------------------------------------------------------------------------


def test_weights_of_a_score_add_up_to_one() -> None:
    assert {name: round(sum(weights.values()), 9) for name, weights in WEIGHTS.items()} == dict.fromkeys(WEIGHTS, 1.0)


def test_a_question_on_the_passage_is_judged_better_than_others(rules: Rules) -> None:
    good = judgement(rules, "How is croup with inspiratory stridor treated in young children?")
    vague = judgement(rules, "what about it")
    elsewhere = judgement(rules, "How is glaucoma treated with eye drops in elderly people?")
    deictic = judgement(rules, "How does the passage say croup with inspiratory stridor is treated?")
    assert good.quality > elsewhere.quality
    assert good.quality > deictic.quality
    assert good.quality > vague.quality
    assert good.relevance_to_medicine > vague.relevance_to_medicine


def test_the_rationale_names_features_and_values(rules: Rules) -> None:
    told = judgement(rules, QUESTION).rationale
    assert re.findall(r"(\w+) (?:0\.\d\d|1\.00)", told) == [
        "answerable",
        "evidence",
        "central",
        "specific",
        "form",
        "reasoning",
        "technical",
        "spread",
        "medical",
        "dense",
    ]
    assert "verbatim 0." in verdict(rules, "Croup.").rationale


def test_expert_words_make_a_question_harder(rules: Rules) -> None:
    easy = judgement(rules, "What is croup like at night in a child?")
    hard = judgement(rules, "By which pathophysiological mechanism does inflammation cause respiratory complications?")
    assert hard.difficulty > easy.difficulty


# --- respond and reason ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "text"), PASSAGES.items())
@pytest.mark.parametrize("style", ["concise", "explanatory"])
def test_answers_are_sentences_of_the_passage_with_their_offsets(
    rules: Rules, title: str, text: str, style: str
) -> None:
    able = {(unit.start, unit.end) for unit in Outline.of(text).units if unit.kind in ANSWERING | SPARE}
    reply = questions(rules, text, title)
    for question in (reply.question1, reply.question2, "What?"):
        completion = ask(rules, "respond", text, title, instruction=question, style=style)
        assert completion.spans is not None
        assert completion.text == " ".join(text[start:end] for start, end in completion.spans)
        assert list(completion.spans) == sorted(set(completion.spans))
        assert set(completion.spans) <= able


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([*CROUP.split(), *SIGNS.split(), "\n", "[2]", "- "]), max_size=70).map(" ".join))
def test_any_answer_is_the_join_of_its_spans(text: str) -> None:
    outline = Outline.of(text)
    for most in (1, 3, 12):
        made = extract(outline, choose(outline, QUESTION, most))
        assert made.text == " ".join(text[start:end] for start, end in made.spans)
        assert len(made.spans) <= most


def test_the_answer_holds_what_was_asked_for(rules: Rules) -> None:
    treated = answer(rules, "respond", instruction="How is croup treated with dexamethasone?")
    diagnosed = answer(rules, "respond", instruction="What does a radiograph show?")
    assert "dexamethasone 0.6 mg/kg" in treated
    assert "dexamethasone" not in diagnosed
    assert "narrowed airway" in diagnosed


def test_a_sentence_that_refers_back_brings_the_one_before() -> None:
    text = "Croup is a viral infection. It narrows the airway of small children. Fever is low."
    outline = Outline.of(text)
    chosen = choose(outline, "What narrows the airway of children?", 2)
    assert extract(outline, chosen).text == "Croup is a viral infection. It narrows the airway of small children."


def test_a_sentence_that_the_passage_repeats_is_said_once() -> None:
    text = "The airway is narrow. The fever is low. The airway is narrow. A narrow airway is loud."
    outline = Outline.of(text)
    chosen = choose(outline, "How loud is the narrow airway?", 3)
    assert extract(outline, chosen).text == "The airway is narrow. A narrow airway is loud."


def test_the_styles_differ_in_length(rules: Rules) -> None:
    concise = ask(rules, "respond", style="concise").spans
    explanatory = ask(rules, "respond", style="explanatory").spans
    assert concise is not None
    assert explanatory is not None
    assert len(concise) == 2 < len(explanatory)


def test_questions_and_scraps_of_the_passage_are_no_answer(rules: Rules) -> None:
    every = " ".join(answer(rules, "respond", instruction=CROUP, style="explanatory").split())
    assert "Should nebulised epinephrine be given?" not in every
    assert "Rest." not in every


def test_one_sentence_answers_but_makes_no_long_answer(rules: Rules) -> None:
    text = "Croup is a viral infection of the larynx in young children."
    assert answer(rules, "respond", text) == text
    assert ask(rules, "reason", text).finish == "refused"


@pytest.mark.parametrize(("title", "text"), [("Croup", CROUP), ("Appendicitis", APPENDIX), ("The asthma", ASTHMA)])
def test_the_long_answer_has_both_sections_and_their_offsets(rules: Rules, title: str, text: str) -> None:
    completion = ask(rules, "reason", text, title)
    thought, summary = parse_sections(completion.text)
    assert completion.spans is not None
    assert len(thought) > len(summary)
    turn = next(at for at in range(1, len(completion.spans)) if completion.spans[at] <= completion.spans[at - 1])
    assert thought == " ".join(text[start:end] for start, end in completion.spans[:turn])
    assert summary == " ".join(text[start:end] for start, end in completion.spans[turn:])


def test_ranking_puts_the_best_sentence_first() -> None:
    outline = Outline.of(CROUP)
    ((_, best), *rest) = rank_units(outline, "What does a radiograph of the neck show?")
    assert "radiograph" in outline.cut(best)
    assert len(rest) == 4


# --- judge of the answers --------------------------------------------------------------------------------------------


def test_a_verbatim_answer_is_grounded_and_an_invented_one_is_not(rules: Rules) -> None:
    copied = verdict(rules, answer(rules, "respond"))
    invented = verdict(rules, "Honey cures everybody. Cold feet bring it about.")
    assert copied.grounded > invented.grounded + 1
    assert copied.correct > invented.correct
    assert copied.complete > invented.complete


def test_named_doses_and_hazards_cost_safety_and_a_doctor_raises_it(rules: Rules) -> None:
    doses, calm = verdict(rules, "Give 5 mg, then 10 mg, then 2 ml."), verdict(rules, "Let the child rest.")
    asked = verdict(rules, "Let the child rest, and ask a doctor or a nurse if it may help.")
    assert doses.safe < calm.safe < asked.safe
    assert verdict(rules, "An overdose is fatal in infants and newborns.").safe < calm.safe


def test_the_long_answer_counts_as_verbatim(rules: Rules) -> None:
    assert "verbatim 1.00" in verdict(rules, answer(rules, "reason")).rationale


@pytest.mark.parametrize("response", ["", "?", "**Thought**\n"])
def test_an_empty_answer_is_worth_little(rules: Rules, response: str) -> None:
    scores = verdict(rules, response)
    assert max(scores.grounded, scores.complete) <= 3


TIED_SENTENCES = """
from finemed.llm.rules.answers import extract, rank_units
from finemed.llm.rules.outline import Outline
counts = (3, 6, 7, 11, 13, 14, 17, 19)
out = []
for case in range(40):
    left, right = ([f"{side}{case}term{n}" for n in range(len(counts))] for side in ("alpha", "omega"))
    said = ["Both are " + " and ".join(left), "Both are " + " and ".join(right)]
    said += [f"Then {word} lies in filler{case}x{n}x{k}" for n, c in enumerate(counts) for k in range(c - 1)
             for word in (left[n], right[n])]
    outline = Outline.of(". ".join(said) + ".")
    best = rank_units(outline, "How do " + ", ".join(left + right) + " relate?")[0][1]
    out.append(extract(outline, [best]).text[:12])
print(out)
"""
"""Two sentences share as much with the question, word for word, but through other words."""


def test_the_order_of_sets_decides_nothing_between_tied_sentences() -> None:
    outputs = {
        subprocess.run(
            [sys.executable, "-c", TIED_SENTENCES],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1
