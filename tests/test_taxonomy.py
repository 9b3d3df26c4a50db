from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from finemed.errors import ConfigError
from finemed.taxonomy import NONE_LABEL, Node, Taxonomy, load_taxonomy

PUBLISHED = {
    "Internal Medicine": [
        "Respiratory and Critical Care Medicine",
        "Cardiology",
        "Endocrinology",
        "Gastroenterology",
        "Hematology",
        "Nephrology",
        "Rheumatology and Immunology",
        "Neurology",
    ],
    "Surgery": [
        "Gastrointestinal Surgery",
        "Hepatobiliary Surgery",
        "Urology",
        "Cardiovascular Surgery",
        "Thoracic Surgery",
        "Orthopedic Surgery",
        "Neurosurgery",
        "Burns and Plastic Surgery",
        "Thyroid Surgery",
        "Breast Surgery",
    ],
    "Obstetrics and Gynecology": ["Gynecology", "Obstetrics"],
    "Pediatrics": ["Pediatric Internal Medicine", "Pediatric Surgery"],
    "Otorhinolaryngology (ENT)": ["Otorhinolaryngology", "Ophthalmology", "Dentistry (Oral Medicine)"],
    "Other Departments": [
        "Dermatology and Venereology",
        "Rehabilitation Medicine",
        "Anesthesiology",
        "Traditional Chinese Medicine (TCM)",
    ],
}

SMALL = """
version: "1"
name: small
departments:
  - id: eye
    label: Eye
    description: Sees.
    cues: {eye: 3}
    children:
      - {id: cornea, label: Cornea, description: In front., cues: {cornea: 3, contact lens: 1}}
      - {id: retina, label: Retina, description: At the back., cues: {retina: 3}}
  - id: ear
    label: Ear
    description: Hears.
    cues: {ear: 3}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "tree.yaml"
    path.write_text(text, "utf-8")
    return path


def faults(folder: Path, text: str) -> list[str]:
    """The lines of the error, without the path in front."""
    path = write(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_taxonomy(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}").removeprefix(": ") for line in lines]


def test_shipped_tree_has_the_published_labels_in_order() -> None:
    tree = load_taxonomy()
    assert {node.label: [child.label for child in node.children] for node in tree.departments} == PUBLISHED
    assert tree.labels()[0] == ("Internal Medicine", "Respiratory and Critical Care Medicine")
    assert len(tree.labels()) == 29


def test_shipped_tree_has_cues_enough_in_every_sub_department() -> None:
    counts = {child.id: len(child.cues) for node in load_taxonomy().departments for child in node.children}
    assert min(counts.values()) >= 40, counts


def test_no_cue_is_written_twice_in_one_node() -> None:
    loaded = sum(len(node.cues) for node in load_taxonomy().nodes())
    text = (Path(__file__).parents[1] / "schemas" / "taxonomy.yaml").read_text("utf-8")
    assert len(re.findall(r'[a-z0-9*"]: [123][,}]', text)) == loaded


def test_nodes_come_in_tree_order(tmp_path: Path) -> None:
    tree = load_taxonomy(write(tmp_path, SMALL))
    assert [node.id for node in tree.nodes()] == ["eye", "cornea", "retina", "ear"]
    assert tree.departments[1].children == ()


@pytest.mark.parametrize("name", ["eye", "Eye", "EYE"])
def test_department_by_id_or_label(tmp_path: Path, name: str) -> None:
    assert load_taxonomy(write(tmp_path, SMALL)).department(name).label == "Eye"


def test_stems_ignored_terms_and_the_department_that_gathers(tmp_path: Path) -> None:
    text = SMALL.replace("{ear: 3}", '{ear: 3, otol*: 2, "*cusis": 3}\n    gathers: true')
    tree = load_taxonomy(write(tmp_path, text.replace("name: small\n", "name: small\nignored: [eye bank]\n")))
    assert tree.ignored == ("eye bank",)
    assert tree.departments[1].cues == {"ear": 3, "otol*": 2, "*cusis": 3}
    assert [department.gathers for department in tree.departments] == [False, True]
    assert tree.content_hash() != load_taxonomy(write(tmp_path, text)).content_hash()


def test_the_shipped_tree_gathers_at_pediatrics_alone() -> None:
    assert [department.id for department in load_taxonomy().departments if department.gathers] == ["pediatrics"]


def test_a_sub_department_or_none_is_no_department(tmp_path: Path) -> None:
    tree = load_taxonomy(write(tmp_path, SMALL))
    for name in ("retina", NONE_LABEL):
        with pytest.raises(ConfigError, match=rf"^taxonomy small: `{name}` is no department; use one of eye, ear$"):
            tree.department(name)


def test_parent_of(tmp_path: Path) -> None:
    tree = load_taxonomy(write(tmp_path, SMALL))
    assert tree.parent_of("retina").id == "eye"
    with pytest.raises(ConfigError, match=r"^taxonomy small: `eye` is no sub-department; use one of cornea, retina$"):
        tree.parent_of("eye")


def test_content_hash_sees_content_and_not_layout(tmp_path: Path) -> None:
    first = load_taxonomy(write(tmp_path, SMALL)).content_hash()
    reordered = SMALL.replace("{cornea: 3, contact lens: 1}", "{contact lens: 1, cornea: 3}")
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert load_taxonomy(write(tmp_path, "# a comment\n" + reordered)).content_hash() == first
    assert load_taxonomy(write(tmp_path, SMALL.replace("retina: 3", "retina: 2"))).content_hash() != first
    raw = yaml.safe_load(SMALL)
    raw["departments"].reverse()
    assert load_taxonomy(write(tmp_path, yaml.safe_dump(raw))).content_hash() != first


def test_outline(tmp_path: Path) -> None:
    outline = load_taxonomy(write(tmp_path, SMALL)).outline()
    assert outline == "- Eye: Sees.\n  - Cornea: In front.\n  - Retina: At the back.\n- Ear: Hears."


def test_models_are_frozen_and_closed() -> None:
    node = Node(id="eye", label="Eye", description="Sees.", cues={"eye": 3})
    tree = Taxonomy(version="1", name="small", departments=(node,))
    for field in ("name", "departments"):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(tree, field, "other")
    with pytest.raises(ValidationError, match="Extra inputs"):
        Node.model_validate({**node.model_dump(), "colour": "blue"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "id: retina",
            "id: eye",
            "`departments[0].children[1].id` is 'eye', as is `departments[0].id`; make it unique",
        ),
        ("label: Ear", "label: eye", "`departments[1].label` is 'eye', as is `departments[0].label`; make it unique"),
        ("{ear: 3}", "{}", "`departments[1].cues` is empty; give at least one term, such as {stroke: 3}"),
        ("{ear: 3}", "[ear]", "`departments[1].cues` is a list instead of a mapping; write it as {stroke: 3, "),
        ("{ear: 3}", "{ear: 4}", "`departments[1].cues.ear` is 4, not a weight; set 1, 2 or 3"),
        ("{ear: 3}", "{ear: 0}", "`departments[1].cues.ear` is 0, not a weight; set 1, 2 or 3"),
        ("{ear: 3}", "{ear: yes}", "`departments[1].cues.ear` is True, not a weight; set 1, 2 or 3"),
        ("{ear: 3}", "{ear: 2.5}", "`departments[1].cues.ear` is 2.5, not a weight; set 1, 2 or 3"),
        ("{ear: 3}", "{Ear: 3}", "`departments[1].cues` has the term 'Ear'; write one to three lower-case words with"),
        ("{ear: 3}", "{x-linked: 3}", "`departments[1].cues` has the term 'x-linked'; write one to three lower-case"),
        ("{ear: 3}", "{a b c d: 3}", "`departments[1].cues` has the term 'a b c d'; write one to three lower-case"),
        ("{ear: 3}", "{ear: 3}\n    children: []", "`departments[1].children` is empty; give at least one entry"),
        ("{ear: 3}", "{ear: 3}\n    children: [drum]", "`departments[1].children[0]` is a text instead of a mapping; "),
        ("{ear: 3}", "{ear: 3}\n    colour: red", "`departments[1].colour` is no known key; use id, label, descrip"),
        (
            "{ear: 3}",
            "{ear ca*: 3}",
            "`departments[1].cues` has the term 'ear ca*'; write one to three lower-case words",
        ),
        (
            "{ear: 3}",
            "{ea*: 3}",
            "`departments[1].cues` has the term 'ea*'; write one to three lower-case words with si",
        ),
        (
            "{ear: 3}",
            '{"*ear*": 3}',
            "`departments[1].cues` has the term '*ear*'; write one to three lower-case words ",
        ),
        (
            "{ear: 3}",
            "{ear: 3}\n    gathers: yes please",
            "`departments[1].gathers` is 'yes please'; set it to true or f",
        ),
        (
            "cues: {retina: 3}}",
            "cues: {retina: 3}, gathers: true}",
            "`departments[0].children[1].gathers` is True; set",
        ),
        ("name: small\n", "name: small\nignored: eye\n", "`ignored` is a text instead of a list; write it as [food"),
        (
            "name: small\n",
            "name: small\nignored: [Eye bank]\n",
            "`ignored[0]` is 'Eye bank'; write one to three lower-",
        ),
        ("id: ear", "id: Ear canal", "`departments[1].id` is 'Ear canal'; write it in kebab-case, such as 'internal"),
        ("label: Ear", "label: None", "`departments[1].label` is 'None', the answer \"none of these\"; choose another"),
        ("description: Hears.", "description: 5", "`departments[1].description` is 5, not a text; write it in quotes"),
        ("    description: Hears.\n", "", "`departments[1].description` is missing; add it"),
        ("    cues: {ear: 3}\n", "", "`departments[1].cues` is missing; add it"),
        ('version: "1"', "version: 1", "`version` is 1, not a text; write it in quotes"),
        ("name: small\n", "", "`name` is missing; add it"),
    ],
)
def test_one_fault(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert SMALL.count(old) == 1
    (found,) = faults(tmp_path, SMALL.replace(old, new))
    assert found.startswith(message)


def test_three_levels(tmp_path: Path) -> None:
    deeper = "cues: {retina: 3}, children: [{id: rod, label: Rod, description: Grey., cues: {rod: 3}}]}"
    assert faults(tmp_path, SMALL.replace("cues: {retina: 3}}", deeper)) == [
        "`departments[0].children[1].children[0]` is a third level; the tree has two, move it up"
    ]


def test_all_faults_at_once(tmp_path: Path) -> None:
    broken = SMALL.replace("{ear: 3}", "{}").replace("id: ear", "id: eye").replace("name: small\n", "")
    assert faults(tmp_path, broken) == [
        "`name` is missing; add it",
        "`departments[1].cues` is empty; give at least one term, such as {stroke: 3}",
        "`departments[1].id` is 'eye', as is `departments[0].id`; make it unique in the tree",
    ]


def test_not_yaml(tmp_path: Path) -> None:
    (found,) = faults(tmp_path, 'version: "1"\nname: [small\n')
    assert re.fullmatch(r":3: not YAML \(.+\); mend the syntax", found)


@pytest.mark.parametrize(
    ("text", "kind"), [("", "nothing"), ("- eye", "a list"), ("eye", "a text"), ("3", "a single value")]
)
def test_not_a_mapping(tmp_path: Path, text: str, kind: str) -> None:
    assert faults(tmp_path, text) == [
        f"holds {kind} instead of a mapping; write the keys version, name, ignored, departments"
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[]", "`departments` is empty; give at least one entry"),
        ("eye", "`departments` is a text instead of a list; start each entry with `- id:`"),
        ("", "`departments` is nothing instead of a list; start each entry with `- id:`"),
    ],
)
def test_departments_is_no_list(tmp_path: Path, value: str, message: str) -> None:
    assert faults(tmp_path, f'version: "1"\nname: small\ndepartments: {value}\n') == [message]


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read \(.*\); give a UTF-8 YAML file"):
        load_taxonomy(tmp_path / "absent.yaml")
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("name: Méd".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml: cannot be read \(.*\); give a UTF-8 YAML file"):
        load_taxonomy(latin)
