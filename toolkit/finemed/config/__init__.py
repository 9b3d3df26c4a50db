"""The settings of a build, read from ``finemed.yaml`` and ``--set``.

::

    config = load_config(Path("finemed.yaml"), ["route.top_share=0.1"])
"""

from finemed.config.backends import (
    BatchBackend,
    EmbeddingsBackend,
    EndpointConfig,
    OpenAIBackend,
    Price,
    RulesBackend,
    VllmBackend,
)
from finemed.config.base import Settings
from finemed.config.card import CardConfig
from finemed.config.file import load_config, load_section
from finemed.config.identity import identity, stable_hash
from finemed.config.settings import (
    LLM_SECTIONS,
    BuildConfig,
    ClassifyConfig,
    DecontaminateConfig,
    DedupConfig,
    FilterConfig,
    GenerateConfig,
    IngestConfig,
    JudgeAnswersConfig,
    JudgeConfig,
    LlmConfig,
    PhiConfig,
    QuotaConfig,
    RankConfig,
    ReasonConfig,
    RespondConfig,
    RouteConfig,
    SemanticConfig,
    SplitConfig,
)
from finemed.config.sources import Columns, SourceConfig

__all__ = [
    "LLM_SECTIONS",
    "BatchBackend",
    "BuildConfig",
    "CardConfig",
    "ClassifyConfig",
    "Columns",
    "DecontaminateConfig",
    "DedupConfig",
    "EmbeddingsBackend",
    "EndpointConfig",
    "FilterConfig",
    "GenerateConfig",
    "IngestConfig",
    "JudgeAnswersConfig",
    "JudgeConfig",
    "LlmConfig",
    "OpenAIBackend",
    "PhiConfig",
    "Price",
    "QuotaConfig",
    "RankConfig",
    "ReasonConfig",
    "RespondConfig",
    "RouteConfig",
    "RulesBackend",
    "SemanticConfig",
    "Settings",
    "SourceConfig",
    "SplitConfig",
    "VllmBackend",
    "identity",
    "load_config",
    "load_section",
    "stable_hash",
]
