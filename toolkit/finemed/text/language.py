"""Identifies the language of a text by its script, its commonest words and its endings.

::

    identify(words("La fiebre es una respuesta del cuerpo"))  ->  "es"
    identify(words("Symptoms: fever, cough, rash"))           ->  "en"

A script that one language has to itself decides alone. Among languages in Latin letters every word gives evidence: a
common word counts 1, divided among the languages that share it; an ending or a letter typical of a language counts less;
English and Spanish medical terms count too, so that lists without a common word are recognised. Bulgarian and Serbian are
not told from Russian, nor Urdu from Arabic and Persian.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from finemed.records.languages import UNKNOWN as UNKNOWN
from finemed.records.languages import language_of
from finemed.text.medical import lexicon
from finemed.text.normalise import HAN, KANA

COMMON_WEIGHT, ENDING_WEIGHT, LETTER_WEIGHT, TERM_WEIGHT = 1.0, 0.3, 0.5, 0.5
ENDING_SIZES = (6, 5, 4, 3)
MIN_EVIDENCE = 1.5
"""Evidence that the best language must have in all."""
MIN_SHARE = 0.1
"""Evidence that it must have per word."""
MIN_LEAD = 0.15
"""Share of its evidence by which it must lead the next one; mixed texts stay unknown."""
SCRIPT_SHARE = 0.3
"""Share of the words in a script that decides alone, though names and formulas are in Latin letters."""

_COMMON = {
    "en": "the of and to in is are with for that by as it be or from which on can this not have an may at was were has but "
    "they their these also been other more than who when how what will should if your you we there such its into most "
    "some about between after during each because both only while those used use using who his her had do does any all no "
    "one two often usually many people within without through where being would could our up out so then them him she he",
    "es": "de la el los las en y que se del por con para una un es al como su lo no más o puede son pero esta sus este ha "
    "también si entre sobre cuando muy sin está ser tiene desde todo hasta hay donde quien durante todos uno otros ese "
    "eso ante ellos esto antes algunos qué unos yo otro otras otra él tanto esa estos mucho nada muchos cual poco ella "
    "estar estas algo pueden según cada así debe fue era han sido tienen mayor años personas porque aunque",
    "fr": "de la le les et des du en un une est dans que pour qui sur par au pas plus ce se ou avec sont il être cette aux "
    "ne comme mais on elle nous vous ils leur leurs ces son sa ses tout tous peut aussi entre sans très fait été même "
    "dont où lors chez après avant sous peu deux ont avoir afin ainsi lorsque si elles donc votre vos notre quand "
    "doit peuvent cela celui l'on chaque autre autres pendant plusieurs",
    "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus wird bei "
    "nach wie oder um einer einem einen durch kann sind nur dass über vor noch zum zur bis mehr haben hat wenn aber man "
    "sie ihre ihr sein seine diese dieser dieses war unter können wurde wurden so sehr ohne zwischen keine alle jedoch "
    "muss soll sollte müssen eines beim vom ihrer ihren ich wir",
    "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao das são pode pelo ou ser quando "
    "muito nos já também só pela até isso entre depois sem mesmo aos seus quem nas me esse eles você foi essa num nem suas "
    "meu às minha numa pelos elas qual seu sua este esta está há tem têm podem deve cada outros outras durante sobre é",
    "it": "di che è la il un per in una sono non con si da del le della dei alla gli come più può nel anche lo al delle "
    "e nella se ma dal dalla ha hanno essere questo questa questi queste quando loro suo sua dopo molto stato stata "
    "fra tra sul sulla nei nelle degli dello ed cui perché ogni senza quale altri altre durante ai alle dai dalle devono "
    "deve possono viene vengono così solo",
    "nl": "de van het een en in is dat op te zijn met voor niet aan er om ook als bij door of maar worden kan deze wordt naar "
    "uit over dit die heeft hebben was nog meer dan tot zich tegen onder wat geen veel wel al hun hij zij ze je u kunnen "
    "moet moeten tussen omdat zoals andere sommige vaak waar wie wij we ons haar zonder toe na tijdens",
    "sv": "och att det som en på är av för med den till inte om ett han de har från var kan men så eller när vid hos även "
    "efter ska skall vara finns man alla denna detta dessa under mot mellan utan också blir bli hade sig ej",
    "da": "og at det som en på er af for med den til ikke om et han de har fra var kan men så eller når ved hos også efter "
    "skal være findes man alle denne dette disse under mod mellem uden bliver blive havde sig hvis hvor der",
    "pl": "na do się nie to jest że jak po co za od ale dla czy przez są jego lub może być oraz tylko przed przy które "
    "który która jeśli ten ta tego jako również aby bez pod nad więc tym ich tak można",
    "cs": "na se je že do to jako za po by pro od ale který která které nebo jsou při může být podle také bylo "
    "není jen tak aby až pokud tento tato jeho však pak mezi bez před ve ze ke",
    "ro": "de și în la cu pe care nu este un din să pentru se ca mai sau sunt prin poate fi după dacă acest această lui ale "
    "al ei lor între fără când până fost doar foarte toate trebuie ce dar iar",
    "tr": "ve bir bu için ile de da olarak olan daha çok gibi en ya veya kadar değil ise her sonra olduğu tarafından var ne "
    "ki ancak göre diye eğer bunu şu ama olur üzerinde içinde nasıl",
    "fi": "ja on ei se että oli myös tai kun ovat joka mutta sen hän kuin jos voi sekä jotka niin vain ole tämä mukaan sitä "
    "ovat näin jossa kanssa ennen jälkeen tulee voidaan olla",
    "hu": "az és hogy nem is egy ez meg de ha vagy csak van mint el már ezt azt még lehet kell volt sem amely ki be után "
    "szerint között által között lesz minden illetve ezek",
    "id": "yang dan di dari untuk dengan pada ini tidak itu dalam akan ke adalah atau dapat oleh sebagai juga karena telah ada "
    "lebih bisa anda saat jika mereka kami seperti setelah tersebut harus hanya antara bahwa",
    "ca": "de la el els les en que amb per un una del dels no és al més com o són aquest aquesta també ha pot però seva seu "
    "si quan entre sobre fins molt sense ser hi han des aquests altres",
}
_ENDINGS = {
    "en": "ing ings ness ship less ously ally edly ably ough ought ight wards ted sed ced ned red led ved ther",
    "es": "ción ciones sión siones dad dades miento mientos ando iendo ados idas illo eza ías",
    "fr": "eux euse euses ité ités aux eau eaux ées ement issement aire aires ique iques elle oir",
    "de": "ung ungen keit heit lich liche lichen isch ische ischen ieren iert chen",
    "pt": "ção ções são dade dades agem inho eiro eira ência ância ável mento mentos",
    "it": "zione zioni sione ità mente ezza aggio iamo oni ello ella etto ture sono",
    "nl": "heid heden lijk lijke elijk ingen eren tie ties ische aar aan",
    "sv": "ning ningar arna orna erna else iska",
    "da": "ning ninger hed erne else iske",
    "pl": "anie enie ości ość owy owa owe ych ego emu",
    "cs": "ání ení osti ých ého ému ový",
    "ro": "ului ilor ează ție ții",
    "tr": "lar ler ları leri dır dir nda nde ması mesi",
    "fi": "ssa ssä sta stä lla llä inen ksi een taan",
    "hu": "ban ben nak nek hoz ság ség ása ése",
    "id": "kan nya",
    "ca": "ció cions tats",
}
_LETTERS = {
    "es": "ñ", "fr": "èêçœûîâ", "de": "ßäöü", "pt": "ãõçâêô", "it": "àèìòù", "sv": "åäö", "da": "åæø", "pl": "łąęśźżńć",
    "cs": "řěůčžšťď", "ro": "țșăţşâî", "tr": "ğışçöü", "fi": "äö", "hu": "őűáéöü", "ca": "çàèò",
}  # fmt: skip
LATIN = tuple(_COMMON)
"""Languages in Latin letters, in the order of `evidence`."""

_SCRIPTS = {
    "han": re.compile(f"[{HAN}]"),
    "kana": re.compile(f"[{KANA}]"),
    "ko": re.compile("[\u1100-\u11ff\u3131-\u318e\uac00-\ud7a3]"),
    "uk": re.compile("[\u0400-\u052f]*[іїєґ]"),
    "ru": re.compile("[\u0400-\u052f]"),
    "fa": re.compile("[\u0620-\u06ff]*[پچژگ]"),
    "ar": re.compile("[\u0620-\u06ff\u0750-\u077f]"),
    "hi": re.compile("[\u0900-\u097f]"),
    "el": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "he": re.compile("[\u05d0-\u05ea]"),
    "th": re.compile("[\u0e01-\u0e4e]"),
    "latin": re.compile("[a-z\u00aa-\u024f\u1e00-\u1eff].", re.DOTALL),  # single letters are initials and units
    "letter": re.compile(r"[^\W\d_]"),
}
SCRIPTS = tuple(_SCRIPTS)
"""Kinds of word by script, in the order of `script`; `latin` and `letter` name no language."""
_OWN = ("ko", "hi", "el", "he", "th")
_AT = {name: position for position, name in enumerate(SCRIPTS)}
LATIN_SCRIPT = _AT["latin"]
"""Index of `latin` in `SCRIPTS`; what stands before it is another script."""


def _by_key(lists: dict[str, str], split: Callable[[str], list[str]]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for code, text in lists.items():
        for key in dict.fromkeys(split(text)):
            found[key] = (*found.get(key, ()), LATIN.index(code))
    return found


_COMMON_OF = _by_key(_COMMON, str.split)
_ENDING_OF = _by_key(_ENDINGS, str.split)
_LETTER_OF = _by_key(_LETTERS, list)
_TERMS_OF = [(LATIN.index(code), lexicon(code).words) for code in ("en", "es")]


def script(word: str) -> int:
    """Index into `SCRIPTS`, or -1 for a number."""
    if word.isascii() and word.isalpha():
        return LATIN_SCRIPT if len(word) > 1 else _AT["letter"]
    return next((position for position, first in enumerate(_SCRIPTS.values()) if first.match(word)), -1)


def evidence(word: str) -> dict[int, float]:
    """What a lower-case word says: points by the index of the language in `LATIN`."""
    if word in _COMMON_OF:
        codes = _COMMON_OF[word]
        return dict.fromkeys(codes, COMMON_WEIGHT / len(codes))
    credits = []
    for size in ENDING_SIZES:
        if word[-size:] in _ENDING_OF and len(word) > size + 1:
            credits.append((_ENDING_OF[word[-size:]], ENDING_WEIGHT))
            break
    if not word.isascii():
        credits += [(_LETTER_OF[letter], LETTER_WEIGHT) for letter in sorted(set(word)) if letter in _LETTER_OF]
    if of := [at for at, terms in _TERMS_OF if word in terms]:
        credits.append((tuple(of), TERM_WEIGHT))
    found: dict[int, float] = {}
    for codes, weight in credits:
        for code in codes:
            found[code] = found.get(code, 0.0) + weight / len(codes)
    return found


Counts = npt.NDArray[np.float64]


def decide(scripts: Counts, points: Counts) -> list[str]:
    """The languages of texts, as ISO 639-1 codes, or `und` where the evidence is thin or mixed.

    Args:
        scripts: words of each of `SCRIPTS`, shape (texts, scripts).
        points: sums of `evidence`, shape (texts, languages).
    """
    total = scripts.sum(axis=1)
    order = np.argsort(-points, axis=1, kind="stable")[:, :2]
    best, second = np.take_along_axis(points, order, axis=1).T
    latin = scripts[:, LATIN_SCRIPT]
    sure = (best >= np.maximum(MIN_EVIDENCE, MIN_SHARE * latin)) & (best - second >= MIN_LEAD * best)
    codes = [LATIN[at] if ok else UNKNOWN for at, ok in zip(order[:, 0].tolist(), sure.tolist(), strict=True)]
    if not scripts[:, :LATIN_SCRIPT].any():
        return codes
    for row in np.flatnonzero(scripts[:, :LATIN_SCRIPT].sum(axis=1) >= SCRIPT_SHARE * np.maximum(total, 1)):
        codes[row] = _by_script(dict(zip(SCRIPTS, scripts[row].tolist(), strict=True)), float(total[row])) or codes[row]
    return codes


def _by_script(words: dict[str, float], total: float) -> str | None:
    enough = SCRIPT_SHARE * total
    for code, near, names in (("zh", "ja", ("han", "kana")), ("ru", "uk", ("ru", "uk")), ("ar", "fa", ("ar", "fa"))):
        both = words[names[0]] + words[names[1]]
        if both >= enough:
            return near if words[names[1]] >= 0.1 * both else code
    return next((code for code in _OWN if words[code] >= enough), None)


def identify(words: Sequence[str]) -> str:
    """ISO 639-1 code of a text, given its `words`; `und` where the evidence is thin or mixed."""
    return decide(*tally(words))[0]


def tally(words: Sequence[str]) -> tuple[Counts, Counts]:
    """What `decide` takes, of one text."""
    scripts, points = np.zeros((1, len(SCRIPTS))), np.zeros((1, len(LATIN)))
    for word in words:
        at = script(word)
        if at >= 0:
            scripts[0, at] += 1
        for language, weight in evidence(word).items():
            points[0, language] += weight
    return scripts, points


def same_code(stated: str) -> str:
    """A stated language as its code: ``en-US``, ``EN``, ``eng`` and ``English`` are all ``en``; what is none stays."""
    return language_of(stated) or stated.strip().lower()
