"""The in-process backend against a stand-in for the `vllm` package (tests/standin), which records what it is given.

The real engine is too large for these tests; `just engine-test` runs the same backend on it (docs/engine-test.md).
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from finemed.config import VllmBackend, load_config
from finemed.errors import BackendError, MissingExtraError
from finemed.llm.accounting import Budget
from finemed.llm.ask import READ_AHEAD, ask, parser_of
from finemed.llm.base import Request, Sampling
from finemed.llm.probe import portable_schema_of
from finemed.llm.vllm import ENVIRONMENT, PIECE, SAMPLED_ABOVE, VllmChat, model_hash
from finemed.pipeline.plan import Plan
from finemed.prompts import load_prompt
from finemed.records import JudgementReply
from finemed.store.journal import Journal

STANDIN = Path(__file__).with_name("standin")
GOOD = {
    "rationale": "Clear.",
    "quality": 8,
    "difficulty": 5,
    "relevance_to_medicine": 6,
    "mention_specific_details": True,
}


def forget_vllm() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm"]:
        del sys.modules[name]


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The stand-in's `LLM`."""
    forget_vllm()
    monkeypatch.syspath_prepend(str(STANDIN))
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)  # so that what the backend sets is undone too
    import vllm

    yield vllm.LLM
    if VllmChat._open is not None:
        VllmChat._open.close()
    forget_vllm()


def chat(model: str = "org/model", base: Path = Path(), **settings: Any) -> VllmChat:
    return VllmChat(VllmBackend(type="vllm", model=model, **settings), base)


def judge(number: int, **changes: Any) -> Request:
    inputs = {"instruction": f"Question {number}?", "text": changes.pop("text", "Croup is viral."), "given": False}
    chosen: dict[str, Any] = {"sampling": Sampling(0.7, 0.9, 50), "reply": None} | changes
    return Request((f"i{number}", "judge"), load_prompt("judge"), inputs, **chosen)


def folder(path: Path, **files: str) -> Path:
    path.mkdir(parents=True)
    for name, text in files.items():
        (path / name.replace("_", ".")).write_text(text)
    return path


# --- what the engine is given ----------------------------------------------------------------------------------------


def test_requests_go_over_in_batches_and_come_back_in_order(engine: Any) -> None:
    requests = [judge(number) for number in range(7)]
    found = list(chat(batch_size=3).complete(iter(requests)))
    assert [each.request for each in found] == requests
    (llm,) = engine.opened[-1:]
    assert [len(batch.messages) for batch in llm.batches] == [3, 3, 1]
    assert llm.batches[0].messages == [request.messages() for request in requests[:3]]
    assert all(batch.use_tqdm is False and batch.lora_request is None for batch in llm.batches)
    words = requests[0].messages()[-1]["content"].split()
    assert found[0].usage == {"prompt_tokens": len(words), "completion_tokens": len(found[0].text.split())}


def test_a_batch_is_taken_from_the_stream_only_when_the_one_before_is_handed_on(engine: Any) -> None:
    taken: list[int] = []

    def stream() -> Iterator[Request]:
        for number in range(9):
            taken.append(number)
            yield judge(number)

    completions = chat(batch_size=3).complete(stream())
    for _ in range(3):
        next(completions)
    assert taken == [0, 1, 2]


def test_each_request_has_its_own_sampling_and_schema_and_none_a_seed(engine: Any) -> None:
    mixed = [judge(1), judge(2, reply=JudgementReply, sampling=Sampling(0.0, 1.0, 900))]
    list(chat().complete(mixed))
    free, structured = engine.opened[-1].batches[0].params
    assert (free.temperature, free.top_p, free.max_tokens, free.structured_outputs) == (0.7, 0.9, 50, None)
    assert (structured.temperature, structured.max_tokens) == (0.0, 900)
    assert structured.structured_outputs.json == portable_schema_of(JudgementReply)
    assert not hasattr(free, "seed")


def test_schemas_can_be_left_to_the_prompt(engine: Any) -> None:
    list(chat(structured="off").complete([judge(1, reply=JudgementReply)]))
    assert engine.opened[-1].batches[0].params[0].structured_outputs is None


def test_the_engine_has_the_arguments_of_the_configuration(engine: Any, tmp_path: Path) -> None:
    adapter = folder(tmp_path / "adapters" / "style", adapter_config_json="{}")
    settings = {"dtype": "bfloat16", "max_model_len": 4096, "tensor_parallel_size": 2, "gpu_memory_utilization": 0.5}
    more = {"engine": {"enforce_eager": True}, "chat_template_kwargs": {"enable_thinking": False}, "revision": "abc"}
    backend = chat("org/model", tmp_path, lora="adapters/style", max_lora_rank=32, **settings, **more)
    list(backend.complete([judge(1)]))
    llm = engine.opened[-1]
    expected = {"model": "org/model", "enable_prefix_caching": True, "enable_lora": True, "max_lora_rank": 32}
    assert llm.arguments == {**settings, **expected, "revision": "abc", "enforce_eager": True}
    (batch,) = llm.batches
    assert (batch.lora_request.lora_int_id, batch.lora_request.lora_path) == (1, str(adapter))
    assert batch.chat_template_kwargs == {"enable_thinking": False}


def test_stdout_stays_for_data_and_nothing_is_reported_unless_the_user_says_so(
    engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ENVIRONMENT:
        monkeypatch.delenv(name)
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "INFO")
    list(chat().complete([judge(1)]))
    found = {name: os.environ[name] for name in ENVIRONMENT}
    assert found == {**ENVIRONMENT, "VLLM_LOGGING_LEVEL": "INFO"}
    assert found["VLLM_LOGGING_STREAM"] == "ext://sys.stderr"
    assert found["VLLM_NO_USAGE_STATS"] == "1"


def test_no_request_loads_no_model(engine: Any) -> None:
    before = len(engine.opened)
    assert list(chat().complete([])) == []
    assert len(engine.opened) == before


def test_one_engine_is_open_at_a_time(engine: Any) -> None:
    first, second = chat("org/one"), chat("org/two")
    list(first.complete([judge(1)]))
    list(second.complete([judge(1)]))
    one, two = engine.opened[-2:]
    assert (one.running, two.running) == (False, True)
    list(first.complete([judge(2)]))
    assert (two.running, engine.opened[-1].arguments["model"]) == (False, "org/one")
    first.close()
    second.close()
    assert not any(llm.running for llm in engine.opened)


# --- what comes back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("finish", "end"), [("stop", "stop"), ("length", "length"), ("abort", "error")])
def test_how_a_reply_ended_is_kept(engine: Any, monkeypatch: pytest.MonkeyPatch, finish: str, end: str) -> None:
    monkeypatch.setattr(engine, "answer", staticmethod(lambda prompt: ("Croup", finish)))
    (found,) = chat().complete([judge(1)])
    assert (found.text, found.finish) == ("Croup", end)
    assert found.detail == ("vLLM ended the reply with `abort`" if end == "error" else "")


def test_a_prompt_that_is_too_long_ends_alone_wherever_it_stands(engine: Any) -> None:
    for place in range(5):
        requests = [judge(number, text="word " * 600 if number == place else "Short.") for number in range(5)]
        found = list(chat(batch_size=5).complete(requests))
        assert [each.request for each in found] == requests
        assert [each.finish for each in found] == ["error" if number == place else "stop" for number in range(5)]
        assert "VLLMValidationError: The decoder prompt (length" in found[place].detail


def test_a_batch_of_nothing_but_refused_requests_ends_too(engine: Any) -> None:
    found = list(chat(batch_size=8).complete([judge(number, text="word " * 600) for number in range(8)]))
    assert [each.finish for each in found] == ["error"] * 8


def test_an_engine_that_breaks_down_stops_the_stage_and_what_came_before_is_kept(
    engine: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        engine, "answer", staticmethod(lambda prompt: ("It is viral.", "dead" if "Question 5?" in prompt else "stop"))
    )
    journal = Journal(tmp_path / "journal.sqlite")
    with pytest.raises(BackendError, match=r"vllm:org/model: the engine stopped \(RuntimeError: EngineCore"):
        list(ask((judge(n) for n in range(8)), chat(batch_size=2), journal, parse=parser_of, max_reasks=0))
    assert sum(line["replies"] for line in journal.stats()) == 4
    journal.close()


def test_a_model_that_cannot_be_loaded_is_told(engine: Any) -> None:
    with pytest.raises(BackendError, match=r"vllm:broken: cannot be loaded \(RuntimeError: Engine core"):
        list(chat("broken").complete([judge(1)]))


# --- through the journal ---------------------------------------------------------------------------------------------


def test_a_stop_loses_no_more_than_the_batch_that_is_worked_on(engine: Any, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    requests = [judge(number) for number in range(12)]
    stream = ask(iter(requests), chat(batch_size=4), journal, parse=parser_of, max_reasks=0)
    for _ in range(6):
        next(stream)
    stream.close()
    stored = sum(line["replies"] for line in journal.stats())
    assert stored >= 6
    answers = list(ask(iter(requests), chat(batch_size=4), journal, parse=parser_of, max_reasks=0))
    assert len(answers) == 12
    asked_again = sum(len(batch.messages) for batch in engine.opened[-1].batches)
    assert asked_again == 12 - stored <= 6
    journal.close()


def test_stored_replies_between_do_not_make_batches_small(engine: Any, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.sqlite")
    requests = [judge(number) for number in range(2 * READ_AHEAD)]
    every_other = ask(iter(requests[::2]), chat(), journal, parse=parser_of, max_reasks=0)
    assert len(list(every_other)) == READ_AHEAD
    assert len(list(ask(iter(requests), chat(), journal, parse=parser_of, max_reasks=0))) == 2 * READ_AHEAD
    assert [len(batch.messages) for batch in engine.opened[-1].batches] == [256]
    journal.close()


def test_structured_replies_and_thoughts_are_read(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "answer", staticmethod(lambda prompt: (f"<think>hm</think>{json.dumps(GOOD)}", "stop")))
    (answer,) = ask([judge(1, reply=JudgementReply)], chat(model_family="qwen"), None, parse=parser_of, max_reasks=0)
    assert answer.value == JudgementReply.model_validate(GOOD)


# --- names and identities --------------------------------------------------------------------------------------------


def test_without_vllm_the_extra_is_named() -> None:
    if importlib.util.find_spec("vllm") is not None:
        pytest.skip("vllm is installed")
    with pytest.raises(MissingExtraError, match=r"the vLLM backend needs `pip install 'finemed\[vllm\]'`"):
        chat().ready()


@pytest.mark.parametrize("setting", ["model", "lora"])
def test_a_path_that_does_not_exist_is_told_before_anything_is_loaded(engine: Any, setting: str) -> None:
    before = len(engine.opened)
    with pytest.raises(BackendError, match=rf"`{setting}` .*nowhere/x does not exist"):
        chat(**{"model": "org/model", setting: "/nowhere/x"}).ready()
    assert len(engine.opened) == before


def test_no_path_gets_into_rows_or_hashes(tmp_path: Path) -> None:
    backend = chat(str(folder(tmp_path / "a" / "tiny", config_json="{}")), lora="./style")
    assert backend.name == "vllm:tiny+style"
    assert str(tmp_path) not in json.dumps(backend.identity())
    assert "./" not in json.dumps(backend.identity())


def test_equal_models_in_different_places_are_one_and_other_weights_another(tmp_path: Path) -> None:
    here = folder(tmp_path / "here" / "tiny", config_json="{}", model_safetensors="weights")
    there = folder(tmp_path / "there" / "tiny", config_json="{}", model_safetensors="weights")
    trained = folder(tmp_path / "trained" / "tiny", config_json="{}", model_safetensors="weighty")
    assert chat(str(here)).identity() == chat("there/tiny", tmp_path).identity()
    assert chat(str(trained)).identity() != chat(str(here)).identity()
    assert chat("org/model", lora=str(trained)).identity() != chat("org/model", lora=str(here)).identity()
    assert chat("org/model").identity() != chat("org/model", lora=str(here)).identity()
    (here / "notes.md").write_text("A note beside a model changes no reply.")
    assert chat(str(here)).identity() == chat(str(there)).identity()


def test_large_files_are_told_apart_by_pieces_from_all_over(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    data = bytearray(SAMPLED_ABOVE + 3 * PIECE)
    file.write_bytes(data)
    seen = {model_hash(file)}
    for place in (0, len(data) // 2, len(data) - 1):
        data[place] = 1
        file.write_bytes(data)
        seen.add(model_hash(file))
    assert len(seen) == 4


def test_how_it_runs_is_no_part_of_the_identity_and_what_it_says_is() -> None:
    assert chat(batch_size=1, tensor_parallel_size=8).identity() == chat().identity()
    for changed in ({"dtype": "float16"}, {"max_model_len": 99}, {"engine": {"x": 1}}, {"structured": "off"}):
        assert chat(**changed).identity() != chat().identity()


def test_a_build_makes_it_and_a_limit_on_money_needs_no_price_for_it(tmp_path: Path) -> None:
    folder(tmp_path / "models" / "tiny", config_json="{}")
    path = tmp_path / "finemed.yaml"
    path.write_text(
        "name: demo\nsources: [{name: a, path: a.jsonl}]\nbackends: {own: {type: vllm, model: models/tiny}}\n"
        "judge: {backend: own}\nrespond: {backend: own, model: org/x}\n"
    )
    plan = Plan(load_config(path), tmp_path)
    assert (plan.backend("judge").name, plan.backend("respond").name) == ("vllm:tiny", "vllm:org/x")
    assert (plan.backend("judge").local, plan.backend("judge").free) == (True, False)
    assert isinstance(plan.budget(max_tokens=None, max_cost=1.0), Budget)
