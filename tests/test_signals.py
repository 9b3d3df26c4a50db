"""The signals of a whole shard are those that the plain functions define, whatever the text."""

from __future__ import annotations

import math
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.text import quality
from finemed.text.language import LATIN, SCRIPTS, decide, identify, script, tally
from finemed.text.medical import LANGUAGES, density, weighted_terms
from finemed.text.normalise import RUST_WORD, folded, words
from finemed.text.signals import measure
from finemed.text.vocabulary import Vocabulary

FIEBRE = "La fiebre es una respuesta del cuerpo."
calmly = settings(deadline=None, max_examples=120)

# Assigned in Unicode 14, which every Python that we support knows: newer characters may be a letter to polars alone.
ANY = st.text(st.characters(exclude_categories=("Cs", "Cn", "Co"), max_codepoint=0x2FFFF), max_size=60)
LATIN_PIECES = (
    "Fever is a response of the body. La fiebre es una respuesta del cuerpo. economía riñones Ü İ ß ﬁ x² ¿Qué?"
)
OTHER_PIECES = (
    "肺炎 患者发热。 政府 かぜ 감기 Лихорадка حمى बुखार cafe\u0301 ① ٣ 2.5 1,000 5mg "
    "# | * — !! $$$ ... … । Ã© â€™ \ufffd"
)
PHRASES = [
    "Buy now",
    "cookies",
    "Sign in",
    "Read more",
    "Smith JA,",
    "2010;16(2):17-28.",
    "et al",
    "doi:10.1/x",
    "line\nline",
]
BLANKS = ["\n", "\n\n", "\t", "\u00a0", "\u3000", "\x85", "parliament", "hypertension", "nephritis"]
PIECES = st.lists(st.sampled_from([*LATIN_PIECES.split(), *OTHER_PIECES.split(), *PHRASES, *BLANKS]), max_size=40).map(
    " ".join
)
TEXT = st.one_of(PIECES, ANY, st.characters(exclude_categories=("Cs", "Cn", "Co")))


def expected(text: str, stated: str | None) -> dict[str, object]:
    """One row of `measure`, by the definitions."""
    tokens = words(text)
    language = stated or identify(tokens)
    judged = language in LANGUAGES
    weights = weighted_terms(tokens, text, language) if judged else []
    return {
        "words": len(tokens),
        "mojibake": len(quality.mojibake(text)),
        "letter_share": quality.letter_share(text, tokens),
        "symbol_ratio": quality.symbol_ratio(text, tokens),
        "number_share": quality.number_share(tokens),
        "words_per_sentence": quality.words_per_sentence(text, tokens),
        "repeated_share": quality.repeated_share(tokens),
        "repeated_line_share": quality.repeated_line_share(text),
        "spam_phrases": len(quality.spam_phrases(text)),
        "boilerplate_share": quality.boilerplate_share(text),
        "reference_density": quality.reference_density(text, tokens),
        "truncated": quality.teaser(text) is not None,
        "language": language,
        "medical_density": density(tokens, text, language),
        "medical_terms": len({term for term, weight in weights if weight > 0}),
    }


def same(left: object, right: object) -> bool:
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-9)
    return left == right


def series(*values: str | None) -> pl.Series:
    return pl.Series(values, dtype=pl.String)


@calmly
@given(st.lists(st.tuples(TEXT, st.sampled_from([None, None, "en", "es", "zh", "de"])), min_size=1, max_size=6))
def test_a_shard_is_measured_as_its_texts_are_by_the_definitions(rows: list[tuple[str, str | None]]) -> None:
    texts, stated = zip(*rows, strict=True)
    for text, language, row in zip(texts, stated, measure(series(*texts), series(*stated)).to_dicts(), strict=True):
        wanted = expected(text, language)
        assert {name: row[name] for name in wanted if not same(row[name], wanted[name])} == {}, wanted
        assert set(row) == set(wanted)


@calmly
@given(TEXT)
def test_polars_finds_the_same_words(text: str) -> None:
    assert folded(series(text)).str.to_lowercase().str.extract_all(RUST_WORD)[0].to_list() == words(text)


@pytest.mark.parametrize("text", ["", " ", "\n", "a", "5", "肺", "か", "!", "\u0301", "🙂", "a" * 5000, "word " * 3000])
def test_texts_of_nothing_or_of_one_thing(text: str) -> None:
    (row,) = measure(series(text), series(None)).to_dicts()
    wanted = expected(text, None)
    assert {name: row[name] for name in wanted if not same(row[name], wanted[name])} == {}


def test_an_empty_shard_has_the_same_columns() -> None:
    empty = measure(series(), series())
    assert (empty.height, set(empty.columns)) == (0, set(expected("", None)))


POOL = "fever is a response of the body la fiebre es una del cuerpo hypertension parliament 5 2.5 肺炎 かぜ x"


def varied(draw: random.Random) -> str:
    pool = POOL.split()
    return " ".join(draw.choices(pool, k=draw.randint(0, 60)))


def test_neither_company_nor_what_was_seen_before_changes_a_row() -> None:
    draw = random.Random(5)
    texts = [varied(draw) for _ in range(60)]
    together = measure(series(*texts), series(*[None] * 60))
    vocabulary = Vocabulary()
    alone = [measure(series(text), series(None), vocabulary) for text in reversed(texts)]
    assert pl.concat(reversed(alone)).equals(together)


def test_a_vocabulary_that_starts_anew_changes_no_row() -> None:
    draw = random.Random(6)
    texts = [varied(draw) for _ in range(30)]
    tiny, roomy = Vocabulary(limit=3), Vocabulary()
    for text in texts:
        assert measure(series(text), series(None), tiny).equals(measure(series(text), series(None), roomy))
    tiny.trim()
    assert tiny.rows(["one", "two", "one"]).tolist() == [0, 1, 0]
    tiny.trim()
    assert tiny.rows(["two"]).tolist() == [1]  # two words are not too many


def test_texts_called_english_without_a_full_count_are_english_by_the_full_count() -> None:
    draw = random.Random(7)
    english = ["the", "of", "and", "with", "fever", "was", "not"]
    others = ["de", "la", "und", "der", "het", "che", "fièvre", "肺", "x", "12"]
    for share in range(0, 101, 5):
        tokens = [draw.choice(english) if draw.random() * 100 < share else draw.choice(others) for _ in range(30)]
        text = " ".join(tokens)
        assert measure(series(text), series(None))["language"].item() == identify(words(text))


def test_english_words_do_not_hide_another_script() -> None:
    text = "the of and with was not is are in to " + "肺炎 " * 4
    assert measure(series(text), series(None))["language"].item() == identify(words(text)) == "zh"


def test_decide_takes_many_texts_at_once() -> None:
    texts = ["Fever is a response of the body.", FIEBRE, "肺炎是感染", "12", "Fieber ist eine Antwort und die"]
    parts = [tally(words(text)) for text in texts]
    scripts, points = (pl.concat([pl.DataFrame(part[at]) for part in parts]).to_numpy() for at in (0, 1))
    assert scripts.shape == (5, len(SCRIPTS))
    assert points.shape == (5, len(LATIN))
    assert decide(scripts, points) == ["en", "es", "zh", "und", "de"]


@pytest.mark.parametrize(
    ("words_of_it", "name"),
    [
        ("fever été", "latin"),
        ("a ა", "letter"),
        ("5mg 12", None),
        ("肺", "han"),
        ("か ー", "kana"),
        ("감기", "ko"),
        ("лихорадка це", "ru"),
        ("її", "uk"),
        ("حمى", "ar"),
        ("پزشک", "fa"),
        ("बुखार", "hi"),
        ("πυρετός β", "el"),
        ("ไข้", "th"),
        ("חום", "he"),
    ],
)
def test_scripts(words_of_it: str, name: str | None) -> None:
    for word in words_of_it.split():
        at = script(word)
        assert (SCRIPTS[at] if at >= 0 else None) == name
