"""A build runs whole, goes on where it stopped, does again only what changed, and says the same bytes everywhere."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rows import Scripted, question, run_shards

from finemed.config import BuildConfig, JudgeConfig
from finemed.engines.base import Silent
from finemed.errors import BackendError, ConfigError, StageError, StoreError
from finemed.llm.base import Completion, Request
from finemed.pipeline.plan import STAGES, Plan, stage_folder
from finemed.pipeline.run import RunResult, preview, run_build
from finemed.publish.build import build_release
from finemed.records import Instruction, frame
from finemed.stages.base import Outcome, Stage
from finemed.stages.judge import JudgeStage
from finemed.store.atomic import locked
from finemed.store.manifest import read_manifest

GOOD = {
    "Gout": "Gout is an inflammatory arthritis caused by crystals of monosodium urate in a joint. The patient "
    "wakes with severe pain and swelling of the great toe. Diagnosis is confirmed by needle-shaped "
    "crystals in synovial fluid. Acute treatment is with colchicine, steroids or ibuprofen, and "
    "allopurinol lowers the urate level later.",
    "Asthma": "Asthma is a chronic inflammation of the airways that leads to wheeze and cough. Symptoms are "
    "worse at night and vary from day to day. Spirometry shows obstruction that is reversed by a "
    "bronchodilator. Inhaled steroids are the basis of treatment, and severe attacks need oxygen and "
    "systemic therapy in hospital.",
    "Migraine": "Migraine presents with a throbbing headache on one side, nausea and dislike of light. Some "
    "patients see zigzag lines before the pain begins. Triptans taken early shorten an attack, "
    "whereas beta blockers reduce how often it comes. A sudden thunderclap headache should lead to an "
    "urgent scan to exclude bleeding.",
    "Appendicitis": "Appendicitis begins with vague abdominal pain near the navel that moves to the right lower side. "
    "Fever, vomiting and tenderness are typical signs. Ultrasound or a CT scan supports the "
    "diagnosis. Surgery to remove the appendix is the usual treatment, and perforation with sepsis is "
    "the feared complication.",
    "Psoriasis": "Psoriasis is a disease of the skin in which cells grow too fast and form silvery plaques. "
    "Elbows, knees and scalp are typical sites, and nails may be pitted. Topical steroids and vitamin "
    "D creams help mild disease. Methotrexate or antibodies are given for severe disease, and joints "
    "should be examined for arthritis.",
    "Glaucoma": "Glaucoma damages the optic nerve, most often because the pressure in the eye is raised. Vision "
    "is lost from the edges, so patients notice it late. Measuring the pressure and the field of "
    "vision detects it. Drops with timolol or latanoprost lower the pressure, and laser therapy or "
    "surgery may follow.",
    "Preeclampsia": "Preeclampsia is new hypertension after twenty weeks of pregnancy together with protein in the "
    "urine. Headache, flashes and pain below the ribs are warning symptoms. Magnesium prevents "
    "seizures and labetalol lowers the blood pressure. Delivery of the infant is the only cure, and "
    "low-dose aspirin reduces the risk.",
    "Croup": "Croup is a viral infection of the larynx in young children, caused mostly by parainfluenza "
    "virus. It shows itself by a barking cough, hoarseness and noisy breathing at night. A single "
    "dose of dexamethasone is effective treatment. Nebulised adrenaline is given in severe cases, and "
    "parents should be told to return if breathing worsens.",
    "Pyelonephritis": "Pyelonephritis is a bacterial infection of the kidney that usually ascends from the bladder. "
    "Fever, flank pain and painful urination are the main symptoms. A urine culture identifies the "
    "bacteria. Antibiotics such as ciprofloxacin are given for a week, and imaging is needed if the "
    "fever does not settle.",
    "Stroke": "A stroke results from a blocked or burst artery in the brain. Sudden weakness of the face or an "
    "arm and disturbed speech are the signs. CT distinguishes bleeding from ischemia before "
    "thrombolysis is given within hours. Aspirin, statins and control of hypertension reduce the risk "
    "of another stroke, and rehabilitation begins early.",
    "Anemia": "Anemia due to lack of iron is the commonest disorder of the blood. Patients are pale, tired and "
    "short of breath. A low ferritin level in serum confirms the diagnosis, and bleeding from the "
    "bowel must be excluded in older patients. Oral iron tablets are the treatment, and vitamin C "
    "increases their absorption.",
    "Scabies": "Scabies is an infection of the skin by a mite that digs burrows. Itching is worst at night, and "
    "the rash favours the webs of the fingers. Diagnosis rests on finding burrows with a lens. "
    "Permethrin cream is applied to the whole body, and everybody in the household has to be treated "
    "on the same day.",
}
BAD: list[str | dict[str, str]] = [
    "{this is not json",
    {"title": "no text"},
    {"title": "Copy", "text": GOOD["Gout"] + " "},
    {"title": "Gout", "text": GOOD["Gout"]},
    {"title": "Short", "text": "Fever and cough."},
    {"title": "Spam", "text": GOOD["Croup"] + " Buy now! Order now! Free shipping on this miracle, click here."},
    {
        "title": "Fiebre",
        "text": "La fiebre es una respuesta del cuerpo a una infección y no se trata por lo general. Los niños "
        "pequeños que no beben o que están muy cansados deben ir al hospital para que un médico los vea.",
    },
    {
        "title": "Hats",
        "text": "The best hats are made of felt and they are sold in the market on the square. A hat that is left in "
        "the rain for an hour has to be dried on a block, or it will not have the shape that it was given.",
    },
]
ITEM = {
    "id": "q1",
    "benchmark": "quiz",
    "question": "Which cream is applied to the whole body of everybody in a household with scabies on the same day?",
    "options": ["Permethrin", "Aciclovir"],
}
SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "ingest": {"shard_rows": 10},
    "dedup_passages": {"threshold": 0.7},
    "route": {"top_share": 0.5},
    "decontaminate": {"benchmarks": ["quiz.jsonl"]},
    "split": {"ttt_share": 0.4, "validation": 0.1, "test": 0.1},
}
VOLATILE = {"session.json", ".lock", "journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"}


def write_inputs(folder: Path, corpus: str = "web.jsonl", quiz: str = "quiz.jsonl") -> None:
    good: list[str | dict[str, str]] = [{"title": title, "text": text} for title, text in GOOD.items()]
    lines = [line if isinstance(line, str) else json.dumps(line) for line in (*good, *BAD)]
    for name, text in ((corpus, "\n".join(lines)), (quiz, json.dumps(ITEM))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text + "\n", "utf-8")


def plan_of(folder: Path, corpus: str = "web.jsonl", **changed: Any) -> Plan:
    """The tiny build over the inputs in `folder`; `changed` replaces settings of sections or whole values."""
    settings = {**SETTINGS, "sources": [{"name": "web", "path": corpus, "license": "CC0-1.0"}]}
    for name, value in changed.items():
        settings[name] = {**settings.get(name, {}), **value} if isinstance(value, dict) else value
    return Plan(BuildConfig.model_validate(settings), folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with inputs and a finished run; tests that go on with it take a copy."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder)
    assert run_build(plan_of(folder), folder / "run").complete
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "copy")


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run that must not depend on when or where it ran."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in VOLATILE]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def ages(run: Path) -> dict[str, tuple[int, int]]:
    """Time and inode of every file of the stages: changes even where the same bytes are written again."""
    files = [path for path in (run / "stages").rglob("*") if path.is_file()]
    return {str(path.relative_to(run)): (path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


def redone(run: Path, before: dict[str, tuple[int, int]]) -> list[str]:
    """Stages that were run since `ages` was taken."""
    now = ages(run)
    folders = {name: stage_folder(run, name).relative_to(run).as_posix() for name in STAGES}
    return [
        name
        for name, folder in folders.items()
        if any(now[path] != before.get(path) for path in now if path.startswith(folder + "/"))
    ]


def rebuild(folder: Path, **changed: Any) -> list[str]:
    """Builds again with changed settings; the stages that were run."""
    before = ages(folder / "run")
    run_build(plan_of(folder, **changed), folder / "run")
    return redone(folder / "run", before)


# --- a whole run -----------------------------------------------------------------------------------------------------


def test_a_full_run_fills_every_pool_and_drops_what_was_planted(finished: Path) -> None:
    last = pl.read_parquet(sorted(stage_folder(finished / "run", "split").glob("kept-*.parquet")))
    assert set(last["pool"]) == {"sft", "sft_reasoning", "dpo", "ttt"}
    assert set(last["license"]) == {"CC0-1.0"}
    ledger = pl.read_parquet(finished / "run" / "ledger.parquet")
    early = ledger.filter(pl.col("stage").is_in(["ingest", "filter", "dedup_passages", "classify"]))
    assert Counter(early.select("stage", "drop_reason").rows()) == {
        ("ingest", "not_json"): 1,
        ("ingest", "missing_column"): 1,
        ("ingest", "repeated_record"): 1,
        ("filter", "too_short"): 1,
        ("filter", "spam"): 1,
        ("filter", "language"): 1,
        ("filter", "not_medical"): 1,
        ("dedup_passages", "exact_duplicate"): 1,
    }


def test_the_ledger_reconciles_at_every_stage(finished: Path) -> None:
    manifest = read_manifest(finished / "run")
    ledger = pl.read_parquet(finished / "run" / "ledger.parquet")
    assert [report["stage"] for report in manifest["stages"]] == list(STAGES)
    assert manifest["stages"][0]["counts"]["rows_in"] == len(GOOD) + len(BAD)
    flowing = len(GOOD) + len(BAD)
    for report in manifest["stages"]:
        counts, name = report["counts"], report["stage"]
        drops = ledger.filter(pl.col("stage") == name)
        assert counts["rows_in"] == flowing == counts["rows_kept"] + counts["rows_dropped"], name
        assert counts["rows_dropped"] == drops.height == drops["row_id"].n_unique(), name
        assert report["drops"] == dict(Counter(sorted(drops["drop_reason"]))), name
        kept = pl.read_parquet(sorted(stage_folder(finished / "run", name).glob("kept-*.parquet")))
        assert counts["rows_out"] == kept.height, name
        flowing = kept.height
    assert ledger["drop_reason"].str.len_chars().min() > 0


def test_the_result_is_what_lies_on_disk(copy: Path) -> None:
    result = run_build(plan_of(copy), copy / "run")
    assert result.manifest == read_manifest(copy / "run")
    assert result.run == copy / "run"


# --- going on, and doing again what changed --------------------------------------------------------------------------


def test_a_second_run_rewrites_nothing(copy: Path) -> None:
    before, everything = ages(copy / "run"), contents(copy / "run")
    assert run_build(plan_of(copy), copy / "run").complete
    assert ages(copy / "run") == before
    assert contents(copy / "run") == everything


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ({"split": {"test": 0.3}}, ["route", "split"]),
        ({"rank": {"min_score": 1.01}}, ["rank"]),  # the same answers win, so `split` need not run
        ({"generate": {"temperature": 0.5}}, ["generate"]),  # the rules ask the same questions
        ({"filter": {"min_words": 24}}, ["filter"]),
        ({"card": {"title": "Another"}}, []),
        ({"run_dir": "elsewhere"}, []),
    ],
    ids=str,
)
def test_a_changed_setting_runs_its_stage_and_stops_where_nothing_changed(
    copy: Path, changed: dict[str, Any], stages: list[str]
) -> None:
    assert rebuild(copy, **changed) == stages


def test_a_changed_output_runs_all_that_depends_on_it(copy: Path) -> None:
    assert rebuild(copy, filter={"min_medical_terms": 12}) == list(STAGES[1:])
    assert rebuild(copy, filter={"min_medical_terms": 12}) == []


def test_a_changed_input_file_runs_as_far_as_it_makes_a_difference(copy: Path) -> None:
    text = (copy / "web.jsonl").read_text("utf-8")
    (copy / "web.jsonl").write_text(text.replace("{this is not json", "[1, 2]"), "utf-8")
    assert rebuild(copy) == ["ingest"]  # another drop, the same passages
    assert read_manifest(copy / "run")["stages"][0]["drops"]["not_an_object"] == 1
    (copy / "web.jsonl").write_text(text.replace("throbbing", "pounding"), "utf-8")
    assert rebuild(copy) == list(STAGES)


def test_a_changed_benchmark_runs_both_decontaminations(copy: Path) -> None:
    (copy / "quiz.jsonl").write_text(json.dumps({**ITEM, "id": "q2"}))  # the same rows go, for another item
    assert rebuild(copy) == ["decontaminate", "decontaminate_answers"]
    (copy / "quiz.jsonl").write_text(json.dumps({**ITEM, "question": "Which wholly other question is asked here?"}))
    rows = [report["counts"]["rows_dropped"] for report in read_manifest(copy / "run")["stages"]]
    assert rebuild(copy)[:3] == ["decontaminate", "decontaminate_answers", "judge_answers"]  # two answers come back
    fewer = [report["counts"]["rows_dropped"] for report in read_manifest(copy / "run")["stages"]]
    place = STAGES.index("decontaminate_answers")
    assert (rows[place], fewer[place]) == (2, 0)


def test_a_setting_and_back_gives_the_first_bytes(copy: Path) -> None:
    before = contents(copy / "run")
    rebuild(copy, filter={"min_medical_terms": 12})
    assert contents(copy / "run") != before
    rebuild(copy)
    assert contents(copy / "run") == before


def test_until_stops_there_and_the_next_run_goes_on(tmp_path: Path, finished: Path) -> None:
    write_inputs(tmp_path)
    run = tmp_path / "run"
    result = run_build(plan_of(tmp_path), run, until="judge")
    assert not result.complete
    assert [report["stage"] for report in read_manifest(run)["stages"]] == list(STAGES[: STAGES.index("judge") + 1])
    assert not stage_folder(run, "select").exists()
    assert not (run / "ledger.parquet").exists()
    before = ages(run)
    assert run_build(plan_of(tmp_path), run).complete
    assert redone(run, before) == list(STAGES[STAGES.index("judge") + 1 :])
    assert contents(run) == contents(finished / "run")


def test_a_partial_run_leaves_no_ledger_of_other_rows(copy: Path) -> None:
    run_build(plan_of(copy, filter={"min_medical_terms": 12}), copy / "run", until="filter")
    assert not (copy / "run" / "ledger.parquet").exists()
    rebuild(copy, filter={"min_medical_terms": 12})
    assert (copy / "run" / "ledger.parquet").exists()


def test_restart_from_runs_that_stage_and_all_after_it(copy: Path) -> None:
    before, everything = ages(copy / "run"), contents(copy / "run")
    run_build(plan_of(copy), copy / "run", restart_from="reason")
    again = list(STAGES[STAGES.index("reason") :])
    assert redone(copy / "run", before) == again
    now, folders = ages(copy / "run"), [stage_folder(Path(), name).as_posix() for name in again]
    assert not [path for path in now if path.startswith(tuple(folders)) and now[path] == before[path]]
    assert contents(copy / "run") == everything


@pytest.mark.parametrize("argument", ["until", "restart_from"])
def test_an_unknown_stage_is_refused(copy: Path, argument: str) -> None:
    with pytest.raises(ConfigError, match="stage `polish` is unknown; stages are ingest, filter"):
        run_build(plan_of(copy), copy / "run", **{argument: "polish"})


# --- interruptions ---------------------------------------------------------------------------------------------------


class Stumbling:
    """A map stage that fails on its second shard, once."""

    def __init__(self, stage: Any) -> None:
        self.contract = stage.contract
        self.settings = stage.settings
        self.calls = 0
        self._stage = stage

    def apply(self, rows: pl.DataFrame) -> Outcome:
        self.calls += 1
        if self.calls == 2:
            raise RuntimeError("the power went out")
        outcome: Outcome = self._stage.apply(rows)
        return outcome


def replaced(plan: Plan, own: Any) -> list[Stage]:
    return [own if stage.contract.name == own.contract.name else stage for stage in plan.stages()]


@pytest.mark.parametrize("name", ["ingest", "filter", "select", "decontaminate_answers", "rank"])
def test_an_interrupted_run_goes_on_with_the_missing_shards(tmp_path: Path, finished: Path, name: str) -> None:
    write_inputs(tmp_path)
    plan, run = plan_of(tmp_path), tmp_path / "run"
    stage = Stumbling(plan.stages()[STAGES.index(name)])
    stages = replaced(plan, stage)
    with pytest.raises(RuntimeError, match="power"):
        run_build(plan, run, stages=stages)
    done = ages(run)
    assert sorted(path.name for path in stage_folder(run, name).glob("kept-*")) == ["kept-00000.parquet"]
    assert run_build(plan, run, stages=stages).complete
    assert stage.calls == 3  # the first shard, the second in vain, the second again
    assert {path: age for path, age in ages(run).items() if path in done} == done
    assert contents(run) == contents(finished / "run")


SCORES = {"rationale": "", "quality": 8, "difficulty": 6, "relevance_to_medicine": 5, "mention_specific_details": False}


def scores_of(request: Request) -> str:
    """A judgement that depends on the question."""
    return json.dumps(SCORES | {"difficulty": 1 + len(str(request.inputs["instruction"])) % 10})


class Unreachable(Scripted):
    """Breaks down after so many replies, once."""

    def __init__(self, replies: int) -> None:
        super().__init__(scores_of)
        self._left: int | None = replies

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for completion in super().complete(requests):
            if self._left == 0:
                self._left = None
                self.asked.pop()
                raise BackendError("http://localhost: no answer")
            if self._left is not None:
                self._left -= 1
            yield completion


@pytest.mark.parametrize("replies", [0, 7, 21])
def test_no_paid_reply_is_asked_for_twice(tmp_path: Path, replies: int) -> None:
    write_inputs(tmp_path)
    plan, run = plan_of(tmp_path), tmp_path / "run"
    backend = Unreachable(replies)
    stages = replaced(plan, JudgeStage(JudgeConfig(), backend))
    with pytest.raises(BackendError):
        run_build(plan, run, stages=stages)
    assert len(backend.asked) == replies
    done = {path: age for path, age in ages(run).items() if "judge/kept" in path}
    assert done == {}  # too few answers to tell whether the backend works
    result = run_build(plan, run, stages=stages)
    questions = result.manifest["stages"][STAGES.index("judge")]["counts"]["rows_in"]
    assert len(backend.asked) == questions == 2 * len(GOOD)
    assert len({request.owner for request in backend.asked}) == questions
    assert {path: age for path, age in ages(run).items() if path in done} == done
    run_build(plan, run, stages=stages, restart_from="judge")
    assert len(backend.asked) == questions


def test_leftovers_of_a_kill_are_removed(copy: Path) -> None:
    before = contents(copy / "run")
    folder = stage_folder(copy / "run", "rank")
    (folder / "kept-00001.parquet.tmp").write_bytes(b"half a file")
    (stage_folder(copy / "run", "ingest") / "drop-00001.parquet.tmp").write_bytes(b"half a file")
    (copy / "run" / "manifest.json.tmp").write_bytes(b"{")
    (folder / "stage.json").unlink()
    (folder / "kept-00001.parquet").unlink()
    assert rebuild(copy) == ["rank"]
    assert contents(copy / "run") == before


def damage(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    path.write_bytes(raw)


@pytest.mark.parametrize(
    "harm", [damage, Path.unlink, lambda path: path.write_bytes(b"")], ids=["bit", "gone", "empty"]
)
@pytest.mark.parametrize("file", ["kept-00000.parquet", "drop-00001.parquet"])
def test_a_damaged_shard_is_named_and_made_again(copy: Path, file: str, harm: Any) -> None:
    before = contents(copy / "run")
    path = stage_folder(copy / "run", "dedup_passages") / file
    harm(path)
    said: list[str] = []
    found = preview(plan_of(copy), copy / "run", say=said.append)
    place = STAGES.index("dedup_passages")
    assert [action for _, action, _ in found[place - 1 : place + 2]] == ["reuse", "run", "depends"]
    assert [str(path) in message for message in said] == [True]
    heard = Heard()
    ages_before = ages(copy / "run")
    run_build(plan_of(copy), copy / "run", progress=heard)
    assert redone(copy / "run", ages_before) == ["dedup_passages"]
    assert [message for message in heard.said if str(path) in message] == said
    assert contents(copy / "run") == before


class Heard(Silent):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def test_the_advice_for_a_damaged_shard_works(copy: Path) -> None:
    before = contents(copy / "run")
    damage(stage_folder(copy / "run", "dedup_passages") / "kept-00000.parquet")
    shutil.rmtree(stage_folder(copy / "run", "dedup_passages"))
    assert rebuild(copy) == ["dedup_passages"]
    assert contents(copy / "run") == before


# --- equal bytes -----------------------------------------------------------------------------------------------------


def test_equal_inputs_give_equal_bytes_wherever_they_lie(tmp_path: Path, finished: Path) -> None:
    write_inputs(tmp_path, corpus="some/where/else/web.jsonl", quiz="quizzes/quiz.jsonl")
    plan = plan_of(
        tmp_path,
        corpus=str(tmp_path / "some/where/else"),
        run_dir="../other",
        decontaminate={"benchmarks": ["quizzes/quiz.jsonl"]},
    )
    run = tmp_path / "a run"
    run_build(plan, run)
    ours, theirs = contents(run), contents(finished / "run")
    assert {"manifest.json", "ledger.parquet", "stages/18-split/kept-00000.parquet"} < set(ours)
    assert ours == theirs
    assert {path.name for path in run.iterdir()} - VOLATILE == {
        "manifest.json",
        "ledger.parquet",
        "notes.parquet",
        "stages",
    }


def test_another_corpus_gives_other_bytes(tmp_path: Path, finished: Path) -> None:
    write_inputs(tmp_path)
    text = (tmp_path / "web.jsonl").read_text("utf-8")
    (tmp_path / "web.jsonl").write_text(text.replace("throbbing", "pounding"), "utf-8")
    run_build(plan_of(tmp_path), tmp_path / "run")
    ours, theirs = contents(tmp_path / "run"), contents(finished / "run")
    assert ours["manifest.json"] != theirs["manifest.json"]


def test_replies_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    write_inputs(tmp_path)

    def run(name: str, backwards: bool) -> RunResult:
        plan = plan_of(tmp_path)
        backend = Scripted(scores_of, backwards=backwards)
        return run_build(plan, tmp_path / name, stages=replaced(plan, JudgeStage(JudgeConfig(), backend)))

    results = [run("forwards", False), run("backwards", True)]
    assert len(list(stage_folder(tmp_path / "forwards", "judge").glob("kept-*"))) == 2
    assert contents(results[0].run) == contents(results[1].run)


def test_shards_close_in_the_order_of_replies_and_hold_the_same_rows() -> None:
    rows = [question(instruction_id=f"i{n}", instruction="?" * n) for n in range(1, 8)]
    shards = [frame(Instruction, rows[start : start + 2]) for start in range(0, 7, 2)]

    def judged_by(backwards: bool) -> Any:
        return run_shards(JudgeStage(JudgeConfig(), Scripted(scores_of, backwards=backwards)), shards)

    forwards, reverse = judged_by(False), judged_by(True)
    assert (forwards.order, reverse.order) == ([0, 1, 2, 3], [3, 2, 1, 0])
    for index in range(4):
        assert forwards.written[index].kept.equals(reverse.written[index].kept)
        assert forwards.written[index].kept["instruction_id"].to_list() == shards[index]["instruction_id"].to_list()


def test_requests_are_drawn_only_as_the_backend_takes_them() -> None:
    """A backend that works on one request at a time never has more than one shard open."""
    rows = [question(instruction_id=f"i{n}") for n in range(6)]
    opened: list[int] = []

    class Watched(JudgeStage):
        def requests(self, rows: pl.DataFrame) -> Iterator[Request]:
            opened.append(len(backend.asked))
            return super().requests(rows)

    backend = Scripted(scores_of)
    run_shards(Watched(JudgeConfig(), backend), [frame(Instruction, rows[start : start + 2]) for start in (0, 2, 4)])
    assert opened == [0, 2, 4]


# --- preview ---------------------------------------------------------------------------------------------------------


def actions(folder: Path, **changed: Any) -> list[str]:
    return [action for _, action, _ in preview(plan_of(folder, **changed), folder / "run")]


def test_preview_of_an_empty_folder_runs_everything(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    assert actions(tmp_path) == ["run"] * 18
    assert not (tmp_path / "run").exists()


def test_preview_of_a_finished_run_reuses_everything_with_its_report(finished: Path) -> None:
    found = preview(plan_of(finished), finished / "run")
    assert [(name, action) for name, action, _ in found] == [(name, "reuse") for name in STAGES]
    assert [report for _, _, report in found] == read_manifest(finished / "run")["stages"]


def test_preview_of_a_changed_setting_names_its_stage(finished: Path) -> None:
    before = ages(finished / "run")
    assert actions(finished, judge={"temperature": 0.1}) == [*["reuse"] * 7, "run", *["depends"] * 10]
    assert ages(finished / "run") == before


def test_preview_of_a_restart_runs_all_from_there(finished: Path) -> None:
    found = preview(plan_of(finished), finished / "run", restart_from="respond")
    assert [action for _, action, _ in found] == [*["reuse"] * 13, *["run"] * 5]


# --- two at once -----------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from finemed.store.atomic import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_on_the_same_run_is_refused(copy: Path) -> None:
    run = copy / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match="another finemed process works on this run"):
            build_release(plan_of(copy), run)
    finally:
        child.communicate(timeout=20)
    assert build_release(plan_of(copy), run).run.complete


def test_a_run_is_held_for_as_long_as_its_stages_work(copy: Path) -> None:
    plan, run = plan_of(copy, rank={"min_score": 1.01}), copy / "run"
    sound: Any = plan.stages()[STAGES.index("rank")]
    refused: list[str] = []

    class Intruding:
        contract = sound.contract
        settings = sound.settings

        def apply(self, rows: pl.DataFrame) -> Outcome:
            with pytest.raises(StoreError) as error:
                build_release(plan_of(copy), run)
            refused.append(str(error.value))
            outcome: Outcome = sound.apply(rows)
            return outcome

    with locked(run):  # as build_release holds it
        assert run_build(plan, run, stages=replaced(plan, Intruding())).complete
    assert len(refused) == 2


def test_a_key_that_a_late_stage_needs_is_missed_before_the_first_stage_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FINEMED_ABSENT_KEY", raising=False)
    write_inputs(tmp_path)
    late = {"late": {"type": "openai", "model": "m", "api_key_env": "FINEMED_ABSENT_KEY"}}
    plan = plan_of(tmp_path, backends=late, judge_answers={"backend": "late"})
    with pytest.raises(BackendError, match="FINEMED_ABSENT_KEY is not set"):
        run_build(plan, tmp_path / "run")
    assert not (tmp_path / "run" / "stages").exists()
    early = plan_of(tmp_path, backends=late, judge_answers={"backend": "late"})
    assert not run_build(early, tmp_path / "run", until="respond").complete


def test_a_source_of_which_nothing_is_left_stops_at_the_stage_that_dropped_it(tmp_path: Path) -> None:
    write_inputs(tmp_path)
    plan = plan_of(tmp_path, filter={"min_words": 9000, "max_words": 9999})
    with pytest.raises(StageError, match=r"filter: none of \d+ rows is left \(too_short \d+\).*finemed ledger"):
        run_build(plan, tmp_path / "run")
    assert pl.read_parquet(stage_folder(tmp_path / "run", "filter") / "drop-*.parquet").height > 0
