"""The settings of the backends: where language comes from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from finemed.config.base import VOLATILE, Settings, Share


class RulesBackend(Settings):
    """The embedded extractive backend: deterministic, local, free."""

    type: Literal["rules"] = "rules"
    """Names the kind of backend."""


class OpenAIBackend(Settings):
    """Any endpoint that speaks the OpenAI chat protocol."""

    type: Literal["openai"]
    """Names the kind of backend."""
    model: str
    """Model name as the endpoint knows it."""
    base_url: str | None = Field(default=None, pattern=r"^https?://", json_schema_extra=VOLATILE)
    """Endpoint, such as http://localhost:8000/v1; null is OpenAI's own."""
    api_key_env: str | None = Field(
        default="OPENAI_API_KEY", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", json_schema_extra=VOLATILE
    )
    """Name of the environment variable that holds the key; null for servers without one."""
    concurrency: Annotated[int, Field(ge=1, le=4096)] = Field(default=16, json_schema_extra=VOLATILE)
    """Calls in flight."""
    timeout_s: Annotated[float, Field(gt=0)] = Field(default=600.0, json_schema_extra=VOLATILE)
    """Longest wait for one reply, in seconds."""
    max_retries: Annotated[int, Field(ge=0, le=20)] = Field(default=6, json_schema_extra=VOLATILE)
    """Tries after a 429, a 5xx, a broken connection or a reply that is no JSON; then the stage stops."""
    retry_wait_s: Annotated[float, Field(ge=0)] = Field(default=0.5, json_schema_extra=VOLATILE)
    """First wait after a reply that is no JSON, doubled each time up to 8 s."""
    json_schema: bool = False
    """Send the reply's JSON Schema as `response_format`, for servers that enforce it."""
    model_family: str | None = None
    """Profile of finemed.models that knows how this model marks its reasoning."""
    extra_body: dict[str, Any] = Field(default={}, json_schema_extra={"hashed": True})
    """Further fields of the request, as the server defines them; only their hash is recorded."""


class EmbeddingsBackend(Settings):
    """A sentence-transformers model on this machine; for `classify` alone. Needs `pip install 'finemed[embed]'`."""

    type: Literal["embeddings"]
    """Names the kind of backend."""
    model: str
    """Folder of a sentence-transformers model, relative to the configuration file, or its name on the Hub."""
    revision: str | None = None
    """Commit or tag of a model on the Hub; name one, or a later version of the model changes what comes out."""
    min_similarity: Share = 0.3
    """Cosine to the nearest department below which the answer is `none`; the scale differs from model to model."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = Field(default=32, json_schema_extra=VOLATILE)
    """Passages embedded at a time."""


Backend = Annotated[RulesBackend | OpenAIBackend | EmbeddingsBackend, Field(discriminator="type")]
