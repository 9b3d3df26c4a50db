"""Builds questions from a passage's own terms and finds the sentences that answer them; no model involved.

::

    outline = Outline.of("Croup", "Croup is a viral infection of the larynx. A barking cough ...")
    outline.topic  ->  "croup"
    build_questions(outline)  ->  [("How does ... lead to croup?", "mechanism"), ("...", "treatment")]
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from math import fsum

import xxhash

from finemed.text.normalise import words
from finemed.text.quality import is_medical
from finemed.text.segment import sentences

CUES: dict[str, re.Pattern[str]] = {
    name: re.compile(pattern, re.IGNORECASE)
    for name, pattern in {
        "mechanism": r"\bcaus|\bresult(?:s|ing)? (?:from|in)|\bdue to\b|\bleads? to\b|\bmutation|\binherit|\btrigger|\bbecause\b"
        r"|\bmediat|\bpathogen|\binhibit|\bbinds?\b|\breceptor",
        "presentation": r"\bsymptom|\bsigns?\b|\bpresent(?:s|ing)?\b|\bfeatures?\b|\bcomplain|\bappear|\bcharacteri[sz]ed",
        "differential_diagnosis": r"\bdistinguish|\bdiffer|\bmimic|\brather than\b|\bunlike\b|\bexclude|\bsimilar to\b|\bwhereas\b|\bconfus",
        "interpretation": r"\btests?\b|\bdiagnos|\bscan|\bbiops|\bimaging|\bultraso|\blevels?\b|\bmeasur|\bx-?ray|\bfindings?\b|\bshows?\b",
        "next_step": r"\brefer|\burgent|\bemergen|\bimmediate|\bfirst[- ]line|\bwithin \d|\bevaluat|\bfollow[- ]up|\bmonitor|\bprompt",
        "treatment": r"\btreat|\btherap|\bsurg|\bmedic(?:ine|ation)|\bdrug|\bdose|\bantibiotic|\brepair|\boperation|\bmanage",
        "complications": r"\bcomplicat|\brisks?\b|\bfatal|\bdeath|\bfailure\b|\bdamage|\bprogress|\brecur|\bprognos|\bsurviv",
        "prevention": r"\bprevent|\bvaccin|\bavoid|\breduc|\bprotect|\bscreen|\blower(?:s|ed|ing)?\b",
        "counselling": r"\bshould\b|\badvis|\brecommend|\bcounsel|\bdiet|\bexercise|\bsmok|\bfamil(?:y|ies)\b|\bparents?\b|\blifestyle",
    }.items()
}
TEMPLATES: dict[str, tuple[str, ...]] = {
    "explanation": (
        "What is {topic}, and what part does {focus} play in it?",
        "How would you explain {topic} to a student, with attention to {focus}?",
        "What characterises {topic} with regard to {focus}?",
    ),
    "mechanism": (
        "By which mechanism is {focus} connected with {topic}?",
        "Why does {focus} matter in the development of {topic}?",
        "How do {focus} and {topic} relate as cause and effect?",
    ),
    "presentation": (
        "How does {topic} typically present, and where does {focus} fit in?",
        "Which signs and symptoms, including {focus}, point to {topic}?",
        "What would a clinician expect to find in {topic}, particularly concerning {focus}?",
    ),
    "differential_diagnosis": (
        "How is {topic} told apart from conditions that resemble it, considering {focus}?",
        "Which findings about {focus} help to separate {topic} from its alternatives?",
        "When {topic} is suspected, what does {focus} suggest about other diagnoses?",
    ),
    "interpretation": (
        "What do findings on {focus} mean when {topic} is being investigated?",
        "How should results that concern {focus} be interpreted in {topic}?",
        "How is {topic} diagnosed, and what does {focus} contribute?",
    ),
    "next_step": (
        "What is the appropriate next step in {topic} when {focus} is involved?",
        "How urgently does {topic} have to be acted on, given {focus}?",
        "Which follow-up does {topic} need with respect to {focus}?",
    ),
    "treatment": (
        "How is {topic} treated, and what role does {focus} have?",
        "Which management of {topic} takes {focus} into account?",
        "What are the treatment options for {topic} where {focus} is concerned?",
    ),
    "complications": (
        "Which complications can {topic} bring with it, especially {focus}?",
        "How does {focus} affect the outlook in {topic}?",
        "What risks arise from {topic} in connection with {focus}?",
    ),
    "prevention": (
        "How can {topic} or its consequences be prevented, with {focus} in mind?",
        "What lowers the risk of {topic}, and how does {focus} bear on it?",
        "Which preventive measures concern {focus} in {topic}?",
    ),
    "counselling": (
        "What should a person affected by {topic} be told about {focus}?",
        "Which advice about {focus} would you give somebody with {topic}?",
        "How would you counsel a family about {topic} and {focus}?",
    ),
}
_STOP = frozenset(
    """
    a about above after again all also although among an and another any are as at be because been before being
    between both but by can cannot common commonly could did do does done during each either even every few first for
    from further had has have having he her here him his how however if in include included includes including into is
    it its itself less like many may might more most much must no nor not of off often on once one only or other
    others our out over own per rather same several she should since so some such than that the their them then there
    therefore these they this those through thus to too two under until up upon usually very was we were what when
    where whether which while who whom whose why will with within without would you your people person patient
    patients most three four around typically sometimes called known used use uses using occurs occur make makes made
    well
    """.split()  # noqa: SIM905 - a word list reads better as text
)
_DETERMINER = re.compile(r"^(?:the|a|an)\s+", re.IGNORECASE)
_DEICTIC = re.compile(
    r"\b(?:the|this|that|these) (?:passage|text|article|study|studies|paper|document|excerpt|table|figure|report|page|author|authors|case)\b"
    r"|\b(?:above|below|aforementioned|mentioned (?:above|earlier)|given (?:text|information))\b|\bfigure \d|\btable \d"
    r"|\baccording to (?:the|this)\b|\bthis patient\b",
    re.IGNORECASE,
)


def is_deictic(question: str) -> bool:
    """Whether a question points at something that its reader cannot see."""
    return _DEICTIC.search(question) is not None


@dataclass(frozen=True)
class Sentence:
    """One sentence of the passage with its words and the task types that it can answer."""

    start: int
    end: int
    words: tuple[str, ...]
    tasks: frozenset[str]


@dataclass(frozen=True)
class Outline:
    """What the rules know about a passage."""

    text: str
    topic: str
    sentences: tuple[Sentence, ...]

    @classmethod
    def of(cls, title: str | None, text: str) -> Outline:
        parts = []
        for start, end in sentences(text):
            chunk = text[start:end]
            tokens = tuple(words(chunk))
            if len(tokens) >= 4 and not chunk.endswith("?"):
                tasks = frozenset(name for name, cue in CUES.items() if cue.search(chunk))
                parts.append(Sentence(start, end, tokens, tasks))
        return cls(text, find_topic(title, text), tuple(parts))


def content_words(text: str) -> list[str]:
    """Words that carry meaning: no function words, no bare numbers, three letters at least."""
    return [word for word in words(text) if word not in _STOP and len(word) > 2 and not word[0].isdigit()]


def find_topic(title: str | None, text: str) -> str:
    """The title where the text takes it up, else the commonest phrase of one to three content words."""
    if title:
        clean = _DETERMINER.sub("", title.strip().rstrip("?.:!").strip())
        own = content_words(clean)
        present = set(words(text))
        if own and len(own) <= 8 and sum(word in present for word in own) * 2 >= len(own):
            return _as_written(clean, text)
    tokens = words(text)
    counts: Counter[str] = Counter()
    for size in (1, 2, 3):
        for start in range(len(tokens) - size + 1):
            gram = tokens[start : start + size]
            if all(word not in _STOP and len(word) > 2 and not word[0].isdigit() for word in gram):
                counts[" ".join(gram)] += size + (1 if any(map(is_medical, gram)) else 0)
    best = min(counts.items(), key=lambda item: (-item[1], item[0]), default=("this topic", 0))[0]
    return _as_written(best, text)


def _as_written(phrase: str, text: str) -> str:
    """The phrase in the case that the text uses inside a sentence; without such a place, as given."""
    found = [match.group() for match in re.finditer(re.escape(phrase), text, re.IGNORECASE)]
    for form in found:
        if form[:1].islower() or form[1:2].isupper():
            return form
    head, _, rest = phrase.partition(" ")
    if found and head.isalpha() and not head[1:2].isupper() and is_medical(head.lower()):
        return f"{head.lower()} {rest}".strip()
    return found[0] if found and len(found[0].split()) > 1 else phrase


def find_focus(outline: Outline, sentence: Sentence) -> str:
    """The sentence's most telling phrase that is not the topic itself: up to three content words in a row."""
    taken = set(words(outline.topic))
    best: tuple[float, str] = (0.0, "")
    run: list[str] = []
    for word in (*sentence.words, ""):
        if word and word not in _STOP and word not in taken and len(word) > 2 and not word[0].isdigit():
            run.append(word)
            continue
        for size in range(1, min(3, len(run)) + 1):
            for start in range(len(run) - size + 1):
                gram = run[start : start + size]
                weight = sum(3.0 if is_medical(item) else min(len(item), 12) / 6 for item in gram) / size**0.5
                phrase = " ".join(gram)
                if weight > best[0]:
                    best = (weight, phrase)
        run = []
    return _as_written(best[1], outline.text) if best[1] else "its main features"


def build_questions(outline: Outline) -> list[tuple[str, str]]:
    """Up to two (question, task type), of different types, each from another sentence where there are two."""
    chosen: list[tuple[Sentence, str]] = []
    ranked = sorted(outline.sentences, key=lambda item: (-_weight(item), item.start))
    for sentence in ranked:
        free = sorted(
            sentence.tasks - {task for _, task in chosen}, key=lambda task: (_pick(outline, task, 1 << 30), task)
        )
        if free:
            chosen.append((sentence, free[0]))
        if len(chosen) == 2:
            break
    for sentence in ranked:
        spare = [task for task in ("explanation", "mechanism") if task not in {used for _, used in chosen}]
        if len(chosen) < 2 and all(sentence is not other for other, _ in chosen):
            chosen.append((sentence, spare[0]))
    questions = []
    for sentence, task in chosen:
        template = TEMPLATES[task][_pick(outline, task, len(TEMPLATES[task]))]
        questions.append((template.format(topic=outline.topic, focus=find_focus(outline, sentence)), task))
    return questions


def _weight(sentence: Sentence) -> float:
    medical = sum(map(is_medical, sentence.words))
    return medical + 0.5 * len(sentence.tasks) - 0.02 * abs(len(sentence.words) - 22)


def _pick(outline: Outline, salt: str, size: int) -> int:
    return int(xxhash.xxh64_intdigest(f"{salt}\x1f{outline.text}".encode("utf-8", "surrogatepass")) % size)


def rank_sentences(outline: Outline, question: str) -> list[Sentence]:
    """The sentences by how much they help with the question, best first."""
    wanted = set(content_words(question))
    tasks = {name for name, cue in CUES.items() if cue.search(question)}
    counts = Counter(word for sentence in outline.sentences for word in set(sentence.words))

    def score(sentence: Sentence) -> float:
        overlap = fsum(1.0 / counts[word] for word in set(sentence.words) & wanted)  # exact, so the order is no matter
        return overlap + 0.4 * len(tasks & sentence.tasks)

    return sorted(outline.sentences, key=lambda item: (-score(item), item.start))


def extract(outline: Outline, chosen: list[Sentence]) -> str:
    """The chosen sentences verbatim, in the passage's order."""
    ordered = sorted(chosen, key=lambda item: item.start)
    return " ".join(outline.text[item.start : item.end] for item in ordered)
