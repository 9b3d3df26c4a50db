"""`finemed validate` on anybody's data: what each rule finds, what it leaves alone, and what it says it did not see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from finemed.cli.main import cli
from finemed.errors import ConfigError, InputError
from finemed.publish.checks.content_phrases import CUES, is_placeholder, refusal_of
from finemed.publish.checks.endings import NO_MARK, broken_off
from finemed.publish.checks.faults import Faults, Report, percent, wilson
from finemed.publish.checks.foreign_phi import personal_column
from finemed.publish.checks.validate import validate
from finemed.text.language_codes import code_of, known_code

Row = dict[str, Any]

QUESTIONS = [
    "What is croup?",
    "How is asthma treated?",
    "What causes gout?",
    "Who gets measles?",
    "When is a fever high?",
    "Why does anaemia make people tired?",
]
ANSWERS = [
    "Croup is a viral infection of the upper airways of small children.",
    "Asthma is treated with inhaled corticosteroids and bronchodilators.",
    "Gout is caused by crystals of uric acid in a joint.",
    "Measles affects people who were not vaccinated.",
    "A fever is high from 39 degrees on.",
    "The blood then carries less oxygen to the muscles.",
]
SOUND = [
    {"instruction": question, "output": answer, "license": "MIT"}
    for question, answer in zip(QUESTIONS, ANSWERS, strict=True)
]
NOTE = "Patient: Jane Doe, DOB 04/12/1956, MRN 4711234."


def write(folder: Path, *rows: Row, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def check(folder: Path, *rows: Row, **more: Any) -> Report:
    """The report on the sound rows with these behind them."""
    return validate(write(folder, *SOUND, *rows), **more)


def broken(report: Report) -> dict[str, list[tuple[str, str]]]:
    """Place and kind of every finding that is kept, by rule."""
    found: dict[str, list[tuple[str, str]]] = {}
    for fault in report.faults:
        found.setdefault(fault.rule, []).append((fault.place, fault.kind))
    return found


def row(answer: Any, question: str = "How is a stroke noticed?", **more: Any) -> Row:
    return {"instruction": question, "output": answer, "license": "MIT", **more}


# --- three states ----------------------------------------------------------------------------------------------------


def test_a_rule_is_ok_failed_or_not_checked() -> None:
    faults = Faults()
    faults.apply("ids", "phi", "secrets")
    faults.skip("card", "there is none")
    faults.unchecked("phi", "language zh", range(17))
    faults.unchecked("secrets", "broken", range(100))
    faults.add("messages", "a:1", "it is empty", "fill it", kind="empty")
    results = Report("a", "dataset", 100, faults).results()
    states = {rule: (results[rule].state, results[rule].share, results[rule].rows) for rule in results}
    assert states["ids"] == ("ok", None, 100)
    assert states["phi"] == ("ok", 0.83, 83)
    assert results["phi"].why == "language zh (17% of rows)"
    assert states["secrets"] == ("not_checked", 0.0, 0)
    assert states["card"] == ("not_checked", None, 0)
    assert results["judge"].why == "there is nothing to apply it to"
    assert states["messages"] == ("failed", None, 100)


def test_rows_that_are_unchecked_for_two_reasons_count_once() -> None:
    faults = Faults()
    faults.apply("phi")
    faults.unchecked("phi", "language zh", [1, 2])
    faults.unchecked("phi", "language es", [2, 3])
    assert Report("a", "dataset", 10, faults).results()["phi"].share == 0.7


@pytest.mark.parametrize(
    ("count", "rows", "expected"),
    [(3, 100, (0.03, 0.0103, 0.0845)), (0, 20, (0.0, 0.0, 0.1611)), (20, 20, (1.0, 0.8389, 1.0)), (0, 0, (0, 0, 1))],
)
def test_the_interval_of_a_share_is_wilsons(count: int, rows: int, expected: tuple[float, ...]) -> None:
    assert wilson(count, rows) == pytest.approx(expected, abs=1e-4)


def test_a_share_that_is_not_all_is_never_shown_as_all() -> None:
    assert [percent(share) for share in (0, 0.0001, 0.05, 0.83, 0.9999, 1)] == [
        "0%", "under 0.1%", "5.0%", "83%", "99.9%", "100%",
    ]  # fmt: skip


def test_findings_are_grouped_with_a_count_a_rate_and_few_examples(tmp_path: Path) -> None:
    path = write(tmp_path, *SOUND, *(row("N/A", f"What is disease {number}?") for number in range(30)))
    run = CliRunner().invoke(cli, ["validate", str(path), "--json"])
    empty = json.loads(run.output)["rules"]["empty"]
    assert (run.exit_code, empty["state"], empty["count"], empty["rows"]) == (1, "failed", 30, 36)
    (finding,) = empty["findings"]
    assert (finding["kind"], finding["count"], round(finding["rate"], 2)) == ("placeholder", 30, 0.83)
    assert 0.6 < finding["rate_low"] < 0.83 < finding["rate_high"] < 1
    assert [each["place"] for each in empty["examples"]] == ["rows.jsonl:7", "rows.jsonl:8", "rows.jsonl:9"]
    shown = CliRunner().invoke(cli, ["validate", str(path), "--limit", "2"]).output
    assert "empty: failed, 30 findings" in shown
    assert "  placeholder: 30, 83% of rows (95% interval " in shown
    assert "    - 28 more" in shown


def test_sound_rows_pass_and_exit_with_0(tmp_path: Path) -> None:
    run = CliRunner().invoke(cli, ["validate", str(write(tmp_path, *SOUND))])
    assert run.exit_code == 0, run.output
    assert "phi: ok (" in run.output
    assert "contamination: not checked: no benchmark was named" in run.output


def test_two_runs_say_the_same(tmp_path: Path) -> None:
    path = write(tmp_path, *SOUND, *SOUND, row(NOTE))
    assert validate(path).plain() == validate(path).plain()


# --- personal data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "value", "kind"),
    [
        ("reasoning", NOTE, "in `reasoning`"),
        ("context", NOTE, "in `context`"),
        ("system", NOTE, "in `system`"),
        ("remark", NOTE, "in `remark`"),
        ("answers", ["One.", NOTE], "in `answers`"),
        ("meta", {"notes": [{"text": NOTE}]}, "in `meta.notes.text`"),
        ("history", json.dumps([["Who?", NOTE]]), "in `history`"),
        ("patient_name", "Ann Marsh", "column `patient_name`"),
        ("MRN", 4711234, "column `MRN`"),
        ("patient", {"name": "Ann", "dob": None}, "column `patient.name`"),
        ("dateOfBirth", "1956-12-04", "column `dateOfBirth`"),
    ],
)
def test_personal_data_is_found_in_any_column_and_the_column_named(
    tmp_path: Path, column: str, value: Any, kind: str
) -> None:
    found = broken(check(tmp_path, row("It is noticed by a drooping face.", **{column: value})))
    assert found["phi"] == [("rows.jsonl:7", kind)]


@pytest.mark.parametrize("value", [None, "", "***", "[REDACTED]", "XXXX", "<NAME>", "anonymised", "N/A", "0" * 40])
def test_a_masked_column_is_no_finding(tmp_path: Path, value: Any) -> None:
    assert check(tmp_path, row("It is noticed by a drooping face.", patient_name=value)).ok


@pytest.mark.parametrize(
    "name", ["name", "topic", "drug_name", "email_template", "patient_id", "phonetics", "addressed"]
)
def test_columns_with_harmless_names(name: str) -> None:
    assert not personal_column(name)


@pytest.mark.parametrize(
    ("values", "beside", "found"),
    [
        (["Medicine", "Surgery"] * 3, {}, 0),
        (["Medicine", "Surgery", "ENT", "Skin", "Eye", "Dental"], {"topic_name": "Fever"}, 0),
        (["Ann Lee", "Ben Roe", "Cy Poe", "Di Fox", "Ed Orr", "Flo Day"], {}, 6),
        (["Ann Lee"] * 6, {"patient_id": 7}, 6),
        (["Ann Lee"] * 6, {"mrn": 4711234}, 6),
        (["***"] * 6, {"patient_id": 7}, 0),
    ],
)
def test_a_subject_is_a_person_only_beside_a_patient_or_where_names_differ(
    tmp_path: Path, values: list[str], beside: Row, found: int
) -> None:
    rows = [{**each, "subject_name": value, **beside} for each, value in zip(SOUND, values, strict=True)]
    report = validate(write(tmp_path, *rows))
    assert report.found.by_kind["phi", "column `subject_name`"] == found


def test_an_undesired_answer_is_no_fault_of_form(tmp_path: Path) -> None:
    for label in (False, True):
        texts = {"prompt": QUESTIONS[0], "completion": ANSWERS[0], "label": label, "license": "MIT"}
        said = {
            "prompt": [{"role": "user", "content": QUESTIONS[1]}],
            "completion": [{"role": "assistant", "content": ANSWERS[1]}],
            "label": label,
            "license": "MIT",
        }
        assert "messages" not in broken(validate(write(tmp_path, texts)))
        assert "messages" not in broken(validate(write(tmp_path, said)))


@pytest.mark.parametrize(
    ("chosen", "rejected", "kind"),
    [
        ("Human: A?\n\nAssistant: B.\n\nHuman: C?\n\nAssistant: D.", "E.", None),
        ("Human: A?\n\nAssistant: B.\n\nHuman: C?\n\nAssistant: D.", "D.", "equal pair"),
        ("Human: X?\n\nAssistant: B.\n\nHuman: C?\n\nAssistant: D.", "E.", "different prompts"),
        ("Human: A?\n\nAssistant: B.\n\nHuman: C?", "E.", "bad roles"),
        ("Human: A?\n\nAssistant: B.\n\nAssistant: C.\n\nAssistant: D.", "E.", "bad roles"),
    ],
)
def test_a_pair_of_several_exchanges_as_text(tmp_path: Path, chosen: str, rejected: str, kind: str | None) -> None:
    other = f"Human: A?\n\nAssistant: B.\n\nHuman: C?\n\nAssistant: {rejected}"
    report = validate(write(tmp_path, {"chosen": f"\n\n{chosen}", "rejected": f"\n\n{other}", "license": "MIT"}))
    assert broken(report).get("messages") == (None if kind is None else [("rows.jsonl:1", kind)])


def test_what_only_question_and_answer_together_give_away(tmp_path: Path) -> None:
    question, answer = "Patient Jane was seen today, MRN 4711234.", "She was born on 04/12/1956; call 555-201-8831."
    apart = check(tmp_path, row("It is noticed by a drooping face.", question))
    both = check(tmp_path, row(answer, question))
    assert both.counts["phi"] >= apart.counts["phi"]
    assert not both.ok


CHINESE = {
    "instruction": "一名70岁的女性出现了晕厥和不自主颤抖，请说明治疗。",
    "output": "该病需要植入永久心脏起搏器，并使用镇静药物。",
    "license": "MIT",
}


def test_chinese_rows_are_not_called_free_of_personal_data(tmp_path: Path) -> None:
    alone = validate(write(tmp_path, CHINESE)).results()["phi"]
    assert (alone.state, alone.why) == ("not_checked", "language zh in `instruction`, `output`")
    mixed = check(
        tmp_path, CHINESE, {**CHINESE, "instruction": "哮喘如何治疗？需要住院吗？", "output": "哮喘使用吸入激素治疗。"}
    )
    phi = mixed.results()["phi"]
    assert (phi.state, phi.rows, phi.share) == ("ok", 6, 0.75)
    shown = CliRunner().invoke(cli, ["validate", str(tmp_path / "rows.jsonl")]).output
    expected = "phi: ok for 75% of rows; not checked for 25%: language zh in `instruction`, `output` (25% of rows)"
    assert expected in shown.splitlines()


@pytest.mark.parametrize(
    ("text", "stated", "code"),
    [
        ("La fiebre es una respuesta del cuerpo a la infección y no siempre hay que tratarla.", None, "es"),
        ("La fiebre es una respuesta del cuerpo a la infección y no siempre hay que tratarla.", "en", "es"),
        ("জ্বর শরীরের একটি প্রতিক্রিয়া এবং সবসময় চিকিৎসা লাগে না।", None, "other"),
        ("জ্বর শরীরের একটি প্রতিক্রিয়া এবং সবসময় চিকিৎসা লাগে না।", "bn", "bn"),
        ("Лихорадка является защитной реакцией организма.", "ru", "ru"),
    ],
)
def test_other_languages_are_named_whatever_the_row_states(tmp_path: Path, text: str, stated: str, code: str) -> None:
    result = check(tmp_path, row(text, language=stated)).results()["phi"]
    assert result.share is not None
    what = "a script of another language" if code == "other" else f"language {code}"
    assert result.why == f"{what} in `output` (14% of rows)"


def test_a_chinese_identity_number_is_found_in_chinese(tmp_path: Path) -> None:
    path = write(tmp_path, {**CHINESE, "output": "患者身份证号 11010519491231002X，需要住院。"})
    report = validate(path).results()["phi"]
    assert report.state in ("failed", "not_checked")
    assert report.state != "ok"


def test_bytes_are_named_as_not_scanned(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([{**SOUND[0], "scan": b"\x89PNG"}, {**SOUND[1], "scan": None}]), path)
    result = validate(path).results()["phi"]
    assert (result.state, result.why) == ("ok", "bytes in `scan` (50% of rows)")


# --- content ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["N/A", "nan", "None", "-", "...", "TBD", "No answer", "无", "?", " n/a. "])
def test_placeholders_are_no_answers(tmp_path: Path, answer: str) -> None:
    assert broken(check(tmp_path, row(answer))) == {"empty": [("rows.jsonl:7", "placeholder")]}


@pytest.mark.parametrize(
    "answer", ["None.", "No", "Yes", "A", "5 mg", "Unknown", "NaCl", "Not available in children under 2."]
)
def test_short_answers_are_answers(answer: str) -> None:
    assert not is_placeholder(answer)


@pytest.mark.parametrize(("answer", "kind"), [("", "empty answer"), ("  ", "empty answer"), (None, "no answer")])
def test_missing_answers(tmp_path: Path, answer: Any, kind: str) -> None:
    assert broken(check(tmp_path, row(answer))) == {"empty": [("rows.jsonl:7", kind)]}


@pytest.mark.parametrize(
    "answer", ["How is a stroke noticed?", "how is a stroke noticed", "  How  is a STROKE noticed?!\n"]
)
def test_an_answer_that_repeats_its_question(tmp_path: Path, answer: str) -> None:
    assert broken(check(tmp_path, row(answer))) == {"echo": [("rows.jsonl:7", "")]}


def test_an_echo_is_found_whatever_the_order_of_the_columns(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    rows = [{"answer": "What causes gout?", "license": "MIT", "question": "What causes gout ?"}]
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert broken(validate(path)) == {"echo": [("rows.parquet:1", "")]}


def test_a_label_out_of_the_question_is_no_echo(tmp_path: Path) -> None:
    assert check(tmp_path, row("Fever", "Which word names a symptom?", input="Fever")).ok


REFUSALS = [
    "I'm sorry, but I can't help with that.",
    "I’m sorry, but I can’t assist with that request.",
    "As an AI language model, I don't have personal experiences.",
    "I cannot provide medical advice.",
    "Sorry, I am unable to answer this question.",
    "I apologize, but I cannot fulfill this request.",
    "I'm just an AI, so ask a doctor.",
    "Unfortunately, I am not able to provide a diagnosis.",
    "Lo siento, pero no puedo ayudar con eso.",
    "Como modelo de lenguaje, no tengo opiniones.",
    "Je suis désolé, mais je ne peux pas répondre à cette question.",
    "En tant que modèle de langage, je ne peux pas vous aider.",
    "Es tut mir leid, aber ich kann Ihnen dabei nicht helfen.",
    "Als KI-Sprachmodell kann ich keine Diagnose stellen.",
    "抱歉，我无法回答这个问题。",
    "很抱歉，我不能提供医疗建议。",
    "作为一个人工智能语言模型，我无法提供诊断。",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti.",
    "申し訳ありませんが、その質問にはお答えできません。",
    "Request timed out.",
]


def test_refusals_in_several_languages(tmp_path: Path) -> None:
    report = check(tmp_path, *(row(answer, f"What is disease {at}?") for at, answer in enumerate(REFUSALS)))
    assert report.counts["refusal"] == len(REFUSALS)
    assert all(any(cue in text.replace("’", "'").lower() for cue in CUES) for text in REFUSALS)


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry to hear that you cannot sleep. Try to keep regular hours.",
        "I am sorry, but I do not think that this is cancer; see a doctor to be sure.",
        "I'm sorry, but I can't make it on Monday, said the patient.",
        "The patient cannot provide a urine sample.",
        "Patients who are unable to help themselves need support.",
        "Unfortunately, the disease cannot be cured.",
        "AI tools are used as an AI model for reading X-ray images.",
        "Doctors cannot give aspirin to small children.",
        "患者不能提供病史时，应询问家属。",
        "作为一种常见病，哮喘需要长期治疗。",
        "No se puede dar aspirina a los niños.",
        "Leider kann die Krankheit nicht geheilt werden.",
    ],
)
def test_answers_that_only_sound_like_refusals(answer: str) -> None:
    assert refusal_of(answer) is None


@pytest.mark.parametrize(
    ("answer", "fact"),
    [
        ("Croup is a viral infection of the upper airways, and", "ends in the middle of a sentence"),
        ("The causes of croup are the following:", "ends in the middle of a sentence"),
        ("Give 5 mg (", "ends in the middle of a sentence"),
        ("Watch the child closely for signs of stri", NO_MARK),
        ("It often passes by itself, but some children...", "ends in an ellipsis"),
        ("```\ndose = 5", "ends inside a block of code"),
        ("哮喘使用吸入激素治疗，还可以使用支气管扩张", NO_MARK),
        ("常用药物包括布地奈德、沙美特罗，以及", "ends in the middle of a sentence"),
        ("Croup is a viral infection.", None),
        ("Influenza A", None),
        ("The causes are: Hypertension Smoking Heart disease Diabetes mellitus High cholesterol", None),
        ("Vitamin D and vitamin A", None),
        ("- rest\n- fluids", None),
        ("| dose | 5 mg |\n|---|---|", None),
        ('He was treated with 5 mg."', None),
        ("哮喘", None),
        ("建议就医，进行血常规检查", None),
        ("https://example.org/a", None),
        ("...", None),
    ],
)
def test_texts_that_break_off(answer: str, fact: str | None) -> None:
    assert broken_off(pl.Series([None, answer])) == ({} if fact is None else {1: fact})


def test_answers_without_end_marks_may_be_the_way_of_a_dataset(tmp_path: Path) -> None:
    labels = [row(f"a diagnosis of disease {at} in the left lung of the patient", f"Case {at}?") for at in range(40)]
    result = validate(write(tmp_path, *labels)).results()["cut_off"]
    assert (result.state, result.count) == ("ok", 0)
    assert "100% of the answers end without an end mark" in str(result.why)
    cut = check(tmp_path, row("It is noticed by a drooping face and an arm that falls down when it is rai"))
    assert broken(cut) == {"cut_off": [("rows.jsonl:7", NO_MARK)]}


# --- rows against each other -----------------------------------------------------------------------------------------


def test_repeated_rows_name_the_first(tmp_path: Path) -> None:
    again = {**SOUND[0], "output": SOUND[0]["output"].upper() + "  ", "id": 5}
    report = check(tmp_path, again)
    assert broken(report) == {"repeats": [("rows.jsonl:7", "all parts alike")]}
    assert report.faults[0].fact == "repeats rows.jsonl:1, all parts alike"


def test_a_row_repeats_in_another_file_with_its_columns_in_another_order(tmp_path: Path) -> None:
    write(tmp_path, *({**each, "context": "A ward."} for each in SOUND), name="a.jsonl")
    pq.write_table(
        pa.Table.from_pylist([{"context": "A ward.", "output": SOUND[1]["output"], "license": "MIT"} | SOUND[1]]),
        tmp_path / "b.parquet",
    )
    report = validate(tmp_path)
    assert broken(report) == {"repeats": [("b.parquet:1", "all parts alike")]}
    assert report.faults[0].fact == "repeats a.jsonl:2, all parts alike"


def test_the_same_question_and_answer_under_another_system_prompt(tmp_path: Path) -> None:
    found = broken(check(tmp_path, {**SOUND[0], "system": "Be brief."}))
    assert found == {"repeats": [("rows.jsonl:7", "question and answer alike")]}


def test_one_instruction_with_many_inputs_is_no_repeat(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Summarise.", "input": f"The patient has disease {at}.", "output": f"Disease {at}."}
        for at in range(9)
    ]
    report = validate(write(tmp_path, *({**each, "license": "MIT"} for each in rows)))
    assert report.ok, report.faults


def test_two_answers_to_one_question(tmp_path: Path) -> None:
    found = broken(check(tmp_path, {**SOUND[0], "output": "Croup is a fracture of the wrist."}))
    assert found == {"conflicts": [("rows.jsonl:7", "another answer to the same question")]}


def test_pairs_that_prefer_the_opposite(tmp_path: Path) -> None:
    pair = {"prompt": "Rest or run?", "chosen": "Rest.", "rejected": "Run.", "license": "MIT"}
    turned = {**pair, "chosen": "Run.", "rejected": "Rest."}
    other = {**pair, "chosen": "Rest well.", "rejected": "Run fast."}
    assert broken(validate(write(tmp_path, pair, other))) == {}
    found = broken(validate(write(tmp_path, pair, turned)))
    assert found == {"conflicts": [("rows.jsonl:2", "the opposite preference")]}


def test_one_long_answer_under_five_questions(tmp_path: Path) -> None:
    answer = "Please see a doctor if this does not get better soon."
    four = [row(answer, f"How is disease {at} treated?") for at in range(4)]
    assert check(tmp_path, *four).ok
    report = check(tmp_path, *four, row(answer, "How is gout treated?"))
    assert report.counts["same_answer"] == 5
    assert report.faults[0].fact == "its answer stands under 5 different questions"
    short = [row("Yes, very often.", f"Is disease {at} treated?") for at in range(9)]
    assert check(tmp_path, *short).ok


def test_conversations_compare_their_last_answer(tmp_path: Path) -> None:
    def chat(*texts: str) -> Row:
        roles = ("user", "assistant") * 2
        turns = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
        return {"messages": turns, "license": "MIT"}

    first = chat("Hello.", "Hello, how can I help?", "What is croup?", "A viral infection.")
    second = chat("Hello.", "Hello, how can I help?", "What is gout?", "An inflamed joint.")
    assert validate(write(tmp_path, first, second)).ok
    assert broken(validate(write(tmp_path, first, first)))["repeats"] == [("rows.jsonl:2", "all parts alike")]


# --- characters, markup, templates -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule", "kind"),
    [
        ("It is\x00 viral.", "characters", "NUL character"),
        ("It is\x07 viral.", "characters", "control character"),
        ("It is\u0092 viral.", "characters", "control character"),
        ("It is \u202elariv.", "characters", "bidirectional control"),
        ("It is \u2066viral.", "characters", "bidirectional control"),
        ("It is \ufffd viral.", "characters", "replacement character"),
        ("It is \ud83d viral.", "characters", "half of a surrogate pair"),
        ("It is \U000e0041 viral.", "characters", "hidden tag character"),
        ("It is <script>alert(1)</script> viral.", "markup", "script element"),
        ("It is <img src=x onerror=alert(1)> viral.", "markup", "event handler"),
        ('It is <a href="javascript:alert(1)">viral</a>.', "markup", "`javascript:` address"),
        ("It is [viral](JavaScript:alert(1)).", "markup", "`javascript:` address"),
        ("It is viral.<|im_end|>", "template", "token of a chat template"),
        ("It is viral.<\uff5cend\u2581of\u2581sentence\uff5c>", "template", "token of a chat template"),
        ("[INST] It is viral.", "template", "`[INST]` or `<<SYS>>`"),
        ("It is viral.</s>", "template", "token of a tokenizer"),
        ("<think>Hm.</think> It is viral.", "template", "mark of hidden reasoning"),
        ("### Response:\nIt is viral.", "template", "heading of a prompt template"),
    ],
)
def test_what_no_text_may_hold(tmp_path: Path, text: str, rule: str, kind: str) -> None:
    for more in ({}, {"note": {"deep": [text]}}):
        report = check(tmp_path, row("It is viral.", **more) if more else row(text))
        assert broken(report) == {rule: [("rows.jsonl:7", kind)]}
        assert json.dumps(report.plain())


@pytest.mark.parametrize(
    "text",
    [
        "A pH of <7 and a pO2 > 90 are seen; see JavaScript: the good parts.",
        "Tabs\tand\nlines\r\nare text.",
        "The ratio a<b and c>d holds on one = two.",
        "Take [sic] 5 mg [1].",
        "قال الطبيب\u200f: نعم.",
        "The family \U0001f468\u200d\U0001f469\u200d\U0001f467 is well.",
        "Levels < 0.5 on day = 3.",
    ],
)
def test_what_texts_may_hold(tmp_path: Path, text: str) -> None:
    report = check(tmp_path, row(text))
    assert report.ok, report.faults


# --- what the data states --------------------------------------------------------------------------------------------


def test_languages_that_do_not_exist(tmp_path: Path) -> None:
    stated = ["en", "pt-BR", "zh_Hant", "eng_Latn", "xx-nonsense", "English", None]
    rows = [row(f"It is seen in {at} of 100.", f"Case {at}?", language=code) for at, code in enumerate(stated)]
    report = validate(write(tmp_path, *rows))
    assert [(fault.place, fault.remedy) for fault in report.faults] == [
        ("rows.jsonl:5", "write an ISO 639-1 code such as `en`"),
        ("rows.jsonl:6", "write `en`"),
    ]


@pytest.mark.parametrize("code", ["en", "EN", "eng", "en-US", "en_US.UTF-8", "es-419", "zh-Hant-TW", "de-1996", "und"])
def test_codes_that_exist(code: str) -> None:
    assert known_code(code)


@pytest.mark.parametrize("code", ["", "xx", "english", "en-nonsense", "e", "en,es", "en US", "zz-ZZ", "1"])
def test_codes_that_do_not_exist(code: str) -> None:
    assert not known_code(code)


def test_names_of_languages() -> None:
    assert [code_of(name) for name in ("English", "SPANISH", "français", "中文", "jp", "klingonese")] == [
        "en", "es", "fr", "zh", "ja", None,
    ]  # fmt: skip


UNLICENSED = [{name: value for name, value in each.items() if name != "license"} for each in SOUND]


def test_a_missing_licence_is_one_finding(tmp_path: Path) -> None:
    path = write(tmp_path, *UNLICENSED)
    report = validate(path)
    assert broken(report) == {"licence": [(str(path), "")]}
    assert report.counts["licence"] == 1
    nulls = validate(write(tmp_path, *({**each, "license": None} for each in UNLICENSED)))
    assert nulls.counts["licence"] == 1


@pytest.mark.parametrize(
    ("name", "text", "ok"),
    [
        ("README.md", "---\nlicense: cc-by-4.0\n---\n# Rows\n", True),
        ("README.md", "---\nlicense:\n- mit\n---\n", True),
        ("README.md", "---\nlicense: unknown\n---\n", False),
        ("README.md", "license: mit\n", False),
        ("LICENSE", "MIT License\n", True),
    ],
)
def test_a_licence_beside_the_data(tmp_path: Path, name: str, text: str, ok: bool) -> None:
    write(tmp_path, *UNLICENSED)
    (tmp_path / name).write_text(text, "utf-8")
    report = validate(tmp_path)
    assert (report.ok, report.rows) == (ok, 6)


def test_some_rows_without_a_licence(tmp_path: Path) -> None:
    report = check(tmp_path, row("It is viral.", license="?"))
    assert broken(report) == {"licence": [("rows.jsonl:7", "")]}


# --- benchmarks ------------------------------------------------------------------------------------------------------

ITEM = {
    "id": "q1",
    "question": "A 34-year-old farmer presents with a painless black ulcer on the forearm after handling goat hides. "
    "Which organism is the most likely cause?",
    "options": {"A": "Bacillus anthracis", "B": "Borrelia burgdorferi", "C": "Francisella tularensis", "D": "Yersinia"},
    "answer": "A",
}


@pytest.mark.parametrize("column", ["instruction", "input", "output", "context"])
def test_benchmark_items_are_found_in_any_part(tmp_path: Path, column: str) -> None:
    exam = write(tmp_path, ITEM, name="exam.jsonl")
    data = tmp_path / "data"
    data.mkdir()
    item = {**row("It is noticed by a drooping face."), column: ITEM["question"]}
    report = validate(write(data, *SOUND, item), benchmarks=[str(exam)])
    assert broken(report) == {"contamination": [("rows.jsonl:7", "exam")]}
    assert f"`{column}` holds exam/q1: stem" in report.faults[0].fact
    run = CliRunner().invoke(cli, ["validate", str(data), "-b", str(exam), "--json"])
    assert json.loads(run.output)["rules"]["contamination"]["count"] == 1
    sound = validate(write(data, *SOUND), benchmarks=[str(exam)]).results()["contamination"]
    assert (sound.state, sound.rows) == ("ok", 6)


def test_a_benchmark_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.jsonl matches no file"):
        validate(write(tmp_path, *SOUND), benchmarks=[str(tmp_path / "absent.jsonl")])


def test_benchmarks_are_not_looked_for_in_a_release(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "manifest.json").write_text('{"configs": {}, "files": {}, "content": {}}')
    with pytest.raises(ConfigError, match="finemed decontaminate"):
        validate(tmp_path, benchmarks=["medqa"])


# --- odd input -------------------------------------------------------------------------------------------------------


def test_broken_lines_are_counted_by_place_and_the_file_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path, *SOUND)
    lines = path.read_text("utf-8").splitlines(keepends=True)
    path.write_bytes("".join(lines[:3]).encode() + b'{"instruction": \n\xff\xfe\n' + "".join(lines[3:]).encode())
    report = validate(path)
    assert report.rows == 8
    assert [fault.place for fault in report.faults] == ["rows.jsonl:4", "rows.jsonl:5"]
    result = report.results()["phi"]
    assert (result.state, result.rows, result.why) == ("ok", 6, "records that cannot be read (25% of rows)")


def test_where_no_record_can_be_read_nothing_is_claimed(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"{not json\n{nor this\n")
    with pytest.raises(InputError, match=r"no record can be read; the first: rows\.jsonl:1: ") as caught:
        validate(path)
    assert caught.value.exit_code == 4


def test_content_in_parts_and_tools_are_read(tmp_path: Path) -> None:
    chat = [
        {"role": "User", "content": [{"type": "text", "text": "What is croup?"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "look", "arguments": "{}"}}]},
        {"role": "tool", "content": "croup: viral"},
        {"role": "assistant", "content": "A viral infection."},
    ]
    assert validate(write(tmp_path, {"messages": chat, "license": "MIT"})).ok
    spoilt = [
        *chat[:3],
        {"role": "assistant", "content": [{"type": "text", "text": "I cannot provide medical advice."}]},
    ]
    found = broken(validate(write(tmp_path, {"messages": spoilt, "license": "MIT"})))
    assert found == {"refusal": [("rows.jsonl:1", "refuses")]}


def test_messages_as_json_text_are_scanned(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": NOTE}]
    found = broken(validate(write(tmp_path, {"messages": json.dumps(chat), "license": "MIT"})))
    assert found == {"phi": [("rows.jsonl:1", "in `messages.content`")]}


@pytest.mark.parametrize("names", [("Context", "Response"), ("inputs", "targets"), ("human", "assistant")])
def test_columns_that_only_their_names_tell(tmp_path: Path, names: tuple[str, str]) -> None:
    rows = [dict(zip((*names, "license"), each.values(), strict=True)) for each in SOUND]
    assert validate(write(tmp_path, *rows)).ok
    lacking = [*rows, {**rows[0], names[1]: None}, {**rows[0], names[0]: None, names[1]: "Rest at home."}]
    assert broken(validate(write(tmp_path, *lacking))) == {
        "messages": [("rows.jsonl:8", "empty question")],
        "empty": [("rows.jsonl:7", "no answer")],
    }


def test_an_answer_in_a_column_that_no_layout_names(tmp_path: Path) -> None:
    rows = [dict(zip(("question", "final_answer", "license"), each.values(), strict=True)) for each in SOUND]
    assert validate(write(tmp_path, *rows)).ok
    found = broken(validate(write(tmp_path, *rows, {**rows[0], "final_answer": None})))
    assert found == {"empty": [("rows.jsonl:7", "no answer")]}


def test_items_of_an_exam_are_questions_with_answers(tmp_path: Path) -> None:
    report = validate(write(tmp_path, {**ITEM, "license": "MIT"}))
    assert (report.ok, report.rows) == (True, 1), report.faults


def test_a_part_that_cannot_be_read_is_a_finding(tmp_path: Path) -> None:
    rows = [{**each, "context": None} for each in SOUND[:2]]
    path = tmp_path / "rows.parquet"
    table = pa.Table.from_pylist(rows).set_column(3, "context", pa.array([b"\x00\x01", None], pa.binary()))
    pq.write_table(table, path)
    report = validate(path)
    assert broken(report) == {"schema": [("rows.parquet:1", "not string")]}
    assert report.results()["refusal"].why == "questions and answers that cannot be told (50% of rows)"


def test_a_folder_of_several_layouts_and_files_that_are_no_data(tmp_path: Path) -> None:
    write(tmp_path, *SOUND[:2], name="a.jsonl")
    chat = [{"role": "user", "content": "What is gout?"}, {"role": "assistant", "content": "An inflamed joint."}]
    write(tmp_path, {"messages": chat, "license": "MIT"}, name="b.jsonl")
    write(tmp_path, {"text": NOTE, "license": "MIT"}, name="c.jsonl")
    (tmp_path / "README.md").write_text("# Rows\n", "utf-8")
    (tmp_path / "notes.txt").write_text(NOTE, "utf-8")
    (tmp_path / "d.xls").write_text("a\tb\n", "utf-8")
    report = validate(tmp_path)
    assert report.rows == 4
    assert broken(report) == {
        "schema": [("c.jsonl:1", "missing column")],
        "phi": [("c.jsonl:1", "in `text`")],
    }
    why = report.results()["schema"].why
    assert why == "files that are no records were not read: d.xls, notes.txt"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "saved/data-0.arrow",
            b"x",
            r'in Python with `datasets.load_from_disk\(".*/saved"\).to_parquet\("saved.parquet"\)`',
        ),
        ("rows.arrow", b"x", r'`datasets.Dataset.from_file\("rows.arrow"\).to_parquet\("rows.parquet"\)`'),
        ("rows.feather", b"x", r'`polars.read_ipc\("rows.feather"\).write_parquet\("rows.parquet"\)`'),
        ("rows.xlsx", b"x", "save it as `CSV UTF-8`"),
        ("rows.rows", b"x", "name it so that it ends in one of jsonl"),
        ("rows.txt", "a\tb".encode("utf-16"), "rows.txt:1: the file is UTF-16; convert it to UTF-8"),
        ("rows.json", b'{"17": {"q": "Why?"}, "18": {"q": "How?"}}', r"holds objects by name \(`17` ...\), no list"),
        (
            "rows.csv",
            b"question;answer|x\nWhy?\nHow?\n",
            "holds `;` and `|`, and the first rows do not".replace("|", r"\|"),
        ),
        ("rows.csv", "question;answer\nWhy?;Caf\xe9\n".encode("cp1252"), "the file is likely Windows-1252"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_readers_reason(
    tmp_path: Path, name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    (tmp_path / "saved").mkdir(exist_ok=True)
    (tmp_path / "saved" / "state.json").write_text("{}")
    with pytest.raises(InputError, match=told):
        validate(path)


def test_csv_parquet_and_partitions(tmp_path: Path) -> None:
    pl.DataFrame(SOUND).write_csv(tmp_path / "rows.csv")
    assert validate(tmp_path / "rows.csv").ok
    for code in ("en", "xx"):
        folder = tmp_path / "hive" / f"language={code}"
        folder.mkdir(parents=True)
        frame = pl.DataFrame(SOUND[:3] if code == "en" else SOUND[3:])
        frame.with_columns(pl.col("license").cast(pl.Categorical())).write_parquet(folder / "part-0.parquet")
    report = validate(tmp_path / "hive")
    assert report.rows == 6
    assert broken(report)["language"] == [
        (f"language=xx/part-0.parquet:{number}", "'xx' is no language") for number in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    "line",
    [
        '{"instruction": 5, "output": ["a", 7]}',
        '{"instruction": {"a": {"b": [null, {"c": 1}]}}, "output": true}',
        '{"messages": [[[]]], "output": "x"}',
        '{"instruction": "a", "output": "b", "context": ' + "[" * 200 + "]" * 200 + "}",
        '{"instruction": "\\ud800", "output": "\\udfff", "\\ud801": "x"}',
        '{"instruction": "a", "output": "[1, 2", "meta": "{\\"a\\": \\"b\\"}"}',
        '{"": "", "instruction": "a", "output": "b", " ": [[""]]}',
    ],
)
def test_odd_records_end_as_findings_and_not_in_a_traceback(tmp_path: Path, line: str) -> None:
    path = write(tmp_path, *SOUND)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")
    run = CliRunner().invoke(cli, ["validate", str(path), "--json"])
    assert run.exit_code in (0, 1), run.output
    assert json.loads(run.output)["rows"] == 7


# --- places and inner columns ----------------------------------------------------------------------------------------


def nested(answer: str, number: int = 0) -> Row:
    return {"key": number, "fields": {"prompt": QUESTIONS[number], "answer": answer}, "license": "MIT"}


def test_elements_of_a_list_are_named_by_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text(json.dumps([*SOUND, row("N/A"), "no object", SOUND[0], row("Otherwise.", QUESTIONS[1])], indent=1))
    report = validate(path)
    places = {rule: [place for place, _ in found] for rule, found in broken(report).items()}
    assert places["empty"] == ["rows.json[6]"]
    assert places["schema"] == ["rows.json[7]"]
    assert places["repeats"] == ["rows.json[8]"]
    assert places["conflicts"] == ["rows.json[9]"]
    facts = [fault.fact for fault in report.faults if fault.rule in ("repeats", "conflicts")]
    assert "rows.json[0]" in facts[0]
    assert "rows.json[1]" in facts[1]
    lines = write(tmp_path, *SOUND, row("N/A"))
    assert broken(validate(lines))["empty"] == [("rows.jsonl:7", "placeholder")]


def test_questions_and_answers_inside_of_a_column_go_through_every_rule(tmp_path: Path) -> None:
    rows = [nested(answer, number) for number, answer in enumerate(ANSWERS)]
    bad = [nested(NOTE), nested(""), nested("I'm sorry, but I cannot help with that."), nested("Half \u202e turned.")]
    path = write(tmp_path, *rows, *bad)
    found = {rule: [place for place, _ in each] for rule, each in broken(validate(path)).items()}
    assert found["phi"][0] == "rows.jsonl:7"
    assert found["empty"] == ["rows.jsonl:8"]
    assert found["refusal"] == ["rows.jsonl:9"]
    assert found["characters"] == ["rows.jsonl:10"]
    assert "rows.jsonl:7" in found["conflicts"]
    pq.write_table(pa.Table.from_pylist([*rows, *bad]), tmp_path / "rows.parquet")
    assert [place for place, _ in broken(validate(tmp_path / "rows.parquet"))["empty"]] == ["rows.parquet:8"]


def test_texts_beside_the_questions_and_answers_are_named_with_their_share(tmp_path: Path) -> None:
    beside = [{**each, "fields": {"prompt": "And?", "answer": ""}} for each in SOUND[:3]]
    report = validate(write(tmp_path, *beside, *SOUND[3:], row(ANSWERS[0], meta={"by": "us"})))
    for rule in ("empty", "refusal", "repeats"):
        result = report.results()[rule]
        assert (result.state, result.share) == ("ok", None)
        assert result.why == "texts inside of `fields` (43% of rows), beside the questions and answers"
    assert report.results()["characters"].why is None
