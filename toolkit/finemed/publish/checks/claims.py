"""What validation reads of a manifest that may come from anywhere; what it holds in full is `records.manifest`.

::

    Claims.model_validate_json(b'{"configs": {"sft": {"train": 83}}, "files": {"README.md": "9727..."}, ...}')

A manifest may come from anywhere; what does not have these types is refused as a whole, with the first fault.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from finemed.records.manifest import Manifest


class OwnColumn(BaseModel):
    """A source's own column, as the configuration declared it."""

    type: Literal["string", "integer", "number", "boolean"]
    sources: list[str]
    description: str | None = None


class Claims(BaseModel):
    """What validation reads of a manifest; the rest is left alone."""

    model_config = ConfigDict(extra="ignore", strict=True)

    configs: dict[str, dict[str, int]]
    files: dict[str, str]
    content: dict[str, str] = {}
    version: str | None = None
    release_hash: str | None = None
    backends: dict[str, Any] = {}
    columns: dict[str, list[dict[str, str]]] = {}
    extra_columns: dict[str, OwnColumn] = {}
    stages: list[dict[str, Any]] = []
    dpo_questions: str = "all"

    @property
    def whole_documents(self) -> bool:
        """Whether a document lies in one split alone; as the split stage was told."""
        stage = next((stage for stage in self.stages if stage.get("stage") == "split"), {})
        settings = stage.get("settings")
        return bool(settings.get("whole_documents", True)) if isinstance(settings, dict) else True


def short(error: Exception) -> str:
    """An error in one line; of a manifest, where it is and what."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return f"`{where[:80]}`: {first['msg'][:120]}" if where else first["msg"][:120]
    return " ".join(str(error).split())[:160]


FROM_INSIDE = (
    "an edit that is consistent in rows, hashes and manifest cannot be seen from inside; --expect-hash tells it"
)
"""What no check of a folder can find."""


def stated(manifest: Manifest | None) -> dict[str, str]:
    """What a release says that nothing in its folder can prove: a name, and how it is said."""
    if manifest is None:
        return {}
    figures = manifest.figures
    models, listed = figures.get("models"), figures.get("licences")
    models = models if isinstance(models, dict) else {}
    listed = listed if isinstance(listed, list) else []
    names = sorted({str(name).rpartition(", ")[0] or str(name) for kind in models.values() for name in kind})
    licences = sorted({str(row.get("license")) for row in listed if isinstance(row, dict)})
    claims = {
        "toolkit": f"it was built with finemed {manifest.finemed}",
        "inputs": f"{len(manifest.inputs)} input files had these sizes and hashes",
        "settings": "every stage had the settings that the manifest lists",
        "stages": "counts of rows between the stages, of pairs compared and of nodes; ledger and notes name what left",
        "models": f"questions, answers and scores come from {', '.join(names) or 'nobody'}, asked with these prompts",
        "model licences": f"the licences of {len(manifest.backends)} models' outputs are these",
        "source licences": f"the sources' licences are those of the rows: {', '.join(licences) or 'none'}",
        "benchmarks": f"rows were compared with {sum(manifest.benchmarks.values())} items of "
        f"{', '.join(manifest.benchmarks) or 'no benchmark'}",
        "passages": "ids, addresses and places in documents; what the scan of the passages for personal data said",
        "owner's words": "`card`: title, summary, notes, contact, and the licence of the whole, "
        f"{manifest.card.get('license') or 'not stated'}",
        "taxonomy": f"departments are those of {manifest.taxonomy.name} {manifest.taxonomy.version}",
    }
    if manifest.version is not None:
        claims["publication"] = "date, repository, parent and the words of the changelog"
    return claims
