"""The nearest samples of a pool, by the cosine of their *questions*.

::

    index = Index.build(samples, HashedTfidf())
    index.nearest("What causes gout?", k=1)[0].similarity    # 0.61

Only the question is embedded: a system prompt that all samples share would make all vectors look alike.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from finemed.errors import ConfigError, MissingExtraError, TrainingError

Vectors = NDArray[np.float32]
_WORD = re.compile(r"\w+", re.UNICODE)


class Embedder(Protocol):
    """Turns texts into vectors of length one."""

    def fit(self, texts: Sequence[str]) -> None:
        """See the texts that will be searched, once, before anything is embedded."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, dimensions); each row has length 1, or 0 where nothing is known of the text."""


class HashedTfidf:
    """Term frequency times inverse document frequency over hashed words; needs no model and no download.

    A word's bucket and sign come from its BLAKE2b hash, so vectors are equal on every machine (Weinberger et al. 2009,
    "Feature Hashing for Large Scale Multitask Learning"). 4 bytes x `dimensions` per sample.
    """

    def __init__(self, dimensions: int = 2048) -> None:
        """Start without texts seen: all words weigh alike."""
        self.dimensions = dimensions
        self._places: dict[str, tuple[int, float]] = {}
        self._weights: Vectors = np.ones(dimensions, dtype=np.float32)

    def fit(self, texts: Sequence[str]) -> None:
        """Learn how common each bucket is among `texts`."""
        seen = np.zeros(self.dimensions, dtype=np.float64)
        for text in texts:
            seen[sorted({self._place(word)[0] for word in _words(text)})] += 1
        self._weights = (np.log((1 + len(texts)) / (1 + seen)) + 1).astype(np.float32)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, dimensions)."""
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in _words(text):
                bucket, sign = self._place(word)
                vectors[row, bucket] += sign
        return _unit(vectors * self._weights)

    def _place(self, word: str) -> tuple[int, float]:
        place = self._places.get(word)
        if place is None:
            number = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")
            place = self._places[word] = ((number >> 1) % self.dimensions, 1.0 if number & 1 else -1.0)
        return place


class SentenceEmbedder:
    """A sentence-transformers model; `name` is a folder or a model id on the Hub."""

    def __init__(self, name: str) -> None:
        """Load the model.

        Raises:
            MissingExtraError: sentence-transformers is not installed.
        """
        if importlib.util.find_spec("sentence_transformers") is None:
            raise MissingExtraError(f"the embedder sentence-transformers:{name}", "embed")
        from sentence_transformers import SentenceTransformer

        self._model: Any = SentenceTransformer(name)

    def fit(self, texts: Sequence[str]) -> None:
        """Nothing to learn: the model is trained already."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Vectors of shape (texts, dimensions)."""
        vectors = self._model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)


def make_embedder(name: str) -> Embedder:
    """``tfidf`` or ``sentence-transformers:<folder or model id>``.

    Raises:
        ConfigError: there is no such embedder.
        MissingExtraError: sentence-transformers is not installed.
    """
    kind, _, model = name.partition(":")
    if name == "tfidf":
        return HashedTfidf()
    if kind == "sentence-transformers" and model:
        return SentenceEmbedder(model)
    raise ConfigError(f"`embedder` is {name!r}; set tfidf or sentence-transformers:<folder or model id>")


@dataclass(frozen=True)
class Sample:
    """One row of the pool: what was asked and the message lists that are trained on."""

    id: str
    question: str
    prompt: list[dict[str, str]]
    completion: list[dict[str, str]]


@dataclass(frozen=True)
class Neighbour:
    """A sample and the cosine of its question with the one that was asked."""

    sample: Sample
    similarity: float


@dataclass(frozen=True)
class Index:
    """Exact search over the samples' question vectors."""

    samples: tuple[Sample, ...]
    vectors: Vectors
    embedder: Embedder

    @classmethod
    def build(cls, samples: Sequence[Sample], embedder: Embedder) -> Index:
        """Embed all questions; samples are put in the order of their ids, so that ties fall alike everywhere.

        Raises:
            TrainingError: there are no samples.
        """
        if not samples:
            raise TrainingError("the index has no samples to search; name a release whose `ttt` pool is filled")
        ordered = tuple(sorted(samples, key=lambda sample: sample.id))
        questions = [sample.question for sample in ordered]
        embedder.fit(questions)
        return cls(ordered, embedder.embed(questions), embedder)

    def nearest(self, question: str, k: int) -> list[Neighbour]:
        """The `k` most similar samples, most similar first; fewer when the pool is smaller."""
        scores = self.vectors @ self.embedder.embed([question])[0]
        order = np.argsort(-scores, kind="stable")[:k]
        return [Neighbour(self.samples[i], round(float(scores[i]), 6)) for i in order]


def samples_of(rows: Any) -> list[Sample]:
    """A pool's rows (``id``, ``prompt``, ``completion``) as samples; the question is what the user said last."""
    return [
        Sample(row["id"], row["prompt"][-1]["content"], list(row["prompt"]), list(row["completion"])) for row in rows
    ]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return unit
