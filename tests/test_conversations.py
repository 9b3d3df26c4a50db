"""Which layout a dataset has, and what its records become: an exchange, or a fault that says why not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finemed.sources.conversations import Exchange, columns_of, detect, read_exchange

Q, A, B = "How is croup recognised?", "By its barking cough.", "By an X-ray of the foot."
LAYOUTS = ("alpaca", "sharegpt", "messages", "prompt_completion", "question_answer", "preference")


def user(text: Any = Q) -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(text: Any = A) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def human(text: Any = Q) -> dict[str, Any]:
    return {"from": "human", "value": text}


def gpt(text: Any = A) -> dict[str, Any]:
    return {"from": "gpt", "value": text}


def read(layout: str, multi_turn: str = "drop", **values: Any) -> Exchange:
    exchange, fault = read_exchange(layout, values, multi_turn=multi_turn)
    assert fault is None
    assert exchange is not None
    return exchange


def fault(layout: str, multi_turn: str = "drop", **values: Any) -> str:
    exchange, found = read_exchange(layout, values, multi_turn=multi_turn)
    assert exchange is None
    assert found is not None
    return found


SHAPES: list[tuple[str, dict[str, Any], Exchange]] = [
    ("alpaca", {"instruction": Q, "input": "", "output": A}, Exchange(Q, A, None)),
    ("alpaca", {"instruction": "Answer.", "input": Q, "output": A}, Exchange(f"Answer.\n\n{Q}", A, None)),
    ("alpaca", {"instruction": Q, "output": A, "text": f"### {Q} ### {A}"}, Exchange(Q, A, None)),
    ("alpaca", {"input": Q, "output": A}, Exchange(Q, A, None)),
    ("alpaca", {"instruction": Q, "input": "", "output": A, "history": []}, Exchange(Q, A, None)),
    ("sharegpt", {"id": "1", "conversations": [human(), gpt()]}, Exchange(Q, A, None)),
    ("sharegpt", {"conversation": [{"from": "system", "value": "Be brief."}, human(), gpt()]}, Exchange(Q, A, None)),
    (
        "sharegpt",
        {"conversations": [{"from": "User", "value": Q}, {"from": "chatgpt", "value": A}]},
        Exchange(Q, A, None),
    ),
    ("messages", {"messages": [user(), assistant()]}, Exchange(Q, A, None)),
    ("messages", {"conversations": [user(), assistant()]}, Exchange(Q, A, None)),
    ("messages", {"messages": [user()]}, Exchange(Q, None, None)),
    ("messages", {"messages": json.dumps([user(), assistant()])}, Exchange(Q, A, None)),
    (
        "messages",
        {"messages": [user([{"type": "text", "text": "How is"}, {"type": "text", "text": "it?"}]), assistant()]},
        Exchange("How is\nit?", A, None),
    ),
    ("messages", {"messages": [{"role": "Developer", "content": "Hm."}, user(), assistant()]}, Exchange(Q, A, None)),
    (
        "messages",
        {"messages": [{"role": "USER ", "content": Q, "from": None}, {"role": None, "content": A, "from": "GPT"}]},
        Exchange(Q, A, None),
    ),
    ("messages", {"messages": [user(), {**assistant(), "tool_calls": None, "tool_calls_id": 5}]}, Exchange(Q, A, None)),
    ("prompt_completion", {"prompt": json.dumps([user()]), "completion": A}, Exchange(Q, A, None)),
    (
        "preference",
        {"prompt": Q, "chosen": json.dumps([assistant()]), "rejected": json.dumps([assistant(B)])},
        Exchange(Q, B, A),
    ),
    ("prompt_completion", {"prompt": "[1] " + Q + " [2]", "completion": A}, Exchange(f"[1] {Q} [2]", A, None)),
    ("prompt_completion", {"prompt": Q, "completion": A}, Exchange(Q, A, None)),
    ("prompt_completion", {"prompt": [user()], "completion": [assistant()], "label": True}, Exchange(Q, A, None)),
    ("prompt_completion", {"prompt": Q, "response": A}, Exchange(Q, A, None)),
    ("prompt_completion", {"prompt": Q}, Exchange(Q, None, None)),
    ("question_answer", {"instruction": Q, "response": A}, Exchange(Q, A, None)),
    ("question_answer", {"Question": Q, "Complex_CoT": "Hm.", "Response": A}, Exchange(Q, A, None)),
    ("question_answer", {"query": Q, "answer": A}, Exchange(Q, A, None)),
    ("question_answer", {"question": Q, "answer": A, "text": "Both."}, Exchange(Q, A, None)),
    ("question_answer", {"instruction": Q}, Exchange(Q, None, None)),
    ("preference", {"prompt": Q, "chosen": A, "rejected": B}, Exchange(Q, B, A)),
    ("preference", {"prompt": [user()], "chosen": [assistant()], "rejected": [assistant(B)]}, Exchange(Q, B, A)),
    ("preference", {"chosen": [user(), assistant()], "rejected": [user(), assistant(B)]}, Exchange(Q, B, A)),
    (
        "preference",
        {"prompt": Q, "chosen": [user(), assistant()], "rejected": [user(), assistant(B)]},
        Exchange(Q, B, A),
    ),
    ("preference", {"system": "Hm.", "question": Q, "chosen": A, "rejected": B}, Exchange(Q, B, A)),
    (
        "preference",
        {"chosen": f"\n\nHuman: {Q}\n\nAssistant: {A}", "rejected": f"\n\nHuman: {Q}\n\nAssistant: {B}"},
        Exchange(Q, B, A),
    ),
    ("preference", {"prompt": f"\n\nHuman: {Q}\n\nAssistant:", "chosen": A, "rejected": B}, Exchange(Q, B, A)),
    ("preference", {"instruction": "Answer.", "input": Q, "output": [A, B]}, Exchange(f"Answer.\n\n{Q}", B, A)),
    ("preference", {"question": Q, "response_chosen": A, "response_rejected": B}, Exchange(Q, B, A)),
]


@pytest.mark.parametrize(("layout", "row", "expected"), SHAPES)
def test_each_shape_is_detected_and_read(layout: str, row: dict[str, Any], expected: Exchange) -> None:
    assert detect(set(row), [row]) == layout
    assert read_exchange(layout, row, multi_turn="drop") == (expected, None)


ZH, WATER, UNSURE = "咳嗽怎么办？", "多喝水。", "不知道。"
PUBLISHED: list[tuple[str, dict[str, Any], Exchange]] = [
    # BAAI/AquilaMed-Instruct, after its card
    ("alpaca", {"instruction": f"问：{ZH}", "input": "", "output": f"答：{WATER}"}, Exchange(ZH, WATER, None)),
    # BAAI/AquilaMed-RL, after its discussion 2
    ("preference", {"instruction": ZH, "input": "", "output": [WATER, UNSURE]}, Exchange(ZH, UNSURE, WATER)),
    # FreedomIntelligence/HuatuoGPT2-SFT-GPT4-140K, after its card
    ("sharegpt", {"idx": "7", "conversations": [human(ZH), gpt(WATER)]}, Exchange(ZH, WATER, None)),
    # FreedomIntelligence/HuatuoGPT2_sft_instruct_GPT4_50K and HuatuoGPT-sft-data-v1, after a converter of them
    ("sharegpt", {"data": [f"问：{ZH}", f"答：{WATER}"]}, Exchange(ZH, WATER, None)),
]


@pytest.mark.parametrize(("layout", "row", "expected"), PUBLISHED)
def test_published_medical_datasets_are_known(layout: str, row: dict[str, Any], expected: Exchange) -> None:
    assert detect(set(row), [row]) == layout
    assert read_exchange(layout, row, multi_turn="drop") == (expected, None)


@pytest.mark.parametrize(
    "row",
    [
        {"question": Q, "text": "Croup is a viral infection.", "focus": "Croup"},
        {"title": "Croup", "section": "Signs", "text": "A barking cough."},
        {"text": "Croup.", "output": "x"},
        {"prompt": "Write about croup.", "text": "Croup."},
        {"id": "1", "question": Q, "options": {"A": "x", "B": "y"}, "answer": "B"},
        {"text": "Croup.", "messages": 5, "data": {"a": 1}},
        {"text": "Croup.", "data": ["a", "b"]},
        {"answer": A},
        {},
    ],
)
def test_what_is_no_question_with_an_answer_stays_documents(row: dict[str, Any]) -> None:
    assert detect(set(row), [row]) == "documents"


def test_without_a_row_the_column_names_decide() -> None:
    assert detect({"messages"}, []) == "messages"
    assert detect({"idx", "conversations"}, []) == "sharegpt"
    assert detect({"prompt", "chosen", "rejected"}, []) == "preference"


def test_a_first_row_that_is_odd_does_not_decide() -> None:
    rows = [{"messages": None}, {"messages": []}, {"messages": [{"content": "?"}]}, {"messages": [human()]}]
    assert detect({"messages"}, rows) == "sharegpt"


def test_texts_are_taken_word_for_word() -> None:
    odd = "  Line one\r\n\tline\u00a0two \n"
    assert read("question_answer", question=odd, answer=odd) == (odd, odd, None)
    assert read("messages", messages=[user(odd), assistant(odd)]).response == odd
    assert read("alpaca", instruction=odd, input=odd, output=A).instruction == f"{odd}\n\n{odd}"


def test_role_marks_are_kept_where_only_one_side_has_them() -> None:
    assert read("alpaca", instruction="问：咳嗽？", output="多喝水。") == ("问：咳嗽？", "多喝水。", None)
    assert read("alpaca", instruction="咳嗽？", output="答：多喝水。").response == "答：多喝水。"
    assert read("alpaca", instruction="问：咳嗽？").instruction == "问：咳嗽？"
    pair = read("preference", instruction="问：咳嗽？", output=["答：多喝水。", "不知道。"])
    assert pair == ("问：咳嗽？", "不知道。", "答：多喝水。")
    assert read("preference", instruction="问:咳嗽？", output=["答：水。", "答: 无。"]) == ("咳嗽？", "无。", "水。")


def test_an_exchange_as_one_text_holds_all_of_it() -> None:
    assert Exchange(Q, B, A).text == f"{Q}\n\n{B}\n\n{A}"
    assert Exchange(Q, None, None).text == Q


LONG = [human(), gpt(), human("And treated?"), gpt("By steroids."), human("Thanks.")]


def test_several_exchanges_are_a_fault_or_the_first_is_kept() -> None:
    assert fault("sharegpt", conversations=LONG) == (
        "multi_turn: 5 messages; `multi_turn: first` keeps the first exchange"
    )
    assert read("sharegpt", "first", conversations=LONG) == (Q, A, None)
    assert read("sharegpt", "first", conversations=[*LONG, {"from": "tool", "value": 1}][:5]) == (Q, A, None)
    history = [[Q, A]]
    assert fault("alpaca", instruction="And?", output=B, history=history).startswith("multi_turn: 4 messages")
    assert read("alpaca", "first", instruction="And?", output=B, history=history) == (Q, A, None)
    prompt = [user(), assistant(), user("And treated?")]
    assert fault("prompt_completion", prompt=prompt, completion=A).startswith("multi_turn: 4 messages")
    assert read("prompt_completion", "first", prompt=prompt, completion=B) == (Q, A, None)


def test_a_longer_pair_has_no_first_exchange() -> None:
    sides = {"chosen": [user(), assistant(), user("And?"), assistant()], "rejected": [user(), assistant(B)]}
    for multi_turn in ("drop", "first"):
        assert fault("preference", multi_turn, **sides) == (
            "multi_turn: 4 messages; the preference is about the last, so none can be left out"
        )


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    ("alpaca", {"output": A, "id": "1"}, "missing_column: no `instruction` or `input` among id, output"),
    ("alpaca", {"instruction": 7, "output": A}, "not_string: `instruction` is int"),
    ("alpaca", {"instruction": Q, "input": ["x"], "output": A}, "not_string: `input` is list"),
    ("alpaca", {"instruction": " ", "input": "\n", "output": A}, "empty_question: `instruction` holds nothing"),
    ("alpaca", {"instruction": Q, "output": "\n"}, "empty_answer: `output` holds nothing; leave it out, or null, to"),
    ("alpaca", {"instruction": Q, "output": [A, B]}, "not_string: `output` is list"),
    ("alpaca", {"instruction": Q, "output": A, "history": [["x"]]}, "not_messages: `history` is list, expected"),
    ("question_answer", {"answer": A}, "missing_column: no `instruction` or `question` or `query` or `prompt` among"),
    ("question_answer", {"question": Q, "answer": {"text": A}}, "not_string: `answer` is dict"),
    ("question_answer", {"question": "Cr\x00oup?"}, "nul_byte: `question` holds NUL characters"),
    ("question_answer", {"question": Q, "answer": "caf\ufffd"}, "not_utf8: `answer` holds replacement characters"),
    ("question_answer", {"question": Q, "answer": "\ud83d"}, "not_utf8: `answer` holds half of a surrogate pair"),
    ("prompt_completion", {"completion": A}, "missing_column: no `prompt` among completion"),
    ("prompt_completion", {"prompt": Q, "completion": A, "label": False}, "undesired_answer: `label` is false"),
    ("prompt_completion", {"prompt": Q, "completion": A, "label": "False"}, "undesired_answer: `label` is false"),
    ("prompt_completion", {"prompt": 5, "completion": A}, "not_messages: `prompt` is int, expected a list"),
    ("messages", {"text": "Croup."}, "missing_column: no `messages` or `conversations` or `conversation` or `data`"),
    ("messages", {"messages": "hello"}, "not_messages: `messages` is a text, expected a list of messages"),
    ("messages", {"messages": "{}"}, "not_messages: `messages` is dict, expected a list of messages"),
    ("messages", {"messages": ["hello"]}, "bad_roles: `messages[0]` is a text without a role"),
    ("messages", {"messages": [5]}, "not_messages: `messages[0]` is int, expected a message"),
    ("messages", {"messages": []}, "empty_question: no message of a user"),
    ("messages", {"messages": [{"role": "system", "content": "Hm."}]}, "empty_question: no message of a user"),
    ("messages", {"messages": [assistant()]}, "bad_roles: `messages[0]` comes from the assistant, expected the user"),
    (
        "messages",
        {"messages": [user(), user()]},
        "bad_roles: `messages[1]` comes from the user, expected the assistant",
    ),
    (
        "messages",
        {"messages": [user(), {"role": "tool", "content": A}]},
        "bad_roles: `messages[1]` has the role 'tool'",
    ),
    (
        "messages",
        {"messages": [user(), {**assistant(None), "tool_calls": [{"function": {"name": "x"}}]}, user(), assistant()]},
        "bad_roles: `messages[1]` calls a tool (`tool_calls`); conversations with tools are left out",
    ),
    (
        "sharegpt",
        {"conversations": [human(), {"from": "observation", "value": "5"}]},
        "bad_roles: `conversations[1]` has the role 'observation'; conversations with tools are left out",
    ),
    (
        "messages",
        {"messages": [user(), {"role": "system", "content": "Stop."}, assistant()]},
        "bad_roles: `messages[1]` is a system message in mid conversation",
    ),
    (
        "messages",
        {"messages": [user([{"type": "image_url", "image_url": {}}]), assistant()]},
        "not_string: part 1 of `messages[0]` is of type 'image_url'; only parts of type text are read",
    ),
    (
        "messages",
        {"messages": [user(), {"role": "critic", "content": A}]},
        "bad_roles: `messages[1]` has the role 'critic'",
    ),
    ("messages", {"messages": [user(), {"content": A}]}, "bad_roles: `messages[1]` has no role"),
    ("messages", {"messages": [user(), {"role": ["user"], "content": A}]}, "bad_roles: `messages[1]` has no role"),
    ("messages", {"messages": [user(None), assistant()]}, "not_string: `messages[0]` is null"),
    ("messages", {"messages": [user(""), assistant()]}, "empty_question: `messages[0]` holds nothing"),
    ("messages", {"messages": [user(), assistant(" ")]}, "empty_answer: `messages[1]` holds nothing"),
    ("preference", {"prompt": Q, "chosen": A}, "missing_column: no `chosen` or `rejected` among chosen, prompt"),
    (
        "preference",
        {"chosen": A, "rejected": B},
        "missing_column: no `prompt` or `instruction` or `question` or `query`",
    ),
    (
        "preference",
        {"prompt": Q, "chosen": A, "rejected": f"{A}\n"},
        "equal_pair: `chosen` and `rejected` are the same",
    ),
    (
        "preference",
        {"chosen": [user(), assistant()], "rejected": [user("Else?"), assistant(B)]},
        "different_prompts: `chosen` and `rejected` answer different questions",
    ),
    (
        "preference",
        {"chosen": [user()], "rejected": [user(), assistant()]},
        "bad_roles: `chosen` holds a question alone",
    ),
    (
        "preference",
        {"chosen": [user(), assistant()], "rejected": [user()]},
        "bad_roles: `rejected` holds a question alone",
    ),
    ("preference", {"prompt": Q, "chosen": A, "rejected": 3}, "not_messages: `rejected` is int, expected a list"),
    ("preference", {"prompt": Q, "chosen": A, "rejected": " "}, "empty_answer: `rejected` holds nothing"),
]


@pytest.mark.parametrize(("layout", "row", "expected"), FAULTS)
def test_faults_name_the_place_and_the_fact(layout: str, row: dict[str, Any], expected: str) -> None:
    assert fault(layout, **row).startswith(expected)


def test_what_comes_behind_the_first_exchange_does_not_matter() -> None:
    later = [{"role": "system", "content": "Stop."}, user(), {"role": "tool", "content": "5"}]
    assert read("messages", "first", messages=[user(), assistant(), *later]) == (Q, A, None)


@pytest.mark.parametrize(
    ("spoken", "layout"),
    [
        ([user(), {"role": "tool", "content": "5"}], "messages"),
        ([{"role": "critic", "content": "5"}], "messages"),
        ([{"from": "critic", "value": "5"}], "sharegpt"),
        ([user([{"type": "image_url"}])], "messages"),
    ],
)
def test_messages_that_cannot_be_used_are_messages_still(spoken: list[Any], layout: str) -> None:
    assert detect({"messages"}, [{"messages": spoken}]) == layout


def test_names_of_columns_from_outside_can_be_written() -> None:
    fault("question_answer", **{"caf\ud83d": 1, "日本": 2}).encode()


def test_the_columns_that_need_reading() -> None:
    names = ["id", "Instruction", "output", "source", "LABEL"]
    assert columns_of(names) == ["Instruction", "output", "LABEL"]


def test_a_lower_case_name_wins_over_its_other_forms() -> None:
    for row in ({"question": Q, "Question": "x", "answer": A}, {"QUESTION": "x", "question": Q, "answer": A}):
        assert read("question_answer", **row).instruction == Q


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from([Q, "问：咳嗽？", "\n\nHuman: a", "user"])
)
KEYS = st.sampled_from(["role", "content", "from", "value", "chosen", "weight"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
NAMES = st.sampled_from(
    [
        "messages",
        "data",
        "prompt",
        "completion",
        "instruction",
        "input",
        "output",
        "chosen",
        "rejected",
        "history",
        "label",
        "Question",
        "answer",
        "text",
    ]
)


@given(
    layout=st.sampled_from(LAYOUTS), row=st.dictionaries(NAMES, VALUES), multi_turn=st.sampled_from(["drop", "first"])
)
def test_whatever_a_record_holds_it_ends_as_an_exchange_or_a_fault(
    layout: str, row: dict[str, Any], multi_turn: str
) -> None:
    assert detect(set(row), [row]) in (*LAYOUTS, "documents")
    exchange, found = read_exchange(layout, row, multi_turn=multi_turn)
    assert (exchange is None) != (found is None)
    if exchange is None:
        assert found is not None
        code, _, fact = found.partition(": ")
        assert code.isidentifier()
        assert fact
        found.encode()
    else:
        assert exchange.instruction.strip()
        assert all(part.strip() and part.encode() is not None for part in exchange if part is not None)
        assert exchange.chosen is None or exchange.response is not None
