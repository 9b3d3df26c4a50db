from __future__ import annotations

import random
import statistics
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from datasketch import MinHash
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.text import medical, quality
from finemed.text.language import identify, same_code
from finemed.text.medical import LANGUAGES, density, lexicon, weighted_terms
from finemed.text.minhash import MinHasher, text_key
from finemed.text.normalise import letters, tidy, words
from finemed.text.segment import TOKENS_PER_WORD, estimate_tokens, passages, sentences
from finemed.text.shingle import Hashes, jaccard, ngram_hashes, shingles, word_hashes

calmly = settings(deadline=None, max_examples=150)  # busy machines make single examples slow

# Prose with all that decides where a sentence ends, and the scripts without blanks.
PROSE = st.lists(
    st.sampled_from(
        [
            *("Croup", "e.g.", "Dr.", "U.S.", "ends.", "Why?", "No!", '"Yes."', "(5", "mg)", "2.5", "B.", "..."),
            *("肺炎。", "咳嗽！", "風邪", "naïve", "Überdosis", "\u00a0", "\n", "\n\n", " ", "\t", "\r\n"),
        ]
    ),
    max_size=60,
).map(" ".join)
TEXT = st.one_of(PROSE, st.text(max_size=200))
TOKENS = st.lists(st.sampled_from(["fever", "cough", "rash", "pain", "croup"]), max_size=12)


def cut(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def solid(text: str) -> str:
    return "".join(text.split())


# --- normalise -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("IgA-mediated: 5 mg/kg.", ["iga", "mediated", "5", "mg", "kg"]),
        ("2.5 mg, 1,000 IU.", ["2.5", "mg", "1,000", "iu"]),
        ("snake_case", ["snake", "case"]),
        ("Überdosis naïve β-blocker", ["überdosis", "naïve", "β", "blocker"]),
        ("肺炎 2.5 mg，CT检查", ["肺", "炎", "2.5", "mg", "ct", "检", "查"]),
        ("カゼ・かぜ ー々", ["カ", "ゼ", "か", "ぜ", "ー", "々"]),
        ("감기는 감염", ["감기는", "감염"]),
        ("cafe\u0301 बुखार", ["caf\u00e9", "बुखार"]),
        ("-- ... ・", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_letters_leave_out_digits_and_points() -> None:
    assert [letters(word) for word in ("fever", "5mg", "2.5", "b12", "肺", "cafe\u0301", "①")] == [5, 2, 0, 1, 1, 5, 0]


def test_words_level_compatibility_forms_case_and_punctuation() -> None:
    expected = ["fibrosis", "2.5", "mg", "café"]
    assert words("ﬁbrosis, ２.５ MG  cafe\u0301") == words("Fibrosis 2.5 mg café") == expected


def test_words_that_differ_stay_apart() -> None:
    assert words("hyper tension") != words("hypertension")


def test_tidy_keeps_lines_and_collapses_the_rest() -> None:
    assert tidy("  Croup\x00 \t is\u00a0viral. \r\n  It barks.\r\r\r\rEnd\x07 ") == "Croup is viral.\nIt barks.\n\nEnd"


@calmly
@given(TEXT)
def test_tidy_twice_changes_nothing_more(text: str) -> None:
    assert tidy(tidy(text)) == tidy(text)


@calmly
@given(st.text(st.characters(min_codepoint=33), max_size=50))
def test_tidy_loses_no_word(text: str) -> None:
    assert words(tidy(text)) == words(text.replace("\x7f", " "))


# --- sentences -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Croup is viral. It barks.", ["Croup is viral.", "It barks."]),
        ("Is it croup? Yes! It is.", ["Is it croup?", "Yes!", "It is."]),
        ("Seen by Dr. Smith. He left.", ["Seen by Dr. Smith.", "He left."]),
        ("Viruses, e.g. RSV, cause it. It barks.", ["Viruses, e.g. RSV, cause it.", "It barks."]),
        ("The U.S. Army uses it. It works.", ["The U.S. Army uses it.", "It works."]),
        ("E. Coli grows. It spreads.", ["E. Coli grows.", "It spreads."]),
        ("Give 2.5 mg. Then wait.", ["Give 2.5 mg.", "Then wait."]),
        ("He said “rest.” She agreed.", ["He said “rest.”", "She agreed."]),
        ("It barks (at night.) It stops.", ["It barks (at night.)", "It stops."]),
        ("See Fig. 2 below. Then go.", ["See Fig. 2 below.", "Then go."]),
        ("Treatment\n\nRest and fluids", ["Treatment", "Rest and fluids"]),
        ("肺炎是感染。患者发热！治疗？", ["肺炎是感染。", "患者发热！", "治疗？"]),
        ("El asma. ¿Qué es? Énfasis.", ["El asma.", "¿Qué es?", "Énfasis."]),
        ("no capital. then none. here", ["no capital. then none. here"]),
        ("他说“休息。”她同意（真的！）好", ["他说“休息。”", "她同意（真的！）", "好"]),
        ("患者发热.需要治疗?是 2.5 mg", ["患者发热.", "需要治疗?", "是 2.5 mg"]),
        ("「休んでください。」と医師は言った。熱がある。", ["「休んでください。」と医師は言った。", "熱がある。"]),
        ("Vio a la Dra. Ruiz en EE. UU. «Sí.» Se fue.", ["Vio a la Dra. Ruiz en EE. UU. «Sí.»", "Se fue."]),
        ("Tome p. ej. agua. ¡Sí! ¿Cuánta?", ["Tome p. ej. agua.", "¡Sí!", "¿Cuánta?"]),
        ("Жар высок. Нужен покой.", ["Жар высок.", "Нужен покой."]),
        ("Ο πυρετός. Έχει βήχα.", ["Ο πυρετός.", "Έχει βήχα."]),
        ("बुखार है। आराम करें।", ["बुखार है।", "आराम करें।"]),
        ("열이 난다. 쉬어라.", ["열이 난다.", "쉬어라."]),
        ("هل هي حمى؟ نعم. استرح.", ["هل هي حمى؟", "نعم.", "استرح."]),
        ("Contents ..... 5 It barks.", ["Contents .....", "5 It barks."]),
        (" \n\t ", []),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert cut(text, sentences(text)) == expected


@calmly
@given(TEXT)
def test_sentences_cover_every_solid_character_once(text: str) -> None:
    spans = sentences(text)
    assert "".join(map(solid, cut(text, spans))) == solid(text)
    assert all(start < end for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(piece == piece.strip() for piece in cut(text, spans))


# --- passages --------------------------------------------------------------------------------------------------------


@calmly
@given(TEXT, st.integers(5, 40), st.integers(0, 10))
def test_passages_cover_in_order_and_keep_the_budget(text: str, max_tokens: int, min_tokens: int) -> None:
    spans = passages(text, max_tokens, min_tokens)
    assert "".join(map(solid, cut(text, spans))) == solid(text)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    sizes = [estimate_tokens(piece) for piece in cut(text, spans)]
    assert all(size <= max_tokens for size in sizes[:-1])
    assert all(size <= max_tokens + min_tokens for size in sizes[-1:])


def test_many_short_sentences_do_not_add_up_beyond_the_budget() -> None:
    text = " ".join(f"Word{number}." for number in range(400))
    sizes = [estimate_tokens(piece) for piece in cut(text, passages(text, 100, 0))]
    assert max(sizes) <= 100
    assert sizes[0] > 95


def test_a_text_within_the_budget_stays_whole() -> None:
    text = "  Croup is viral. It barks.\n\nTreatment\nRest. "
    assert passages(text, 50, 5) == [(2, len(text) - 1)]
    assert passages(" \n ", 50, 5) == []


def test_passages_end_where_sentences_end() -> None:
    text = " ".join(["The cough barks at night."] * 30)
    for piece in cut(text, passages(text, 40, 0)):
        assert piece.startswith("The cough")
        assert piece.endswith("night.")


def test_a_heading_opens_a_passage() -> None:
    body = " ".join(["The cough barks at night."] * 5)
    text = f"{body}\n\nTreatment\n\n{body}"
    first, second = cut(text, passages(text, 50, 0))
    assert first == body
    assert second == f"Treatment\n\n{body}"


def test_a_heading_soon_after_the_start_opens_none() -> None:
    body = " ".join(["The cough barks at night."] * 12)
    text = f"Croup.\n\nTreatment\n\n{body}"
    assert cut(text, passages(text, 50, 0))[0].startswith("Croup.\n\nTreatment\n\nThe cough")


def test_a_small_last_piece_joins_its_predecessor() -> None:
    text = " ".join(["The cough barks at night."] * 8) + " It stops."
    full = estimate_tokens(text) - estimate_tokens("It stops.")
    apart = cut(text, passages(text, full, 0))
    joined = cut(text, passages(text, full, 20))
    assert apart[-1] == "It stops."
    assert joined == [text]


def test_a_long_sentence_is_cut_between_words() -> None:
    for blank in (" ", "\n", "\t"):
        text = blank.join(f"symptom{number}" for number in range(200))
        pieces = cut(text, passages(text, 60, 0))
        assert len(pieces) > 3
        assert [word for piece in pieces for word in piece.split()] == text.split()


def test_a_long_sentence_without_blanks_is_cut_after_a_comma() -> None:
    text = "，".join(["患者出现发热咳嗽等症状"] * 20)
    pieces = cut(text, passages(text, 100, 0))
    assert "".join(pieces) == text
    assert all(piece.endswith("，") for piece in pieces[:-1])


def test_dots_without_end_take_no_time() -> None:
    started = time.perf_counter()
    assert sentences("a" + "." * 200_000 + "b") == [(0, 200_002)]
    assert time.perf_counter() - started < 2


def test_a_script_without_blanks_is_cut_between_characters() -> None:
    text = "肺" * 500
    pieces = cut(text, passages(text, 100, 0))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= 100


def test_estimate_tokens() -> None:
    assert estimate_tokens("one two three four five six seven eight nine ten") == int(10 * TOKENS_PER_WORD) == 13
    assert estimate_tokens("肺炎") == 2 + 1
    assert estimate_tokens("") == 0


# --- shingle ---------------------------------------------------------------------------------------------------------


def test_hashes_are_pinned() -> None:
    tokens = ["croup", "is", "a", "viral", "infection"]
    assert word_hashes(["croup", "naïve"]).tolist() == [2363895588801254314, 5373288360660148253]
    assert ngram_hashes(tokens, 3).tolist() == [7890050379036415431, 16382248757964595758, 5114611555086290326]
    assert shingles(tokens[:2], 5).tolist() == [16801951135461766033]
    hasher = MinHasher(2, 2, seed=1)
    assert hasher.signature(shingles(tokens, 3)).tolist() == [1032558025, 2036902794, 2493127446, 359755042]
    assert hasher.bands(shingles(tokens, 3)).tolist() == [3551906682, 1942539473]
    assert text_key(word_hashes(tokens)) == 1086947544


def test_short_and_empty_texts() -> None:
    assert shingles([], 5).size == 0
    assert shingles(["croup"], 5).size == 1
    assert shingles(["barking", "cough"], 5).tolist() != shingles(["cough", "barking"], 5).tolist()
    assert shingles(["a", "b", "c"], 5).tolist() == shingles(["a", "b", "c"], 3).tolist()


@calmly
@given(TOKENS, st.integers(1, 6))
def test_shingles_are_sorted_and_as_many_as_different_ngrams(tokens: list[str], size: int) -> None:
    found = shingles(tokens, size)
    width = min(size, len(tokens))
    assert len(found) == len(plain_ngrams(tokens, size))
    assert len(ngram_hashes(tokens, size)) == (len(tokens) - width + 1 if tokens else 0)
    assert found.tolist() == sorted(found.tolist())


def plain_ngrams(tokens: list[str], size: int) -> set[tuple[str, ...]]:
    width = min(size, len(tokens))
    return {tuple(tokens[start : start + width]) for start in range(len(tokens) - width + 1)} if tokens else set()


@calmly
@given(TOKENS, TOKENS, st.integers(1, 4))
def test_jaccard_is_that_of_the_plain_sets(left: list[str], right: list[str], size: int) -> None:
    a, b = plain_ngrams(left, size), plain_ngrams(right, size)
    expected = len(a & b) / len(a | b) if a and b else 0.0
    assert jaccard(shingles(left, size), shingles(right, size)) == expected
    assert jaccard(shingles(right, size), shingles(left, size)) == expected


def test_jaccard_of_empty_sets_is_zero() -> None:
    assert jaccard(shingles([], 3), shingles([], 3)) == 0.0
    assert jaccard(shingles(["croup"], 3), shingles([], 3)) == 0.0


# --- MinHash ---------------------------------------------------------------------------------------------------------


def pair_of_sets(draw: random.Random, similarity: float, union: int = 120) -> tuple[Hashes, Hashes]:
    """Two random sets whose Jaccard similarity is exactly `similarity` (of a union of this size)."""
    values = [draw.getrandbits(64) for _ in range(union)]
    common = round(similarity * union)
    half = (union - common) // 2
    left, right = values[: common + half], values[:common] + values[common + half :]
    return np.unique(np.array(left, dtype=np.uint64)), np.unique(np.array(right, dtype=np.uint64))


@pytest.mark.parametrize(
    ("similarity", "num_bands", "rows_per_band"), [(0.5, 25, 5), (0.8, 25, 5), (0.5, 8, 3), (0.8, 5, 8), (0.2, 25, 5)]
)
def test_share_of_pairs_in_one_band_follows_the_formula(similarity: float, num_bands: int, rows_per_band: int) -> None:
    draw, hasher, count = random.Random(7), MinHasher(num_bands, rows_per_band), 800
    pairs = [pair_of_sets(draw, similarity) for _ in range(count)]
    hits = sum(bool((hasher.bands(left) == hasher.bands(right)).any()) for left, right in pairs)
    expected = 1 - (1 - similarity**rows_per_band) ** num_bands
    error = (expected * (1 - expected) / count) ** 0.5
    assert abs(hits / count - expected) <= 3.5 * error + 1e-3


def test_signatures_estimate_jaccard_as_datasketch_does() -> None:
    draw, hasher = random.Random(3), MinHasher(32, 4)
    ours, theirs = [], []
    for number in range(50):
        similarity = (number % 10 + 0.5) / 10
        left, right = pair_of_sets(draw, similarity, union=100)
        true = jaccard(left, right)
        assert true == pytest.approx(similarity, abs=0.02)
        ours.append(float((hasher.signature(left) == hasher.signature(right)).mean()) - true)
        theirs.append(datasketch_estimate(left, right) - true)
    spread = (0.25 / 128) ** 0.5
    assert max(map(abs, ours)) <= 3.5 * spread
    assert abs(statistics.mean(ours)) <= 3.5 * spread / 50**0.5
    assert all(abs(one - other) <= 3.5 * spread * 2**0.5 for one, other in zip(ours, theirs, strict=True))


def datasketch_estimate(left: Hashes, right: Hashes) -> float:
    a, b = MinHash(num_perm=128, seed=5), MinHash(num_perm=128, seed=5)
    a.update_batch([value.tobytes() for value in left])
    b.update_batch([value.tobytes() for value in right])
    return float(a.jaccard(b))


def test_minhash_knows_only_the_set_and_the_seed() -> None:
    hashes = pair_of_sets(random.Random(1), 1.0)[0]
    hasher = MinHasher(4, 3, seed=9)
    assert (hasher.signature(hashes) == hasher.signature(hashes[::-1])).all()
    assert (MinHasher(4, 3, seed=9).bands(hashes) == hasher.bands(hashes)).all()
    assert (MinHasher(4, 3, seed=10).bands(hashes) != hasher.bands(hashes)).all()
    assert hasher.bands(hashes).shape == (4,)
    assert len(set(MinHasher(25, 5).bands(hashes[:1]).tolist())) == 25


# --- language ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", "Fever is a response of the body to an infection, and it can be treated with fluids and rest."),
        ("en", "Fever cough headache rash."),
        ("en", "Symptoms\n- Shortness of breath\n- Swelling\n- Dizziness"),
        ("en", "Smith JA, Jones B. Effects of aspirin on outcomes in diabetes. N Engl J Med 2010;362:12-20."),
        ("es", "La fiebre es una respuesta del cuerpo a la infección y se trata con líquidos y con reposo en la cama."),
        ("es", "Síntomas: fiebre, tos, dolor de cabeza, erupción"),
        ("de", "Fieber ist eine Antwort des Körpers auf die Infektion und wird mit Ruhe und Flüssigkeit behandelt."),
        ("fr", "La fièvre est une réponse du corps à une infection et elle se traite avec du repos et des liquides."),
        ("pt", "A febre é uma resposta do corpo a uma infecção e trata-se com repouso e com líquidos na cama."),
        ("it", "La febbre è una risposta del corpo a una infezione e si cura con il riposo e con molti liquidi."),
        ("nl", "Koorts is een reactie van het lichaam op een infectie en wordt met rust en vocht behandeld."),
        ("sv", "Feber är en reaktion på en infektion och den behandlas med vila och vätska i sängen."),
        ("pl", "Gorączka jest odpowiedzią organizmu na zakażenie i leczy się ją odpoczynkiem oraz płynami."),
        ("zh", "肺炎是肺部的感染。患者常有发热、咳嗽和呼吸困难。"),
        ("zh", "CT 检查示肺部感染"),
        ("ja", "風邪はウイルスによる感染症です。発熱や咳が主な症状です。水分を十分に取り、安静にしてください。"),
        ("ja", "インフルエンザはウイルスによる病気です。"),
        ("ru", "Лихорадка — это повышение температуры тела. Она часто бывает при инфекциях."),
        ("uk", "Гарячка — це підвищення температури тіла, яке буває при інфекції."),
        ("ko", "감기는 바이러스에 의한 감염입니다. 기침과 열이 납니다."),
        ("ar", "الحمى هي ارتفاع درجة حرارة الجسم بسبب عدوى."),
        ("hi", "बुखार शरीर के तापमान का बढ़ना है।"),
        ("el", "Ο πυρετός είναι η αύξηση της θερμοκρασίας του σώματος."),
        ("und", "12 34 56"),
        ("und", "Xqz brr tlk"),
        ("und", ""),
    ],
)
def test_identify(code: str, text: str) -> None:
    assert identify(words(text)) == code


def test_a_text_of_two_languages_is_neither() -> None:
    english = "Fever is a response of the body to an infection. "
    spanish = "La fiebre es una respuesta del cuerpo a una infección. "
    assert identify(words(english + spanish)) == "und"
    assert identify(words(english * 3 + spanish)) == "en"


def test_one_foreign_name_does_not_decide_the_language() -> None:
    text = "The disease that is called 川崎病 in Japan is a vasculitis of the arteries, first seen in children."
    assert identify(words(text)) == "en"


@pytest.mark.parametrize(
    ("stated", "code"), [("en-US", "en"), (" EN ", "en"), ("eng", "en"), ("zh_Hans", "zh"), ("x", "x")]
)
def test_stated_codes_are_levelled(stated: str, code: str) -> None:
    assert same_code(stated) == code


# --- quality -------------------------------------------------------------------------------------------------------


def test_letter_share() -> None:
    assert quality.letter_share("ab 12", words("ab 12")) == 0.5
    assert quality.letter_share("肺炎", ["肺", "炎"]) == 1.0
    assert quality.letter_share("बुखार", words("बुखार")) == 1.0
    assert quality.letter_share(" \n", []) == 0.0


def test_repeated_share() -> None:
    assert quality.repeated_share(["a", "b", "c", "d", "e", "f"]) == 0.0
    assert quality.repeated_share(["a"] * 7) == pytest.approx(2 / 3)
    assert quality.repeated_share(["a", "b", "a", "b", "a"], size=2) == 0.5
    assert quality.repeated_share([]) == 0.0
    assert quality.repeated_sequences(["a", "b", "a", "b", "a"], size=2) == ["a b", "b a"]


def test_repeated_lines_leave_out_empty_ones() -> None:
    assert quality.repeated_lines("a\n\n\nb\na\nb\na") == ["a", "b", "a"]
    assert quality.repeated_line_share("ab\nab") == 2 / 5
    assert quality.repeated_line_share("") == 0.0


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("Buy now! Free shipping and a miracle cure.", ["buy now", "free shipping", "miracle"]),
        ("Lose 20 pounds with this secret formula!!", ["lose 20 pounds", "secret formula", "!!"]),
        ("Cheap antibiotics online, no prescription needed", ["cheap antibiotics online", "no prescription needed"]),
        ("Compre ahora, descuento especial", ["compre ahora", "descuento"]),
        ("祖传秘方，立即购买", ["祖传秘方", "立即购买"]),
        ("Buying drugs is not a subject of this discounted text", []),
        ("In order to breathe, the chest widens. Results are available.", []),
    ],
)
def test_spam_phrases(text: str, phrases: list[str]) -> None:
    assert quality.spam_phrases(text) == phrases


def test_boilerplate_share_counts_sentences() -> None:
    assert quality.boilerplate_share("We use cookies. Croup is viral. Sign in to read on. It barks.") == 0.5
    assert quality.boilerplate_share("Sign in, sign in, sign in. It barks.") == 0.5
    assert quality.boilerplate_share("İİİİİİ. SIGN IN.") == 0.5
    assert quality.boilerplate_share("版权所有。肺炎是感染。") == 0.5
    assert quality.boilerplate_share("") == 0.0


REFERENCES = (
    "Lee AB, Roe CD, et al. Croup in winter. J Voice 2010;16(2):17-28. Available at https://example.org/a. "
    "Ruiz, J. M., & Cho, K. (2019). Barking coughs. Breath, 12, 3. doi:10.1000/1"
)
PROSE = "Croup is a viral infection of the larynx (Lee et al., 2010). In 2019, 12 children were seen; 3:1 were boys."


def test_bibliographies_have_many_marks_and_prose_has_few() -> None:
    assert quality.reference_density(REFERENCES, words(REFERENCES)) > 20
    assert quality.reference_density(PROSE, words(PROSE)) < 5
    assert quality.reference_marks(PROSE) == ["et al"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("fiÃ¨vre", ["Ã¨"]),
        ("the bodyâ€™s own", ["â€™"]),
        ("5Â\u00a0mg", ["Â\u00a0"]),
        ("gone \ufffd \x93quoted\x94", ["\ufffd", "\x93", "\x94"]),
        ("La fièvre, l’âge, São Paulo, Âge, «5 µg»", []),
    ],
)
def test_mojibake(text: str, found: list[str]) -> None:
    assert quality.mojibake(text) == found


@pytest.mark.parametrize(
    ("text", "cut_off"),
    [
        ("Croup barks at night. Read more", True),
        ("Croup barks at night. [Continue reading →]", True),
        ("Croup barks at night and ...", True),
        ("La tos perruna de noche. Leer más", True),
        ("夜间咳嗽。阅读全文>>", True),
        ("You can read more about croup in the leaflet.", False),
        ("Click on the link to learn more.", False),
        ("Rate\n1.2\n...\n...", False),
        ("Croup barks at night.", False),
        ("", False),
    ],
)
def test_teasers(text: str, cut_off: bool) -> None:
    assert (quality.teaser(text) is not None) is cut_off


def test_lists_have_many_words_per_sentence() -> None:
    assert quality.words_per_sentence("Croup barks. It stops at 2.5 mg.", ["w"] * 6) == 3
    assert (
        quality.words_per_sentence("Known since 1990.[2] Rare.", ["w"] * 4) == 4
    )  # digits before a point may number a list
    assert quality.words_per_sentence("发热。咳嗽！", ["w"] * 4) == 2
    assert quality.words_per_sentence("- fever - cough", ["w"] * 2) == 2


# --- medical terms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "word", ["fever", "fevers", "appendicitis", "cholecystectomies", "atorvastatin", "cardiomyopathy"]
)
def test_medical_words(word: str) -> None:
    assert quality.is_medical(word)


@pytest.mark.parametrize("word", ["table", "aroma", "philosophy", "analysis", "football", "mountains", "economies"])
def test_words_that_are_not_medical(word: str) -> None:
    assert not quality.is_medical(word)


def test_medical_terms_come_in_order_with_repetitions() -> None:
    assert quality.medical_terms(words("Fever, then cough, then fever at home.")) == ["fever", "cough", "fever"]


@pytest.mark.parametrize(
    ("language", "word", "weight"),
    [
        ("en", "insulin", 1.0),
        ("en", "pregnancies", 1.0),
        ("en", "transferases", 1.0),
        ("en", "neurobiology", 1.0),
        ("en", "sleep", 0.4),
        ("en", "treaties", -0.5),
        ("en", "sympathy", 0.0),
        ("es", "médicas", 1.0),
        ("es", "infecciones", 1.0),
        ("es", "riñones", 1.0),
        ("es", "política", 0.0),
        ("es", "presidentes", -0.5),
        ("zh", "糖尿病", 1.0),
    ],
)
def test_weights(language: str, word: str, weight: float) -> None:
    assert lexicon(language).weight(word) == weight


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_word_stands_twice_in_a_lexicon(language: str) -> None:
    path = Path(medical.__file__).parent / "lexicon" / f"medical_{language}.txt"
    lines = [
        line for line in path.read_text("utf-8").split("[suffix]")[0].splitlines() if not line.startswith(("#", "["))
    ]
    listed = Counter(" ".join(lines).split())
    assert len(listed) > 500
    assert [word for word, count in listed.items() if count > 1] == []
    assert all(words(word) == ([word] if language != "zh" else list(word)) for word in listed)


def test_density_counts_chinese_by_characters() -> None:
    text = "糖尿病患者的国王"  # 5 characters of strong terms, 2 of another field, 8 in all
    assert weighted_terms([], text, "zh") == [("糖尿病", 1.0), ("患者", 1.0), ("国王", -0.5)]
    assert density(words(text), text, "zh") == pytest.approx(100 * (5 - 1) / 8)
    assert density(words("fever 12 parliament"), "", "en") == pytest.approx(100 * 0.5 / 2)
    assert density(["fieber"], "", "de") == 0.0
