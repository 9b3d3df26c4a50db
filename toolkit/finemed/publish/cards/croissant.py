"""Croissant metadata of a release (JSON-LD, Croissant 1.1): what dataset search engines and loaders read.

::

    found = croissant(manifest, Path("releases/1.1.0"))
    found["distribution"][0]     {"@type": "cr:FileObject", "contentUrl": "data/dpo/test.parquet", "sha256": ...}
    found["recordSet"][0]        {"@type": "cr:RecordSet", "@id": "dpo/test", "field": [...]}

One record set per config and split, its fields generated from the row classes. What a run knows about how its data came
about stands in the fields of the RAI extension. Nothing here goes by a clock but the date that the manifest has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from finemed.publish.cards.citation import METHOD, citation, publisher_of, title_of
from finemed.publish.cards.markdown import one_line
from finemed.publish.cards.origin import Origin
from finemed.publish.checks.exposure import PHI_FROM
from finemed.publish.pools import pool_of, split_order
from finemed.records import PUBLISHED
from finemed.records.counts import how_many
from finemed.store.atomic import file_hash

CONFORMS_TO = ("http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0")
FORMATS = {".parquet": "application/x-parquet", ".jsonl": "application/jsonlines"}
_TYPES = {"string": "sc:Text", "int64": "cr:Int64", "double": "cr:Float64", "bool": "sc:Boolean"}

_TERMS = (
    "arrayShape citeAs column conformsTo containedIn equivalentProperty extract field fileProperty fileObject fileSet "
    "format includes isArray isLiveDataset jsonPath key md5 parentField path recordSet references regex repeated "
    "replace samplingRate separator source subField transform"
)
_NAMESPACES = {
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **_NAMESPACES,
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
}


def croissant(manifest: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The metadata of a release as JSON values.

    Args:
        manifest: the release's; `files`, `version` and `date` are used where they are there.
        folder: holds the files.
    """
    card, figures = manifest["card"], manifest["figures"]
    licences = sorted({row["license"] for row in figures["licences"] if row["license"]})
    publisher = publisher_of(manifest)
    optional = {
        "version": manifest.get("version"),
        "datePublished": manifest.get("date"),
        "license": card["license"] or licences or None,
        "creator": [{"@type": "Organization", "name": publisher}] if publisher else None,
        "inLanguage": [code for code in figures["languages"] if code != "und"] or None,
    }
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": list(CONFORMS_TO),
        "name": one_line(title_of(manifest)),
        "description": _description(manifest),
        "keywords": ["medical", "instruction-tuning", "preference", "finemed"],
        "citeAs": f"{citation(manifest)} Method: {METHOD}",
        "isLiveDataset": False,
        **{name: value for name, value in optional.items() if value is not None},
        **_responsible(manifest),
        "distribution": _files(manifest, folder),
        "recordSet": [
            _record_set(config, split, rows, folder, manifest.get("extra_columns", {}))
            for config, splits in sorted(manifest["configs"].items())
            for split, rows in ((name, splits[name]) for name in split_order(splits))
        ],
    }


def _description(manifest: dict[str, Any]) -> str:
    counts = ", ".join(f"{config} {sum(splits.values())}" for config, splits in sorted(manifest["configs"].items()))
    summary = manifest["card"]["summary"]
    return (
        f"{one_line(summary) + ' ' if summary else ''}Medical questions and answers for "
        f"{Origin.of(manifest).uses.replace('`', '')}. Rows: {counts}."
    )


def _files(manifest: dict[str, Any], folder: Path) -> list[dict[str, Any]]:
    known = manifest.get("files", {})
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.suffix in FORMATS)
    return [
        {
            "@type": "cr:FileObject",
            "@id": name,
            "name": name,
            "contentUrl": name,
            "contentSize": f"{(folder / name).stat().st_size} B",
            "encodingFormat": FORMATS[Path(name).suffix],
            "sha256": known.get(name) or file_hash(folder / name),
        }
        for name in names
    ]


# --- record sets -----------------------------------------------------------------------------------------------------


def _record_set(config: str, split: str, rows: int, folder: Path, extra: dict[str, Any]) -> dict[str, Any]:
    name = f"{config}/{split}"
    row = PUBLISHED[pool_of(config)]
    view = f" A view: rows of sft/{split}." if pool_of(config) != config else ""
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": f"{row.__doc__} {how_many(rows, 'row')}.{view}",
        "key": {"@id": f"{name}/id"},
        "field": [
            _field(name, column, _meaning(column.name, row, extra))
            for column in pq.read_schema(folder / "data" / config / f"{split}.parquet")
        ],
    }


def _meaning(column: str, row: Any, extra: dict[str, Any]) -> str:
    """What a column holds: ours says its row class, a source's own one the configuration."""
    if column in row.model_fields:
        return row.model_fields[column].description or ""
    told = extra.get(column)
    if told is None:
        return ""
    said = f"{told['description'].rstrip('. ')}. " if told.get("description") else ""
    return f"{said}Column of the sources {', '.join(told['sources'])}."


def _field(record_set: str, column: Any, meaning: str) -> dict[str, Any]:
    """One column; a list of structs becomes an array whose sub-fields take the struct's parts by JSON path."""
    identity = f"{record_set}/{column.name}"
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": identity,
        "name": identity,
        "description": meaning,
    }
    if str(column.type) in _TYPES:
        return {**found, "dataType": _TYPES[str(column.type)], "source": _source(record_set, column.name)}
    parts = column.type.value_type
    sub_fields = [
        {
            "@type": "cr:Field",
            "@id": f"{identity}/{part.name}",
            "name": f"{identity}/{part.name}",
            "dataType": _TYPES[str(part.type)],
            "source": {**_source(record_set, column.name), "transform": {"jsonPath": part.name}},
        }
        for part in (parts.field(number) for number in range(parts.num_fields))
    ]
    return {**found, "isArray": True, "arrayShape": "-1", "subField": sub_fields}


def _source(record_set: str, column: str) -> dict[str, Any]:
    return {"fileObject": {"@id": f"data/{record_set}.parquet"}, "extract": {"column": column}}


# --- the RAI extension -----------------------------------------------------------------------------------------------


def _responsible(manifest: dict[str, Any]) -> dict[str, Any]:
    """How the data came about, as far as the run knows it."""
    figures, phi = manifest["figures"], manifest["figures"]["phi"]
    failed = {
        stage["stage"]: stage["drops"]["judge_failed"]
        for stage in manifest["stages"]
        if stage["drops"].get("judge_failed")
    }
    lost = ", ".join(f"{name} {count}" for name, count in failed.items()) or "none"
    origin = Origin.of(manifest)
    return {
        "rai:dataCollection": (
            f"{origin.opening} {METHOD}; from {how_many(len(manifest['inputs']), 'input file')}. manifest.json names "
            "files, hashes, models, prompts and settings."
        ),
        "rai:dataCollectionRawData": [
            f"{row['source']}: {how_many(row['questions'], 'question')}, licence {row['license'] or 'not stated'}, "
            f"attribution {row['attribution'] or 'not stated'}"
            for row in figures["licences"]
        ],
        "rai:dataCollectionType": ["Secondary Data analysis", "Software Collection"],
        "rai:dataCollectionMissingData": f"Rows without a usable judgement are left out, not scored low: {lost}.",
        "rai:dataPreprocessingProtocol": [_stage(stage) for stage in manifest["stages"]],
        "rai:dataAnnotationProtocol": [
            f"{kind}: {', '.join(f'{name} ({told})' for name, told in _in_words(counts))}"
            for kind, counts in figures["models"].items()
        ],
        "rai:annotationsPerItem": "1",
        "rai:machineAnnotationTools": [
            f"{name} (licence of its outputs: {facts.get('license') or 'not stated'})"
            for name, facts in sorted(manifest.get("backends", {}).items())
        ],
        "rai:dataUseCases": [f"Research on language models: {origin.uses.replace('`', '')}."],
        "rai:dataLimitations": _limits(manifest, origin),
        "rai:dataBiases": ["Sources are no balanced picture of medicine; the card shows rows by department."],
        "rai:personalSensitiveInformation": [
            f"Texts were scanned by rules before any call of a model: {phi['none_found']} showed nothing, "
            f"{phi['found']} something below {PHI_FROM:g} in confidence, {phi['not_scanned']} were in a language "
            "that the rules do not know. That is no certificate of de-identification."
        ],
        "rai:dataReleaseMaintenancePlan": (
            "Semantic versions with a changelog; rows are retracted by a patch release that lists them in "
            "tombstones.jsonl."
        ),
    }


def _limits(manifest: dict[str, Any], origin: Origin) -> list[str]:
    found = [
        f"Not a medical device, not medical advice. {origin.unreviewed}",
    ]
    if not origin.judged_by_rules:
        found.append("A score is the opinion of a model; it compares only within one judge and prompt version.")
    if manifest["extractive"]:
        found.append("At least one step was done by rules that cut text from the passages: not for training a model.")
    if not manifest["decontaminated"]:
        found.append("Overlap with benchmarks was not looked for.")
    return found


def _stage(stage: dict[str, Any]) -> str:
    counts = stage["counts"]
    reasons = ", ".join(f"{reason} {count}" for reason, count in stage["drops"].items())
    return (
        f"{stage['stage']} (version {stage['version']}): {counts['rows_in']} in, {counts['rows_kept']} kept, "
        f"{counts['rows_dropped']} dropped{f' ({reasons})' if reasons else ''}, {counts['rows_out']} out"
    )


def _in_words(counts: dict[str, int]) -> list[tuple[str, str]]:
    """Rows of each model, with their noun."""
    return [(name, how_many(rows, "row")) for name, rows in counts.items()]
