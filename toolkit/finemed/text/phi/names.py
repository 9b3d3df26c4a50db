"""Names of patients and of the people around them, by the cues beside a name; clinicians as a kind of their own.

::

    "Mr. John Smith, a 54-year-old plumber, was seen by Dr. Rao"  ->  name "John Smith" 0.90, clinician "Rao" 0.40

A cue alone is no name: what follows it, or stands before it, must look like one. Common names speak for a person, words
of charts and places against it (`words`). Eponyms, drugs and authors have no such cue beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from finemed.text.phi.findings import CAPITALS, LETTERS, Candidate, Cue, Read, window
from finemed.text.phi.naming import WORD, Name, read_after, read_before
from finemed.text.phi.words import RELATIVES, is_given, is_known, is_other, plain

_CLINICAL = re.compile(
    r"\b(?:year[- ]old|[0-9] ?y/?o\b|was (?:seen|reviewed|started|referred|brought)|presents?\b|presented (?:to|"
    r"with)|complain|denie[sd]|admitted|discharge|symptom|chest pain|follow[- ]?up|prescri|\d mg\b|blood pressure|"
    r"allerg|tablets?\b|dob\b|mrn\b|appointment|insulin|medication|under my care|bedside|biops|"
    r"clinic\b|oxygen|dressing|incision|catheter|bed-?bound|at home\b|accompanied|lives with|notified|prognosis|"
    r"c/o\b|hx\b|pt\b|doctor:|patient:)",
    re.IGNORECASE,
)
_PUBLIC = re.compile(
    r"\b(?:who chairs|chair(?:man|woman|person)|president|governor|senator|minister|commissioner|founded|founder|"
    r"spokes\w+|wrote|argue[sd]|elected|congress\w*|mayor|actor|actress|singer|campaigner|nobel|century|chaired|"
    r"appointed|officer|personal communication|ph\.?d\b|cdc\b|ministry)|"
    r"(?:\bin |\bof |\b(?:january|february|march|april|may|june|july|august|september|october|november|december) |"
    r"\d, |\()(?:1[5-8]\d\d|19[0-2]\d)\b",
    re.IGNORECASE,
)
"""Public life, and years of long ago; 1530 alone is a time of the day."""
_GREETING = re.compile(r"\b(?:dear|hello|hi|good (?:morning|afternoon|evening)|welcome),? $", re.IGNORECASE)
_NOBODY = frozenset({"abc", "def", "xyz", "xxx", "sample", "president", "speaker", "chairman"})


def _rated(name: Name | None, full: tuple[float, float], single: tuple[float, float]) -> Iterator[Candidate]:
    """A candidate by how much the words look like a name: full or single, and (known, unknown) in each pair."""
    if name is None:
        return
    alone = (full if name.full else single)[0 if name.known else 1]
    if alone >= 0.3:
        yield Candidate("name", name.start, name.end, alone, 0.85)


def _weighed(text: str, candidates: Iterable[Candidate]) -> Iterator[Candidate]:
    """People of public life and of the past keep at most 0.3."""
    for one in candidates:
        if one.alone > 0.3 and _PUBLIC.search(window(text, one.start, one.end, before=60, after=100)):
            one = one._replace(alone=0.3)
        yield one


def _after(full: tuple[float, float], single: tuple[float, float], *, small: bool = False, comma: bool = False) -> Read:
    """Reads the name after a cue; `small` letters will do where the first one is small."""

    def read(text: str, match: re.Match[str]) -> Iterator[Candidate]:
        start = match.start("name")
        name = read_after(text, start, any_case=small and text[start].islower(), comma=comma)
        if name is None or (text[start].islower() and not name.known):
            return
        yield from _weighed(text, _rated(name, full, single))

    return read


def _met(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """After a relation or "spoke with": a relative of a patient, or somebody in a story."""
    name = read_after(text, match.start("name"))
    word = match.group()
    if name is None or (
        word[0].isupper() and word[1].islower() and not re.search(r"[:,(]", word) and not _opens(text, match.start())
    ):
        return  # Father Damien, Sister Mary
    clinical = _CLINICAL.search(window(text, match.start(), name.end, before=90, after=90))
    yield from _weighed(
        text, _rated(name, (0.8, 0.7), (0.6, 0.4)) if clinical else _rated(name, (0.5, 0.3), (0.3, 0.0))
    )


def _addressed(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """After "Dear": a patient in a letter of a clinic, or anybody."""
    name = read_after(text, match.start("name"))
    if name is not None:
        clinical = _CLINICAL.search(text[name.end : name.end + 200])
        yield from _rated(name, (0.8, 0.8), (0.8, 0.6)) if clinical else _rated(name, (0.5, 0.4), (0.4, 0.0))


def _opens(text: str, at: int) -> bool:
    """Whether a sentence or a line starts here."""
    before = text[max(0, at - 3) : at].rstrip(" ")
    return not before or before[-1] in ".\n:;!?"


_OPENING = re.compile(r"ly\|,|\| [0-9]")
"""No name, but how a sentence begins: "Briefly, a 16-year-old", "Clients 75 years of age"."""


def _before(full: tuple[float, float], single: tuple[float, float]) -> Read:
    def read(text: str, match: re.Match[str]) -> Iterator[Candidate]:
        at = match.start("cue")
        name = read_before(text, at)
        if name is None:
            name = read_before(text, at, any_case=True)
            name = name if name and name.full and len(name.words) < 4 and is_given(name.words[0]) else None
        if name is None or (not (name.full or name.known) and _OPENING.search(f"{name.words[0]}|{match['cue']}")):
            return
        yield from _weighed(text, _rated(name, full, single))

    return read


def _label(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """After "Patient:", "Name:" and the like; small letters only where they are known names."""
    label = match.group().lower()
    of_patient = re.search(r"pat[i1l]|\bpt\b|client|resident|insured|guarantor|subscriber|caller|member|student", label)
    small = text[match.start("name")].islower()
    name = read_after(text, match.start("name"), any_case=small, comma=True)
    if name is None:
        return
    if (small or _spoken(text, match.start(), label)) and not (
        name.known and (name.full or (of_patient and is_given(name.words[0])))
    ):
        return
    yield from _rated(name, (0.95, 0.9), (0.9, 0.6)) if of_patient else _rated(name, (0.9, 0.5), (0.6, 0.0))


_SPEAKER = re.compile(
    r"^ {0,3}(?:doctor|dr|physician|nurse|clinician|therapist|interviewer|guest_\w+|[DP]): ", re.I | re.M
)


def _spoken(text: str, at: int, label: str) -> bool:
    """Whether the label says who speaks, in a transcript: what follows is what they say."""
    near = text[max(0, at - 1500) : at + 1500]
    return "name" not in label and (near.lower().count(label.strip()) > 1 or _SPEAKER.search(near) is not None)


def _title(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """After "Mr." and the like: who it is depends on what is told of them."""
    name = read_after(text, match.start("name"), any_case=match.group()[0].islower())
    if name is None:
        found = WORD.match(text, match.start("name"))  # a surname that is also a word: Mrs. Day
        if found is None or len(found.group()) < 3 or not found.group()[0].isupper():
            return
        name = Name(found.start(), found.end(), (found.group(),))
    if plain(name.words[0]) in _NOBODY or (match.group()[1].isupper() and not name.words[0].isupper()):
        return  # in "Hilleman MR. Propagation of virus" these are initials
    around = window(text, match.start(), name.end, before=80, after=120)
    if _PUBLIC.search(around):
        alone = 0.0
    elif _CLINICAL.search(around) or _GREETING.search(text[max(0, match.start() - 14) : match.start()]):
        alone = 0.85
    else:
        alone = 0.5
    yield Candidate("name", name.start, name.end, alone, 0.85 if alone else 0.4)


def _clinician(alone: float, in_note: float, *, before: bool = False) -> Read:
    def read(text: str, match: re.Match[str]) -> Iterator[Candidate]:
        name = read_before(text, match.start("cue")) if before else read_after(text, match.start("name"), comma=True)
        named = name is not None and (
            before or name.known or re.search(r":|\b(?:dr|doctor|prof|mr|mrs|ms)\b", match.group(), re.IGNORECASE)
        )
        if name is not None and named:
            yield Candidate("clinician", name.start, name.end, alone, in_note)

    return read


_HAS_TITLE = r"(?:(?:Mr|Mrs|Ms|Miss|Dr|mr|mrs)\.? )?"
_PERSONS = (
    "pat[i1l]ent|pt|client|resident|member|insured|guarantor|subscriber|student|employee|staff member|beneficiary|"
    "policy ?holder|caller|next of kin|nok|emergency contact|mother|father|parent|birth partner"
)
_YEARS = r"[0-9]{1,3}[- ]{0,2}(?i:years?[- ]old|yr[- ]old|y/?o\b|y\.o\.|years? of age)"
_WAS = "(?i:was|is being|has been)"
_DONE = "(?i:seen|admitted|discharged|brought in|referred|transferred|evaluated|reviewed)"


def _then(cue: str, letters: str = CAPITALS) -> str:
    """A cue before a name; the name's first letter belongs to the expression."""
    return rf"{cue}(?P<name>[{letters}])"


def _behind(cue: str) -> str:
    """A cue after a name; the end of a word with a capital belongs to the expression."""
    return rf"[{CAPITALS}][^ \n,]{{0,25}}(?P<cue>{cue})"


NAME_CUES = (
    Cue(
        _then(rf"\b(?i:(?:{_PERSONS})(?:'s)?(?: full| legal)?(?: name)?) ?[:=] ?[ '\"(]{{0,3}}{_HAS_TITLE}", LETTERS),
        _label,
    ),
    Cue(_then(rf"\b(?i:(?:pat[i1l]ent|pt)(?:'s)? name(?: is)?)[ :]{{1,4}}{_HAS_TITLE}", LETTERS), _label),
    Cue(_then(rf"(?m:^)[ ]{{0,4}}(?i:full name|name|surname)[ :]{{1,6}}{_HAS_TITLE}", LETTERS), _label),
    Cue(_then(r"\b(?i:stated name|name is|last name|first name|surname is|surname:|forename:?) ?", LETTERS), _label),
    Cue(
        _then(
            r"\b(?:Mr|Mrs|Ms|Miss|Mx|Mme|MR|MRS|Mister|Madam|Herr|Frau|Rabbi|Imam|Sheikh|mr|mrs)\b\.?[ \n]{1,2}",
            LETTERS,
        ),
        _title,
    ),
    Cue(
        _behind(rf",? ?(?:(?i:is|was),? )?(?i:now |an? (?:[a-z-]{{3,14}},? ){{0,2}}|aged )?{_YEARS}"),
        _before((0.9, 0.85), (0.65, 0.5)),
    ),
    Cue(
        _then(
            rf"{_YEARS}(?: (?i:[a-z-]{{3,12}})){{0,2}} "
            rf"(?i:male|female|man|woman|gentleman|lady|boy|girl),? (?i:named )?{_HAS_TITLE}"
        ),
        _after((0.9, 0.8), (0.6, 0.0)),
    ),
    Cue(
        _then(r"\b(?i:(?:deceased|decedent|infant|newborn|twin)[,:]|baby(?: boy| girl)?[,:]?) "),
        _after((0.8, 0.5), (0.5, 0.3)),
    ),
    Cue(_then(rf"\b(?i:i|we) (?i:saw|reviewed|examined|evaluated|met) {_HAS_TITLE}"), _met),
    Cue(_then(r"\b(?:Dear|DEAR|Hello|Hi),? "), _addressed),
    Cue(r"(?P<cue>,? \(?[0-9]{1,3} ?(?:yo|y/o)? ?[MF])\b", _before((0.9, 0.85), (0.8, 0.5))),
    Cue(
        _then(r"\b[0-9]{1,3} ?(?:yo|y/o|y\.o\.) ?(?:[MFmf]|male|female)\b,? ", LETTERS),
        _after((0.9, 0.0), (0.5, 0.0), small=True),
    ),
    Cue(_behind(r", (?:aged )?[0-9]{1,2}[,.] [^0-9]"), _before((0.6, 0.5), (0.4, 0.0))),
    Cue(
        _behind(
            rf" (?:{_WAS} {_DONE}|(?i:presents|returns) (?:to|for|with|today)|presented (?:to|with)|"
            r"complain(?:s|ed) of|denie[sd]|attended|remains (?:comfortable|stable)|c/o|(?i:is here for)|"
            r"\([0-9]{1,2} ?(?:y/?o|yrs?|years)\))"
        ),
        _before((0.85, 0.5), (0.6, 0.0)),
    ),
    Cue(
        rf"[{CAPITALS}][^ \n,]{{1,25}} "
        + _behind(
            r" (?:reports|states|says|asked|agrees|wants|takes|uses|feels|refuses|returned|tolerated|appears|remains|"
            r"lives|phoned|is (?:alert|currently|doing|stable|comfortable))\b"
        ),
        _before((0.6, 0.5), (0.0, 0.0)),
    ),
    Cue(
        _behind(
            r"[ ,(]{1,4}(?i:id[:#]|dob|d\.o\.b|mrn|m\.r\.n|nhs no|nhs number|ssn|hospital no|hospital number|"
            r"date of birth|medical record)[^A-Za-z]"
        ),
        _before((0.95, 0.9), (0.85, 0.6)),
    ),
    Cue(r"[a-z](?P<cue> (?:date of birth|dob|mrn))\b", _before((0.85, 0.5), (0.0, 0.0))),
    Cue(
        _behind(
            r"'s (?i:symptoms|condition|medications?|blood pressure|family|wife|husband|son|daughter|mother|father)\b"
        ),
        _before((0.6, 0.4), (0.4, 0.0)),
    ),
    Cue(_behind(rf" \((?i:{RELATIVES}|nok|next of kin)[),]"), _before((0.8, 0.6), (0.6, 0.5))),
    Cue(_behind(r",? \(?born (?:on )?[0-9A-Z]"), _before((0.85, 0.5), (0.5, 0.0))),
    Cue(
        _then(rf"\b(?i:(?:{RELATIVES})(?:-in-law)?|next of kin|nok)(?:,| is|:|'s name is)? ?[ (\"]?{_HAS_TITLE}"), _met
    ),
    Cue(_then(r"\b(?i:my name is|name's|i'm|i am|this is) "), _after((0.85, 0.4), (0.5, 0.0))),
    Cue(
        _then(
            r"\b(?i:speaking with|speaking to|spoke with|spoke to|met with|visit with|called by|call from) "
            rf"(?:pt |patient )?{_HAS_TITLE}"
        ),
        _met,
    ),
    Cue(
        _then(rf"\b(?i:on behalf of(?: my patient,?)?|accompanied by|employee|inmate|resident|regarding) {_HAS_TITLE}"),
        _met,
    ),
    Cue(
        _then(r"\b(?i:patient|pt|client|resident),? (?i:is |was )?(?i:named|called) "), _after((0.9, 0.85), (0.6, 0.4))
    ),
    Cue(
        _then(rf"\b(?i:patient|pt\.?|client|resident),? (?i:is |was )?{_HAS_TITLE}"),
        _after((0.9, 0.4), (0.6, 0.0)),
    ),
    Cue(
        _then(rf"(?m:^)[ ]{{0,4}}(?i:re|ref|regarding) ?[:.] ?{_HAS_TITLE}"), _after((0.9, 0.7), (0.6, 0.0), comma=True)
    ),
)
CLINICIAN_CUES = (
    Cue(
        _then(
            r"\b(?i:attending(?: physician)?|surgeon|assistant|case manager|social worker|pharmacist|midwife|"
            r"dieti[ct]ian|chaplain|ana?esthe(?:tist|siologist)|referr(?:ing|er|ed by)|"
            r"requested by|ordering(?: provider)?|prescriber|provider|pcp|gp|consultant|dictated by|read by|"
            r"confirmed by|signed by|interpreted by|performed by|physician|fellow on call|seen by|"
            r"reviewed by)(?: is)?[: ]{1,3}(?i:(?:dr|mr|mrs|ms|prof)\.? )?"
        ),
        _clinician(0.4, 0.4),
    ),
)
NOTE_CUES = (
    Cue(_then(r"\b(?:Dr|DR|dr|Doctor|Prof)\b\.?[ \n]{1,2}", LETTERS), _clinician(0.0, 0.4)),
    Cue(_behind(r",? (?:MD|M\.D\.|DO|RN|NP|PA-C|MBBS|FRCP|PharmD|LCSW|GP)\b"), _clinician(0.0, 0.4, before=True)),
    Cue(
        _then(rf"\b(?i:{RELATIVES}|parents|signed|thanks|sincerely|best|regards)[,:]? [ (\"\n]?{_HAS_TITLE}", LETTERS),
        _after((0.8, 0.8), (0.8, 0.5), small=True),
    ),
)


def in_notes(text: str, people: Iterable[tuple[int, int]]) -> Iterator[Candidate]:
    """Further names in a text that is about an identified patient.

    Args:
        text: folded text.
        people: spans of the names found already; their words are looked for elsewhere.
    """
    names = [*people]
    last = -1
    for match in WORD.finditer(text):
        if match.start() < last or not is_given(match.group()) or is_other(match.group()):
            continue
        small = match.group()[0].islower()
        name = read_after(text, match.start(), any_case=small)
        if name is not None and name.full and (not small or all(map(is_known, name.words))):
            last = name.end
            names.append((name.start, name.end))
            yield Candidate("name", name.start, name.end, 0.0, 0.8)
    seen = {word for start, end in names for word in WORD.findall(text[start:end]) if len(word) > 2}
    for match in WORD.finditer(text):
        word = match.group().removesuffix("'s")
        if word in seen and word[0].isupper() and not is_other(word):
            yield Candidate("name", match.start(), match.start() + len(word), 0.0, 0.8)


def without_clinicians(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Leaves out names that a cue says to be a clinician's, but for those that a label gives to a patient."""
    candidates = list(candidates)
    theirs = {at for one in candidates if one.kind == "clinician" for at in range(one.start, one.end)}
    return [
        one
        for one in candidates
        if one.kind != "name" or one.alone >= 0.9 or theirs.isdisjoint(range(one.start, one.end))
    ]
