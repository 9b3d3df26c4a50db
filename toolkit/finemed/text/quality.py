"""Signals that tell good medical prose from the rest of the web; the stages set the thresholds."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

_SPAM = re.compile(
    r"\b(?:buy now|order now|click here|free shipping|limited (?:time )?offer|best price|lowest price|discount|coupon|promo code|"
    r"money[- ]back|no prescription (?:needed|required)|100% (?:natural|free|guaranteed)|miracle|add to cart|casino|jackpot|"
    r"free spins|act now|special offer|risk[- ]free|lose \d+ (?:pounds|kg|kilos)|cheap\b.{0,20}\bonline|order .{0,20}online|"
    r"satisfaction guaranteed|doctors hate|secret formula|bonus|sign up today|while supplies last)\b|!{2,}|\${2,}",
    re.IGNORECASE,
)
_BOILERPLATE = re.compile(
    r"\b(?:cookie|cookies|privacy policy|terms of (?:use|service)|all rights reserved|sign in|log ?in|subscribe|newsletter|"
    r"share (?:this|on)|follow us|skip to (?:main )?content|site map|sitemap|contact us|about us|back to top|read more|"
    r"accept all|reject all|privacy notice|create a free account|javascript|browser|forgot (?:your )?password|create an account|search this site|print this page)\b",
    re.IGNORECASE,
)
_AFFIX = re.compile(
    r"(?:.{2,}(?:itis|osis|oses|emia|emic|aemia|uria|ectomy|otomy|ostomy|plasty|oma|omas|pathy|pathies|penia|algia|plegia|"
    r"ology|ologist|scopy|graphy|mycin|cillin|olol|pril|sartan|statin|azole|cyclines?|oxacin|trophy|genic|rrhea|rrhage|"
    r"lysis|megaly|sclerosis|stenosis|toxic|therapy|therapies|therapeutic))"
)
_TERMS = frozenset(
    """
    patient patients disease diseases disorder disorders syndrome syndromes symptom symptoms diagnosis diagnosed
    diagnostic treatment treatments therapy medication medications medicine medicines medical clinical clinician
    clinicians nurse nurses nursing doctor doctors physician physicians surgeon surgeons surgery surgical hospital
    hospitals dose doses dosage drug drugs infection infections infected bacteria bacterial virus viral viruses
    vaccine vaccines vaccination immune immunity antibody antibodies antibiotic antibiotics blood heart cardiac lung
    lungs liver kidney kidneys renal brain nerve nerves muscle muscles bone bones skin stomach intestine intestinal
    bowel colon bladder urine urinary artery arteries vein veins vascular tissue tissues cell cells tumor tumors
    tumour cancer cancers malignant benign pain fever cough nausea vomiting diarrhea swelling bleeding inflammation
    inflammatory chronic acute severe pregnancy pregnant birth fetal infant infants newborn children pediatric insulin
    glucose diabetes diabetic hypertension hypotension stroke seizure seizures asthma pneumonia hormone hormones
    thyroid gland glands gene genes genetic mutation mutations chromosome inherited hereditary congenital enzyme
    enzymes protein proteins vitamin vitamins nutrition nutrient nutrients dietary diet obesity overweight calories
    fiber cholesterol lipid lipids sodium potassium calcium iron metabolism metabolic symptomatic asymptomatic
    prognosis complication complications risk mortality morbidity incidence prevalence epidemiology screening
    prevention preventive health healthcare care clinic diagnostics biopsy mri ct ultrasound x-ray radiograph scan
    test tests laboratory serum plasma adverse toxicity overdose tablet tablets oral intravenous injection injections
    topical anesthesia wound wounds fracture fractures joint joints spine spinal eye eyes vision retina cornea ear
    ears hearing nose throat tooth teeth dental gum gums rash lesion lesions ulcer ulcers allergy allergic allergies
    hiv aids tuberculosis influenza measles hepatitis malaria sepsis exposure outbreak outbreaks cases disability
    rehabilitation physiotherapy exercise smoking tobacco alcohol mental depression anxiety cognitive dementia
    contraception
    """.split()  # noqa: SIM905 - a word list reads better as text
)


def letter_share(text: str) -> float:
    """Share of letters among the characters that are not blank; 0.0 for blank text."""
    solid = sum(map(len, text.split()))
    return sum(map(str.isalpha, text)) / solid if solid else 0.0


def repeated_share(words: Sequence[str], size: int = 5) -> float:
    """Share of the `size`-word sequences that occurred before in the same text."""
    count = len(words) - size + 1
    if count < 2:
        return 0.0
    return 1.0 - len(set(zip(*(words[i:] for i in range(size)), strict=False))) / count


def spam_cues(text: str) -> int:
    """How many advertising phrases occur."""
    return sum(1 for _ in _SPAM.finditer(text))


def boilerplate_share(text: str, sentence_spans: Sequence[tuple[int, int]]) -> float:
    """Share of the sentences that are navigation, cookie or login text."""
    if not sentence_spans:
        return 0.0
    ends = [end for _, end in sentence_spans]
    hit = {bisect_left(ends, match.end()) for match in _BOILERPLATE.finditer(text)}
    return len(hit) / len(sentence_spans)


@lru_cache(maxsize=1 << 16)
def is_medical(word: str) -> bool:
    """Whether a lower-case word is a medical term by the built-in list or by its ending."""
    return word in _TERMS or (len(word) > 6 and _AFFIX.fullmatch(word) is not None)


def medical_terms(words: Sequence[str]) -> list[str]:
    """The medical terms among the words, with repetitions, in order."""
    return [word for word in words if is_medical(word)]
