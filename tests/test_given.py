"""Questions and answers that a dataset brings: judged and deduplicated like our own, published word for word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from loopback import Call, Reply, Server, chat
from rows import (
    Scripted,
    details,
    judged,
    judged_response,
    make,
    question,
    reasoned,
    reasons,
    reply,
    response,
    routed,
    run_stage,
)

from finemed.config import (
    BuildConfig,
    IngestConfig,
    JudgeAnswersConfig,
    JudgeConfig,
    RankConfig,
    ReasonConfig,
    RespondConfig,
    RouteConfig,
    SplitConfig,
)
from finemed.errors import PoolError
from finemed.llm.rules import Rules
from finemed.pipeline.plan import Plan
from finemed.publish.build import BuildOutcome, build_release
from finemed.records import (
    CheckedInstruction,
    Instruction,
    JudgedResponse,
    Passage,
    ReasonedInstruction,
    Response,
    RoutedInstruction,
    frame,
)
from finemed.sources.records import RAW_SCHEMA
from finemed.stages.ingest import IngestStage
from finemed.stages.judge import JudgeStage
from finemed.stages.judge_answers import JudgeAnswersStage
from finemed.stages.rank import RankStage
from finemed.stages.reason import ReasonStage
from finemed.stages.respond import RespondStage
from finemed.stages.route import RouteStage
from finemed.taxonomy import load_taxonomy

Q = "How is croup recognised?"
ANSWERED: dict[str, Any] = {"given_instruction": Q, "given_response": " By its\tcough. "}
PAIR: dict[str, Any] = {"given_instruction": Q, "given_response": "By an X-ray.", "given_chosen": " By its\tcough.\n"}
ASKED: dict[str, Any] = {"given_instruction": Q}


# --- stage by stage --------------------------------------------------------------------------------------------------


def test_a_given_row_is_one_passage_however_long() -> None:
    text = "  " + " ".join(f"Sentence number {n} says that drug {n} helps." for n in range(400)) + "\n"
    raw = dict.fromkeys(RAW_SCHEMA) | {"record_id": "own/a.jsonl:1", "document_id": "d1", "source": "own", "text": text}
    rows = [raw, raw | {"record_id": "own/a.jsonl:2", "document_id": "d2"} | ANSWERED]
    stage = IngestStage(IngestConfig(max_tokens=100, min_tokens=10))
    kept = stage.apply(pl.DataFrame(rows, schema=RAW_SCHEMA)).kept
    (own,) = kept.filter(pl.col("document_id") == "d2").to_dicts()
    assert kept.height > 20
    assert (own["span_start"], own["span_end"], own["text"]) == (2, len(text) - 1, text.strip())
    assert own["given_response"] == ANSWERED["given_response"]


SCORES = reply(
    rationale="Fair.", quality=8, difficulty=9, relevance_to_medicine=6, mention_specific_details=False
)  # fmt: skip
VERDICT = reply(rationale="Fair.", grounded=8, correct=8, complete=8, safe=8)


def asked_of(backend: Scripted, number: int = 0) -> str:
    """The whole prompt of a call."""
    return "\n".join(message["content"] for message in backend.asked[number].messages())


@pytest.mark.parametrize(
    ("row", "shown", "hidden"),
    [
        ({}, ["was written from this text", "<text>\nCroup is a viral infection"], ["existing dataset", "<answer>"]),
        (ANSWERED, ["existing dataset", "<answer>\n By its\tcough. \n</answer>"], ["<text>", "was written from"]),
        (PAIR, ["<answer>\n By its\tcough.\n\n</answer>"], ["<text>", "By an X-ray."]),
        (ASKED, ["existing dataset, without an answer"], ["<text>", "<answer>", "was written from"]),
    ],
)
def test_the_judge_of_questions_is_told_where_they_come_from(
    row: dict[str, Any], shown: list[str], hidden: list[str]
) -> None:
    backend = Scripted(SCORES)
    outcome = run_stage(JudgeStage(JudgeConfig(), backend), Instruction, [question(**row)])
    assert outcome.kept["quality"].to_list() == [8]
    prompt = asked_of(backend)
    assert all(part in prompt for part in shown)
    assert not any(part in prompt for part in hidden)


def test_the_judge_of_answers_has_no_background_for_given_questions() -> None:
    backend = Scripted(VERDICT)
    rows = [
        response(),
        *(response(response_id=f"r{n}", **row) for n, row in enumerate((ANSWERED, PAIR, ASKED), start=2)),
    ]
    run_stage(JudgeAnswersStage(JudgeAnswersConfig(), backend), Response, rows)
    prompts = [asked_of(backend, number) for number in range(4)]
    assert ["<text>" in prompt for prompt in prompts] == [True, False, False, False]
    assert ["There is no source text" in prompt for prompt in prompts] == [False, True, True, True]
    assert all("<answer>\nBy its barking cough.\n</answer>" in prompt for prompt in prompts)


NONE_NEEDED = SplitConfig(min_rows={"sft": 0, "sft_reasoning": 0, "dpo": 0, "ttt": 0})


def routes(rows: list[dict[str, Any]], pools: SplitConfig = NONE_NEEDED, **settings: Any) -> dict[str, str]:
    stage = RouteStage(RouteConfig(**settings), pools, 0)
    kept = run_stage(stage, CheckedInstruction, [row | {"contamination": None} for row in rows]).kept
    return dict(kept.select("instruction_id", "route").iter_rows())


def test_answers_decide_the_route_and_the_score_that_of_the_others() -> None:
    rows = [
        judged(instruction_id="answered", complexity=10, **ANSWERED),
        judged(instruction_id="pair", complexity=1, **PAIR),
    ]
    rows += [judged(instruction_id=f"asked{n}", complexity=n, **ASKED) for n in (7, 9)]
    rows.append(judged(instruction_id="ours", complexity=8))
    fixed = {"answered": "common", "pair": "complex"}
    assert routes(rows) == fixed | {"asked7": "common", "asked9": "complex", "ours": "common"}
    shared = fixed | {"asked7": "common", "asked9": "complex", "ours": "complex"}
    assert routes(rows, top_share=0.66) == shared


@pytest.mark.parametrize(
    ("row", "least", "named"),
    [
        (ANSWERED, {"dpo": 2}, ["0 complex questions (5 of all 5 bring their answers", "add preference pairs"]),
        (
            PAIR,
            {"sft": 2, "ttt": 0},
            ["0 common questions (5 of all 5 bring their answers", "questions with one answer"],
        ),
        (ASKED, {"dpo": 2}, ["0 complex questions, but", "lower `route.complexity_above`"]),
    ],
)
def test_pools_that_cannot_be_filled_are_counted_with_the_given_answers(
    row: dict[str, Any], least: dict[str, int], named: list[str]
) -> None:
    rows = [judged(instruction_id=f"i{n}", document_id=f"d{n}", **row) for n in range(5)]
    pools = SplitConfig(min_rows={"sft": 0, "sft_reasoning": 0, "dpo": 0, "ttt": 0} | least)
    with pytest.raises(PoolError) as error:
        routes(rows, pools)
    assert all(part in str(error.value) for part in (*named, "`split.min_rows`"))


def test_a_preferred_answer_is_the_reasoning_answer_without_a_call() -> None:
    backend = Scripted(lambda request: "**Thought**\nA bark.\n\n**Summarization**\nCroup.")
    rows = [
        routed(instruction_id="pair", route="complex", **PAIR),
        routed(instruction_id="answered", **ANSWERED),
        routed(instruction_id="asked", route="complex", **ASKED),
    ]
    kept = run_stage(ReasonStage(ReasonConfig(), backend), RoutedInstruction, rows).kept
    columns = ("reasoning", "reasoning_model", "reasoning_prompt", "reasoning_extractive")
    pair, answered, asked = kept.select(columns).rows()
    assert pair == (PAIR["given_chosen"], "given", "given", False)
    assert answered == (None, None, None, None)
    assert asked[1] == "scripted"
    assert [request.owner[0] for request in backend.asked] == ["asked"]
    assert "text" not in asked_of(backend).lower()


def test_an_answer_of_a_source_is_the_only_one_and_costs_no_call() -> None:
    backend = Scripted(lambda request: f"Written, {request.inputs['style']}.")
    rows = [
        reasoned(instruction_id="answered", **ANSWERED),
        reasoned(instruction_id="pair", route="complex", reasoning=PAIR["given_chosen"], reasoning_model="given",
                 reasoning_prompt="given", reasoning_extractive=False, **PAIR),
        reasoned(instruction_id="asked", **ASKED),
    ]  # fmt: skip
    kept = run_stage(RespondStage(RespondConfig(), backend), ReasonedInstruction, rows).kept
    columns = ("instruction_id", "kind", "style", "response", "response_model", "response_prompt", "extractive")
    answered, rejected, chosen, *asked = kept.select(columns).rows()
    assert answered == ("answered", "ordinary", "given", ANSWERED["given_response"], "given", "given", False)
    assert rejected == ("pair", "ordinary", "given", PAIR["given_response"], "given", "given", False)
    assert chosen == ("pair", "reasoning", "reasoning", PAIR["given_chosen"], "given", "given", False)
    assert [row[2:5] for row in asked] == [
        ("concise", "Written, concise.", "scripted"),
        ("explanatory", "Written, explanatory.", "scripted"),
    ]
    assert {request.owner[0] for request in backend.asked} == {"asked"}
    assert "background" not in asked_of(backend)
    assert "<text>" not in asked_of(backend)


def test_the_rules_refuse_a_question_without_an_answer_or_a_text() -> None:
    rules = Rules(load_taxonomy(None))
    rows = [reasoned(**ASKED, text=f"{Q} Croup barks. It is viral. It is treated. It ends.")]
    assert reasons(run_stage(RespondStage(RespondConfig(), rules), ReasonedInstruction, rows)) == {
        "i1": "respond_refused"
    }
    hard = [routed(route="complex", **ASKED)]
    assert reasons(run_stage(ReasonStage(ReasonConfig(), rules), RoutedInstruction, hard)) == {"i1": "reason_refused"}


class Remote(Scripted):
    local = False


def test_personal_data_in_a_given_answer_keeps_it_from_a_remote_judge_but_not_from_a_stage_that_sends_nothing() -> None:
    phi = {"phi_state": "found", "phi_kinds": "phone 0.90", "phi_confidence": 0.9}
    rows = [reasoned(**ANSWERED, **phi), reasoned(instruction_id="i2", **ASKED, **phi)]
    outcome = run_stage(RespondStage(RespondConfig(), Remote(reply())), ReasonedInstruction, rows)
    assert reasons(outcome) == {"i2": "phi_withheld"}
    assert outcome.kept["response"].to_list() == [ANSWERED["given_response"]]
    judge = run_stage(JudgeStage(JudgeConfig(), Remote(SCORES)), Instruction, [question(**ANSWERED, **phi)])
    assert reasons(judge) == {"i1": "phi_withheld"}


def scored(row_id: str, score: float, **row: Any) -> dict[str, Any]:
    return judged_response(response_id=row_id, response_score=score, **row)


def test_a_pairs_rejected_answer_may_score_low_and_its_chosen_one_may_not() -> None:
    config = RankConfig(min_score=6)
    low, high = scored("low", 2, route="complex", **PAIR), {"kind": "reasoning", "route": "complex", **PAIR}
    (row,) = run_stage(RankStage(config), JudgedResponse, [low, scored("high", 9, **high)]).kept.to_dicts()
    assert (row["response_id"], row["reasoning_id"], row["response_score"]) == ("low", "high", 2)
    lost = run_stage(RankStage(config), JudgedResponse, [low, scored("high", 5, **high)])
    assert reasons(lost) == {"high": "below_min_score", "low": "no_reasoning_answer"}
    assert details(lost)["high"] == "5.00 < 6.0"
    common = run_stage(RankStage(config), JudgedResponse, [scored("one", 2, **ANSWERED)])
    assert reasons(common) == {"one": "below_min_score"}


# --- whole builds ----------------------------------------------------------------------------------------------------

GOUT = (
    "Why does gout flare after a meal rich in meat?",
    "Meat is rich in purines, which the body turns into uric acid.\r\n\tCrystals of urate then form in the joint and "
    "set off an inflammation with pain; colchicine or ibuprofen treats the acute attack, allopurinol lowers "
    "the urate level. ",
)
ASTHMA = (
    "What does a bronchodilator show in suspected asthma?",
    "  If spirometry improves by 12 per cent after salbutamol, the obstruction is reversible, which supports asthma "
    "rather than chronic obstructive lung disease. A normal test between attacks does not exclude the diagnosis.",
)
GLAUCOMA = (
    "Which drops lower the pressure in the eye in glaucoma?",
    "Timolol reduces the production of aqueous fluid and latanoprost increases its outflow. Timolol is avoided in "
    "patients with asthma, since it can bring on bronchospasm. Surgery follows where drops fail.",
)
SCABIES = (
    "Why must a whole household be treated for scabies?",
    "The mite of this skin disease spreads by close contact, and the itching rash begins weeks after infection, so "
    "relatives carry it before they have symptoms. Permethrin cream is the treatment of all of them on the same day.",
)
ANEMIA = (
    "How is iron deficiency confirmed in a patient with anemia?",
    "A low ferritin level in serum confirms that the stores of iron are empty. In adults without heavy periods, loss "
    "of blood from the bowel has to be looked for by endoscopy before iron tablets are given alone.",
)
PREECLAMPSIA = (
    "Which warning signs of preeclampsia should a pregnant woman know?",
    "She should seek help at once for a severe headache, flashes before the eyes, pain below the ribs, or sudden "
    "swelling of the face. Blood pressure and protein in the urine are then measured without delay.",
)
STROKE = (
    "What is done first when a stroke is suspected?",
    "**Answer.** Computed tomography without delay, since bleeding must be excluded before thrombolysis. The window is "
    "a few hours from the first symptom, so the time of onset is asked for before anything else.",
    "Give aspirin at home and wait until the next morning to see whether the weakness of the arm goes away by itself.",
)
SEPSIS = (
    "When are antibiotics given in suspected sepsis?",
    "Within the first hour, after blood cultures where these cause no delay, together with fluids for low blood "
    "pressure. Every hour of delay raises the mortality of septic shock.",
    "After the results of the blood culture have come back from the laboratory, usually two days later, so that only "
    "the right drug is given.",
)
CROUP = (
    "Explain the treatment to the parents.",
    "The child has croup, which is viral, with a barking cough and stridor.",
)
CROUP_ANSWER = (
    "A single dose of dexamethasone by mouth calms the swelling of the larynx within hours. Come back at once if the "
    "child struggles for breath, drools or turns blue; antibiotics do not help against a virus."
)
UNANSWERED = (
    "A child of two years has a fever and a stiff neck, and the light hurts his eyes. Which infection do you fear, "
    "and which puncture confirms the diagnosis before antibiotics are continued in hospital?"
)
ZH = (
    "我最近血压一直偏高，医生说是高血压，请问日常饮食和用药方面应该注意哪些问题？",
    "高血压患者应减少食盐摄入，每天不超过五克，控制体重，戒烟限酒，规律运动，并在医生指导下长期服用降压药物，定期测量血压，不可自行停药。",
)


def write(path: Path, *rows: dict[str, Any] | str) -> None:
    lines = (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")


def turns(*texts: str, names: tuple[str, str, str, str]) -> list[dict[str, str]]:
    speaker, content, *roles = names
    return [{speaker: roles[number % 2], content: text} for number, text in enumerate(texts)]


SHAREGPT, MESSAGES = ("from", "value", "human", "gpt"), ("role", "content", "user", "assistant")


def write_own_data(folder: Path) -> None:
    """One file of each layout, with some rows that cannot be used."""
    write(
        folder / "alpaca.jsonl",
        {"instruction": GOUT[0], "input": "", "output": GOUT[1]},
        {"instruction": CROUP[0], "input": CROUP[1], "output": CROUP_ANSWER},
        {"instruction": UNANSWERED},
        {"instruction": "What is gout?", "output": "  "},
        "{broken",
    )
    write(
        folder / "sharegpt.jsonl",
        {"id": 1, "conversations": [{"from": "system", "value": "Be brief."}, *turns(*ASTHMA, names=SHAREGPT)]},
        {"id": 2, "conversations": turns(*GLAUCOMA, "Thanks!", "Welcome.", names=SHAREGPT)},
    )
    write(
        folder / "messages.jsonl",
        {"messages": turns(*SCABIES, names=MESSAGES)},
        {"messages": turns(*reversed(SCABIES), names=("role", "content", "assistant", "user"))},
    )
    write(folder / "completions.jsonl", {"prompt": ANEMIA[0], "completion": ANEMIA[1]})
    write(folder / "answers.jsonl", {"question": PREECLAMPSIA[0], "answer": PREECLAMPSIA[1], "by": "Ann"})
    write(
        folder / "pairs.jsonl",
        {"prompt": STROKE[0], "chosen": STROKE[1], "rejected": STROKE[2]},
        {
            "chosen": turns(SEPSIS[0], SEPSIS[1], names=MESSAGES),
            "rejected": turns(SEPSIS[0], SEPSIS[2], names=MESSAGES),
        },
        {"prompt": GOUT[0], "chosen": GOUT[1], "rejected": GOUT[1]},
    )


FILES = ("alpaca", "sharegpt", "messages", "completions", "answers", "pairs")
COMMON = [GOUT, ("\n\n".join(CROUP), CROUP_ANSWER), ASTHMA, SCABIES, ANEMIA, PREECLAMPSIA]
PAIRS = [STROKE, SEPSIS]


def build(folder: Path, **settings: Any) -> BuildOutcome:
    raw: dict[str, Any] = {
        "name": "own",
        "sources": [{"name": name, "path": f"{name}.jsonl", "license": "CC0-1.0"} for name in FILES],
        "split": {"ttt_share": 0, "validation": 0, "test": 0, "min_rows": {"ttt": 0}},
        **settings,
    }
    return build_release(Plan(BuildConfig(**raw), folder), folder / "run")


def published(outcome: BuildOutcome, config: str) -> list[dict[str, Any]]:
    assert outcome.release is not None
    return pl.read_parquet(outcome.release.path / "data" / config / "*.parquet").to_dicts()


def talk(*texts: str) -> list[dict[str, str]]:
    return turns(*texts, names=MESSAGES)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> BuildOutcome:
    folder = tmp_path_factory.mktemp("own")
    write_own_data(folder)
    return build(folder)


def test_given_answers_are_published_word_for_word(own: BuildOutcome) -> None:
    rows = {row["instruction"]: row for row in published(own, "sft")}
    assert set(rows) == {asked for asked, _ in COMMON}
    for asked, answer in COMMON:
        row = rows[asked]
        assert row["messages"] == talk(asked, answer)
        assert row["prompt"] == talk(asked)
        assert (row["response"], row["model_name"], row["response_prompt"]) == (answer, "given", "given")
        assert (row["instruction_model"], row["instruction_prompt"]) == ("given", "given")
        assert not row["extractive"]
        assert row["notice"] is None


def test_given_pairs_are_published_word_for_word_in_both_pools(own: BuildOutcome) -> None:
    rows = {row["prompt"][0]["content"]: row for row in published(own, "dpo")}
    long = {row["instruction"]: row for row in published(own, "sft_reasoning")}
    assert set(rows) == set(long) == {asked for asked, *_ in PAIRS}
    for asked, chosen, rejected in PAIRS:
        row = rows[asked]
        assert [row[side][0]["content"] for side in ("chosen", "rejected")] == [chosen, rejected]
        assert (row["chosen_model"], row["rejected_model"]) == ("given", "given")
        assert long[asked]["messages"] == talk(asked, chosen)
        assert not row["extractive"]


def test_every_record_is_published_or_in_the_ledger_with_its_reason(own: BuildOutcome) -> None:
    ledger = pl.read_parquet(own.run.run / "ledger.parquet")
    at_ingest = ledger.filter(pl.col("stage") == "ingest")
    assert dict(at_ingest.select("row_id", "drop_reason").iter_rows()) == {
        "alpaca/alpaca.jsonl:4": "empty_answer",
        "alpaca/alpaca.jsonl:5": "not_json",
        "sharegpt/sharegpt.jsonl:2": "multi_turn",
        "messages/messages.jsonl:2": "bad_roles",
        "pairs/pairs.jsonl:3": "equal_pair",
    }
    later = ledger.filter(pl.col("stage") != "ingest")
    assert later.select("stage", "drop_reason").rows() in (
        [("respond", "respond_refused")],
        [("reason", "reason_refused")],
    )
    records = at_ingest.height + later.height + len(COMMON) + len(PAIRS)
    assert own.run.manifest["stages"][0]["counts"]["rows_in"] == records == 14


def test_the_first_exchange_is_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    outcome = build(tmp_path, sources=[
        {"name": "sharegpt", "path": "sharegpt.jsonl", "multi_turn": "first"}, {"name": "pairs", "path": "pairs.jsonl"}
    ])  # fmt: skip
    assert {row["instruction"]: row["response"] for row in published(outcome, "sft")} == dict([ASTHMA, GLAUCOMA])


def test_chinese_rows_are_published_where_their_language_is_kept(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    write(tmp_path / "zh.jsonl", {"instruction": ZH[0], "response": ZH[1]})
    sources = [{"name": name, "path": f"{name}.jsonl"} for name in ("zh", "answers", "pairs")]
    outcome = build(tmp_path, sources=sources, filter={"languages": ["zh", "en"], "min_words": 10})
    rows = {row["language"]: row for row in published(outcome, "sft")}
    assert set(rows) == {"zh", "en"}
    assert rows["zh"]["messages"] == talk(*ZH)
    assert rows["zh"]["phi_state"] in ("none_found", "not_scanned")


def test_a_release_of_pairs_alone_names_no_pool_that_it_does_not_have(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    split = {"ttt_share": 0, "min_rows": {"sft": 0, "ttt": 0}}
    outcome = build(tmp_path, sources=[{"name": "pairs", "path": "pairs.jsonl"}], split=split)
    assert outcome.release is not None
    assert set(outcome.release.manifest["configs"]) == {"sft_reasoning", "dpo"}
    assert "'sft_reasoning')" in outcome.explain()
    card = (outcome.release.path / "README.md").read_text("utf-8")
    assert '"sft")' not in card
    assert "Medical questions that their source brought (2;" in card
    assert "2 pairs of `dpo` came with their source" in card
    named = [line for line in card.splitlines() if "extractive" in line]
    assert all(line.startswith(("| extractive |", "| `extractive` |", "| notice |", "| `notice` |")) for line in named)


def test_the_ttt_pool_takes_the_chosen_answers_of_pairs(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    split = {"ttt_share": 1, "min_rows": {"sft": 0, "sft_reasoning": 0, "dpo": 0}}
    outcome = build(tmp_path, sources=[{"name": "pairs", "path": "pairs.jsonl"}], split=split)
    assert {row["instruction"]: row["response"] for row in published(outcome, "ttt")} == {
        asked: chosen for asked, chosen, _ in PAIRS
    }


def test_equal_questions_are_deduplicated_across_sources(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    write(tmp_path / "again.jsonl", {"question": STROKE[0], "answer": ANEMIA[1]})
    sources = [{"name": name, "path": f"{name}.jsonl"} for name in ("again", "answers", "pairs")]
    outcome = build(
        tmp_path, sources=sources, split={"ttt_share": 0, "min_rows": {"dpo": 0, "sft_reasoning": 0, "ttt": 0}}
    )
    drops = {stage["stage"]: stage["drops"] for stage in outcome.run.manifest["stages"]}
    assert drops["dedup_instructions"] == {"exact_duplicate": 1}


# --- with a language model -------------------------------------------------------------------------------------------

DOCUMENT = (
    "Psoriasis is a disease of the skin in which cells grow too fast and form silvery plaques. Elbows, knees and scalp "
    "are typical sites. Topical steroids and vitamin D creams help mild disease, methotrexate helps severe disease."
)


def play(call: Call) -> Reply:
    prompt = call.question
    if "Which department would look after" in prompt:
        return chat('{"department": "none", "subdepartment": "none", "confidence": 0.5}')
    if "Write two questions" in prompt:
        pair = {"question1": "How is mild psoriasis treated?", "task_type1": "treatment"}
        return chat(json.dumps(pair | {"question2": "Where does psoriasis sit?", "task_type2": "presentation"}))
    if "Give four judgements" in prompt:
        scores: dict[str, Any] = {"rationale": "Fair.", "quality": 8, "difficulty": 5, "relevance_to_medicine": 6}
        return chat(json.dumps(scores | {"mention_specific_details": False}))
    if "Answer the question" in prompt:
        return chat("Written answer.")
    return chat(json.dumps({"rationale": "Fair.", "grounded": 7, "correct": 7, "complete": 7, "safe": 7}))


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.answer = play
    yield running
    running.stop()


def test_a_model_is_asked_only_for_what_is_missing(tmp_path: Path, server: Server) -> None:
    write_own_data(tmp_path)
    write(tmp_path / "web.jsonl", {"text": DOCUMENT, "question": "unused"})
    sections = ("classify", "generate", "judge", "reason", "respond", "judge_answers")
    main = {"type": "openai", "model": "played", "base_url": server.url, "api_key_env": None}
    outcome = build(
        tmp_path,
        sources=[{"name": name, "path": f"{name}.jsonl"} for name in (*FILES, "web")],
        backends={"main": main},
        **{name: {"backend": "main"} for name in sections},
    )
    prompts = [call.question for call in server.calls]
    assert sum("Write two questions" in prompt for prompt in prompts) == 1
    assert not any("in exactly two sections" in prompt for prompt in prompts)
    answering = [prompt for prompt in prompts if "Answer the question" in prompt]
    assert len(answering) == 4
    assert sum(f"Question: {UNANSWERED}" in prompt for prompt in answering) == 2
    assert sum("<text>" in prompt for prompt in answering) == 2
    rows = {row["instruction"]: row for row in published(outcome, "sft")}
    assert len(rows) == len(COMMON) + 2
    assert rows[UNANSWERED]["response"] == "Written answer."
    assert rows[UNANSWERED]["model_name"] == "openai:played"
    assert rows[UNANSWERED]["instruction_model"] == "given"
    ours = next(row for row in rows.values() if row["source"] == "web")
    assert ours["instruction_model"] == "openai:played"
    assert {row["prompt"][0]["content"] for row in published(outcome, "dpo")} == {STROKE[0], SEPSIS[0]}


def test_given_columns_are_strings_or_null_in_the_frame() -> None:
    rows = frame(Passage, [make(Passage, **PAIR), make(Passage)])
    assert rows.select("given_instruction", "given_response", "given_chosen").rows()[1] == (None, None, None)
