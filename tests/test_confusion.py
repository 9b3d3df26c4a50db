"""``finemed confusion``: a run's classification against labels, another method or another run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from finemed.cli.main import cli
from finemed.errors import FineMedError, InputError
from finemed.llm.rules import Rules
from finemed.publish.inspect.confusion import Classification, compare, stored
from finemed.publish.inspect.labels import read_labels
from finemed.taxonomy import Node, Taxonomy, load_taxonomy

TREE = """
version: "1"
name: small
departments:
  - id: eye
    label: Eye
    description: Sees.
    cues: {eye: 3}
    children:
      - {id: cornea, label: Cornea, description: In front., cues: {cornea: 3}}
      - {id: retina, label: Retina, description: At the back., cues: {retina: 3}}
  - id: ear
    label: Ear
    description: Hears.
    cues: {ear: 3, deafness: 3}
"""
TEXTS = [
    ("Cornea", "The cornea is the clear window of the eye. A drug may clear an infection of the cornea in a week."),
    ("Retina", "The retina turns light into signals. Patients with a torn retina need surgery within some days."),
    ("Ear", "The ear hears. Patients with an infection of the ear have fever and pain, and a drug may help them."),
    ("Deafness", "Deafness may begin at birth. A test of the hearing of each infant finds this disorder early."),
    (None, "Patients with a disease of which nothing is known get a diagnosis late and a treatment even later."),
]
CONFIG = """
name: small
sources: [{name: demo, path: texts.jsonl, columns: {title: title}, license: CC0-1.0}]
classify: {taxonomy: tree.yaml}
filter: {min_words: 5, min_medical_density: 0, min_medical_terms: 0, languages: []}
backends:
  big: {type: openai, model: m, base_url: "http://localhost:1/v1", api_key_env: null}
"""


def tree() -> Taxonomy:
    cornea, retina = (
        Node(id=name, label=name.title(), description="", cues={name: 3}) for name in ("cornea", "retina")
    )
    eye = Node(id="eye", label="Eye", description="", cues={"eye": 3}, children=(cornea, retina))
    return Taxonomy(
        version="1",
        name="small",
        departments=(eye, Node(id="ear", label="Ear", description="", cues={"ear": 3})),
    )


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the rules over five passages, with a tree of the user's own."""
    place = tmp_path_factory.mktemp("confusion")
    place.joinpath("tree.yaml").write_text(TREE)
    place.joinpath("finemed.yaml").write_text(CONFIG)
    rows = [{"title": title, "text": text} for title, text in TEXTS]
    place.joinpath("texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = invoke("build", "-c", place / "finemed.yaml", "--until", "classify")
    assert result.exit_code == 0, result.output + str(result.exception)
    return place


def by_title(run: Path) -> dict[str | None, str]:
    return dict(stored(run).rows.select("title", "passage_id").iter_rows())


def write_labels(path: Path, header: str, *lines: str) -> Path:
    path.write_text("\n".join([header, *lines]) + "\n", "utf-8")
    return path


# --- a whole run with the user's own tree ----------------------------------------------------------------------------


def test_the_rules_classify_by_the_users_own_tree(folder: Path) -> None:
    found = stored(folder / "run")
    titles = {passage: title for title, passage in by_title(folder / "run").items()}
    assert {titles[passage]: place for passage, place in found.places.items()} == {
        "Cornea": ("Eye", "Cornea"),
        "Retina": ("Eye", "Retina"),
        "Ear": ("Ear", "none"),
        "Deafness": ("Ear", "none"),
        None: ("none", "none"),
    }
    assert found.rows.filter(found.rows["department"] == "none")["department_confidence"].to_list() == [0.0]


def test_against_the_method_itself_everything_agrees(folder: Path) -> None:
    result = invoke("confusion", folder / "run", "--against", "rules", "-c", folder / "finemed.yaml", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["compared"], found["agreement"], found["kappa"], found["subdepartment_agreement"]) == (
        5,
        1.0,
        1.0,
        1.0,
    )
    assert (found["abstained"], found["against_abstained"], found["confusions"]) == (1, 1, [])
    assert (found["scores"], found["macro_f1"]) == (None, None)


def test_against_labels(folder: Path, tmp_path: Path) -> None:
    ids = by_title(folder / "run")
    labels = write_labels(
        tmp_path / "gold.csv",
        "passage_id,department,subdepartment",
        f"{ids['Cornea']},eye,Cornea",
        f"{ids['Retina']},Eye,cornea",
        f"{ids['Ear']},EAR,",
        f"{ids['Deafness']},eye,none",
        "p-unknown,ear,none",
    )
    result = invoke("confusion", folder / "run", "--against", labels, "-c", folder / "finemed.yaml", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["classes"] == ["Eye", "Ear", "none"]
    assert found["matrix"] == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert (found["compared"], found["missing"], found["unused"]) == (4, 1, 1)
    assert (found["agreement"], found["subdepartment_agreement"]) == (0.75, 0.5)
    assert found["kappa"] == pytest.approx((0.75 - 0.5) / 0.5)
    assert found["scores"]["Eye"] == {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": 0.8, "labelled": 3}
    assert found["scores"]["Ear"] == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3), "labelled": 1}
    assert found["macro_f1"] == pytest.approx((0.8 + 2 / 3) / 2)
    assert found["confusions"] == [
        {"against": ["Eye", "Cornea"], "method": ["Eye", "Retina"], "passages": 1, "examples": [ids["Retina"]]},
        {"against": ["Eye", "none"], "method": ["Ear", "none"], "passages": 1, "examples": [ids["Deafness"]]},
    ]


def test_the_page_is_aligned_text(folder: Path, tmp_path: Path) -> None:
    ids = by_title(folder / "run")
    labels = write_labels(tmp_path / "gold.csv", "passage_id,department", f"{ids['Ear']},ear", f"{ids['Cornea']},ear")
    result = invoke("confusion", folder / "run", "--against", labels, "-c", folder / "finemed.yaml")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{Rules.name} (columns) against gold.csv (rows): 2 passages compared\n"
        "3 passages of the run without a counterpart, 0 labels without a passage\n"
        "\n"
        "             1     2     3   all\n"
        " 1  Eye      0     0     0     0\n"
        " 2  Ear      1     1     0     2\n"
        " 3  none     0     0     0     0\n"
        "    all      1     1     0     2\n"
        "\n"
        "agreement on the department      0.500\n"
        "Cohen's kappa                    0.000\n"
        "answered none                    0; gold.csv: 0\n"
        "macro-F1 over the departments    0.667\n"
        "\n"
        "department  precision  recall     F1  labelled\n"
        "Eye             0.000   0.000  0.000         0\n"
        "Ear             1.000   0.500  0.667         2\n"
        "\n"
        f"most frequent confusions (gold.csv -> {Rules.name})\n"
        f"     1  Ear / none -> Eye / none  ({ids['Cornea']})\n"
    )


def test_a_documents_label_counts_for_all_its_passages(folder: Path, tmp_path: Path) -> None:
    rows = stored(folder / "run").rows
    path = write_labels(tmp_path / "gold.csv", "document_id,department", f"{rows['document_id'][0]},none")
    found = json.loads(
        invoke("confusion", folder / "run", "--against", path, "-c", folder / "finemed.yaml", "--json").stdout
    )
    assert (found["compared"], found["matrix"][2][0]) == (1, 1)


def test_against_another_run(folder: Path) -> None:
    result = invoke("confusion", folder / "run", "--against", folder / "run", "-c", folder / "finemed.yaml", "--json")
    assert json.loads(result.stdout)["kappa"] == 1.0


# --- faults ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("against", "code", "message"),
    [
        ("nobody", 2, "--against nobody: neither a file, a run nor a backend; known are rules, big"),
        ("big", 2, "--against big: its answers are paid for; classify with it in a run of its own"),
        ("absent.csv", 4, "absent.csv: cannot be read"),
    ],
)
def test_what_cannot_be_compared_with(folder: Path, against: str, code: int, message: str) -> None:
    result = invoke("confusion", folder / "run", "--against", against, "-c", folder / "finemed.yaml")
    assert isinstance(result.exception, FineMedError)
    assert result.exception.exit_code == code
    assert message in str(result.exception)


def test_a_tree_of_ones_own_needs_its_configuration(folder: Path) -> None:
    result = invoke("confusion", folder / "run", "--against", "rules")
    assert isinstance(result.exception, InputError)
    assert "is not in taxonomy finemed; give the configuration that the run was made with (-c)" in str(result.exception)


def test_a_folder_without_a_classification(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no classified passages; run `finemed build --until classify` first"):
        stored(tmp_path)


@pytest.mark.parametrize(
    ("header", "line", "message"),
    [
        ("id,department", "p1,eye", "has the columns id, department; give `department` and one of passage_id, docu"),
        ("passage_id,place", "p1,eye", "has the columns passage_id, place; give `department` and one of passage_id"),
        (
            "passage_id,department",
            "p1,nose",
            ":2: `department` is 'nose', which is not in taxonomy small; use eye, ",
        ),
        ("passage_id,department", "p1,", ":2: `department` is empty; write a label or id of the tree, or none"),
        (
            "passage_id,department,subdepartment",
            "p1,ear,cornea",
            ":2: `subdepartment` is 'cornea', which is not in",
        ),
        ("passage_id,department", "p1,eye\np1,ear", ":3: passage_id 'p1' has another label above; keep one of th"),
    ],
)
def test_faulty_labels(tmp_path: Path, header: str, line: str, message: str) -> None:
    path = write_labels(tmp_path / "gold.csv", header, line)
    with pytest.raises(InputError) as caught:
        read_labels(path, tree())
    assert str(caught.value).startswith(f"{path}:")
    assert message in str(caught.value)


def test_labels_of_other_passages_are_refused(folder: Path, tmp_path: Path) -> None:
    path = write_labels(tmp_path / "gold.csv", "passage_id,department", "p-unknown,eye")
    result = invoke("confusion", folder / "run", "--against", path, "-c", folder / "finemed.yaml")
    assert "no `passage_id` of it is in the run" in str(result.exception)


def test_a_labels_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "gold.csv"
    path.write_bytes("passage_id,department\np1,é\n".encode("latin-1"))
    with pytest.raises(InputError, match="cannot be read"):
        read_labels(path, tree())


# --- the arithmetic --------------------------------------------------------------------------------------------------

PLACES = st.sampled_from([("Eye", "Cornea"), ("Eye", "none"), ("Ear", "none"), ("none", "none")])


@given(st.lists(st.tuples(PLACES, PLACES), min_size=1, max_size=30))
def test_matrix_agreement_and_kappa_fit_together(pairs: list[tuple[tuple[str, str], tuple[str, str]]]) -> None:
    one = Classification("one", {f"p{at}": pair[0] for at, pair in enumerate(pairs)})
    two = Classification("two", {f"p{at}": pair[1] for at, pair in enumerate(pairs)}, labels=True)
    found, turned = compare(one, two, tree()), compare(two, one, tree())
    assert sum(map(sum, found.matrix)) == found.compared == len(pairs)
    assert [list(column) for column in zip(*found.matrix, strict=True)] == turned.matrix
    assert found.kappa == pytest.approx(turned.kappa)
    assert -1.0 <= found.kappa <= 1.0
    assert found.agreement >= (found.subdepartment_agreement or 0.0)
    assert (found.kappa == 1.0) == (found.agreement == 1.0)


def test_the_shipped_tree_has_all_classes() -> None:
    same = Classification("same", {"p1": ("Surgery", "Urology")})
    assert len(compare(same, same, load_taxonomy()).classes) == 7
