"""Identifies the language of a passage by script and by its commonest words.

::

    identify(words("La fiebre es una respuesta del cuerpo"))  ->  "es"
"""

from __future__ import annotations

import re
from collections.abc import Sequence

UNKNOWN = "und"

_KANA = re.compile("[\u3040-\u30fa]")

_COMMON = {
    "en": "the of and to in is are with for that by as it be or from which on can this not have an may at was were has",
    "es": "de la el los las en y que se del por con para una un es al como su lo no más o puede son pero esta sus",
    "fr": "de la le les et des du en un une est dans que pour qui sur par au pas plus ce se ou avec sont il être cette",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus wird bei",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao das são pode pelo ou",
    "it": "di che è la il un a per in una sono non con si da del le della dei alla gli come più può nel anche o lo",
    "nl": "de van het een en in is dat op te zijn met voor niet aan er om ook als bij door of maar worden kan deze",
}
_SETS = {code: frozenset(text.split()) for code, text in _COMMON.items()}
_SCRIPTS = (
    ("ja", "\u3040", "\u30ff"),
    ("zh", "\u4e00", "\u9fff"),
    ("ko", "\uac00", "\ud7a3"),
    ("ru", "\u0400", "\u04ff"),
    ("ar", "\u0600", "\u06ff"),
    ("hi", "\u0900", "\u097f"),
    ("el", "\u0370", "\u03ff"),
)


def identify(words: Sequence[str]) -> str:
    """ISO 639-1 code, or `und` where the evidence is thin: fewer than 4 common words, or a near tie."""
    sample = words[:400]
    letters = "".join(word[0] for word in sample if word[0].isalpha())
    if not letters:
        return UNKNOWN
    for code, first, last in () if letters.isascii() else _SCRIPTS:
        if sum(first <= letter <= last for letter in letters) >= (0.1 if code == "ja" else 0.3) * len(letters):
            return "ja" if code == "zh" and _has_kana(sample) else code
    counts = sorted(((sum(word in common for word in sample), code) for code, common in _SETS.items()), reverse=True)
    (best, code), (second, _) = counts[0], counts[1]
    if best < max(4, 0.08 * len(sample)) or best - second < 0.15 * best:
        return UNKNOWN
    return code


def _has_kana(sample: Sequence[str]) -> bool:
    """Japanese whose phrases happen to start with Chinese characters, as most nouns do."""
    text = "".join(sample)
    return len(_KANA.findall(text)) >= 0.1 * len(text)


_THREE_LETTERS = {
    "eng": "en", "spa": "es", "fra": "fr", "fre": "fr", "deu": "de", "ger": "de", "por": "pt", "ita": "it", "nld": "nl",
    "dut": "nl", "zho": "zh", "chi": "zh", "jpn": "ja", "kor": "ko", "rus": "ru", "ara": "ar", "hin": "hi", "ell": "el",
}  # fmt: skip


def same_code(stated: str) -> str:
    """A stated language as ISO 639-1 where it is a known code: ``en-US``, ``EN`` and ``eng`` are all ``en``."""
    code = stated.strip().lower().replace("_", "-").split("-")[0]
    return _THREE_LETTERS.get(code, code)
