"""Parts of a record, each by itself, in every layout that instruction data comes in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from finemed.sources.parts import Part, column_of, read_parts
from finemed.sources.turns import UnusableError

CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Rest."}]
TOOLS = [
    {"role": "System", "content": "Be kind."},
    {"role": "USER", "content": "What is 5 mg?"},
    {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "dose", "arguments": {"mg": 5}}}]},
    {"role": "tool", "content": "five", "tool_call_id": "c1"},
    {"role": "assistant", "content": "Five.", "reasoning_content": "It says five."},
]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"instruction": "Summarise.", "input": "Fever.", "output": "Influenza.", "id": 7, "source": "x"},
            ["instruction question Summarise.", "input question Fever.", "output answer Influenza."],
        ),
        (
            {"Question": "Why?", "Complex_CoT": "Think.", "Response": "Rest.", "system": "Be kind."},
            ["Question question Why?", "Complex_CoT answer Think.", "Response answer Rest.", "system system Be kind."],
        ),
        (
            {
                "instruction": "And now?",
                "input": "",
                "output": "Rest.",
                "history": [["Why?", "So."], ["When?", "Now."]],
            },
            [
                "instruction question And now?",
                "output answer Rest.",
                "history[0] question Why?",
                "history[1] answer So.",
                "history[2] question When?",
                "history[3] answer Now.",
            ],
        ),
        ({"messages": CHAT}, ["messages[0] question Why?", "messages[1] answer Rest."]),
        ({"messages": json.dumps(CHAT)}, ["messages[0] question Why?", "messages[1] answer Rest."]),
        (
            {"conversations": [{"from": "Human", "value": "Why?"}, {"from": "GPT", "value": "Rest."}]},
            ["conversations[0] question Why?", "conversations[1] answer Rest."],
        ),
        (
            {"conversations": [{"from": "human", "value": "Why?", "role": None, "content": None}]},
            ["conversations[0] question Why?"],
        ),
        ({"data": ["问：为什么？", "答：休息。"]}, ["data[0] question 为什么？", "data[1] answer 休息。"]),
        (
            {"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": [{"role": "assistant", "content": "No."}]},
            ["prompt[0] question Why?", "chosen[0] answer Rest.", "rejected[0] answer No."],
        ),
        (
            {"prompt": "Why?", "chosen": "Rest.", "rejected": "No."},
            ["prompt question Why?", "chosen answer Rest.", "rejected answer No."],
        ),
        (
            {"chosen": "\n\nHuman: Why?\n\nAssistant: Rest.", "rejected": "No."},
            ["chosen[0] question Why?", "chosen[1] answer Rest.", "rejected answer No."],
        ),
        (
            {"question": "Why?", "options": {"A": "So", "B": "Thus"}},
            ["question question Why?", "options context So\nThus"],
        ),
        ({"options": [{"key": "A", "value": "So"}, {"key": "B", "value": "Thus"}]}, ["options context So\nThus"]),
        ({"options": ["So", "Thus"]}, ["options context So\nThus"]),
        ({"options": '{"A": "So", "B": "Thus"}'}, ["options context So\nThus"]),
        ({"choices": {"text": ["So", "Thus"], "label": ["A", "B"]}}, ["choices context So\nThus"]),
        (
            {"answers": {"text": ["So"], "answer_start": [3]}},
            ["answers answer So", "answers[].answer_start label [3]"],
        ),
        ({"answers": ["So", "Thus", None]}, ["answers[0] answer So", "answers[1] answer Thus"]),
        ({"answer": 5, "label": True}, ["answer label 5", "label label true"]),
        (
            {
                "text": "Why?",
                "cop": 2,
                "Final_Decision": "yes",
                "answer_idx": "",
                "labels": ["b", 1],
                "is_correct": None,
            },
            ["text question Why?", "cop label 2", "Final_Decision label yes", 'labels label ["b", 1]'],
        ),
        ({"text": "  ", "question": None, "answer": ""}, []),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Why"}, {"type": "text", "text": "so?"}]}
                ]
            },
            ["messages[0] question Why\nso?"],
        ),
        (
            {"messages": TOOLS},
            [
                "messages[0] system Be kind.",
                "messages[1] question What is 5 mg?",
                'messages[2].tool_calls answer [{"function": {"name": "dose", "arguments": {"mg": 5}}}]',
                "messages[3] context five",
                "messages[4].reasoning_content answer It says five.",
                "messages[4] answer Five.",
            ],
        ),
        (
            {"messages": [*CHAT, {"role": "system", "content": "Stop."}, *CHAT]},
            [
                "messages[0] question Why?",
                "messages[1] answer Rest.",
                "messages[2] system Stop.",
                "messages[3] question Why?",
                "messages[4] answer Rest.",
            ],
        ),
        ({"text": "[1] As shown before [2]"}, ["text question [1] As shown before [2]"]),
    ],
)
def test_each_text_is_a_part_of_its_own(values: dict[str, Any], expected: list[str]) -> None:
    assert [f"{part.name} {part.kind} {part.text}" for part in read_parts(values)] == expected


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "not_string: part 1 of `messages[0]` is of type 'image_url'; only parts of type text are read",
        ),
        ({"messages": [{"role": "critic", "content": "x"}]}, "bad_roles: `messages[0]` has the role 'critic'"),
        ({"messages": [*CHAT, {"role": "user", "content": 5}]}, "not_string: `messages[2]` is int"),
        ({"messages": [{"role": "user", "content": "x"}, 5]}, "not_messages: `messages[1]` is int, expected a message"),
        ({"question": "a\ud800b"}, "not_utf8: `question` holds half of a surrogate pair"),
        ({"messages": [{"role": "user", "content": "a\ud800b"}]}, "not_utf8: `messages[0]` holds half of a"),
        ({"history": [["a"]]}, "not_messages: `history` holds list, expected pairs of question and answer"),
        ({"answer": b"x"}, "not_string: `answer` is bytes"),
    ],
)
def test_what_is_no_text_is_refused_by_its_place(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UnusableError) as caught:
        read_parts(values)
    assert str(caught.value).startswith(said)


def test_nesting_without_an_end_is_refused() -> None:
    nested: Any = "x"
    for _ in range(60):
        nested = [nested]
    with pytest.raises(UnusableError, match="too_deep: `options`"):
        read_parts({"options": nested})


def test_named_columns_are_looked_at_instead() -> None:
    values = {"body": "Croup barks.", "text": "no", "Output": "yes"}
    assert read_parts(values, ("body", "Output")) == [
        Part("body", "question", "Croup barks."),
        Part("Output", "answer", "yes"),
    ]


def test_labels_that_alone_are_named_are_texts() -> None:
    assert read_parts({"label": 1, "text": "no"}, ("label",)) == [Part("label", "question", "1")]
    assert [part.kind for part in read_parts({"label": 1, "text": "x"}, ("label", "text"))] == ["label", "question"]


@pytest.mark.parametrize(
    ("name", "column"),
    [("messages[12].tool_calls", "messages"), ("messages[0]", "messages"), ("a[b]", "a[b]"), ("x", "x")],
)
def test_the_column_of_a_part(name: str, column: str) -> None:
    assert column_of(name) == column
