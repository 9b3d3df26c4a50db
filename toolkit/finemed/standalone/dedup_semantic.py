"""The semantic pass of ``finemed dedup``: rows that ask the same in other words, and repeat in every other part."""

from __future__ import annotations

import numpy as np
import polars as pl

from finemed.config import DedupConfig
from finemed.llm.encoder import Encoder
from finemed.stages.dedup import DedupResult, Repeat
from finemed.stages.semantic import encode, paraphrases
from finemed.standalone.repeats import PartRepeats, PartRows
from finemed.text.guard import ClinicalFacts, difference, facts_of
from finemed.text.normalise import words
from finemed.text.paraphrase import essence
from finemed.text.shingle import jaccard, shingles


def drop_paraphrases(
    result: DedupResult,
    rows: PartRows,
    found: PartRepeats,
    names: list[str],
    ids: list[str],
    config: DedupConfig,
    encoder: Encoder,
) -> None:
    """The second pass, over what the first one kept: questions by their embeddings, all other parts as before."""
    if config.semantic is None:
        return
    parts = _parts(rows.parts.filter(rows.parts["kind"] != "label"))
    labels = _parts(rows.parts.filter(rows.parts["kind"] == "label"))
    left = [row for row in rows.order.tolist() if found.keeper[row] < 0 and row in parts]
    known = sum(row < rows.known for row in left)
    asked = [next(iter(parts[row])) for row in left]
    facts: dict[tuple[int, str], ClinicalFacts] = {}

    def of(row: int, name: str) -> ClinicalFacts:
        if (row, name) not in facts:
            text = parts[row][name]
            facts[row, name] = facts_of(text, title=rows.title[row], language=rows.language[row])
        return facts[row, name]

    def same(later: int, earlier: int) -> bool:
        row, other = left[later], left[earlier]
        if parts[row].keys() != parts[other].keys() or asked[later] != asked[earlier]:
            return False
        if labels.get(row) != labels.get(other):
            return False
        if essence(of(row, asked[later])) != essence(of(other, asked[later])):
            return False
        return all(_repeats(name, row, other) for name in parts[row] if name != asked[later])

    def _repeats(name: str, row: int, other: int) -> bool:
        one, two = parts[row][name], parts[other][name]
        if one == two:
            return True
        sets = [shingles(words(text), config.ngram_size) for text in (one, two)]
        if jaccard(*sets) < config.threshold:
            return False
        return not config.guard or difference(of(row, name), of(other, name)) is None

    vectors = encode(encoder, [parts[row][name] for row, name in zip(left, asked, strict=True)])
    for each in paraphrases(vectors, config.semantic.threshold, same, known=known):
        row, other = left[each.row], left[each.keeper]
        found.keeper[row] = other
        result.variants.pop(ids[row], None)
        result.dropped[ids[row]] = Repeat(names[other], each.cosine, "paraphrase")
    for row in np.flatnonzero(found.keeper >= 0).tolist():  # what repeats a row that went now repeats its keeper
        keeper = int(found.keeper[row])
        if found.keeper[keeper] >= 0 and ids[row] in result.dropped:
            found.keeper[row] = found.keeper[keeper]
            cosine = result.dropped[ids[keeper]].similarity
            result.dropped[ids[row]] = Repeat(names[int(found.keeper[row])], cosine, "paraphrase")


def _parts(parts: pl.DataFrame) -> dict[int, dict[str, str]]:
    """The parts of each row by name, its first question first."""
    first = (pl.col("kind") != "question").alias("#later")
    found: dict[int, dict[str, str]] = {}
    table = parts.with_columns(first).sort("row", "#later", maintain_order=True)
    for row, part, text in table.select("row", "part", "text").iter_rows():
        found.setdefault(row, {})[part] = text
    return found
