"""The compiled text kernels against their readable definitions, which are tested against plain Python here too."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from finemed.text import neighbours, plain, scan, sketch
from finemed.text.column import Texts, chain, column_of
from finemed.text.fold import composing, fold
from finemed.text.minhash import MinHasher
from finemed.text.normalise import words
from finemed.text.shingle import shingles, word_hashes

HASHER = MinHasher(25, 5)
ALPHABET = (
    "aabB 1.,-\u200b\uff11\uff0e\uff21\ufb01\u0651\u064e"
    "\u00b5\u03a3\u03c3\u0130\u00df\u0301\u80ba\u708e\u304b\u0639\u0940\U0001f9ea\n"
)
TEXT = st.one_of(st.text(max_size=60), st.text(ALPHABET, max_size=60))
FEW_WORDS = st.lists(
    st.sampled_from(["fever", "Fever", "no", "5", "2.5", "mg", "\u80ba\u708e", "\u03a3\u03a3"]), max_size=6
)
"""0 to 6 words, of a vocabulary so small that texts often resemble each other."""


def rows_of(texts: list[str]) -> tuple[Texts, npt.NDArray[np.int64]]:
    return column_of(texts), np.arange(len(texts), dtype=np.int64)


@given(st.lists(TEXT, max_size=8))
def test_a_column_holds_the_texts(texts: list[str]) -> None:
    column = column_of(texts)
    assert [column.text(row) for row in range(len(column))] == [
        text.encode("utf-8", "replace").decode("utf-8") for text in texts
    ]


def test_a_column_of_a_series_may_be_sliced_in_pieces_and_have_gaps() -> None:
    series = pl.concat([pl.Series(["a", None]), pl.Series(["", "b\u80ba"])], rechunk=False)
    for column, expected in ((column_of(series), ["a", "", "", "b\u80ba"]), (column_of(series[1:3]), ["", ""])):
        assert [column.text(row) for row in range(len(column))] == expected
    assert column_of(pl.Series([], dtype=pl.String())).nbytes == 0


def test_columns_are_chained() -> None:
    both = chain(column_of(pl.Series(["x", "ab", "c"])[1:]), column_of(["", "\u80ba"]))
    assert [both.text(row) for row in range(len(both))] == ["ab", "c", "", "\u80ba"]


@given(TEXT)
@settings(max_examples=400, deadline=None)
def test_compiled_word_hashes_are_those_of_the_words(text: str) -> None:
    column = column_of([text])
    out = np.empty(len(column.data) + 1, dtype=np.uint64)
    count = scan.word_hashes(column.data, column.offsets[0], column.offsets[1], *scan.tables(), out)
    expected = word_hashes(words(column.text(0)))
    if count >= 0:
        assert out[:count].tolist() == expected.tolist()
    else:  # left to the definition, for one character of it or the order of two
        folds = [fold(char) for char in text]
        alone = any(len(char.lower()) != 1 or char in {"\u03a3", *composing()} for char in folds)
        assert alone or any(ord(char) >= 0x30000 or unicodedata.combining(char) or char in "．" for char in text)


def test_every_character_is_cut_as_the_definition_cuts_it() -> None:
    for code in range(0x20, 0x3000 * 16):
        if 0xD800 <= code <= 0xDFFF:
            continue
        text = f"a{chr(code)}1.{chr(code)}"
        column = column_of([text])
        out = np.empty(16, dtype=np.uint64)
        count = scan.word_hashes(column.data, 0, column.offsets[1], *scan.tables(), out)
        assert count < 0 or out[:count].tolist() == word_hashes(words(text)).tolist(), hex(code)


@given(st.lists(st.one_of(TEXT, FEW_WORDS.map(" ".join)), max_size=12), st.integers(1, 6))
@settings(deadline=None)
def test_compiled_sketches_are_those_of_the_definition(texts: list[str], ngram_size: int) -> None:
    column, rows = rows_of(texts)
    keys, sets = plain.sketches(column, HASHER, ngram_size)
    assert sketch.band_keys(column, HASHER, ngram_size).tolist() == keys.tolist()
    compiled = sketch.shingle_sets(column, rows, ngram_size)
    assert [compiled.of(row).tolist() for row in rows] == [part.tolist() for part in sets]
    assert [part.tolist() for part in sets] == [shingles(words(column.text(row)), ngram_size).tolist() for row in rows]


def brute_force(
    texts: list[str], order: list[int], ngram_size: int, threshold: float, differs: plain.Differs | None, known: int
) -> tuple[dict[int, tuple[int, float]], dict[int, int]]:
    """Each row against every kept one before it, by Python sets of tuples of words."""
    grams = []
    for text in texts:
        tokens = words(text)
        width = min(ngram_size, len(tokens))
        grams.append({tuple(tokens[at : at + width]) for at in range(len(tokens) - width + 1) if width})
    kept: list[int] = []
    dropped, variants = {}, {}
    for place, row in enumerate(order):
        near = [
            (len(grams[row] & grams[other]) / len(grams[row] | grams[other]), -at, other)
            for at, other in enumerate(kept)
            if grams[row] and grams[other]
        ]
        near = sorted((entry for entry in near if entry[0] >= threshold), reverse=True)
        free = [entry for entry in near if not (differs and differs(row, entry[2]))]
        if place >= known and free:
            dropped[row] = (free[0][2], free[0][0])
            continue
        if place >= known and near:
            variants[row] = near[0][2]
        kept.append(row)
    return dropped, variants


NEVER: plain.Differs | None = None


def odd_pairs(row: int, other: int) -> str | None:
    return "differ" if (row + other) % 3 == 0 else None


@pytest.mark.parametrize("find", [plain.near_duplicates, neighbours.near_duplicates])
@pytest.mark.parametrize("differs", [NEVER, odd_pairs])
@given(
    texts=st.lists(FEW_WORDS.map(" ".join), max_size=30),
    ngram_size=st.integers(1, 4),
    threshold=st.sampled_from([0.5, 0.8, 1.0]),
    draw=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_both_find_what_comparing_every_pair_finds(
    find: Callable[..., plain.NearDuplicates],
    differs: plain.Differs | None,
    texts: list[str],
    ngram_size: int,
    threshold: float,
    draw: object,
) -> None:
    column, rows = rows_of(texts)
    order = rows.tolist()
    draw.shuffle(order)  # type: ignore[attr-defined]
    known = len(texts) // 4
    many_bands = MinHasher(64, 1)  # every pair above 0.5 shares one with a probability of 1 - 2**-64
    found = find(
        column,
        np.array(order, dtype=np.int64),
        many_bands,
        ngram_size=ngram_size,
        threshold=threshold,
        max_bucket=1000,
        differs=differs,
        known=known,
    )
    dropped, variants = brute_force(texts, order, ngram_size, threshold, differs, known)
    gone = np.flatnonzero(found.keeper >= 0).tolist()
    assert {row: (int(found.keeper[row]), float(found.similarity[row])) for row in gone} == dropped
    assert {row: entry[0] for row, entry in found.variants.items()} == variants
    assert found.not_compared == 0


@given(
    st.lists(FEW_WORDS.map(" ".join), max_size=25),
    st.integers(2, 4),
    st.sampled_from([NEVER, odd_pairs]),
)
@settings(deadline=None)
def test_a_full_bucket_is_left_out_and_counted_alike(
    texts: list[str], max_bucket: int, differs: plain.Differs | None
) -> None:
    column, rows = rows_of(texts)
    options = {"ngram_size": 2, "threshold": 0.9, "max_bucket": max_bucket, "differs": differs}
    one = plain.near_duplicates(column, rows, HASHER, **options)  # type: ignore[arg-type]
    two = neighbours.near_duplicates(column, rows, HASHER, **options)  # type: ignore[arg-type]
    assert one.keeper.tolist() == two.keeper.tolist()
    assert one.similarity.tolist() == two.similarity.tolist()
    assert (one.variants, one.compared, one.not_compared) == (two.variants, two.compared, two.not_compared)


def test_one_giant_bucket_is_bounded_and_what_was_left_out_is_counted() -> None:
    texts = [f"start of a template about {number} and its end" for number in range(300)]
    column, rows = rows_of(texts)
    found = neighbours.near_duplicates(
        column, rows, MinHasher(1, 1), ngram_size=2, threshold=0.99, max_bucket=10, differs=None
    )
    assert (found.keeper == -1).all()
    assert found.not_compared > 0
    assert found.compared + found.not_compared <= 300 * 299 // 2
    assert found.compared <= 300 * 10


def test_a_copy_of_a_row_is_found_even_behind_a_full_bucket() -> None:
    texts = [f"start of a template about item {number} and its end" for number in range(60)]
    column, rows = rows_of([*texts, texts[55]])

    def other_item(row: int, other: int) -> str | None:
        return None if column.text(row) == column.text(other) else "item"

    options = {"ngram_size": 2, "threshold": 0.7, "max_bucket": 3, "differs": other_item}
    for find in (plain.near_duplicates, neighbours.near_duplicates):
        found = find(column, rows, MinHasher(1, 1), **options)  # type: ignore[arg-type]
        assert (int(found.keeper[60]), float(found.similarity[60])) == (55, 1.0)


def test_texts_of_one_character_and_of_none() -> None:
    column, rows = rows_of(["a", "", "A", "\u80ba", "?", "b", "", "\u80ba"])
    for find in (plain.near_duplicates, neighbours.near_duplicates):
        found = find(column, rows, HASHER, ngram_size=5, threshold=0.8, max_bucket=500)
        assert found.keeper.tolist() == [-1, -1, 0, -1, -1, -1, -1, 3]


def test_no_rows_at_all() -> None:
    column, rows = rows_of([])
    for find in (plain.near_duplicates, neighbours.near_duplicates):
        assert find(column, rows, HASHER, ngram_size=5, threshold=0.8, max_bucket=500).keeper.size == 0


def test_keys_that_are_known_give_the_same() -> None:
    column, rows = rows_of([f"a template about number {n % 7} of many" for n in range(40)])
    keys = sketch.band_keys(column, HASHER, 2)
    options = {"ngram_size": 2, "threshold": 0.6, "max_bucket": 500}
    once = neighbours.near_duplicates(column, rows, HASHER, **options)  # type: ignore[arg-type]
    again = neighbours.near_duplicates(column, rows, HASHER, keys=keys, **options)  # type: ignore[arg-type]
    assert once.keeper.tolist() == again.keeper.tolist()
    assert (once.keeper >= 0).sum() >= 33


def test_kept_sets_agree_with_datasketch() -> None:
    """The same greedy walk with candidates from datasketch's LSH and similarities from Python sets of word tuples."""
    draw = random.Random(3)
    texts = []
    for family in range(60):
        base = [f"w{family}x{place}" for place in range(40)]
        for version in range(6):
            changed = list(base)
            for place in draw.sample(range(40), draw.randint(0, 3)):
                changed[place] = f"v{family}x{version}x{place}"
            texts.append(" ".join(changed))
    draw.shuffle(texts)
    grams = [{tuple(text.split()[at : at + 3]) for at in range(38)} for text in texts]
    lsh = MinHashLSH(num_perm=150, params=(50, 3))
    kept: dict[int, None] = {}
    keepers: dict[int, int] = {}
    for row, own in enumerate(grams):
        signature = MinHash(num_perm=150, seed=5)
        signature.update_batch([" ".join(gram).encode() for gram in own])
        near = [(len(own & grams[other]) / len(own | grams[other]), -other) for other in lsh.query(signature)]
        best = max(near, default=(0.0, 0))
        if best[0] >= 0.6:
            keepers[row] = -best[1]
            continue
        kept[row] = None
        lsh.insert(row, signature)
    column, rows = rows_of(texts)
    found = neighbours.near_duplicates(column, rows, MinHasher(50, 3), ngram_size=3, threshold=0.6, max_bucket=500)
    assert np.flatnonzero(found.keeper < 0).tolist() == list(kept)
    assert {row: int(found.keeper[row]) for row in np.flatnonzero(found.keeper >= 0).tolist()} == keepers
    assert len(keepers) > 100
