r"""Signals that tell good medical prose from the rest of the web; the filter stage sets the thresholds.

::

    spam_phrases("Buy now! A miracle cure.")   ->  ["buy now", "miracle"]
    repeated_share(words("a rash, a rash, a rash"), size=2)  ->  0.6

These functions are what the signals mean; `text.signals` computes the same for a whole shard at once. A pattern is
written so that Python and polars read it alike: explicit ASCII classes, `\b` between ASCII words, no look-around.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

from finemed.text.medical import lexicon
from finemed.text.normalise import letters
from finemed.text.segment import sentences

NGRAM = 5
SYMBOL = r"[#*|<>{}=_~^\\@$\u00a6\u00a7\u00b7\u2020-\u2022\u2026\u2190-\u21ff\u2500-\u27bf\u3010\u3011\uff03\uff0a]"
SPAM = (
    r"\b(?:buy now|order now|click here|free shipping|limited (?:time )?offer|best price|lowest price|discount|coupon|promo code|"
    r"money[- ]back|no prescription (?:needed|required)|100% (?:natural|free|guaranteed)|miracle|add to cart|casino|jackpot|"
    r"free spins|act now|special offer|risk[- ]free|lose [0-9]+ (?:pounds|kg|kilos)|cheap\b.{0,20}\bonline|order .{0,20}online|"
    r"satisfaction guaranteed|doctors hate|secret formula|bonus|sign up today|while supplies last|compre ahora|oferta especial|"
    r"haga clic|descuento|milagros[oa]|sin receta)\b|立即购买|点击购买|包邮|优惠价|特价|限时|加微信|祖传秘方|包治|无效退款"
)
SHOUT = r"!!+|\$\$+"
BOILERPLATE = (
    r"\b(?:cookies?|privacy policy|terms of (?:use|service)|all rights reserved|sign in|log ?in|subscribe|newsletter|"
    r"share (?:this|on)|follow us|skip to (?:main )?content|site ?map|contact us|about us|back to top|return to top|read more|"
    r"accept all|reject all|privacy notice|create (?:a free|an) account|javascript|browser|forgot (?:your )?password|"
    r"search this site|print this page|(?:page|site) (?:was )?last (?:reviewed|updated|modified)|opinions expressed|"
    r"(?:imply|constitute) (?:an )?endorsement|opiniones expresadas|suscr.base|cont.ctenos|p.gina fue (?:revisada|modificada)|"
    r"(?:env.e|imprima) esta p.gina|saltar? al contenido|iniciar sesi.n|aviso legal|pol.tica de privacidad|todos los derechos reservados|"
    r"mapa del sitio|volver al comienzo|inicio de p.gina)\b|版权所有|联系我们|关于我们|隐私政策|网站地图|用户登录|免费注册|返回顶部"
)
REFERENCE = (
    r"\b(?:19|20)[0-9][0-9](?: [A-Z][a-z]{2})?;[0-9]|\((?:19|20)[0-9][0-9][a-z]?(?:, [A-Z][a-z]+(?: [0-9]+)?)?\)[.,]|"
    r"\b[A-Z][a-z]+ [A-Z]{2}[,.]|\b[A-Z][a-z]+, (?:[A-Z]\. ?){1,3}[,&(]|\bet al\b|\bdoi\b|https?://|[0-9]\([0-9]+\):|"
    r"\b[0-9]+:[eE]?[0-9]+[-\u2013][0-9]+|\bpp?\. ?[0-9]|\bRetrieved (?:from|[A-Z])|\bAccessed\b|\bPubMed\b|\bCrossRef\b|"
    r"\bAvailable (?:at|from)\b|\bPress[;,.]"
)
MOJIBAKE = r"[\u00c2\u00c3][\u0080-\u00bf]|\u00e2[\u0080-\u009f\u20ac][^ ]|\u00ef\u00bf\u00bd|[\u0080-\u009f\ufffd]"
TEASER = (
    r"(?:\b(?:Read|Learn|See|Show|View|READ|LEARN) (?:[Mm]ore|MORE|[Ff]ull [Aa]rticle|the full (?:article|story))|"
    r"\bContinue [Rr]eading|\bLeer m.s|\bSeguir leyendo|阅读全文|查看更多|点击查看|[^ \n.\u2026] ?(?:\u2026|\.\.\.+))"
    r"[] )>\u00bb.\u2026\u2192\n\t\r\u00a0]*$"
)
TEASER_REACH = 60
"""Characters at the end of a text that are looked at for a teaser."""

SENTENCE_END = (
    r"[^0-9 \n.!?][)\]\"'\u201d\u2019]*[.!?][)\]\"'\u201d\u2019]*(?:[ \n\[0-9]|$)|[0-9][)\]]*[!?]|"
    r"[\u3002\uff01\uff1f\u0964\u061f\u06d4]"
)

_SYMBOL = re.compile(SYMBOL)
_SPAM = re.compile(SPAM, re.ASCII)
_SHOUT = re.compile(SHOUT)
_BOILERPLATE = re.compile(BOILERPLATE, re.ASCII)
_REFERENCE = re.compile(REFERENCE, re.ASCII)
_MOJIBAKE = re.compile(MOJIBAKE)
_TEASER = re.compile(TEASER, re.ASCII)
_SENTENCE_END = re.compile(SENTENCE_END)


def letter_share(text: str, words: Sequence[str]) -> float:
    """Share of letters (and marks on them) among the characters but blanks and line ends; 0.0 for blank text."""
    solid = len(text) - text.count(" ") - text.count("\n")
    return sum(map(letters, words)) / solid if solid else 0.0


def symbol_ratio(text: str, words: Sequence[str]) -> float:
    """Symbols such as #, * and | per word."""
    return len(symbols(text)) / max(1, len(words))


def symbols(text: str) -> list[str]:
    """The symbols, in order."""
    return _SYMBOL.findall(text)


def number_share(words: Sequence[str]) -> float:
    """Share of the words that hold no letter."""
    return sum(letters(word) == 0 for word in words) / max(1, len(words))


def words_per_sentence(text: str, words: Sequence[str]) -> float:
    """Words for each end of a sentence; a rough count that tells lists and tables from prose."""
    return len(words) / max(1, sum(1 for _ in _SENTENCE_END.finditer(text)))


def repeated_share(words: Sequence[str], size: int = NGRAM) -> float:
    """Share of the `size`-word sequences that occurred before in the same text."""
    count = len(words) - size + 1
    if count < 2:
        return 0.0
    return 1.0 - len(set(zip(*(words[i:] for i in range(size)), strict=False))) / count


def repeated_sequences(words: Sequence[str], size: int = NGRAM) -> list[str]:
    """The sequences behind `repeated_share`, each once."""
    seen: set[tuple[str, ...]] = set()
    found: dict[str, None] = {}
    for gram in zip(*(words[i:] for i in range(size)), strict=False):
        if gram in seen:
            found[" ".join(gram)] = None
        seen.add(gram)
    return list(found)


def repeated_lines(text: str) -> list[str]:
    """The lines that stood before in the same text, without those that hold nothing."""
    seen: set[str] = set()
    repeated = []
    for line in filter(None, text.split("\n")):
        if line in seen:
            repeated.append(line)
        seen.add(line)
    return repeated


def repeated_line_share(text: str) -> float:
    """Share of the text's characters in lines that stood before in the same text."""
    return sum(map(len, repeated_lines(text))) / max(1, len(text))


def spam_phrases(text: str) -> list[str]:
    """The advertising phrases, then the runs of exclamation marks and dollar signs."""
    return [match.group() for pattern in (_SPAM, _SHOUT) for match in pattern.finditer(text.lower())]


def boilerplate_phrases(text: str) -> list[str]:
    """The phrases of navigation, cookie and login text, in order."""
    return [match.group() for match in _BOILERPLATE.finditer(_lower(text))]


def boilerplate_share(text: str) -> float:
    """Share of the sentences with such a phrase."""
    spans = sentences(text)
    if not spans:
        return 0.0
    starts = [start for start, _ in spans]
    hit = {bisect_right(starts, match.start()) for match in _BOILERPLATE.finditer(_lower(text))}
    return len(hit) / len(spans)


def _lower(text: str) -> str:
    """In lower case and as long as before: \u0130 alone has two characters there."""
    return text.replace("\u0130", "i").lower()


def reference_density(text: str, words: Sequence[str]) -> float:
    """`reference_marks` per 100 words."""
    return 100 * len(reference_marks(text)) / max(1, len(words))


def reference_marks(text: str) -> list[str]:
    """What stands in bibliographies: years with volumes, page ranges, authors with initials, "et al", addresses."""
    return [match.group() for match in _REFERENCE.finditer(text)]


def mojibake(text: str) -> list[str]:
    """Sequences that come from text decoded with the wrong character set."""
    return [match.group() for match in _MOJIBAKE.finditer(text)]


def teaser(text: str) -> str | None:
    """The mark at the end of a text that was cut off for a link, or None."""
    found = _TEASER.search(text[-TEASER_REACH:])
    return found.group() if found else None


@lru_cache(maxsize=1 << 16)
def is_medical(word: str) -> bool:
    """Whether a lower-case word is an English medical term, strong or weak, by the lexicon or by its affix."""
    return lexicon("en").weight(word) > 0


def medical_terms(words: Sequence[str]) -> list[str]:
    """The English medical terms among the words, with repetitions, in order."""
    return [word for word in words if is_medical(word)]
