from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from finemed.config import (
    BatchBackend,
    BuildConfig,
    CardConfig,
    ClassifyConfig,
    Columns,
    DecontaminateConfig,
    DedupConfig,
    EmbeddingsBackend,
    EndpointConfig,
    FilterConfig,
    GenerateConfig,
    IngestConfig,
    JudgeAnswersConfig,
    JudgeConfig,
    OpenAIBackend,
    PhiConfig,
    Price,
    QuotaConfig,
    RankConfig,
    ReasonConfig,
    RespondConfig,
    RouteConfig,
    RulesBackend,
    SemanticConfig,
    Settings,
    SourceConfig,
    SplitConfig,
    VllmBackend,
    identity,
    load_config,
    stable_hash,
)
from finemed.config.backends import Licensed
from finemed.errors import ConfigError

SMALL = "name: demo\nsources: [{name: a, path: a.jsonl}]\n"


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "finemed.yaml"
    path.write_text(text)
    return path


def faults(tmp_path: Path, text: str, *overrides: str) -> list[str]:
    """The lines of the error, without the file's path."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, overrides)
    assert caught.value.exit_code == 2
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


# --- loading and faults ----------------------------------------------------------------------------------------------


def test_a_small_file_has_the_documented_defaults(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SMALL))
    assert (config.run_dir, config.seed, config.route.complexity_above) == ("run", 0, 8)
    assert (config.generate.temperature, config.generate.top_p) == (1.0, 0.9)
    assert config.split.min_rows == {"sft": 1, "sft_reasoning": 1, "dpo": 1, "ttt": 1}


def test_all_faults_at_once_each_with_its_place_and_value(tmp_path: Path) -> None:
    text = """
name: Has Blanks
sources: [{name: a, path: a.jsonl, format: xml}, {path: b.jsonl}]
split: {test: 1.5}
dedup_passages: {treshold: 0.8}
route: {complexity_above: 3, top_share: 0.1}
backends: {openai: {type: openai, concurrency: 0}, b: {type: gemini}}
"""
    found = faults(tmp_path, text)
    places = {line.split("`")[1] for line in found}
    assert places == {
        "name",
        "sources.0.format",
        "sources.1.name",
        "split.test",
        "dedup_passages.treshold",
        "route",
        "backends.openai.model",
        "backends.openai.concurrency",
        "backends.b",
    }
    assert len(found) == len(places)
    (split,) = [line for line in found if line.startswith("`split.test`")]
    assert "0.5" in split
    assert "'1.5'" in split


def test_an_unknown_key_says_where_to_look(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, SMALL + "filter: {min_wrods: 3}\n")
    assert line == "`filter.min_wrods`: no such setting; see docs/configuration.md or `finemed init` (got '3')"


def test_unknown_backends_name_the_section_and_the_known_ones(tmp_path: Path) -> None:
    text = SMALL + "backends: {big: {type: openai, model: m}}\njudge: {backend: bgi}\nreason: {backend: nope}\n"
    told = " ".join(faults(tmp_path, text))
    assert "`judge.backend`: `bgi` is not defined; known are big, rules" in told
    assert "`reason.backend`: `nope`" in told
    assert "`generate.backend`" not in told


def test_faults_between_sections_are_told_beside_faults_within_them(tmp_path: Path) -> None:
    text = SMALL + "judge: {backend: bgi, temperature: 9}\n"
    told = " ".join(faults(tmp_path, text))
    assert "`judge.backend`" in told
    assert "`judge.temperature`" in told


def test_a_model_for_the_rules_backend_is_refused(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, SMALL + "judge: {model: gpt}\n")
    assert "`judge.model`: the rules backend has no models" in line


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, SMALL + "judge: {temperature: 0.1, temperature: 0.2}\n")
    assert "`temperature` stands twice" in line


def test_a_source_name_used_twice_is_refused(tmp_path: Path) -> None:
    text = "name: demo\nsources: [{name: a, path: a}, {name: a, path: b}, {name: c, path: c}]\n"
    (line,) = faults(tmp_path, text)
    assert "the name `a` is used twice" in line
    assert "`c`" not in line


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("a: [", "not YAML"),
        ("- a\n- b\n", "holds list, not settings"),
        ("", "holds nothing, not settings"),
        ("name: demo\nsources: []\n", "`sources`"),
    ],
)
def test_files_that_are_no_settings(tmp_path: Path, text: str, fact: str) -> None:
    (line,) = faults(tmp_path, text)
    assert fact in line


def test_a_missing_or_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file; `finemed init` writes one"):
        load_config(tmp_path / "finemed.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(ConfigError, match="byte 9 is not UTF-8; save the file as UTF-8"):
        load_config(tmp_path / "latin.yaml")


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, SMALL))
    with pytest.raises(ValidationError):
        config.split.test = 0.2  # type: ignore[misc]


# --- the two route rules ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "threshold", "share"),
    [
        ({}, 8, None),
        ({"complexity_above": 5}, 5, None),
        ({"top_share": 0.1}, 8, 0.1),
        ({"complexity_above": None, "top_share": 0.1}, None, 0.1),
    ],
)
def test_one_route_rule(settings: dict[str, Any], threshold: int | None, share: float | None) -> None:
    route = RouteConfig(**settings)
    assert (route.complexity_above, route.top_share) == (threshold, share)


@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        ({"complexity_above": 8, "top_share": 0.1}, "not both"),
        ({"complexity_above": 0, "top_share": 0.0}, "not both"),
        ({"complexity_above": None}, "set `complexity_above` or `top_share`"),
    ],
)
def test_two_rules_or_none_are_refused(settings: dict[str, Any], fact: str) -> None:
    with pytest.raises(ValidationError, match=fact):
        RouteConfig(**settings)


# --- --set -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("seed=7", lambda c: c.seed == 7),
        ("split.test=0.2", lambda c: c.split.test == 0.2),
        ("split.min_rows.dpo=4", lambda c: c.split.min_rows == {"sft": 1, "sft_reasoning": 1, "dpo": 4, "ttt": 1}),
        ("filter.languages=[en, es]", lambda c: c.filter.languages == ["en", "es"]),
        ("route.complexity_above=null", lambda c: c.route.complexity_above is None),
        ("sources.0.limit=5", lambda c: c.sources[0].limit == 5),
        ("sources.0={name: b, path: b.csv}", lambda c: c.sources[0].name == "b"),
        ("sources.0.columns.text=body=1", lambda c: c.sources[0].columns.text == "body=1"),
        ("card.title='A: b'", lambda c: c.card.title == "A: b"),
        ("backends.big={type: openai, model: m}", lambda c: c.backends["big"].model == "m"),
    ],
)
def test_set(tmp_path: Path, override: str, read: Any) -> None:
    text = SMALL + "route: {top_share: 0.5}\n"
    assert read(load_config(write(tmp_path, text), [override]))


def test_later_overrides_win(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, SMALL + "seed: 1\n"), ["seed=2", "seed=3"]).seed == 3


@pytest.mark.parametrize(
    ("override", "fact"),
    [
        ("seed", "not of the form section.key=value"),
        ("=3", "not of the form section.key=value"),
        ("seed=[", "not YAML"),
        ("name.first=x", "`name` is a value, not a section"),
        ("sources.a.limit=3", "`a` is not an index below 1"),
        ("sources.1.limit=3", "`1` is not an index below 1"),
        ("sources.-1.limit=3", "`-1` is not an index below 1"),
        ("sources.1={name: b, path: b}", "`1` is not an index below 1"),
    ],
)
def test_bad_overrides_are_named(tmp_path: Path, override: str, fact: str) -> None:
    (line,) = faults(tmp_path, SMALL, override)
    assert line.startswith(f"--set {override}: ")
    assert fact in line


def test_an_override_with_an_unknown_key_is_a_fault_of_the_settings(tmp_path: Path) -> None:
    (line,) = faults(tmp_path, SMALL, "split.tset=0.1")
    assert line.startswith("`split.tset`: no such setting")


# --- backends --------------------------------------------------------------------------------------------------------


def test_a_stage_may_name_its_own_model(tmp_path: Path) -> None:
    text = (
        SMALL + "backends: {big: {type: openai, model: m}}\njudge: {backend: big, model: n}\nreason: {backend: big}\n"
    )
    config = load_config(write(tmp_path, text))
    assert config.backend_of("judge") == OpenAIBackend(type="openai", model="n")
    assert config.backend_of("reason") == OpenAIBackend(type="openai", model="m")
    assert config.backend_of("generate") == RulesBackend()


@pytest.mark.parametrize(
    "address", ["http://", "http://a:port/v1", "http://:8000/v1", "http://[::1/v1", "http://a:0/v1"]
)
def test_an_address_without_a_host_is_a_fault_and_no_password_is_told(tmp_path: Path, address: str) -> None:
    hostile = address.replace("//", "//ann:hunter2@")
    text = SMALL + f"backends: {{a: {{type: openai, model: m, base_url: '{hostile}'}}}}\n"
    (line,) = faults(tmp_path, text)
    assert line == "`backends.a.base_url`: not an address with a host, such as http://localhost:8000/v1"
    pool = SMALL + f"backends: {{a: {{type: openai, model: m, endpoints: [{{base_url: '{hostile}'}}]}}}}\n"
    assert "hunter2" not in " ".join(faults(tmp_path, pool))


def test_servers_are_named_in_one_way(tmp_path: Path) -> None:
    pool = "{type: openai, model: m, base_url: http://a/v1, endpoints: [{base_url: http://b/v1}]}"
    (line,) = faults(tmp_path, SMALL + f"backends: {{a: {pool}}}\n")
    assert line == "`backends.a`: set `base_url` or `endpoints`, not both"


# --- identity --------------------------------------------------------------------------------------------------------

LLM: dict[str, Any] = {
    "backend": "b",
    "model": "m",
    "temperature": 0.3,
    "top_p": 0.3,
    "max_tokens": 99,
    "max_reasks": 1,
    "max_failure_share": 0.5,
}
# For every setting another valid value; test_the_list_of_other_values_is_complete holds it complete.
OTHER_VALUES: list[tuple[Settings, dict[str, Any]]] = [
    (
        Columns(),
        {"text": "x", "title": "x", "id": "x", "url": "x", "language": "x", "license": "x", "attribution": "x"}
        | {"extra": {"year": {"type": "integer"}}},
    ),
    (
        SourceConfig(name="a", path="p"),
        {
            "name": "b",
            "path": "q",
            "format": "csv",
            "columns": Columns(text="body"),
            "license": "CC0-1.0",
            "attribution": "Ann",
            "url": "https://e.org",
            "where": {"domain": ["medical"]},
            "limit": 3,
            "layout": "alpaca",
            "multi_turn": "first",
        },
    ),
    (IngestConfig(), {"max_tokens": 99, "min_tokens": 9, "shard_rows": 99}),
    (
        FilterConfig(),
        {
            "min_words": 1,
            "max_words": 9,
            "max_mojibake": 9,
            "languages": [],
            "min_letter_share": 0.1,
            "max_symbol_ratio": 0.2,
            "max_number_share": 0.1,
            "max_words_per_sentence": 9.0,
            "max_repeated_share": 0.1,
            "max_repeated_line_share": 0.1,
            "max_spam_cues": 9,
            "max_boilerplate_share": 0.1,
            "allow_truncated": True,
            "max_reference_density": 9.0,
            "min_medical_density": 0.1,
            "min_medical_terms": 9,
        },
    ),
    (PhiConfig(), {"withhold_from": 0.5, "allow_backends": ["b"], "withhold_unscanned": True, "drop": True}),
    (QuotaConfig(), {"wanted": {"cardiology": 9}, "default": 9, "surplus": 2.0}),
    (
        DedupConfig(),
        {
            "threshold": 0.5,
            "ngram_size": 3,
            "num_bands": 9,
            "rows_per_band": 9,
            "max_bucket": 9,
            "guard": False,
            "max_source_loss": 0.9,
            "max_node_loss": 0.9,
            "loss_min_rows": 9,
            "semantic": SemanticConfig(model="m"),
            "index": "folder",
        },
    ),
    (
        SemanticConfig(model="m"),
        {"model": "n", "revision": "abc", "threshold": 0.5, "batch_size": 9},
    ),
    (ClassifyConfig(), {**LLM, "taxonomy": "tree.yaml"}),
    (GenerateConfig(), {**LLM, "task_types": ["treatment", "mechanism"], "difficulty": {"basic": 1.0}}),
    (JudgeConfig(), LLM),
    (DecontaminateConfig(), {"benchmarks": ["b.jsonl"], "action": "mark", "min_score": 0.9, "ngram_size": 9}),
    (RouteConfig(complexity_above=None, top_share=0.5), {"complexity_above": 3, "top_share": 0.1}),
    (RespondConfig(), LLM),
    (ReasonConfig(), LLM),
    (JudgeAnswersConfig(), {**LLM, "drop_ungrounded_numbers": False}),
    (RankConfig(), {"min_score": 3.0}),
    (
        SplitConfig(),
        {"validation": 0.2, "test": 0.2, "ttt_share": 0.2, "component_threshold": 0.6, "min_rows": {"sft": 3}}
        | {"passage_threshold": 0.9, "answer_threshold": 0.9, "whole_documents": False, "max_rows": {"sft": 100}}
        | {"mixture": {"source": {"a": 0.5}}, "previous": ["releases"]},
    ),
    (CardConfig(), dict.fromkeys(("title", "summary", "license", "contact", "publisher", "notes"), "x")),
    (
        EmbeddingsBackend(type="embeddings", model="m"),
        {"model": "n", "license": "MIT", "revision": "1a2b", "min_similarity": 0.5, "batch_size": 8},
    ),
    (
        OpenAIBackend(type="openai", model="m"),
        {
            "model": "n",
            "license": "MIT",
            "base_url": "http://localhost:1/v1",
            "api_key_env": "OTHER_KEY",
            "concurrency": 1,
            "timeout_s": 1.0,
            "max_retries": 1,
            "retry_wait_s": 9.0,
            "model_family": "qwen",
            "extra_body": {"top_k": 1},
            "endpoints": [EndpointConfig(base_url="http://a/v1")],
            "requests_per_minute": 9.0,
            "tokens_per_minute": 9.0,
            "patience_s": 9.0,
            "structured": "off",
            "max_tokens_field": "max_completion_tokens",
            "price": Price(input=1, output=2),
        },
    ),
    (EndpointConfig(base_url="http://a/v1"), {"base_url": "http://b/v1", "api_key_env": "OTHER_KEY"}),
    (Price(input=1, output=2), {"input": 2.0, "output": 3.0, "currency": "EUR"}),
    (
        VllmBackend(type="vllm", model="m"),
        {
            "model": "n",
            "license": "MIT",
            "revision": "abc",
            "lora": "style",
            "max_lora_rank": 64,
            "batch_size": 9,
            "structured": "off",
            "dtype": "float16",
            "quantization": "awq",
            "max_model_len": 999,
            "tensor_parallel_size": 2,
            "gpu_memory_utilization": 0.5,
            "prefix_caching": False,
            "chat_template_kwargs": {"enable_thinking": False},
            "model_family": "qwen",
            "engine": {"enforce_eager": True},
        },
    ),
    (
        BatchBackend(type="batch", model="m"),
        {
            "model": "n",
            "license": "MIT",
            "base_url": "http://localhost:1/v1",
            "api_key_env": "OTHER_KEY",
            "completion_window": "48h",
            "max_requests": 9,
            "max_file_mb": 9.0,
            "max_batches": 9,
            "max_rounds": 9,
            "poll_s": 9.0,
            "longest_poll_s": 9.0,
            "timeout_s": 9.0,
            "patience_s": 9.0,
            "retry_wait_s": 9.0,
            "structured": "off",
            "max_tokens_field": "max_completion_tokens",
            "model_family": "qwen",
            "price": Price(input=1, output=2),
            "extra_body": {"top_k": 1},
        },
    ),
]
VOLATILE_NAMES = {
    "index",
    "previous",
    "path",
    "run_dir",
    "taxonomy",
    "benchmarks",
    "base_url",
    "api_key_env",
    "concurrency",
    "timeout_s",
    "max_retries",
    "retry_wait_s",
    "max_failure_share",
    "endpoints",
    "requests_per_minute",
    "tokens_per_minute",
    "patience_s",
    "price",
    "max_lora_rank",
    "batch_size",
    "tensor_parallel_size",
    "gpu_memory_utilization",
    "prefix_caching",
    "completion_window",
    "max_requests",
    "max_file_mb",
    "max_batches",
    "max_rounds",
    "poll_s",
    "longest_poll_s",
}
CHANGES = [
    pytest.param(base, name, value, id=f"{type(base).__name__}.{name}")
    for base, values in OTHER_VALUES
    for name, value in values.items()
]


@pytest.mark.parametrize(("base", "name", "value"), CHANGES)
def test_identity_follows_what_decides_the_output_and_nothing_else(base: Settings, name: str, value: Any) -> None:
    changed = base.model_copy(update={name: value})
    assert changed != base
    same = stable_hash(identity(changed)) == stable_hash(identity(base))
    assert same == (name in VOLATILE_NAMES or (name == "license" and isinstance(base, Licensed)))


@pytest.mark.parametrize(("base", "values"), OTHER_VALUES, ids=[type(base).__name__ for base, _ in OTHER_VALUES])
def test_the_list_of_other_values_is_complete(base: Settings, values: dict[str, Any]) -> None:
    assert set(values) == set(type(base).model_fields) - {"type"}


def test_every_section_of_a_build_is_in_the_list() -> None:
    kinds = {type(base) for base, _ in OTHER_VALUES}
    sections = {type(value) for value in dict(build()).values() if isinstance(value, BaseModel)}
    assert sections <= kinds


def build(**settings: Any) -> BuildConfig:
    return BuildConfig.model_validate({"name": "demo", "sources": [{"name": "a", "path": "p"}], **settings})


@pytest.mark.parametrize(
    ("settings", "same"),
    [
        ({"run_dir": "elsewhere"}, True),
        ({"sources": [{"name": "a", "path": "/other/machine/p"}]}, True),
        ({"sources": [{"name": "a", "path": "p", "columns": {"text": "body"}}]}, False),
        ({"sources": [{"name": "a", "path": "p"}, {"name": "b", "path": "p"}]}, False),
        ({"seed": 1}, False),
        ({"name": "other"}, False),
        ({"split": {"test": 0.2}}, False),
        ({"split": {"test": 0.05}}, True),
        ({"backends": {"b": {"type": "openai", "model": "m"}}}, False),
    ],
)
def test_identity_of_a_whole_build(settings: dict[str, Any], same: bool) -> None:
    assert (stable_hash(identity(build(**settings))) == stable_hash(identity(build()))) == same


def test_volatile_fields_of_a_nested_backend_are_left_out() -> None:
    one = build(backends={"b": {"type": "openai", "model": "m", "base_url": "http://a/v1", "concurrency": 2}})
    two = build(backends={"b": {"type": "openai", "model": "m", "api_key_env": None}})
    assert identity(one) == identity(two)
    assert "http://a/v1" not in str(identity(one))


def test_the_order_in_which_a_mapping_was_written_does_not_matter() -> None:
    one = OpenAIBackend(type="openai", model="m", extra_body={"a": 1, "b": {"c": 1, "d": 2}})
    two = OpenAIBackend(type="openai", model="m", extra_body={"b": {"d": 2, "c": 1}, "a": 1})
    assert list(identity(one)["extra_body"]) == list(identity(two)["extra_body"])
    assert stable_hash(identity(one)) == stable_hash(identity(two))


# --- stable_hash -----------------------------------------------------------------------------------------------------


def test_stable_hash_is_pinned() -> None:
    value = {"b": [1, 2.5, None, True], "a": "é"}
    assert stable_hash(value) == "0c187fb652afca8017b5ef38178eeef09a9dfef844316f80ba4207cdf1995ee5"


@pytest.mark.parametrize(
    ("left", "right"), [([1, 2], [2, 1]), (1, "1"), ({}, []), (None, "null"), (["ab"], ["a", "b"])]
)
def test_different_values_hash_differently(left: Any, right: Any) -> None:
    assert stable_hash(left) != stable_hash(right)


def test_half_a_surrogate_pair_can_be_hashed() -> None:
    assert len(stable_hash("\ud83d")) == 64


def test_a_section_without_settings_has_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "finemed.yaml"
    path.write_text(SMALL + "filter:\njudge:\n", "utf-8")
    assert load_config(path).filter == FilterConfig()


# --- languages -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ("fr-FR", "fr"),
        ("pt_BR", "pt"),
        ("zh-Hant", "zh"),
        ("zh-TW", "zh"),
        ("EN", "en"),
        ("eng", "en"),
        ("ger", "de"),
        ("deu", "de"),
        ("cmn", "zh"),
        ("iw", "he"),
        ("und", "und"),
        ('"no"', "no"),
        ("yue", "yue"),
    ],
)
def test_a_region_or_a_script_folds_into_its_language(tmp_path: Path, stated: str, code: str) -> None:
    path = write(tmp_path, SMALL + f"filter: {{languages: [{stated}]}}\n")
    assert load_config(path).filter.languages == [code]


def test_one_language_that_is_written_twice_is_one(tmp_path: Path) -> None:
    plain = load_config(write(tmp_path, SMALL + "filter: {languages: [en, fr]}\n"))
    folded = load_config(write(tmp_path, SMALL + "filter: {languages: [en-US, fr, en]}\n"))
    assert identity(folded.filter) == identity(plain.filter)


def test_unknown_languages_are_refused_with_the_known_codes(tmp_path: Path) -> None:
    found = faults(tmp_path, SMALL + "filter: {languages: [french, qq, no, 3, spansh, en US]}\n")
    assert [line.partition(":")[0] for line in found] == [f"`filter.languages.{at}`" for at in range(6)]
    assert "did you mean `fr` (French)? known are aa, ab, " in found[0]
    assert "did you mean" not in found[1]
    assert 'write "no" in quotes for Norwegian' in found[2]
    assert "did you mean `es` (Spanish)?" in found[4]


def test_every_language_that_is_identified_has_a_known_code() -> None:
    from finemed.records.languages import NAMES, language_code, language_of
    from finemed.text.language import LATIN

    assert {*LATIN, "zh", "ja", "ko", "ru", "uk", "ar", "fa", "hi", "el", "he", "th", "und"} <= NAMES.keys()
    assert [code for code in NAMES if language_code(code) != code] == []
    assert [code for code, name in NAMES.items() if language_of(name) != code] == []


# --- hostile and odd files -------------------------------------------------------------------------------------------

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = (
    "a: &a {"
    + ", ".join(f"k{n}: 1" for n in range(50))
    + "}\n"
    + "".join(
        f"{new}: &{new} {{<<: [{','.join([f'*{old}'] * 20)}]}}\n" for old, new in zip("abcdef", "bcdefg", strict=True)
    )
)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("[" * 100_000, "nested too deeply"),
        ("{a: " * 100_000, "nested too deeply"),
        ("x: " + "[" * 60 + "]" * 60, "nested too deeply"),
        (SMALL + BOMB, "aliases counted"),
        (SMALL + MERGES, "too many merged keys"),
        ("a: &a [*a]\n", "recursive node"),
        ("a: &a {b: *a}\n", "recursive node"),
        ("name: !!python/object/apply:os.system [ls]\n", "not YAML"),
        ("? [a, b]\n: 1\n", "cannot be a key"),
        ("seed: " + "9" * 5000 + "\n", "not YAML"),
        ('name: "a\\0b"\n', "NUL"),
        ("name: !!binary aGk=\n", "`name`: binary"),
        ("name: \x07\n", "not YAML"),
    ],
    ids=lambda value: value[:24],
)
def test_no_file_is_a_traceback(tmp_path: Path, text: str, fact: str) -> None:
    (line,) = faults(tmp_path, text)
    assert fact in line
    assert len(line) < 1000


def test_dates_stay_text(tmp_path: Path) -> None:
    sources = "sources: [{name: a, path: a.jsonl, where: {day: [2020-01-01, 2020-13-45]}}]\n"
    for name in ("2020-13-45", "2020-01-01"):
        config = load_config(write(tmp_path, f"name: {name}\n{sources}"))
        assert config.name == name
        assert config.sources[0].where == {"day": ["2020-01-01", "2020-13-45"]}
        assert load_config(write(tmp_path, SMALL), [f"name={name}"]).name == name


@pytest.mark.parametrize("name", ["a/b", "..", "A", "", "a b", "a--b", "ab-", "é", "a\\tb", "x" * 65])
def test_names_that_are_no_folder_or_no_name_on_the_hub(tmp_path: Path, name: str) -> None:
    (line,) = faults(tmp_path, f'name: "{name}"\nsources: [{{name: a, path: a.jsonl}}]\n')
    assert line.startswith("`name`: ")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf"])
@pytest.mark.parametrize("setting", ["filter.max_symbol_ratio", "split.test", "generate.temperature", "seed"])
def test_numbers_that_are_none(tmp_path: Path, setting: str, value: str) -> None:
    (line,) = faults(tmp_path, SMALL, f"{setting}={value}")
    assert line.startswith(f"`{setting}`: ")
    assert "finite number" in line


def test_a_number_that_no_machine_holds(tmp_path: Path) -> None:
    assert "does not fit in 64 bits" in faults(tmp_path, SMALL, f"seed={10**30}")[0]


ODD = (
    "seed =1 .seed=1 seed.=1 a..b=1 sources.x.path=1 sources.\u00b2.path=1 sources.-1=1 name.x=1 seed=["
    " sources.99999999999999999999.path=1"
)


@pytest.mark.parametrize("override", [*ODD.split(), "seed=" + "[" * 5000, "seed=" + "9" * 5000], ids=lambda o: o[:24])
def test_odd_overrides_are_faults_with_their_words(tmp_path: Path, override: str) -> None:
    (line, *_) = faults(tmp_path, SMALL, override)
    assert line.startswith(f"--set {override[:100]}")


def test_an_override_of_a_section_without_settings(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL + "filter: {}\nquota:\n  wanted:\n")
    assert load_config(path, ["quota.wanted.cardiology=5"]).quota.wanted == {"cardiology": 5}


def test_all_faults_of_file_and_overrides_come_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, SMALL + "filter: {languages: [qq]}\nrank: {min_score: 0}\n", "seed", "split.test=7", "a=1")
    assert [line.split(":")[0] for line in found] == [
        "--set seed", "`filter.languages.0`", "`rank.min_score`", "`split.test`", "`a`",
    ]  # fmt: skip


def test_bytes_that_are_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "finemed.yaml"
    for content, fact in (
        (SMALL.encode("utf-16"), "save the file as UTF-8"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "save the file as UTF-8"),
        (bytes(100), "not YAML"),
        (b"#" * 4_000_001, "holds no settings"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=fact):
            load_config(path)
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load_config(path).name == "demo"
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
