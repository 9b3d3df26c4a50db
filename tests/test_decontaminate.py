"""Decontamination: benchmarks in every layout, what counts as holding an item, the stage, and the compiled kernel."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hub_client import environment
from hypothesis import given, settings
from hypothesis import strategies as st
from loopback_hub import Hub
from rows import checked, details, frame, judged, judged_response, numbered, reasons, response, run_shards, run_stage

from finemed.config import DecontaminateConfig, RankConfig
from finemed.errors import InputError
from finemed.records import JudgedInstruction, JudgedResponse, Response
from finemed.sources.benchmarks import KNOWN, BenchmarkItem, load_benchmarks
from finemed.stages.contamination import benchmark_of, joined
from finemed.stages.decontaminate import BenchmarkIndex, DecontaminateStage
from finemed.stages.rank import RankStage
from finemed.text.column import column_of
from finemed.text.normalise import words
from finemed.text.overlap import OverlapIndex, OverlapRule
from finemed.text.overlap_align import GAP
from finemed.text.overlap_find import OverlapFinder, find_hits
from finemed.text.overlap_match import AMPLE_MASS, BLOCK, required
from finemed.text.overlap_plain import PlainScan, find_plain, word_spans
from finemed.text.overlap_words import phrases, worth

ROOT = Path(__file__).resolve().parents[1]
STEM = (
    "A farmer of 61 years brings a swollen great toe that woke him at four in the morning after a feast of venison; "
    "which crystal is seen under polarised light?"
)
OPTIONS = {
    "A": "Slender needles of monosodium urate that shine yellow along the axis of slow light",
    "B": "Blunt rhomboids of calcium pyrophosphate that shine blue along the axis of slow light",
    "C": "Cholesterol",
}
FILLER = " ".join(f"unrelated{n}" for n in range(400))


def benchmark(folder: Path, *items: dict[str, Any] | str, name: str = "bench.jsonl") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    lines = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in items]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def item(stem: str = STEM, **more: Any) -> dict[str, Any]:
    return {"id": "q1", "benchmark": "medquiz", "question": stem, "options": OPTIONS, **more}


def stage_for(folder: Path, *paths: Path | str, answers: bool = False, **more: Any) -> DecontaminateStage:
    config = DecontaminateConfig(benchmarks=list(map(str, paths)), **more)
    index = BenchmarkIndex.load(config, folder)
    return (DecontaminateStage.of_answers if answers else DecontaminateStage.of_questions)(config, index)


def flagged(text: str, *paths: Path, **more: Any) -> dict[str, str]:
    """The detail of the drop, by id; empty where the question stays."""
    outcome = run_stage(stage_for(Path(), *paths, **more), JudgedInstruction, [judged(instruction=text)])
    assert set(reasons(outcome).values()) <= {"contaminated"}
    return details(outcome)


# --- what counts as holding an item ----------------------------------------------------------------------------------


def test_a_verbatim_item_is_found_and_named(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item())
    assert flagged(STEM, path) == {"i1": f"medquiz/q1: stem, score 1.00 (0.60 needed), characters 0-{len(STEM) - 1}"}


def test_the_order_of_the_options_does_not_matter(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item("Which of the following is seen?"))
    for letters in ("ABC", "CBA", "BCA"):
        listed = " ".join(f"({letter}) {OPTIONS[letter]}" for letter in letters)
        assert "score 1.00" in flagged(f"Which of the following is seen? {listed}", path)["i1"]


def test_options_tell_items_with_one_stem_apart() -> None:
    stem = "Which of the following statements is correct?"
    own = ("Lymphoid follicles surround crypts", "Paneth granules hold lysozyme")
    other = ("Brunner glands secrete bicarbonate", "Goblet mucin traps helminths")
    index = OverlapIndex.build([(stem, own), (stem, other)], OverlapRule())
    (hits,) = find_plain([f"{stem} {other[1]}. {other[0]}."], index)
    assert [(hit.item, hit.kind) for hit in hits] == [(1, "stem and options")]
    assert find_plain([stem], index) == [[]]


def test_a_long_option_flags_alone_and_a_short_one_does_not(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item(options=[numbered(range(11)), numbered(range(20, 33))]))
    assert not flagged(numbered(range(11)), path)
    assert flagged(f"Choose: {numbered(range(20, 33))}", path)["i1"].startswith("medquiz/q1: option, score 1.00")


def test_an_item_inside_a_long_text_is_found_where_it_stands(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item())
    text = f"{FILLER} {STEM.upper()} {FILLER}"
    start = len(FILLER) + 1
    assert f"characters {start}-{start + len(STEM) - 1}" in flagged(text, path)["i1"]
    assert not flagged(FILLER, path)


def test_an_item_far_down_a_very_long_text_is_found() -> None:
    index = OverlapIndex.build([(STEM, ())], OverlapRule())
    long = " ".join(f"unrelated{n}" for n in range(3 * BLOCK))
    (hits,) = find_plain([f"{long} {STEM} {long}"], index)
    assert [(hit.score, hit.start) for hit in hits] == [(1.0, len(long) + 1)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("how", ["substituted", "deleted"])
def test_a_tenth_of_the_words_may_be_changed(how: str, seed: int) -> None:
    index = OverlapIndex.build([(STEM, tuple(OPTIONS.values()))], OverlapRule())
    rng, parts = random.Random(seed), STEM.split()
    at = set(rng.sample(range(len(parts)), round(0.1 * len(parts))))
    changed = [("sponge" if how == "substituted" else "") if n in at else word for n, word in enumerate(parts)]
    (hits,) = find_plain([" ".join(changed)], index)
    assert hits[0].kind == "stem"
    assert 0.6 < hits[0].score < 1


def test_half_of_an_item_is_not_enough_without_a_run_of_words(tmp_path: Path) -> None:
    stem = " ".join(f"term{n}" for n in range(24))
    path = benchmark(tmp_path, item(stem, options=[]))
    half = " ".join(f"term{n}" for n in range(12))
    assert not flagged(half, path)
    assert flagged(half + " term12", path)["i1"].startswith("medquiz/q1: n-gram, score 0.54, characters 0-")
    assert not flagged(half + " term12", path, ngram_size=14)
    assert flagged(half, path, min_score=0.45)


def test_a_short_stem_is_found_nearly_whole_and_only_so(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item("Which nerve innervates the diaphragm?", options=["Phrenic", "Vagus"]))
    assert flagged("Tell me: which nerve innervates the diaphragm, and from where?", path)
    assert not flagged("Tell me: which nerve innervates the deltoid, and from where?", path)
    assert not flagged("The phrenic nerve innervates the diaphragm.", path)


def test_a_frame_around_a_topic_is_not_found_by_the_topic(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item("Which of the following is true about the carpal tunnel syndrome?", options=[]))
    assert not flagged("How is carpal tunnel syndrome treated?", path)
    assert flagged("Which of the following is true about the carpal tunnel syndrome?", path)


def test_a_stem_that_says_too_little_cannot_be_found_and_is_counted(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item("What is the cause of this?", options=["Yes", "No"]))
    index = BenchmarkIndex.load(DecontaminateConfig(benchmarks=[str(path)]), tmp_path)
    assert (index.items, index.unmatchable) == ({"medquiz": 1}, 1)
    assert not flagged("What is the cause of this? Yes. No.", path)


@pytest.mark.parametrize(
    "text",
    [
        "Which of the following is the most likely diagnosis?",
        "Which of the following is the most appropriate next step in management?",
        "His temperature is 37.2 C, pulse is 80/min, respirations are 16/min, and blood pressure is 120/80 mm Hg.",
        "A 45-year-old man comes to the emergency department because of a 2-day history of pain.",
        "What are the symptoms of this disease, and what are the treatments?",
    ],
)
def test_boilerplate_alone_flags_nothing(text: str) -> None:
    vignette = (
        "A 45-year-old man comes to the emergency department because of a 2-day history of jaundice. His temperature "
        "is 37.2 C, pulse is 80/min, respirations are 16/min, and blood pressure is 120/80 mm Hg. Scleral icterus and "
        "palpable spleen are noted. Which of the following is the most likely diagnosis?"
    )
    others = [("Which of the following is the most appropriate next step in management?", ("Statin", "Stent"))]
    index = OverlapIndex.build([(vignette, ("Spherocytosis", "Cholangitis")), *others], OverlapRule())
    assert find_plain([text, vignette], index)[0] == []
    assert [hit.item for hit in find_plain([vignette], index)[0]] == [0]


def test_a_phrase_of_many_items_weighs_little() -> None:
    phrase = "wobbling jellied quorum under every gilded arch of marble"
    many = [(f"plant{n} seed{n} {phrase}", ()) for n in range(20)]
    text = f"In our garden {phrase} stood"
    assert find_plain([text], OverlapIndex.build(many[:1], OverlapRule()))[0]
    assert find_plain([text], OverlapIndex.build(many, OverlapRule())) == [[]]
    assert [hit.item for hit in find_plain([many[7][0]], OverlapIndex.build(many, OverlapRule()))[0]] == [7]


def test_function_words_and_numbers_weigh_little() -> None:
    assert worth("the") < worth("patient") < worth("120") < worth("innervates")
    said = words("Pulse is 80/min; which of the following statements about meiosis is true?")
    spared = [word for place, word in enumerate(said) if place not in phrases(said)]
    assert spared == ["meiosis"]


def test_a_chinese_item_is_found() -> None:
    stem = "患者男性六十二岁突发胸骨后压榨样疼痛伴大汗两小时心电图示下壁导联抬高"
    index = OverlapIndex.build([(stem, ("急性心肌梗死", "主动脉夹层"))], OverlapRule())
    (hits, none) = find_plain([f"请回答：{stem}，诊断是什么？", "患者女性，头痛三天，如何治疗？"], index)
    assert [(hit.kind, hit.start, hit.end) for hit in hits] == [("stem", 4, 4 + len(stem))]
    assert none == []


def test_less_of_an_item_is_needed_the_more_it_says() -> None:
    needs = [required(mass, 600) for mass in range(0, 2 * AMPLE_MASS, 50)]
    assert needs == sorted(needs, reverse=True)
    assert (needs[0], needs[-1]) == (1000, 600)


def test_everything_shows_the_candidates_that_fell_short() -> None:
    index = OverlapIndex.build([(STEM, tuple(OPTIONS.values()))], OverlapRule())
    (hits,) = find_hits(["A swollen toe after venison."], index, everything=True)
    assert [(hit.kind, hit.flagged) for hit in hits] == [("below", False)]
    assert 0 < hits[0].score < hits[0].needed
    assert find_hits(["A swollen toe after venison."], index) == [[]]


# --- the kernels -----------------------------------------------------------------------------------------------------

VOCABULARY = [*"abcde", "nerve", "ilium", "ureter", "心", "房", "naïve", "Straße", "İ", "2.5", "the", "which", "\u0301"]
TEXTS = st.lists(st.sampled_from(VOCABULARY), max_size=14).map(" ".join)
ITEMS = st.lists(st.tuples(TEXTS, st.lists(TEXTS, max_size=3)), min_size=1, max_size=6)


def best_alignment(part: list[str], weights: list[int], text: list[str]) -> int:
    """The whole table of a local alignment, as textbooks have it."""
    above = [0] * (len(text) + 1)
    best = 0
    for word, weight in zip(part, weights, strict=True):
        row = [0]
        for at, other in enumerate(text, start=1):
            match = above[at - 1] + weight if word == other else 0
            row.append(max(0, above[at], row[at - 1] - GAP, match))
        best, above = max(best, *row), row
    return best


@settings(deadline=None, max_examples=200)
@given(ITEMS, TEXTS)
def test_the_alignment_is_that_of_the_whole_table(items: list[tuple[str, list[str]]], text: str) -> None:
    index = OverlapIndex.build(items, OverlapRule(ngram_size=5))
    tables = index.plain
    for hit in find_hits([text], index, everything=True)[0]:
        stem = tables.parts_at[hit.item]
        place = slice(tables.words_at[stem], tables.words_at[stem + 1])
        own = words(items[hit.item][0])
        value = best_alignment(own, tables.weights[place], words(text))
        assert hit.stem_score == value * 1000 // max(1, tables.masses[stem]) / 1000


@settings(deadline=None, max_examples=60)
@given(ITEMS, st.lists(TEXTS, min_size=1, max_size=8), st.sampled_from([0.3, 0.6, 1.0]))
def test_the_compiled_kernel_equals_the_interpreter(
    items: list[tuple[str, list[str]]], texts: list[str], min_score: float
) -> None:
    from finemed.text.overlap_scan import OverlapScan

    index = OverlapIndex.build(items, OverlapRule(min_score, 5))
    plain, compiled = PlainScan(index), OverlapScan(index)
    texts = [*texts, items[0][0], f"{items[0][0]} {' '.join(items[0][1])}"]
    expected = [plain.verdicts(text) for text in texts]
    assert compiled.counts(column_of(texts)).tolist() == list(map(len, expected))
    assert [compiled.verdicts(text) for text in texts] == expected
    for text in texts:
        assert compiled.verdicts(text, everything=True) == plain.verdicts(text, everything=True)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_the_spans_are_those_of_the_words(text: str) -> None:
    spans = word_spans(text)
    assert len(spans) == len(words(text))
    assert all(0 <= start < end <= len(text) for start, end in spans)
    if len(text.lower()) == len(text):
        assert [text[start:end].lower() for start, end in spans] == words(text) or not text.isascii()


@pytest.mark.parametrize("text", ["", " ", "x", "心", "!", "\U0001f600", "\u0301", "a" * 5000])
def test_tiny_and_odd_texts_hold_nothing(text: str) -> None:
    from finemed.text.overlap_scan import OverlapScan

    index = OverlapIndex.build([(STEM, ())], OverlapRule())
    assert find_plain([text], index) == [[]]
    assert OverlapScan(index).counts(column_of([text])).tolist() == [0]


def test_an_item_without_words_is_never_found() -> None:
    index = OverlapIndex.build([("???", ("!",)), (STEM, ())], OverlapRule())
    assert index.unmatchable == (0,)
    assert [[hit.item for hit in hits] for hits in find_plain(["???", STEM], index)] == [[], [1]]


def test_many_texts_go_through_the_kernel_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    index = OverlapIndex.build([(STEM, tuple(OPTIONS.values()))], OverlapRule())
    texts = [STEM if n % 97 == 0 else f"row {n} {FILLER[: n % 50]}" for n in range(600)]
    few = OverlapFinder(index).find(texts)
    monkeypatch.setattr("finemed.text.overlap_find.INTERPRETED", 0)
    assert OverlapFinder(index).find(pl.Series(texts)) == few
    assert list(few) == list(range(0, 600, 97))


# --- the layouts of benchmarks ---------------------------------------------------------------------------------------

Q, ALEF, BET = "Which plum is ripe?", "The blue one", "The red one"
LAYOUTS: dict[str, dict[str, Any]] = {
    "medqa": {"question": Q, "options": {"A": ALEF, "B": BET}, "answer": BET, "answer_idx": "B", "meta_info": "step1"},
    "medqa_pairs": {"question": Q, "options": [{"key": "A", "value": ALEF}, {"key": "B", "value": BET}]},
    "medqa_harness": {"id": "7", "sent1": Q, "sent2": "", "ending0": ALEF, "ending1": BET, "label": 1},
    "medmcqa": {"id": "7", "question": Q, "opa": ALEF, "opb": BET, "opc": None, "cop": 1, "subject_name": "Fruit"},
    "mmlu": {"question": Q, "choices": [ALEF, BET], "answer": 1, "subject": "fruit"},
    "mmlu_pro": {"question_id": 7, "question": Q, "options": [ALEF, BET], "answer": "B", "src": "ori_mmlu-fruit"},
    "letters": {"input": Q, "A": ALEF, "B": BET, "target": "B"},
    "labels": {"id": "7", "question": Q, "choices": {"text": [ALEF, BET], "label": ["A", "B"]}},
    "nested": {"id": "7", "data": {"Question": Q, "Options": {"A": ALEF, "B": BET}, "Correct Option": "B"}},
    "ours": {"id": "7", "benchmark": "plums", "question": Q, "options": [ALEF, BET], "answer": "B"},
}


@pytest.mark.parametrize("ending", ["jsonl", "json", "parquet"])
@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_is_recognised_by_its_columns(tmp_path: Path, name: str, ending: str) -> None:
    path, row = tmp_path / f"quiz.{ending}", LAYOUTS[name]
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist([row]), path)
    else:
        path.write_text(json.dumps([row] if ending == "json" else row), "utf-8")
    (found,) = load_benchmarks([path.name], tmp_path).items
    numbered_by_id = "id" in row or "question_id" in row
    expected = BenchmarkItem("plums" if name == "ours" else "quiz", "7" if numbered_by_id else "1", Q, (ALEF, BET))
    assert found == expected


def test_pubmedqa_is_read_from_the_hub_and_from_github(tmp_path: Path) -> None:
    row = {"pubid": 123, "question": Q, "context": {"contexts": ["Plums were weighed."]}, "final_decision": "yes"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "hub.parquet")
    github = {"123": {"QUESTION": Q, "CONTEXTS": ["Plums were weighed."], "final_decision": "yes"}}
    (tmp_path / "ori.json").write_text(json.dumps(github, indent=1), "utf-8")
    found = load_benchmarks(["hub.parquet", "ori.json"], tmp_path).items
    assert found == (BenchmarkItem("hub", "123", Q, ()), BenchmarkItem("ori", "123", Q, ()))


def test_items_are_told_apart_by_stem_and_options(tmp_path: Path) -> None:
    one = {"question": Q, "options": [ALEF, BET]}
    rows = [one, {**one, "options": [BET, ALEF]}, {**one, "options": [ALEF, "The green one"]}]
    found = load_benchmarks([benchmark(tmp_path, *rows, name="quiz.jsonl").name], tmp_path)
    assert [entry.id for entry in found.items] == ["1", "3"]
    assert found.counts() == {"quiz": 2}


def test_a_folder_and_a_pattern_are_one_benchmark(tmp_path: Path) -> None:
    for number in (1, 2):
        benchmark(tmp_path, {"question": f"{Q} {number}"}, name=f"exam/part{number}.jsonl")
    for path in ("exam", "exam/*.jsonl"):
        found = load_benchmarks([path], tmp_path)
        assert [(entry.benchmark, entry.id) for entry in found.items] == [
            ("exam", "part1.jsonl:1"),
            ("exam", "part2.jsonl:1"),
        ]


@pytest.mark.parametrize(
    "line",
    [
        "{broken",
        "[]",
        "7",
        '{"options": {}}',
        '{"question": null}',
        '{"question": " "}',
        '{"question": ["a"]}',
        '{"question": "a", "options": 3}',
        '{"question": "a", "options": "abc"}',
        '{"question": "a", "options": [["b"]]}',
    ],
)
def test_a_malformed_line_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    path = benchmark(tmp_path, item(), line)
    with pytest.raises(InputError, match=r"^bench\.jsonl:2: .+; repair "):
        load_benchmarks([path.name], tmp_path)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("gone.jsonl", r"gone\.jsonl matches no file .*check `decontaminate\.benchmarks`, or one of medqa, "),
        ("empty.jsonl", r"empty\.jsonl: holds no item"),
        ("bad.parquet", r"bad\.parquet: cannot be read as Parquet"),
        ("notes.txt", r"notes\.txt: no format of benchmarks"),
    ],
)
def test_a_benchmark_that_cannot_be_read_is_refused(tmp_path: Path, path: str, told: str) -> None:
    for name, content in (("empty.jsonl", b""), ("bad.parquet", b"PAR1?"), ("notes.txt", b"Which plum is ripe?")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=told):
        load_benchmarks([path], tmp_path)


def test_a_stem_with_a_unicode_line_separator_is_one_line(tmp_path: Path) -> None:
    assert flagged(STEM, benchmark(tmp_path, item(STEM.replace("; ", ";\u2028"))))


HUB_SCRIPT = """
import sys
from pathlib import Path
from finemed.sources.benchmarks import load_benchmarks
found = load_benchmarks(sys.argv[1:], Path())
print([tuple(item) for item in found.items], found.identity()["files"], [fact.get("repo") for fact in found.facts])
"""


@pytest.fixture
def hub() -> Iterator[Hub]:
    row = {"question": Q, "options": {"A": ALEF, "B": BET}, "answer_idx": "B"}
    server = Hub(
        {"GBaker/MedQA-USMLE-4-options": {"phrases_no_exclude_test.jsonl": json.dumps(row).encode()}},
        {"quiz.jsonl": json.dumps({"question": "From a server", "options": [ALEF]}).encode()},
    )
    yield server
    server.stop()


def test_benchmarks_come_from_the_hub_and_from_addresses(hub: Hub, tmp_path: Path) -> None:
    env = environment(hub, tmp_path)
    paths = ["medqa", f"{hub.url}/web/quiz.jsonl"]
    command = [sys.executable, "-c", HUB_SCRIPT, *paths]
    told = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    assert f"('medqa', '1', '{Q}', ('{ALEF}', '{BET}'))" in told
    assert f"('quiz', '1', 'From a server', ('{ALEF}',))" in told
    assert "'blob_id'" in told
    assert "'commit'" not in told
    assert "['GBaker/MedQA-USMLE-4-options', None]" in told


def test_the_short_names_stand_for_test_files() -> None:
    assert list(KNOWN) == ["medqa", "medmcqa", "pubmedqa", "mmlu", "mmlu_pro"]
    assert all(address.startswith("hf://") for addresses in KNOWN.values() for address in addresses)


# --- the stage -------------------------------------------------------------------------------------------------------


def test_without_a_benchmark_nothing_is_flagged() -> None:
    outcome = run_stage(stage_for(Path()), JudgedInstruction, [judged(instruction=STEM)])
    assert outcome.kept.to_dicts() == [checked(instruction=STEM)]


def test_several_items_are_counted_and_the_best_is_named(tmp_path: Path) -> None:
    twin = STEM.replace("farmer", "baker").replace("venison", "herring")
    path = benchmark(tmp_path, item(twin, id="q2"), item())
    assert flagged(STEM, path)["i1"].startswith("medquiz/q1: stem, score 1.00")
    assert flagged(STEM, path)["i1"].endswith("; 1 more item")


def test_mark_keeps_the_row_and_says_it(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item())
    stage = stage_for(tmp_path, path, action="mark")
    outcome = run_stage(stage, JudgedInstruction, [judged(instruction=STEM), judged(instruction_id="i2")])
    assert outcome.dropped.height == 0
    told = outcome.kept["contamination"].to_list()
    assert told[0].startswith("instruction: medquiz/q1: stem, score 1.00")
    assert told[1] is None
    assert outcome.noted is not None
    assert outcome.noted["row_id"].to_list() == ["i1"]
    assert outcome.noted["drop_reason"].to_list() == ["contaminated"]


def test_an_answer_keeps_what_was_said_of_its_question(tmp_path: Path) -> None:
    path = benchmark(tmp_path, item())
    rows = [
        response(response=f"As asked: {STEM}", contamination="instruction: old/1: stem"),
        response(response_id="r2", contamination="instruction: old/1: stem"),
    ]
    marked = run_stage(stage_for(tmp_path, path, answers=True, action="mark"), Response, rows)
    first, second = marked.kept["contamination"].to_list()
    assert first.split("\n")[0] == second == "instruction: old/1: stem"
    assert first.split("\n")[1].startswith("response: medquiz/q1: stem, score 1.00")
    dropped = run_stage(stage_for(tmp_path, path, answers=True), Response, rows)
    assert reasons(dropped) == {"r1": "contaminated"}
    assert dropped.kept["contamination"].to_list() == ["instruction: old/1: stem"]


def test_what_was_said_of_both_answers_reaches_the_sample() -> None:
    rows = [
        judged_response(contamination="instruction: a/1: stem\nresponse: a/2: stem", route="complex"),
        judged_response(
            response_id="r2",
            kind="reasoning",
            contamination="instruction: a/1: stem\nresponse: a/3: stem",
            route="complex",
        ),
    ]
    kept = run_stage(RankStage(RankConfig()), JudgedResponse, rows).kept
    assert kept["contamination"].to_list() == ["instruction: a/1: stem\nresponse: a/2: stem\nresponse: a/3: stem"]
    assert joined((None, None)) is None


def test_a_detail_names_its_benchmark_even_with_slashes() -> None:
    assert benchmark_of("a/b/7: stem, score 1.00", ["a", "a/b", "b"]) == "a/b"
    assert benchmark_of("c/7: stem", ["a"]) is None


def test_equal_rows_give_equal_outcomes_however_they_are_cut(tmp_path: Path) -> None:
    stage = stage_for(tmp_path, benchmark(tmp_path, item()))
    rows = [judged(instruction_id=f"i{n}", instruction=STEM if n % 5 == 0 else f"{n} {FILLER}") for n in range(20)]
    once = run_stage(stage, JudgedInstruction, rows)
    parts = run_shards(stage, [frame(JudgedInstruction, rows[at : at + 7]) for at in range(0, 20, 7)]).outcome()
    again = run_stage(stage_for(tmp_path, tmp_path / "bench.jsonl"), JudgedInstruction, rows)
    for other in (parts, again):
        assert once.kept.equals(other.kept)
        assert once.dropped.equals(other.dropped)
    assert list(reasons(once)) == ["i0", "i5", "i10", "i15"]


def test_the_settings_change_with_the_content_of_any_benchmark(tmp_path: Path) -> None:
    one, other = benchmark(tmp_path, item(), name="a/b.jsonl"), benchmark(tmp_path, item(), name="c/b.jsonl")
    before = stage_for(tmp_path, one, other).settings()
    assert stage_for(tmp_path, one, other).settings() == before
    for changed in (one, other):
        kept = changed.read_text("utf-8")
        changed.write_text(kept.replace("farmer", "fisher"), "utf-8")
        assert stage_for(tmp_path, one, other).settings() != before
        changed.write_text(kept, "utf-8")


@pytest.mark.parametrize("more", [{"action": "mark"}, {"min_score": 0.7}, {"ngram_size": 20}])
def test_every_setting_enters_the_identity(tmp_path: Path, more: dict[str, Any]) -> None:
    path = benchmark(tmp_path, item())
    assert stage_for(tmp_path, path, **more).settings() != stage_for(tmp_path, path).settings()
