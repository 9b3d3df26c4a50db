from __future__ import annotations

import pytest

from finemed.taxonomy import NONE_LABEL, Node, Taxonomy, load_taxonomy
from finemed.text.cues import CueMatcher, Placement


def node(node_id: str, cues: dict[str, int], *children: Node) -> Node:
    return Node(id=node_id, label=node_id.title(), description="", cues=cues, children=children)


def small(*departments: Node, minimum: float = 2.0) -> CueMatcher:
    return CueMatcher(Taxonomy(version="1", name="small", departments=departments), minimum=minimum)


def tokens(sentence: str) -> list[str]:
    return [word.strip(".,?") for word in sentence.lower().split()]


@pytest.fixture(scope="module")
def shipped() -> CueMatcher:
    return CueMatcher(load_taxonomy())


@pytest.mark.parametrize(
    ("cue", "text"),
    [
        ("stone", "two stones"),
        ("biopsy", "biopsies"),
        ("tooth", "teeth"),
        ("child", "children"),
        ("abscess", "abscesses"),
        ("diagnosis", "diagnoses"),
        ("vertebra", "vertebrae"),
        ("nucleus", "nuclei"),
        ("kidney stone", "kidneys stones"),
        ("crohn disease", "crohn's disease"),
        ("crohn disease", "crohn’s disease"),
        ("crohn disease", "crohn s disease"),
        ("crohn disease", "crohns disease"),
        ("crohn", "as described by crohn's"),
        ("x linked", "an x-linked disease"),
        ("restless legs", "restless legs"),
    ],
)
def test_matches(cue: str, text: str) -> None:
    assert small(node("a", {cue: 3, "leg": 1})).score(tokens(text)) == {"a": 3.0}


@pytest.mark.parametrize(
    ("cue", "text"),
    [("ear", "heart disease"), ("hiv", "hives"), ("kidney stone", "kidney and stone")],
)
def test_does_not_match(cue: str, text: str) -> None:
    assert small(node("a", {cue: 3})).score(tokens(text)) == {}


def test_longest_cue_uses_its_words_up() -> None:
    matcher = small(node("a", {"diabetes": 3}), node("b", {"gestational diabetes": 2}))
    assert matcher.score(tokens("gestational diabetes")) == {"b": 2.0}
    assert matcher.score(tokens("gestational diabetes and diabetes")) == {"a": 3.0, "b": 2.0}


def test_shorter_cue_counts_where_the_longer_one_fails() -> None:
    matcher = small(node("a", {"heart": 1, "heart rate monitor": 3}))
    assert matcher.score(tokens("heart rate")) == {"a": 1.0}
    assert matcher.score(["heart"]) == {"a": 1.0}


def test_repetition_counts_by_its_logarithm() -> None:
    matcher = small(node("a", {"pain": 1}))
    assert matcher.score(["pain"] * 8) == {"a": 4.0}


def test_one_cue_may_point_to_several_nodes() -> None:
    matcher = small(node("a", {"jaundice": 1}, node("b", {"jaundice": 2})), node("c", {"rash": 2}))
    assert matcher.score(["jaundice"]) == {"a": 1.0, "b": 2.0}


def test_department_and_sub_department() -> None:
    matcher = small(node("a", {"pain": 1}), node("b", {"cut": 2}, node("c", {"bone": 3}), node("d", {"skin": 2})))
    assert matcher.classify(tokens("cut bone"))[:2] == ("B", "C")
    assert matcher.classify(tokens("cut skin"))[:2] == ("B", "D")
    assert matcher.classify(tokens("cut"))[:2] == ("B", NONE_LABEL)


def test_weak_sub_department_is_none_beside_much_general_evidence() -> None:
    matcher = small(node("a", {"virus": 3, "fever": 3, "vaccine": 3}, node("b", {"lung": 2})))
    assert matcher.classify(tokens("virus fever vaccine lung"))[:2] == ("A", NONE_LABEL)


@pytest.mark.parametrize("text", ["", "the senate passed the bill", "pain"])
def test_too_little_evidence(text: str) -> None:
    matcher = small(node("a", {"pain": 1}))
    assert matcher.classify(tokens(text)) == Placement(NONE_LABEL, NONE_LABEL, 0.0)


def test_a_long_text_needs_more_evidence() -> None:
    matcher = small(node("a", {"stone": 2}))
    assert matcher.classify(["stone"]).department == "A"
    assert matcher.classify(["stone"] + ["wall"] * 600).department == NONE_LABEL


def test_title_outweighs_text() -> None:
    matcher = small(node("a", {"ear": 2, "nose": 2}), node("b", {"eye": 2}))
    assert matcher.classify(tokens("ear nose")).department == "A"
    assert matcher.classify(tokens("ear nose"), ["eye"]).department == "B"


def test_confidence_falls_with_a_close_second_and_with_little_evidence() -> None:
    matcher = small(node("a", {"ear": 3, "nose": 3}), node("b", {"eye": 2}))
    sure, thin, torn = (matcher.classify(tokens(text)).confidence for text in ("ear nose", "ear", "ear nose eye"))
    assert 0.0 < torn < thin < sure < 1.0


def test_tie_goes_to_the_first_node() -> None:
    matcher = small(node("a", {"eye": 2}), node("b", {"eye": 2}))
    assert matcher.classify(["eye"]) == Placement("A", NONE_LABEL, 0.0)
    matcher = small(node("a", {"eye": 2}, node("b", {"lens": 2}), node("c", {"lens": 2})))
    assert matcher.classify(["lens"])[:2] == ("A", "B")


def test_equal_input_gives_equal_output() -> None:
    words = tokens("chest pain with shortness of breath after a heart attack in an older adult")
    first, second = CueMatcher(load_taxonomy()), CueMatcher(load_taxonomy())
    assert first.classify(words) == second.classify(words)
    assert list(first.score(words).items()) == list(second.score(words).items())


SENTENCES = [
    ("A spacer helps children and adults with asthma to use their inhaler.", "Respiratory and Critical Care Medicine"),
    ("Sepsis with septic shock is treated in intensive care with fluids.", "Respiratory and Critical Care Medicine"),
    ("Atrial fibrillation makes the heart beat irregularly.", "Cardiology"),
    ("Metformin lowers blood glucose in type 2 diabetes.", "Endocrinology"),
    ("Vitamins and other nutrients come from a varied diet.", "Endocrinology"),
    ("Crohn's disease inflames the small intestine.", "Gastroenterology"),
    ("Chronic hepatitis C can lead to cirrhosis of the liver.", "Gastroenterology"),
    ("People with hemophilia bleed longer because a clotting factor is missing.", "Hematology"),
    ("Dialysis replaces the work of failed kidneys in kidney failure.", "Nephrology"),
    ("Gout attacks begin when uric acid crystals form in a joint.", "Rheumatology and Immunology"),
    ("Duchenne muscular dystrophy weakens muscles year by year.", "Neurology"),
    ("Antidepressants help many people with depression and anxiety.", "Neurology"),
    ("An appendectomy is done for acute appendicitis.", "Gastrointestinal Surgery"),
    ("Gallstones that cause attacks are treated by cholecystectomy.", "Hepatobiliary Surgery"),
    ("How are kidney stones removed from the ureter?", "Urology"),
    ("An abdominal aortic aneurysm may be repaired by endovascular grafting.", "Cardiovascular Surgery"),
    ("Early lung cancer is removed by lobectomy.", "Thoracic Surgery"),
    ("A hip fracture often needs joint replacement.", "Orthopedic Surgery"),
    ("A shunt drains fluid from the brain in hydrocephalus.", "Neurosurgery"),
    ("Deep burns need skin grafts and leave scars.", "Burns and Plastic Surgery"),
    ("Thyroidectomy is the treatment of choice for papillary thyroid cancer.", "Thyroid Surgery"),
    ("A mammogram can find breast cancer before a lump is felt.", "Breast Surgery"),
    ("Endometriosis causes painful menstrual periods and infertility.", "Gynecology"),
    ("Preeclampsia raises blood pressure late in pregnancy.", "Obstetrics"),
    ("Children with 22q11.2 deletion syndrome have intellectual disability.", "Pediatric Internal Medicine"),
    ("Newborns with Hirschsprung disease cannot pass meconium.", "Pediatric Surgery"),
    ("Hearing aids help people with age-related hearing loss.", "Otorhinolaryngology"),
    ("Glaucoma damages the optic nerve and takes away side vision.", "Ophthalmology"),
    ("Brush your teeth with fluoride toothpaste to prevent tooth decay.", "Dentistry (Oral Medicine)"),
    ("Psoriasis makes scaly red patches on the skin.", "Dermatology and Venereology"),
    ("Syphilis is a sexually transmitted infection that begins with a sore.", "Dermatology and Venereology"),
    ("After amputation, physical therapy trains walking with a prosthesis.", "Rehabilitation Medicine"),
    ("Propofol induces general anesthesia within a minute.", "Anesthesiology"),
    ("Acupuncture and herbal formulas are used to restore the flow of qi.", "Traditional Chinese Medicine (TCM)"),
]


@pytest.mark.parametrize(("sentence", "subdepartment"), SENTENCES)
def test_sentence(shipped: CueMatcher, sentence: str, subdepartment: str) -> None:
    department = next(first for first, second in load_taxonomy().labels() if second == subdepartment)
    assert shipped.classify(tokens(sentence))[:2] == (department, subdepartment)


def test_sentences_cover_every_sub_department() -> None:
    assert {label for _, label in SENTENCES} == {second for _, second in load_taxonomy().labels()}


@pytest.mark.parametrize(
    "sentence",
    [
        "Malaria is spread by mosquitoes and kills many people every year.",
        "Public health officers traced the outbreak of a virus and offered the vaccine.",
    ],
)
def test_general_infections_have_no_sub_department(shipped: CueMatcher, sentence: str) -> None:
    assert shipped.classify(tokens(sentence))[:2] == ("Internal Medicine", NONE_LABEL)


@pytest.mark.parametrize(
    "sentence",
    [
        "The Continental Congress met in Philadelphia and debated independence.",
        "Redistribution in source and binary form is permitted under these conditions.",
        "The railroad reached the valley, and wheat was shipped to eastern cities.",
    ],
)
def test_other_subjects_are_none(shipped: CueMatcher, sentence: str) -> None:
    assert shipped.classify(tokens(sentence)) == Placement(NONE_LABEL, NONE_LABEL, 0.0)
