from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rows import run_stage, scanned

from finemed.config import ClassifyConfig
from finemed.llm.rules import Rules
from finemed.records import ScannedPassage
from finemed.stages.classify import ClassifyStage
from finemed.taxonomy import NONE_LABEL, Node, Taxonomy, load_taxonomy
from finemed.text.cues import LEAD_WORDS, CueMatcher, Placement
from finemed.text.terms import TermFinder


def node(node_id: str, cues: dict[str, int], *children: Node, gathers: bool = False) -> Node:
    return Node(id=node_id, label=node_id.title(), description="", cues=cues, children=children, gathers=gathers)


def small(*departments: Node, ignored: tuple[str, ...] = ()) -> CueMatcher:
    return CueMatcher(Taxonomy(version="1", name="small", departments=departments, ignored=ignored))


def tokens(sentence: str) -> list[str]:
    return [word.strip(".,?") for word in sentence.lower().split()]


def found(terms: set[str], text: str) -> list[str]:
    return [term for _, term in TermFinder(terms).find(tokens(text))]


@pytest.fixture(scope="module")
def shipped() -> CueMatcher:
    return CueMatcher(load_taxonomy())


# --- terms -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "text"),
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
        ("nephr*", "nephrocalcinosis"),
        ("*ectomy", "a cholecystectomy"),
        ("*ectomy", "two cholecystectomies or cholecystectomys"),
    ],
)
def test_found(term: str, text: str) -> None:
    assert found({term, "leg", "calf"}, text) == [term]


@pytest.mark.parametrize(
    ("term", "text"),
    [
        ("ear", "heart disease"),
        ("hiv", "hives"),
        ("kidney stone", "kidney and stone"),
        ("nephr*", "nephr anephric"),
        ("*ectomy", "ectomy ectomyx"),
    ],
)
def test_not_found(term: str, text: str) -> None:
    assert found({term}, text) == []


def test_the_longest_term_uses_its_words_up() -> None:
    terms = {"diabetes", "gestational diabetes", "heart", "heart rate monitor"}
    assert found(terms, "gestational diabetes and diabetes") == ["gestational diabetes", "diabetes"]
    assert found(terms, "heart rate and a heart rate monitor") == ["heart", "heart rate monitor"]


def test_a_named_word_wins_over_its_stem_and_a_longer_stem_over_a_shorter_one() -> None:
    assert found({"nephr*", "nephritis"}, "nephritis nephrology") == ["nephritis", "nephr*"]
    assert found({"neur*", "*blastoma"}, "neuroblastoma") == ["*blastoma"]


def test_a_word_that_only_longer_terms_name_still_belongs_to_its_stem() -> None:
    assert found({"hepat*", "hepatic artery"}, "hepatic failure, hepatic artery") == ["hepat*", "hepatic artery"]


def test_terms_that_differ_by_a_plural_are_one() -> None:
    finder = TermFinder({"contact lens", "contact lenses"})
    assert {finder.name("contact lens"), finder.name("contact lenses")} == {"contact lens"}
    assert [term for _, term in finder.find(["contact", "lenses"])] == ["contact lens"]


@given(st.lists(st.sampled_from(["kidney", "stone", "stones", "nephrology", "the", "x"]), max_size=12))
def test_terms_are_found_in_order_without_overlap(words: list[str]) -> None:
    spans = [(at, at + len(term.split())) for at, term in TermFinder({"kidney stone", "stone", "nephr*"}).find(words)]
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert len(spans) >= words.count("nephrology")


# --- points ----------------------------------------------------------------------------------------------------------


def test_weights_repetition_opening_and_title() -> None:
    matcher = small(node("a", {"pain": 1, "ache": 2, "stroke": 3}))
    filler = ["wall"] * LEAD_WORDS
    assert [matcher.points([*filler, word])["a"] for word in ("pain", "ache", "stroke")] == [1.0, 1.5, 4.0]
    assert matcher.points([*filler, *["pain"] * 4])["a"] == 2.5
    assert matcher.points(["pain", *filler])["a"] == 3.0
    assert matcher.points([], ["pain"])["a"] == 4.0
    assert matcher.points([*filler, "pain"], ["pain"])["a"] == 5.0


def test_one_cue_may_point_to_several_nodes_in_both_numbers() -> None:
    matcher = small(node("a", {"lens": 1}, node("b", {"lenses": 3})), node("c", {"rash": 2}))
    assert matcher.points([], ["lenses"]) == {"a": 4.0, "b": 16.0}


def test_ignored_terms_use_their_words_up() -> None:
    matcher = small(node("a", {"stroke": 3}), ignored=("disorder and stroke",))
    assert matcher.points(tokens("institute of disorders and stroke")) == {}
    assert matcher.classify(tokens("the stroke institute")).department == "A"


# --- placement -------------------------------------------------------------------------------------------------------


def test_department_and_sub_department() -> None:
    matcher = small(node("a", {"pain": 1}), node("b", {"cut": 2}, node("c", {"bone": 3}), node("d", {"skin": 2})))
    assert matcher.classify(tokens("cut bone"))[:2] == ("B", "C")
    assert matcher.classify(tokens("cut skin"))[:2] == ("B", "D")
    assert matcher.classify(tokens("cut"))[:2] == ("B", NONE_LABEL)


def test_weak_sub_department_is_none_beside_much_general_evidence() -> None:
    matcher = small(node("a", {"virus": 3, "fever": 3, "vaccine": 3}, node("b", {"lung": 2})))
    assert matcher.classify(tokens("virus fever vaccine lung"))[:2] == ("A", NONE_LABEL)


def test_a_department_is_as_strong_as_its_strongest_node() -> None:
    """Many sub-departments with a little evidence each do not outvote one with a lot."""
    many = node("a", {}, *(node(f"a{word}", {word: 2}) for word in ("ear", "eye", "nose", "hand")))
    matcher = small(many, node("b", {}, node("bskin", {"skin": 3, "rash": 3})))
    assert matcher.classify(tokens("ear eye nose hand skin rash"))[:2] == ("B", "Bskin")


def test_spread_evidence_goes_to_the_department_that_gathers() -> None:
    organs = [node(word, {word: 3}) for word in ("ear", "eye", "nose", "hand")]
    text = tokens("syndrome of ear eye nose and hand")
    assert small(*organs, node("child", {"syndrome": 3})).classify(text).department == "Ear"
    gathering = small(*organs, node("child", {"syndrome": 3}, gathers=True))
    assert gathering.classify(text).department == "Child"
    assert gathering.classify(tokens("syndrome of one ear or both ears")).department == "Ear"
    assert gathering.classify(tokens("ear eye nose and hand")).department == "Ear"  # it needs evidence of its own


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
    assert matcher.classify([*["wall"] * LEAD_WORDS, "ear", "nose"], ["eye"]).department == "B"


def test_what_a_text_opens_with_outweighs_what_it_mentions_later() -> None:
    matcher = small(node("a", {"ear": 2}), node("b", {"eye": 2, "lens": 2}))
    assert matcher.classify(["ear", *["wall"] * LEAD_WORDS, "eye", "lens"]).department == "A"


def test_confidence_falls_with_a_close_second_and_with_little_evidence() -> None:
    matcher = small(node("a", {"ear": 3, "nose": 3}), node("b", {"eye": 2}))
    sure, thin, torn = (matcher.classify(tokens(text)).confidence for text in ("ear nose", "ear", "ear nose eye"))
    assert 0.5 < thin < sure < 1.0
    assert 0.5 < torn < sure


def test_tie_goes_to_the_first_node_with_even_odds() -> None:
    matcher = small(node("a", {"eye": 2}), node("b", {"eye": 2}))
    assert matcher.classify(["eye"]) == Placement("A", NONE_LABEL, 0.5)
    matcher = small(node("a", {"eye": 2}, node("b", {"lens": 2}), node("c", {"lens": 2})))
    assert matcher.classify(["lens"])[:2] == ("A", "B")


@given(st.lists(st.sampled_from(["ear", "eye", "nose", "wall"]), max_size=40))
def test_confidence_is_a_probability_and_none_has_none(words: list[str]) -> None:
    placement = small(node("a", {"ear": 3, "eye": 1}), node("b", {"nose": 2})).classify(words)
    assert 0.0 <= placement.confidence <= 1.0
    assert (placement.department == NONE_LABEL) == (placement.confidence == 0.0)


def test_equal_input_gives_equal_output_whatever_was_read_before() -> None:
    words = tokens("chest pain with shortness of breath after a heart attack in an older adult")
    first, second = CueMatcher(load_taxonomy()), CueMatcher(load_taxonomy())
    second.classify(tokens("Nephrocalcinosis, dermatofibroma and other words of many families."))
    assert first.classify(words) == second.classify(words)
    assert list(first.points(words).items()) == list(second.points(words).items())


# --- the shipped tree ------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("title", "department"),
    [
        ("Human epidermal growth of the nails: onychodystrophy", "Other Departments"),
        ("Nephrosclerosis of unknown cause", "Internal Medicine"),
        ("Tricuspid valvuloplasty", "Surgery"),
        ("Retinoblastomatous orbitopathy and keratopathy of the cornea", "Otorhinolaryngology (ENT)"),
    ],
)
def test_word_families_reach_words_that_no_cue_names(shipped: CueMatcher, title: str, department: str) -> None:
    assert shipped.classify(tokens(title)).department == department


def test_a_syndrome_of_many_organs_is_pediatric_and_one_of_a_single_organ_is_not(shipped: CueMatcher) -> None:
    many = "Microcephaly, hypertelorism, cataract, deafness, syndactyly, sparse hair, intellectual disability."
    assert shipped.classify(tokens(many))[:2] == ("Pediatrics", "Pediatric Internal Medicine")
    one = "Autosomal recessive retinitis pigmentosa with night blindness, optic disc pallor and tunnel vision."
    assert shipped.classify(tokens(one))[:2] == ("Otorhinolaryngology (ENT)", "Ophthalmology")


@pytest.mark.parametrize(
    ("language", "department"),
    [("en", "Internal Medicine"), (None, "Internal Medicine"), ("es", NONE_LABEL)],
)
def test_the_cues_are_english_so_rows_in_another_language_are_none(language: str | None, department: str) -> None:
    tree = load_taxonomy()
    row = scanned(language=language, title="Asthma", text="Asthma, hepatitis, diabetes: virus, asma bronquial.")
    outcome = run_stage(ClassifyStage(ClassifyConfig(), Rules(tree), tree), ScannedPassage, [row])
    (found,) = outcome.kept.select("department", "department_confidence").rows()
    assert found[0] == department
    assert (found[1] == 0.0) == (department == NONE_LABEL)


def test_the_test_passages_and_the_development_passages_are_apart() -> None:
    folder = Path(__file__).parents[1] / "benchmarks" / "labels"
    ids = []
    for name in ("departments.csv", "departments_dev.csv"):
        with (folder / name).open(newline="") as file:
            ids.append({row["doc_id"] for row in csv.DictReader(file)})
    assert len(ids[0]) == 400
    assert len(ids[1]) >= 250
    assert ids[0].isdisjoint(ids[1])
