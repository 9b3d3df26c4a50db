"""Phones, e-mails, addresses, profiles on the net; what belongs to an institution keeps a low confidence.

::

    "cell 720-555-0167"                       ->  phone 0.85
    "the clinic's switchboard, 617-555-0100"  ->  phone 0.20
    "call 1-800-555-0199"                     ->  nothing: a toll-free line is nobody's own
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from finemed.text.phi.findings import CAPITALS, LETTERS, Candidate, Cue, window
from finemed.text.phi.words import RELATIVES

_OWN = re.compile(
    r"\b(?:cell|mobile|mob|home (?:phone|tel|address|number)|phone[ (]*home|tel[ (]*home|callback|call ?back|"
    r"reach (?:him|her|them|me)|\(home\)|his|her|my|nok|next of kin|emergency contact|caller|best number|ring me|"
    r"call me|"
    rf"{RELATIVES})\b",
    re.IGNORECASE,
)
_PUBLIC = re.compile(
    r"\b(?:hospital|clinic|cent(?:er|re)|office|hot ?line|help ?line|line|pharmacy|department|dept|division|branch|"
    r"bureau|agency|cdc|nih|fda|who|customer|support|switchboard|ward|questions|information|foundation|association|"
    r"society|institute|university|college|school|council|ministry|public|press|fax|toll|for more|contact us|"
    r"secretary|web ?site|www|https?|donat\w+|crisis|service|services|ltd|inc|llc|corp|company|manufactured|"
    r"distributed|pharmaceuticals?|laborator\w+|surgery|suite|ste|floor|building|bldg|mail ?stop|reprints?|"
    r"correspond\w+|headquarters|program|network|library|poison|tty|visiting|registry|tickets?|charity|charity's|reception|trust|fund)\b",
    re.IGNORECASE,
)


def _weigh(text: str, start: int, end: int, *, neutral: float = 0.4) -> tuple[float, float]:
    """Confidence alone and in a note, by whose it seems to be."""
    line_start = max(text.rfind("\n", 0, start), start - 70)
    before, after = text[max(0, line_start) : start], text[end : end + 40]
    own = max((match.end() for match in _OWN.finditer(before, max(0, len(before) - 45))), default=-1)
    public = max((match.end() for match in _PUBLIC.finditer(before)), default=-1)
    if own > public:
        return 0.85, 0.85
    if public >= 0 or _PUBLIC.search(after):
        return (0.2, 0.2) if own < 0 else (neutral, 0.5)
    return neutral, 0.8


_FREE = re.compile(
    r"[+(]{0,2}(?:1[-. )]{0,2})?\(?8(?:00|33|44|55|66|77|88)(?:\b|[0-9]{7}$)|\(?0(?:800|808|300|345|845|844|870)\b"
)
_CALLED = re.compile(r"\b(?:phone|telephone|tel|mobile|mob|ph|call\w*|ring|ext)\b", re.IGNORECASE)


def _phone(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    start, end = match.span("phone")
    value = match.group("phone")
    value = value[: len(value.rstrip(" -.("))]
    end = start + len(value)
    digits = re.sub(r"[^0-9]", "", value)
    edge = text[start - 1 : start], text[end : end + 1]
    if (
        edge[0].isalnum()
        or edge[1].isalnum()
        or edge[0] in ("-", "/", "_")
        or (edge[0] == "." and text[start - 2 : start - 1].isdigit())
    ):
        return
    if (
        (edge[1] in ("-", "/") and text[end + 1 : end + 2].isdigit())
        or not 7 <= len(digits) <= 15
        or len(set(digits)) < 3
    ):
        return
    short = len(digits) < 10 and not value.startswith(("+", "0"))
    if short and not _CALLED.search(match.group()[: start - match.start()]):
        return  # "CD4 cell count 500-1600", "home 2010-2014"
    if _FREE.match(value) or re.fullmatch(r"(?:1[89]|20)[0-9]{2}-(?:1[89]|20)[0-9]{2}", value):
        return
    yield Candidate("phone", start, end, *_weigh(text, start, end))


_ROLE = re.compile(
    r"(?:info|contact|help|support|admin|office|press|media|web|editor|feedback|service|customer|donat|privacy|sales|[ei]nquir|"
    r"question|reprint|permission|safety|patient|care|clinic|health|team|mail|registr|foundation|library|job|career|hr|no-?reply)",
    re.IGNORECASE,
)
_INSTITUTION = re.compile(
    r"(?:^|\.)(?:gov|mil|edu|ac|org|int|nhs|museum)(?:\.|$)|hospital|clinic|university|foundation|institute|cdc|nih|lab\b",
    re.IGNORECASE,
)
_PRIVATE = re.compile(
    r"(?:gmail|googlemail|yahoo|ymail|hotmail|outlook|live|msn|icloud|me|aol|proton|protonmail|gmx|comcast|verizon|btinternet|"
    r"qq|163|126|naver|yandex|mail)\.",
    re.IGNORECASE,
)


def _email(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """Reads outwards from the @ sign."""
    at = match.start("at")
    local = re.search(rf"[{LETTERS}0-9._%+-]{{1,64}}$", text[max(0, at - 64) : at])
    domain = re.match(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,6}", text[at + 1 : at + 260])
    if not local or not domain:
        return
    name = local.group().lstrip(".-+%")
    host = domain.group().rstrip("-.")
    if not name or "." not in host or not host.rpartition(".")[2].isalpha():
        return
    start, end = at - len(name), at + 1 + len(host)
    around = window(text, start, end, before=50, after=0)
    if _ROLE.match(name):
        weights = 0.1, 0.2
    elif _INSTITUTION.search(host) or re.search(r"correspond|reprint|author|address", around, re.IGNORECASE):
        weights = 0.3, 0.5
    elif re.search(r"\b(?:her|his|him|my|me|patient|client|personal)\b|from: ", around, re.IGNORECASE):
        weights = 0.85, 0.85
    else:
        weights = 0.6 if _PRIVATE.match(host) else 0.4, 0.85
    yield Candidate("email", start, end, *weights)


_ROADS = (
    "Street|St|Avenue|Ave|Av|Road|Rd|Lane|Ln|Drive|Dr|Court|Ct|Boulevard|Blvd|Way|Place|Pl|Terrace|Ter|Close|Crescent|"
    "Cres|Gardens|View|Green|Square|Sq|Highway|Hwy|Parkway|Pkwy|Circle|Cir|Trail|Trl|Row|Grove|Mews|Hill|Walk|STREET|ST|"
    "AVENUE|AVE|ROAD|RD|LANE|LN|DRIVE|DR|COURT|CT|BOULEVARD|BLVD|WAY|PLACE|PL|TERRACE|HIGHWAY|HWY|PARKWAY|PKWY|CIRCLE"
)
_ABODE = re.compile(
    r"(?:liv(?:es?|ing)(?: with [\w ]{2,30})? (?:at|in)|resid(?:es?|ing|ence)(?: at| in|:)?|home address|"
    r"(?:his|her) address|staying at)[: ]*(?:flat|apt)?[^.\n]{0,24}$",
    re.IGNORECASE,
)
_FRONT = re.compile(r"(?:Flat|Apt|Apartment|Unit|Room) ?[0-9]{1,4}[A-Z]?, ?$")
_POSTCODE = r"(?:[0-9]{5}(?:-[0-9]{4})?|[A-Z]{1,2}[0-9][A-Z0-9]? ?[0-9][A-Z]{2})(?![0-9A-Za-z])"
_REST = re.compile(
    r"(?:,? ?(?:(?:Apt|Apartment|Unit|Flat|Room|Rm|Suite|Ste)\.? ?[A-Z0-9-]{1,6}|#[A-Z0-9-]{1,6}))?"
    rf"(?:[, ]{{1,3}}(?:[{CAPITALS}][{LETTERS}.'-]{{1,20}}[, ]{{0,2}}){{0,3}}(?:[, ]{{0,2}}[A-Z]{{2}})?"
    rf"[, ]{{0,2}}{_POSTCODE})?"
)
_CITY = re.compile(rf", [{CAPITALS}][{LETTERS}'-]{{2,20}}(?![{LETTERS}])")


def _address(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    start, end = match.span("road")
    if start and (text[start - 1].isalnum() or text[start - 1] in "-/."):
        return
    front = _FRONT.search(text[max(0, start - 16) : start])
    if front:
        start -= len(front.group())
    rest = _REST.match(text, end)
    if rest is None or rest.end() == end:
        rest = _CITY.match(text, end)
    end = rest.end() if rest else end
    before = text[max(0, start - 60) : start]
    if _ABODE.search(before):
        weights = 0.85, 0.85
    elif any(_PUBLIC.search(part) for part in (before, text[match.start("road") : end], _rest_of_line(text, end))):
        weights = 0.2, 0.2
    else:
        weights = 0.45, 0.85
    yield Candidate("address", start, end, *weights)


def _rest_of_line(text: str, at: int) -> str:
    """What follows up to the end of the line or sentence, at most 50 characters."""
    return re.split(r"\n|\. ", text[at : at + 50], maxsplit=1)[0]


def _network(_text: str, match: re.Match[str]) -> Iterator[Candidate]:
    parts = [int(part) for part in match.group("ip").split(".")]
    if max(parts) < 256 and parts[0] not in (0, 10, 127) and parts[:2] != [192, 168]:
        yield Candidate("ip_address", *match.span("ip"), 0.6, 0.8)


def _profile(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    around = window(text, *match.span("url"), before=40, after=10)
    public = re.search(r"\b(?:follow|us|our|visit|find|like)\b", around, re.IGNORECASE)
    yield Candidate("url", *match.span("url"), 0.1 if public else 0.4, 0.2 if public else 0.8)


_TEN = r"\(?[0-9]{3}\)?[-. ]{0,2}[0-9]{3}[-. ]{1,2}[0-9]{4}"

CONTACT_CUES = (
    Cue(rf"(?P<phone>(?:(?:\+|\b)1[-. ]{{1,2}})?{_TEN})", _phone),
    Cue(r"(?P<phone>\+[1-9][0-9]{0,2}[ .(-]{1,2}[0-9][0-9 ().-]{5,16}[0-9])", _phone),
    Cue(r"(?P<phone>\(?0[0-9]{2,4}\)?[ -][0-9]{3,4}[ -]?[0-9]{3,4})", _phone),
    Cue(r"(?P<phone>0[0-9](?:[ .-][0-9]{2}){4})", _phone),
    Cue(
        r"\b(?i:phone|telephone|tel|mobile|mob|cell|fax|ph|call|call(?:ed|ing)? (?:on|at|to)|ring|number is|contact|"
        r"reach|home|ext)(?:[:. (]{1,3}|[a-z ():.]{0,20}[ :.])(?P<phone>[+(]?[0-9][0-9 ().-]{5,17}[0-9])",
        _phone,
    ),
    Cue(r"(?P<at>@)[A-Za-z0-9]", _email),
    Cue(
        rf"(?P<road>[0-9]{{1,5}}[A-Za-z]?,? (?:[NSEW]\.? )?(?:[{CAPITALS}][^ \n,;:]{{0,20}} ){{1,3}}(?:{_ROADS})\b\.?)",
        _address,
    ),
    Cue(r"(?P<road>\b(?i:p\.? ?o\.? box) [0-9]{1,6})", _address),
    Cue(
        r"(?P<road>[0-9]{1,4}[a-z]?,? (?i:rue|avenue|boulevard|via|calle|avenida|rua|plaza|piazza) [^\n,;:.0-9]{3,30})",
        _address,
    ),
    Cue(
        rf"(?P<road>[{CAPITALS}][^ \n,;:0-9]{{2,20}}(?:stra(?:ss|\u00df)e|str\.|weg|gasse|gatan|gata|vej|gade|laan|"
        r"straat) [0-9]{1,4}[a-z]?)",
        _address,
    ),
    Cue(r"\b(?:IP|ip)\b[^\n0-9]{0,40}(?P<ip>[0-9]{1,3}(?:\.[0-9]{1,3}){3})\b", _network),
    Cue(
        r"(?P<url>(?:https?://)?(?:www\.)?\b(?:facebook|instagram|twitter|tiktok|linkedin|snapchat)\.com/(?:in/|profile/)?[A-Za-z0-9_.@-]{2,40}[A-Za-z0-9_])",
        _profile,
    ),
)


def _postcode(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    start, end = match.span()
    if not (start and text[start - 1].isalnum()) and not text[end : end + 1].isalnum():
        yield Candidate("address", start, end, 0.0, 0.8)


CONTACT_NOTE_CUES = (Cue(r"[A-Z]{1,2}[0-9][A-Z0-9]? [0-9][A-Z]{2}", _postcode),)
"""A British postcode holds some fifteen homes."""
