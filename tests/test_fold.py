"""One form for the ways in which Unicode writes the same characters, shared by all that compares."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finemed.text.fold import fold, fold_in_place
from finemed.text.guard import difference, facts_of
from finemed.text.normalise import words
from finemed.text.overlap_plain import word_spans
from finemed.text.phi import scan, scan_all

TELLING = st.text(
    alphabet=st.one_of(
        st.sampled_from(
            "ae\u0301\u0323\u00e9 \u00adfi\ufb01\u200b２５．.,\uff0c\u00b5\u03bcｶﾞガ⁹₂Ⅳ"
            "\u2011\u2013’\u0651\u064e각\u1100\u1161\u11a8"
        ),
        st.characters(exclude_categories=("Cs",)),
    ),
    max_size=40,
)
PLAIN = "The café gives 5 μg of non-Hodgkin fibrosis for 2.5 days, with the patient's zerowidth note."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(unicodedata.normalize("NFD", PLAIN), id="decomposed"),
        pytest.param(PLAIN.replace("zerowidth", "zero\u200bwidth"), id="zero-width space"),
        pytest.param("\ufeff" + PLAIN.replace("zerowidth", "zero\u200d\u2060width"), id="joiners and byte order mark"),
        pytest.param(PLAIN.replace("zerowidth", "zero\u00adwidth"), id="soft hyphen"),
        pytest.param(PLAIN.replace("2.5", "\u202a2.5\u202c").replace("note", "no\u200ete"), id="marks of direction"),
        pytest.param(PLAIN.replace("2.5 days", "２.５ ｄａｙｓ"), id="full width"),
        pytest.param(PLAIN.replace("fi", "\ufb01"), id="ligature"),
        pytest.param(PLAIN.replace("\u03bc", "\u00b5"), id="micro sign"),
        pytest.param(PLAIN.replace("5 μg", "5\u202fμg"), id="narrow no-break blank"),
        pytest.param(PLAIN.replace("non-", "non\u2011"), id="no-break hyphen"),
        pytest.param(PLAIN.replace("'", "\u2019"), id="typographic apostrophe"),
        pytest.param(PLAIN.replace("'", "\u02bc"), id="modifier apostrophe"),
        pytest.param(PLAIN.replace("note", "𝐧𝐨𝐭𝐞"), id="styled letters"),
    ],
)
def test_forms_of_one_text_are_one(text: str) -> None:
    assert text != PLAIN
    assert words(text) == words(PLAIN)
    assert difference(facts_of(text), facts_of(PLAIN)) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("10⁹ cells", "109 cells"),
        ("½ tablet", "12 tablet"),
        ("3，5 days", "3,5 days"),
        ("Hodgkin", "non\u2011Hodgkin"),
        ("5 µg", "5 mg"),
        ("type Ⅰ", "type Ⅱ"),
    ],
)
def test_what_says_something_else_stays_apart(left: str, right: str) -> None:
    assert fold(left) != fold(right)
    assert words(left) != words(right)


@given(TELLING)
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert unicodedata.is_normalized("NFC", fold(text))


@given(TELLING)
def test_places_lead_back_to_the_original(text: str) -> None:
    folded = fold_in_place(text)
    assert folded.text == fold(text)
    for at in range(len(folded.text)):
        start, end = folded.original(at, at + 1)
        assert 0 <= start < end <= len(text)
        assert folded.text[at] in fold(text[start:end])


def test_spans_of_words_are_those_of_the_original() -> None:
    text = "A \ufb01brosis of cafe\u0301\u200bs, ２.５ mg."
    assert [text[start:end] for start, end in word_spans(text)] == [
        "A",
        "\ufb01brosis",
        "of",
        "cafe\u0301\u200bs",
        "２.５",
        "mg",
    ]


def test_personal_data_is_found_in_every_form() -> None:
    import polars as pl

    text = "Patient: Jose\u0301 Nu\u0301n\u0303ez, DOB 04/12/1956, MRN １２３４５６７, lives alone."
    (found,) = [finding for finding in scan(text) if finding.kind == "name"]
    assert text[found.start : found.end] == "Jose\u0301 Nu\u0301n\u0303ez"
    assert scan_all(pl.Series([text]))[0] == scan(text)
    assert {"date_of_birth", "record_number"} <= {finding.kind for finding in scan(text)}
