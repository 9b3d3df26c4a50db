"""Language codes: one function folds what people and datasets write to the code that the toolkit compares.

::

    language_code("fr-FR"), language_code("zh_Hant"), language_code("ger")   ->  "fr", "zh", "de"
    language_code("French"), language_code("qq")                             ->  None, None
    language_of("French")                                                    ->  "fr"

A code is that of ISO 639-1; regions and scripts fold into their language, and three letters (ISO 639-2 and 639-3) into
two where the language has two. The languages of `_THREE` have no two letters and keep their three.
"""

from __future__ import annotations

import re
from difflib import get_close_matches

UNKNOWN = "und"
"""Text whose language cannot be identified."""

_TWO = """
aa aar Afar|ab abk Abkhazian|ae ave Avestan|af afr Afrikaans|ak aka Akan|am amh Amharic|an arg Aragonese|ar ara Arabic|
as asm Assamese|av ava Avaric|ay aym Aymara|az aze Azerbaijani|ba bak Bashkir|be bel Belarusian|bg bul Bulgarian|
bi bis Bislama|bm bam Bambara|bn ben Bengali|bo bod,tib Tibetan|br bre Breton|bs bos Bosnian|ca cat Catalan|
ce che Chechen|ch cha Chamorro|co cos Corsican|cr cre Cree|cs ces,cze Czech|cu chu Church Slavic|cv chv Chuvash|
cy cym,wel Welsh|da dan Danish|de deu,ger German|dv div Divehi|dz dzo Dzongkha|ee ewe Ewe|el ell,gre Greek|
en eng English|eo epo Esperanto|es spa Spanish|et est,ekk Estonian|eu eus,baq Basque|fa fas,per,pes Persian|ff ful Fulah|
fi fin Finnish|fj fij Fijian|fo fao Faroese|fr fra,fre French|fy fry Western Frisian|ga gle Irish|gd gla Scottish Gaelic|
gl glg Galician|gn grn Guarani|gu guj Gujarati|gv glv Manx|ha hau Hausa|he heb Hebrew|hi hin Hindi|ho hmo Hiri Motu|
hr hrv Croatian|ht hat Haitian|hu hun Hungarian|hy hye,arm Armenian|hz her Herero|ia ina Interlingua|id ind Indonesian|
ie ile Interlingue|ig ibo Igbo|ii iii Sichuan Yi|ik ipk Inupiaq|io ido Ido|is isl,ice Icelandic|it ita Italian|
iu iku Inuktitut|ja jpn Japanese|jv jav Javanese|ka kat,geo Georgian|kg kon Kongo|ki kik Kikuyu|kj kua Kuanyama|
kk kaz Kazakh|kl kal Kalaallisut|km khm Khmer|kn kan Kannada|ko kor Korean|kr kau Kanuri|ks kas Kashmiri|ku kur Kurdish|
kv kom Komi|kw cor Cornish|ky kir Kyrgyz|la lat Latin|lb ltz Luxembourgish|lg lug Ganda|li lim Limburgish|ln lin Lingala|
lo lao Lao|lt lit Lithuanian|lu lub Luba-Katanga|lv lav,lvs Latvian|mg mlg Malagasy|mh mah Marshallese|mi mri,mao Maori|
mk mkd,mac Macedonian|ml mal Malayalam|mn mon Mongolian|mr mar Marathi|ms msa,may,zsm Malay|mt mlt Maltese|
my mya,bur Burmese|na nau Nauru|nb nob Norwegian Bokmal|nd nde North Ndebele|ne nep Nepali|ng ndo Ndonga|
nl nld,dut Dutch|nn nno Norwegian Nynorsk|no nor Norwegian|nr nbl South Ndebele|nv nav Navajo|ny nya Chichewa|
oc oci Occitan|oj oji Ojibwa|om orm Oromo|or ori Oriya|os oss Ossetian|pa pan Punjabi|pi pli Pali|pl pol Polish|
ps pus Pashto|pt por Portuguese|qu que Quechua|rm roh Romansh|rn run Rundi|ro ron,rum Romanian|ru rus Russian|
rw kin Kinyarwanda|sa san Sanskrit|sc srd Sardinian|sd snd Sindhi|se sme Northern Sami|sg sag Sango|si sin Sinhala|
sk slk,slo Slovak|sl slv Slovenian|sm smo Samoan|sn sna Shona|so som Somali|sq sqi,alb Albanian|sr srp Serbian|
ss ssw Swati|st sot Southern Sotho|su sun Sundanese|sv swe Swedish|sw swa,swh Swahili|ta tam Tamil|te tel Telugu|
tg tgk Tajik|th tha Thai|ti tir Tigrinya|tk tuk Turkmen|tl tgl Tagalog|tn tsn Tswana|to ton Tonga|tr tur Turkish|
ts tso Tsonga|tt tat Tatar|tw twi Twi|ty tah Tahitian|ug uig Uyghur|uk ukr Ukrainian|ur urd Urdu|uz uzb Uzbek|
ve ven Venda|vi vie Vietnamese|vo vol Volapuk|wa wln Walloon|wo wol Wolof|xh xho Xhosa|yi yid Yiddish|yo yor Yoruba|
za zha Zhuang|zh zho,chi,cmn Chinese|zu zul Zulu
"""
_THREE = """
ast Asturian|ceb Cebuano|fil Filipino|haw Hawaiian|hmn Hmong|ilo Iloko|kmr Kurmanji|mai Maithili|mul several languages|
nso Northern Sotho|sat Santali|tet Tetum|tpi Tok Pisin|und unknown|yue Cantonese|zxx no language
"""
_EARLIER = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "sh": "sr", "arb": "ar", "nep": "ne"}
_OWN_NAMES = {
    "castilian": "es", "deutsch": "de", "español": "es", "espanol": "es", "farsi": "fa", "flemish": "nl", "français": "fr",
    "francais": "fr", "gaelic": "gd", "italiano": "it", "mandarin": "zh", "nederlands": "nl", "norsk": "no", "polski": "pl",
    "português": "pt", "portugues": "pt", "svenska": "sv", "türkçe": "tr", "русский": "ru", "中文": "zh", "日本語": "ja",
    "한국어": "ko", "العربية": "ar", "हिन्दी": "hi",
}  # fmt: skip

NAMES: dict[str, str] = {}
"""Code -> English name, for every code that is known."""
_FOLDED: dict[str, str] = dict(_EARLIER)
for _entry in "".join(_TWO.split("\n")).split("|"):
    _code, _longer, _name = _entry.split(" ", 2)
    NAMES[_code] = _name
    _FOLDED |= dict.fromkeys(_longer.split(","), _code)
for _entry in "".join(_THREE.split("\n")).split("|"):
    _code, _name = _entry.split(" ", 1)
    NAMES[_code] = _name
_BY_NAME = {name.lower(): code for code, name in NAMES.items()} | _OWN_NAMES
_TAG = re.compile(r"([A-Za-z]{2,3})([-_][A-Za-z0-9]{1,8})*(\.[A-Za-z0-9-]+)?(@[A-Za-z]+)?")
"""A language, then script, region and variants, as BCP 47 and POSIX write them."""


def language_code(stated: str) -> str | None:
    """The code that a stated code means, whatever region or script it adds; None where it is no known code."""
    tag = _TAG.fullmatch(stated.strip())
    if tag is None:
        return None
    first = tag[1].lower()
    return first if first in NAMES else _FOLDED.get(first)


def language_of(stated: str) -> str | None:
    """The same for what a dataset states, which may be a language's name: ``English`` is ``en``."""
    return language_code(stated) or _BY_NAME.get(" ".join(stated.split()).lower())


def language_setting(stated: object) -> str:
    """The code that a setting means.

    Raises:
        ValueError: it is no known code; the message lists the known ones and the one that is probably meant.
    """
    if isinstance(stated, bool):
        word = "`no`, `off` and `false` are" if not stated else "`yes`, `on` and `true` are"
        raise ValueError(f'{word} no text in YAML; write "no" in quotes for Norwegian')
    if not isinstance(stated, str):
        raise ValueError("not a language code, such as en or fr")
    code = language_code(stated)
    if code is not None:
        return code
    meant = language_of(stated) or _alike(stated)
    hint = f"did you mean `{meant}` ({NAMES[meant]})? " if meant else ""
    raise ValueError(f"no language has this code; {hint}known are {', '.join(sorted(NAMES))}")


def _alike(stated: str) -> str | None:
    near = get_close_matches(stated.strip().lower(), _BY_NAME, n=1, cutoff=0.75)
    return _BY_NAME[near[0]] if near else None
