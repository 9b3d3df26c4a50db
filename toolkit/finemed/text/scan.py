"""Words of a text, hashed by compiled code straight from its UTF-8 bytes.

`word_hashes` here gives exactly ``shingle.word_hashes(normalise.words(text))``, which stay the readable definition. A
text with a character that this module leaves alone (one that folds or lower-cases to several characters, or by its
neighbours) gives -1, and the caller takes the definition for it. Compilation takes a moment once and is cached beside
the package.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from finemed.text.column import Texts
from finemed.text.fold import composing, fold
from finemed.text.normalise import HAN, KANA, MARKS, words
from finemed.text.shingle import WORD_PRIME, WORD_SEED, Hashes
from finemed.text.shingle import word_hashes as plain_word_hashes

SEPARATOR, SOLID, DIGIT, SINGLE, MARK, ODD, INVISIBLE, POINT = range(8)
"""Classes of characters: what `normalise.words` makes of each. A point is a mark whose order among marks may change."""

BATCHES = 64
"""Pieces that parallel kernels cut a column into."""
_CODES = 0x30000
_BEYOND = np.uint8(255)
_BYTES = np.array(
    [*(ord(chr(byte).lower()) if chr(byte).isalnum() else 0 for byte in range(128)), *[255] * 128], np.uint8
)
"""Lower case of ASCII letters and digits, 0 for what separates words, 255 for bytes of longer characters."""


@cache
def tables() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """Class and lower case of every character below U+30000, from the definitions of `normalise`."""
    solid, single, mark = re.compile(r"[^\W_]"), re.compile(f"[{HAN}{KANA}]"), re.compile(f"[{MARKS}]")
    digit = re.compile(r"\d")
    classes = np.zeros(_CODES, dtype=np.uint8)
    lower = np.arange(_CODES, dtype=np.int32)
    for code in range(_CODES):
        if 0xD800 <= code <= 0xDFFF:
            classes[code] = ODD
            continue
        char = fold(chr(code))
        small = char.lower()
        if not char:
            classes[code] = INVISIBLE
            continue
        # sigma's lower case depends on its place in the word, a composing mark's form on the letter before it, and
        # whether a point parts a number on the digits beside it
        point = char in ".," and char != chr(code)
        if len(small) != 1 or point or char == "\u03a3" or char in composing():
            classes[code] = ODD
            continue
        lower[code] = ord(small)
        if single.match(small):
            classes[code] = SINGLE
        elif mark.match(small):
            classes[code] = POINT if unicodedata.combining(char) else MARK
        elif digit.match(small):
            classes[code] = DIGIT
        elif solid.match(small):
            classes[code] = SOLID
    return classes, lower


@njit(cache=True, nogil=True, inline="always")
def mix(value):  # type: ignore[no-untyped-def]
    """Spreads the bits of a 64-bit value."""
    value ^= value >> np.uint64(29)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    return value ^ (value >> np.uint64(32))


@njit(cache=True, nogil=True, inline="always")
def _fold(state, chunk):  # type: ignore[no-untyped-def]
    """Takes eight bytes into the hash of a word."""
    state = (state ^ chunk) * np.uint64(WORD_PRIME)
    return state ^ (state >> np.uint64(32))


@njit(cache=True, nogil=True, inline="always")
def _eat(state, chunk, shift, byte):  # type: ignore[no-untyped-def]
    """Takes a byte into the hash of a word; eight of them are folded at once."""
    chunk |= np.uint64(byte) << np.uint64(shift)
    shift += 8
    if shift == 64:
        return _fold(state, chunk), np.uint64(0), 0
    return state, chunk, shift


@njit(cache=True, nogil=True, inline="always")
def _eat_char(state, chunk, shift, code):  # type: ignore[no-untyped-def]
    """`_eat` of the UTF-8 bytes of a character."""
    if code < 0x80:
        return _eat(state, chunk, shift, code)
    if code < 0x800:
        state, chunk, shift = _eat(state, chunk, shift, 0xC0 | (code >> 6))
    else:
        if code < 0x10000:
            state, chunk, shift = _eat(state, chunk, shift, 0xE0 | (code >> 12))
        else:
            state, chunk, shift = _eat(state, chunk, shift, 0xF0 | (code >> 18))
            state, chunk, shift = _eat(state, chunk, shift, 0x80 | ((code >> 12) & 0x3F))
        state, chunk, shift = _eat(state, chunk, shift, 0x80 | ((code >> 6) & 0x3F))
    return _eat(state, chunk, shift, 0x80 | (code & 0x3F))


@njit(cache=True, nogil=True, inline="always")
def _finish(state, chunk, shift):  # type: ignore[no-untyped-def]
    """The hash of a word from what was taken in."""
    if shift:
        state = _fold(state, chunk)
    return mix(state)


@njit(cache=True, nogil=True, inline="always")
def _decode(data, place):  # type: ignore[no-untyped-def]
    """The character that starts here, and how many bytes it has."""
    first = np.int64(data[place])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[place + 1]) & 0x3F), 2
    if first < 0xF0:
        middle = (np.int64(data[place + 1]) & 0x3F) << 6
        return ((first & 0x0F) << 12) | middle | (np.int64(data[place + 2]) & 0x3F), 3
    high = ((first & 0x07) << 18) | ((np.int64(data[place + 1]) & 0x3F) << 12)
    return high | ((np.int64(data[place + 2]) & 0x3F) << 6) | (np.int64(data[place + 3]) & 0x3F), 4


@njit(cache=True, nogil=True)
def word_hashes(data, start, end, classes, lower, out):  # type: ignore[no-untyped-def]
    """Hashes of the words of one text into `out`, which has room for a word a byte.

    Returns:
        How many words, or -1 where the text holds an odd character.
    """
    count = 0
    place = start
    while place < end:
        letter = _BYTES[data[place]]
        if letter == 0:
            place += 1
            continue
        if letter == _BEYOND:
            code, size = _decode(data, place)
            kind = classes[code] if code < classes.size else ODD
            if kind == ODD:
                return -1
            if kind == SEPARATOR or kind >= MARK:
                place += size
                continue
            if kind == SINGLE:
                state, chunk, shift = _eat_char(np.uint64(WORD_SEED), np.uint64(0), 0, lower[code])
                out[count] = _finish(state, chunk, shift)
                count += 1
                place += size
                continue
        state, chunk, shift = np.uint64(WORD_SEED), np.uint64(0), 0
        points = 0
        while place < end:  # letters, digits, and marks after them
            letter = _BYTES[data[place]]
            if letter == 0:
                break
            if letter != _BEYOND:
                state, chunk, shift = _eat(state, chunk, shift, letter)
                place += 1
                points = 0
                continue
            code, size = _decode(data, place)
            kind = classes[code] if code < classes.size else ODD
            if kind == ODD:
                return -1
            if kind == INVISIBLE:
                place += size
                continue
            if kind == SEPARATOR or kind == SINGLE:
                break
            points = points + 1 if kind == POINT else 0
            if points > 1:
                return -1
            state, chunk, shift = _eat_char(state, chunk, shift, lower[code])
            place += size
        while place + 1 < end and (data[place] == 46 or data[place] == 44):  # 2.5 and 1,000 stay whole
            code, size = _decode(data, place + 1)
            kind = classes[code] if code < classes.size else ODD
            if kind == ODD or kind == INVISIBLE:
                return -1
            if kind != DIGIT:
                break
            state, chunk, shift = _eat(state, chunk, shift, np.int64(data[place]))
            place += 1
            while place < end:
                code, size = _decode(data, place)
                kind = classes[code] if code < classes.size else ODD
                if kind == ODD or kind == INVISIBLE:
                    return -1
                if kind != DIGIT:
                    break
                state, chunk, shift = _eat_char(state, chunk, shift, lower[code])
                place += size
        out[count] = _finish(state, chunk, shift)
        count += 1
    return count


@njit(cache=True, nogil=True)
def ngrams(hashes, count, size):  # type: ignore[no-untyped-def]
    """Turns the first `count` word hashes into n-gram hashes, in place, as `shingle.ngram_hashes`; how many."""
    if count == 0:
        return 0
    width = min(size, count)
    grams = count - width + 1
    prime, last = np.uint64(0x9E3779B97F4A7C15), np.uint64(1)
    value = np.uint64(0)
    for place in range(width - 1):
        value = value * prime + hashes[place]
        last *= prime
    for first in range(grams):  # rolling: the newest word comes in, the oldest one leaves
        value = value * prime + hashes[first + width - 1]
        oldest = hashes[first]
        hashes[first] = mix(value) + np.uint64(width)
        value -= oldest * last
    return grams


def hashes_of(texts: Texts, row: int) -> Hashes:
    """Word hashes of one text by the readable definition, for what the kernels leave alone."""
    return plain_word_hashes(words(texts.text(row)))
