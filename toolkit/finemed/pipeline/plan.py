"""The stages of a build in order, and the fingerprints that decide what has to run.

A stage's fingerprint hashes its name, version, settings and the bytes of its input. Changing a setting therefore
re-runs just the stages that read it, and what follows only where the output really changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from finemed.config import (
    LLM_SECTIONS,
    BatchBackend,
    BuildConfig,
    EmbeddingsBackend,
    OpenAIBackend,
    Price,
    RulesBackend,
    VllmBackend,
    identity,
    stable_hash,
)
from finemed.errors import ConfigError
from finemed.llm.accounting import Budget
from finemed.llm.base import Backend
from finemed.records import JudgedInstruction, ScannedPassage
from finemed.sources.columns import column_faults
from finemed.sources.files import InputFile, Quarantined
from finemed.sources.records import find_files
from finemed.stages.base import Stage
from finemed.stages.calls import Egress
from finemed.stages.classify import ClassifyStage
from finemed.stages.decontaminate import BenchmarkIndex, DecontaminateStage
from finemed.stages.dedup import DedupStage
from finemed.stages.filter import FilterStage
from finemed.stages.generate import GenerateStage
from finemed.stages.ingest import IngestStage
from finemed.stages.judge import JudgeStage
from finemed.stages.judge_answers import JudgeAnswersStage
from finemed.stages.phi import PhiStage
from finemed.stages.quota import QuotaStage
from finemed.stages.rank import RankStage
from finemed.stages.reason import ReasonStage
from finemed.stages.respond import RespondStage
from finemed.stages.route import RouteStage
from finemed.stages.select import SelectStage
from finemed.stages.split import SplitStage
from finemed.store.earlier import Earlier
from finemed.taxonomy import Taxonomy, load_taxonomy

STAGES = (
    "ingest",
    "filter",
    "phi",
    "dedup_passages",
    "classify",
    "quota",
    "generate",
    "judge",
    "select",
    "dedup_instructions",
    "decontaminate",
    "route",
    "reason",
    "respond",
    "decontaminate_answers",
    "judge_answers",
    "rank",
    "split",
)


@dataclass
class Plan:
    """Everything that a build needs; `base` is the folder that relative paths of the configuration start from."""

    config: BuildConfig
    base: Path
    backfill: dict[str, int] = field(default_factory=dict)
    """Further passages to draw by node id, from ``finemed coverage --backfill``."""
    passed_over: list[Quarantined] = field(default_factory=list)
    """Files beside the data that are none, once `files` was looked for."""
    earlier: Earlier | None = None
    """What the versions that `split.previous` names published; whoever makes the plan opens them."""

    @cached_property
    def taxonomy(self) -> Taxonomy:
        own = self.config.classify.taxonomy
        return load_taxonomy(None if own is None else self.base / own)

    @cached_property
    def benchmarks(self) -> BenchmarkIndex:
        return BenchmarkIndex.load(self.config.decontaminate, self.base)

    @cached_property
    def files(self) -> list[InputFile]:
        found, faults = [], []
        for source in self.config.sources:
            files = find_files(source, self.base, passed_over=self.passed_over)
            faults += column_faults(source, files)
            found.extend(files)
        if faults:
            raise ConfigError("\n".join(faults))
        return found

    def check_sources(self) -> None:
        """Finds every source and its columns, before anything runs.

        Raises:
            ConfigError: a column that the settings name is not as they say.
            InputError: a source cannot be found.
        """
        _ = self.files

    @cached_property
    def inputs(self) -> list[dict[str, Any]]:
        """Name, size and hash of every input file."""
        return [file.facts() for file in self.files]

    @cached_property
    def _backends(self) -> dict[str, Backend]:
        return {}

    def backend(self, section: str) -> Backend:
        """The backend of a section; sections with equal settings share one."""
        settings = self.config.backend_of(section)
        key = stable_hash(settings.model_dump(mode="json"))
        if key not in self._backends:
            self._backends[key] = self._make(settings)
        return self._backends[key]

    def price(self, section: str) -> Price | None:
        """What a section's backend costs; None where it costs nothing or nobody said."""
        settings = self.config.backend_of(section) if section in LLM_SECTIONS else None
        return settings.price if isinstance(settings, OpenAIBackend | BatchBackend) else None

    def prices(self) -> dict[str, Price]:
        """Prices by backend name, for a budget over all stages."""
        found: dict[str, Price] = {}
        for section in LLM_SECTIONS:
            price, name = self.price(section), self.backend(section).name
            if price is not None and found.setdefault(name, price) != price:
                raise ConfigError(f"`backends`: two prices for {name}; its calls are counted together, so set one")
        return found

    def addresses(self) -> dict[str, str | None]:
        """The address that each source states of itself, by name, for the manifest."""
        return {source.name: source.url for source in self.config.sources}

    def licences(self) -> dict[str, dict[str, str | None]]:
        """The licence of every model that a section asks, by backend name, for the manifest.

        Raises:
            ConfigError: two backends of one name with different licences.
        """
        found: dict[str, dict[str, str | None]] = {}
        for section in LLM_SECTIONS:
            name, licence = self.backend(section).name, self.config.backend_of(section).license
            if found.setdefault(name, {"license": licence})["license"] != licence:
                raise ConfigError(f"`backends`: two licences for {name}; rows name it alone, so set the same `license`")
        return found

    def budget(self, *, max_tokens: int | None, max_cost: float | None) -> Budget | None:
        """A limit over all calls of the run; None where none is set.

        Raises:
            ConfigError: a limit on money where a backend has no price, or prices in several currencies.
        """
        if max_tokens is None and max_cost is None:
            return None
        prices = self.prices()
        if max_cost is not None:
            asked = [self.backend(section) for section in LLM_SECTIONS]
            paid = {backend.name for backend in asked if not (backend.free or backend.local)}
            unknown = sorted(paid - set(prices))
            if unknown:
                raise ConfigError(f"--max-cost: no `price` for {', '.join(unknown)}; set it under `backends`")
            if len({price.currency for price in prices.values()}) > 1:
                raise ConfigError("--max-cost: the prices are in several currencies; use one, or --max-tokens")
        return Budget(max_tokens, max_cost, prices)

    def egress(self, section: str) -> Egress:
        """What may be sent to the backend of a section."""
        policy, name = self.config.phi, getattr(self.config, section).backend
        return Egress(policy.withhold_from, policy.withhold_unscanned, name in policy.allow_backends)

    def _make(self, settings: Any) -> Backend:
        if isinstance(settings, RulesBackend):
            from finemed.llm.rules import Rules

            return Rules(self.taxonomy)
        if isinstance(settings, EmbeddingsBackend):
            from finemed.llm.embeddings import Embeddings

            return Embeddings(settings, self.taxonomy, self.base)
        if isinstance(settings, VllmBackend):
            from finemed.llm.vllm import VllmChat

            return VllmChat(settings, self.base)
        if isinstance(settings, BatchBackend):
            from finemed.llm.batch import BatchChat

            return BatchChat(settings)
        from finemed.llm.openai import OpenAIChat

        return OpenAIChat(settings)

    def close(self) -> None:
        """Closes the backends that were opened."""
        for backend in self._backends.values():
            backend.close()

    def stages(self) -> list[Stage]:
        """The stages in the order of `STAGES`."""
        c = self.config
        return [
            IngestStage(c.ingest),
            FilterStage(c.filter),
            PhiStage(c.phi),
            DedupStage(
                "dedup_passages",
                c.dedup_passages,
                ScannedPassage,
                "passage_id",
                "text",
                title="title",
                base=self.base,
            ),
            ClassifyStage(c.classify, self.backend("classify"), self.taxonomy, self.egress("classify")),
            QuotaStage(c.quota, self.taxonomy, c.seed, self.backfill),
            GenerateStage(c.generate, self.backend("generate"), self.egress("generate")),
            JudgeStage(c.judge, self.backend("judge"), self.egress("judge")),
            SelectStage(c.seed),
            DedupStage(
                "dedup_instructions",
                c.dedup_instructions,
                JudgedInstruction,
                "instruction_id",
                "instruction",
                quality="quality",
                node=("department", "subdepartment"),
                base=self.base,
            ),
            DecontaminateStage.of_questions(c.decontaminate, self.benchmarks),
            RouteStage(c.route, c.split, c.seed, self.earlier),
            ReasonStage(c.reason, self.backend("reason"), self.egress("reason")),
            RespondStage(c.respond, self.backend("respond"), self.egress("respond")),
            DecontaminateStage.of_answers(c.decontaminate, self.benchmarks),
            JudgeAnswersStage(c.judge_answers, self.backend("judge_answers"), self.egress("judge_answers")),
            RankStage(c.rank),
            SplitStage(c.split, c.seed, self.earlier),
        ]

    def source_hash(self) -> str:
        """Hash of everything that decides what ingest reads."""
        sources = [identity(source) for source in self.config.sources]
        files = [{key: fact for key, fact in file.items() if key != "commit"} for file in self.inputs]
        return stable_hash({"sources": sources, "files": files})  # a commit may leave a file as it was


def fingerprint(stage: Stage, input_hash: str) -> str:
    """Identity of a stage's output."""
    contract = stage.contract
    return stable_hash(
        {"stage": contract.name, "version": contract.version, "settings": stage.settings(), "input": input_hash}
    )


def output_hash(report: dict[str, Any]) -> str:
    """Hash of a finished stage's kept rows, from its report."""
    return stable_hash([[name, value] for name, value in sorted(report["files"].items()) if name.startswith("kept-")])


def stage_number(name: str) -> int:
    """Position in the pipeline.

    Raises:
        ConfigError: no such stage.
    """
    if name not in STAGES:
        raise ConfigError(f"stage `{name}` is unknown; stages are {', '.join(STAGES)}")
    return STAGES.index(name)


def stage_range(first: str | None, last: str | None) -> tuple[int, int]:
    """Numbers of the first stage to run anew (one past the end: none) and of the last one to run.

    Raises:
        ConfigError: no such stage, or the wrong way round.
    """
    begin = stage_number(first) if first else len(STAGES)
    end = stage_number(last) if last else len(STAGES) - 1
    if first and begin > end:
        raise ConfigError(f"--from {first} --until {last}: `{last}` comes before `{first}`; nothing would run")
    return begin, end


def stage_folder(run: Path, name: str) -> Path:
    """Folder of a stage's output."""
    return run / "stages" / f"{STAGES.index(name) + 1:02d}-{name}"
