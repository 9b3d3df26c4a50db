from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.config import stable_hash
from finemed.llm.base import Completion, Request, Sampling
from finemed.llm.questions import CUES, TEMPLATES, Outline, build_questions, is_deictic, rank_sentences
from finemed.llm.rules import Rules
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
from finemed.text.segment import sentences

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
PASSAGES = {"Croup": CROUP, "Appendicitis": APPENDIX, "The asthma": ASTHMA, "": CROUP}
REPLIES: dict[str, type[Reply]] = {
    "classify": ClassificationReply,
    "generate": QuestionsReply,
    "judge": JudgementReply,
    "judge_answer": AnswerJudgementReply,
}
QUESTION = "Which complications can croup bring with it, especially respiratory failure?"


@pytest.fixture(scope="module")
def rules() -> Rules:
    return Rules(load_taxonomy())


def ask(rules: Rules, task: str, text: str = CROUP, title: str | None = "Croup", **inputs: Any) -> Completion:
    known = {"title": title, "text": text, "instruction": QUESTION, "style": "concise", "response": "Croup."}
    request = Request(("r1", task), load_prompt(task), known | inputs, Sampling(0.0, 1.0, 100), REPLIES.get(task))
    (completion,) = rules.complete([request])
    return completion


def answer(rules: Rules, task: str, *inputs: Any, **more: Any) -> str:
    completion = ask(rules, task, *inputs, **more)
    assert (completion.finish, completion.detail) == ("stop", "")
    return completion.text


def questions(rules: Rules, text: str = CROUP, title: str | None = "Croup") -> QuestionsReply:
    return parse_json(answer(rules, "generate", text, title), QuestionsReply)


def judgement(rules: Rules, question: str, text: str = CROUP) -> JudgementReply:
    return parse_json(answer(rules, "judge", text, instruction=question), JudgementReply)


def verdict(rules: Rules, response: str) -> AnswerJudgementReply:
    return parse_json(answer(rules, "judge_answer", response=response), AnswerJudgementReply)


# --- the backend as a whole ------------------------------------------------------------------------------------------

EVERYTHING = """
import json
import test_rules as t
from finemed.llm.rules import Rules
from finemed.taxonomy import load_taxonomy
rules = Rules(load_taxonomy())
told = [
    t.ask(rules, task, text, title, style=style).text
    for task in t.TASKS for title, text in t.PASSAGES.items() for style in ("concise", "explanatory")
]
print(t.stable_hash([told, rules.identity()]))
"""


def test_the_same_answers_in_every_process(rules: Rules) -> None:
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
    here = [
        ask(rules, task, text, title, style=style).text
        for task in TASKS
        for title, text in PASSAGES.items()
        for style in ("concise", "explanatory")
    ]
    assert hashes == {stable_hash([here, rules.identity()])}


def test_it_says_what_it_is(rules: Rules) -> None:
    assert (rules.local, rules.free, rules.extractive) == (True, True, True)
    assert rules.name == f"rules@{rules.identity()['version']}"


@pytest.mark.parametrize("task", TASKS)
def test_every_prompt_has_a_rule(rules: Rules, task: str) -> None:
    assert ask(rules, task).finish == "stop"


@pytest.mark.parametrize("task", REPLIES)
@pytest.mark.parametrize("text", ["", "Rest.", "Is it croup?", CROUP, "5 mg " * 50, "肺炎是感染。", "{topic} %s {0}"])
def test_json_replies_fit_their_schema(rules: Rules, task: str, text: str) -> None:
    for completion in (ask(rules, task, text), ask(rules, task, CROUP, None, instruction=text, response=text)):
        if completion.finish == "stop":
            json.loads(completion.text)
            parse_json(completion.text, REPLIES[task])
        else:
            assert (task, completion.finish) == ("generate", "refused")


@pytest.mark.parametrize("task", ["generate", "respond", "reason"])
@pytest.mark.parametrize("text", ["", "Rest.", "Is croup a viral infection? Why?", " \n "])
def test_too_little_text_is_refused(rules: Rules, task: str, text: str) -> None:
    completion = ask(rules, task, text)
    assert (completion.text, completion.finish) == ("", "refused")
    assert completion.detail == "too few whole sentences for the rules to work on"


def test_one_sentence_answers_but_makes_no_pair_of_questions_and_no_long_answer(rules: Rules) -> None:
    text = "Croup is a viral infection of the larynx in young children."
    assert answer(rules, "respond", text) == text
    assert ask(rules, "generate", text).finish == ask(rules, "reason", text).finish == "refused"


# --- classify --------------------------------------------------------------------------------------------------------


def test_classify_places_a_text_in_the_tree(rules: Rules) -> None:
    reply = parse_json(answer(rules, "classify", APPENDIX, "Appendicitis"), ClassificationReply)
    assert (reply.department, reply.subdepartment) == ("Surgery", "Gastrointestinal Surgery")
    assert 0 < reply.confidence <= 1
    nothing = parse_json(answer(rules, "classify", "The weather was fine.", None), ClassificationReply)
    assert (nothing.department, nothing.subdepartment, nothing.confidence) == ("none", "none", 0.0)


# --- generate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("title", "text"), PASSAGES.items())
def test_two_questions_of_different_kind(rules: Rules, title: str, text: str) -> None:
    reply = questions(rules, text, title)
    assert reply.task_type1 != reply.task_type2
    assert {reply.task_type1, reply.task_type2} <= set(TASK_TYPES)
    for question, task in ((reply.question1, reply.task_type1), (reply.question2, reply.task_type2)):
        assert question.endswith("?")
        assert question[0].isupper()
        assert "{" not in question
        assert "}" not in question
        assert not is_deictic(question)
        assert title.removeprefix("The ").lower() in question.lower()
        assert any(template_fits(template, question) for template in TEMPLATES[task])


def template_fits(template: str, question: str) -> bool:
    pattern = re.escape(template).replace(r"\{topic\}", ".+").replace(r"\{focus\}", ".+")
    return re.fullmatch(pattern, question) is not None


def test_templates_and_cues_cover_the_task_types() -> None:
    assert set(TEMPLATES) == set(TASK_TYPES)
    assert set(CUES) == set(TASK_TYPES) - {"explanation"}
    for task, templates in TEMPLATES.items():
        for template in templates:
            filled = template.format(topic="croup", focus="stridor")
            assert filled.count("croup") == filled.count("stridor") == 1, task
            assert not is_deictic(filled)


def test_without_any_cue_two_plain_kinds_are_asked_for(rules: Rules) -> None:
    reply = questions(rules, "The larynx lies in the neck. The cords lie inside it always.", None)
    assert {reply.task_type1, reply.task_type2} == {"explanation", "mechanism"}


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from([*CROUP.split(), "{topic}", "{0}", "{", "100%", "肺炎。", "É."]), max_size=40).map(
        " ".join
    )
)
def test_any_text_makes_whole_questions_or_none(text: str) -> None:
    found = build_questions(Outline.of(None, text))
    assert len(found) <= 2
    for question, task in found:
        assert task in TASK_TYPES
        assert question.endswith("?")
        assert "{topic}" not in question
        assert "{focus}" not in question


def test_a_title_that_the_text_does_not_take_up_is_no_topic(rules: Rules) -> None:
    reply = questions(rules, APPENDIX, "Frequently asked questions about insurance")
    assert "insurance" not in reply.question1 + reply.question2
    assert "append" in reply.question1.lower()


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


def test_a_question_on_the_passage_is_judged_better_than_others(rules: Rules) -> None:
    good = judgement(rules, "How is croup with inspiratory stridor treated in young children?")
    vague = judgement(rules, "what about it")
    deictic = judgement(rules, "How does the passage say croup with inspiratory stridor is treated?")
    assert good.quality > deictic.quality
    assert good.quality > vague.quality
    assert good.relevance_to_medicine > vague.relevance_to_medicine


def test_expert_words_make_a_question_harder(rules: Rules) -> None:
    easy = judgement(rules, "What is croup like at night in a child?")
    hard = judgement(rules, "By which pathophysiological mechanism does inflammation cause respiratory complications?")
    assert hard.difficulty > easy.difficulty + 2


# --- respond and reason ----------------------------------------------------------------------------------------------


def stand_in(text: str, passage: str) -> bool:
    """Whether the text is a row of whole sentences of the passage, in its order, with blanks between."""
    rest = text
    for start, end in sentences(passage):
        sentence = passage[start:end]
        if rest == sentence:
            return True
        if rest.startswith(sentence + " "):
            rest = rest[len(sentence) + 1 :]
    return False


def test_stand_in_tells_verbatim_from_changed() -> None:
    assert stand_in("A b c. G h.", "A b c. D e. G h.")
    assert not stand_in("G h. A b c.", "A b c. D e. G h.")
    assert not stand_in("A b. G h.", "A b c. D e. G h.")


@pytest.mark.parametrize(("title", "text"), PASSAGES.items())
@pytest.mark.parametrize("style", ["concise", "explanatory"])
def test_answers_are_sentences_of_the_passage(rules: Rules, title: str, text: str, style: str) -> None:
    reply = questions(rules, text, title)
    for question in (reply.question1, reply.question2, "What?"):
        assert stand_in(answer(rules, "respond", text, title, instruction=question, style=style), text)


def test_the_answer_holds_what_was_asked_for(rules: Rules) -> None:
    treated = answer(rules, "respond", instruction="How is croup treated with dexamethasone?")
    diagnosed = answer(rules, "respond", instruction="What does a radiograph show?")
    assert "dexamethasone 0.6 mg/kg" in treated
    assert "dexamethasone" not in diagnosed
    assert "narrowed airway" in diagnosed


def test_the_styles_differ_in_length(rules: Rules) -> None:
    concise = answer(rules, "respond", style="concise")
    explanatory = answer(rules, "respond", style="explanatory")
    assert (len(sentences(concise)), len(sentences(explanatory))) == (2, 5)


def test_questions_of_the_passage_are_no_answer(rules: Rules) -> None:
    every = " ".join(answer(rules, "respond", instruction=CROUP, style="explanatory").split())
    assert "Should nebulised epinephrine be given?" not in every
    assert "Rest." not in every


@pytest.mark.parametrize(("title", "text"), PASSAGES.items())
def test_the_long_answer_has_both_sections(rules: Rules, title: str, text: str) -> None:
    thought, summary = parse_sections(answer(rules, "reason", text, title))
    assert stand_in(thought, text)
    assert stand_in(summary, text)
    assert len(thought) > len(summary)


def test_ranking_puts_the_best_sentence_first() -> None:
    outline = Outline.of("Croup", CROUP)
    best = rank_sentences(outline, "What does a radiograph of the neck show?")[0]
    assert "radiograph" in CROUP[best.start : best.end]
    assert len(rank_sentences(outline, "")) == len(outline.sentences) == 5


# --- judge of the answers --------------------------------------------------------------------------------------------


def test_a_verbatim_answer_is_grounded_and_an_invented_one_is_not(rules: Rules) -> None:
    copied = verdict(rules, answer(rules, "respond"))
    invented = verdict(rules, "Croup is cured by honey. It comes from cold feet.")
    assert copied.grounded == 10
    assert invented.grounded == 1
    assert copied.correct > invented.correct
    assert copied.complete > invented.complete


def test_named_doses_cost_safety(rules: Rules) -> None:
    assert verdict(rules, "Give 5 mg, then 10 mg, then 2 ml.").safe < verdict(rules, "Let the child rest.").safe


def test_the_long_answer_counts_as_grounded(rules: Rules) -> None:
    assert verdict(rules, answer(rules, "reason")).grounded == 10


TIED_SENTENCES = """
from finemed.llm.questions import Outline, extract, rank_sentences
counts = (3, 6, 7, 11, 13, 14, 17, 19)
out = []
for case in range(40):
    left, right = ([f"{side}{case}term{n}" for n in range(len(counts))] for side in ("alpha", "omega"))
    said = ["Both " + " and ".join(left), "Both " + " and ".join(right)]
    said += [f"Then {word} lies in filler{case}x{n}x{k}" for n, c in enumerate(counts) for k in range(c - 1)
             for word in (left[n], right[n])]
    outline = Outline.of(None, ". ".join(said) + ".")
    out.append(extract(outline, rank_sentences(outline, "How do " + ", ".join(left + right) + " relate?")[:1])[:12])
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
