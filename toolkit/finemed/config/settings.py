"""The settings of a build: one model per stage.

All models are frozen and refuse unknown keys. Fields marked *volatile* (where, how fast, with which key) never change
what comes out, so they enter no hash.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from finemed.config.backends import Backend, RulesBackend
from finemed.config.base import VOLATILE, Language, Name, Settings, Share, each_once
from finemed.config.card import CardConfig
from finemed.config.sources import SourceConfig
from finemed.records import TASK_TYPES, Difficulty, TaskType


class IngestConfig(Settings):
    """Documents to passages."""

    max_tokens: Annotated[int, Field(ge=32, le=8192)] = 700
    """Longest passage, in tokens estimated as 1.3 per word."""
    min_tokens: Annotated[int, Field(ge=0)] = 40
    """A last piece shorter than this is joined to the piece before it."""
    shard_rows: Annotated[int, Field(ge=10)] = 1000
    """Records per shard: the unit of memory, of resuming and of files."""


class FilterConfig(Settings):
    """Rules that drop passages before anything is paid for; `finemed filter` shows what each one does."""

    min_words: Annotated[int, Field(ge=0)] = 25
    """Shortest passage, in words; Chinese and Japanese characters are a word each. Rows with a question of their own
    are exempt."""
    max_words: Annotated[int, Field(ge=1)] = 4000
    """Longest passage, in words; rows with a question of their own are exempt."""
    max_mojibake: Annotated[int, Field(ge=0)] = 10
    """Character sequences tolerated that come from text decoded with the wrong character set."""
    min_letter_share: Share = 0.6
    """Share of letters among the characters that are not blanks."""
    max_symbol_ratio: Annotated[float, Field(ge=0)] = 0.1
    """Symbols such as #, * and | per word."""
    max_number_share: Share = 0.3
    """Share of the words that are numbers."""
    max_words_per_sentence: Annotated[float, Field(ge=1)] = 250.0
    """Words for each end of a sentence; lists and tables without sentences have more."""
    max_repeated_share: Share = 0.4
    """Share of the five-word sequences that were already seen in the passage."""
    max_repeated_line_share: Share = 0.3
    """Share of the characters in lines that were already seen in the passage."""
    max_spam_cues: Annotated[int, Field(ge=0)] = 2
    """Advertising phrases tolerated."""
    max_boilerplate_share: Share = 0.35
    """Share of sentences that are navigation, cookie or login text."""
    allow_truncated: bool = False
    """Keep passages that end in an ellipsis or in a link to the rest."""
    max_reference_density: Annotated[float, Field(ge=0)] = 5.0
    """Marks of bibliographies (years with volumes, page ranges, authors with initials, addresses) per 100 words."""
    languages: Annotated[list[Language], AfterValidator(each_once)] = ["en"]
    """Languages to keep, as codes such as `en` (`en-US` and `eng` are the same); empty keeps all. Text that cannot be
    identified is `und`."""
    min_medical_density: Annotated[float, Field(ge=0)] = 1.5
    """Weighted medical terms per 100 words (English, Spanish, Chinese); words of other fields count against. 0, with
    `min_medical_terms` 0, keeps all."""
    min_medical_terms: Annotated[int, Field(ge=0)] = 2
    """Different medical terms."""


class PhiConfig(Settings):
    """Protected health information: what of it may leave this machine."""

    withhold_from: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Confidence from which a finding counts as high; such passages go to no backend that is not local."""
    allow_backends: list[Name] = []
    """Names of backends that may see them all the same, for example a server of your own."""
    withhold_unscanned: bool = False
    """Treat passages in a language that the detector does not know in the same way."""
    drop: bool = False
    """Drop such passages at once, whichever backend follows."""


class SemanticConfig(Settings):
    """Paraphrases, by sentence embeddings. Needs `pip install 'finemed[embed]'`."""

    model: str
    """Folder of a sentence-transformers model, relative to the configuration file, or its name on the Hub."""
    revision: str | None = None
    """Commit or tag of a model on the Hub; name one, or a later version of the model changes what comes out."""
    threshold: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Cosine from which two rows with the same clinical words are one; the scale differs from model to model."""
    batch_size: Annotated[int, Field(ge=1, le=4096)] = Field(default=32, json_schema_extra=VOLATILE)
    """Texts embedded at a time."""


class DedupConfig(Settings):
    """Near-duplicate removal by MinHash with exact verification."""

    threshold: Annotated[float, Field(gt=0, le=1)] = 0.8
    """Exact Jaccard similarity from which two rows are near-duplicates."""
    ngram_size: Annotated[int, Field(ge=1, le=13)] = 5
    """Words per shingle."""
    num_bands: Annotated[int, Field(ge=1, le=64)] = 25
    """LSH bands; more find more pairs."""
    rows_per_band: Annotated[int, Field(ge=1, le=32)] = 5
    """Permutations per band; more give fewer candidates."""
    max_bucket: Annotated[int, Field(ge=2)] = 2000
    """Kept rows that one row is compared with in one bucket; what lies beyond is counted."""
    guard: bool = True
    """Keep near-identical rows that differ in a number, a unit, a negation, a side, or in the disease or drug that they
    are about; they are listed by `finemed ledger --kept`."""
    max_source_loss: Share = 0.5
    """Share of a source's rows that may go as repeats; beyond it the run fails."""
    max_node_loss: Share = 0.5
    """The same for a node of the taxonomy, where rows have one."""
    loss_min_rows: Annotated[int, Field(ge=1)] = 100
    """Sources and nodes with fewer rows have no such limit."""
    semantic: SemanticConfig | None = None
    """A second pass that drops rows which ask the same in other words; null leaves it out."""
    index: str | None = Field(default=None, json_schema_extra=VOLATILE)
    """Folder of an index of published rows, relative to the configuration file: they win over new ones. Its content is
    hashed; `finemed dedup --index` adds to it."""


class LlmConfig(Settings):
    """How a stage talks to its backend."""

    backend: Name = "rules"
    """`rules` or a name under `backends`."""
    model: str | None = None
    """Overrides the backend's model for this stage."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """Sampling temperature."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the probability mass that tokens are drawn from."""
    max_tokens: Annotated[int, Field(ge=16)] = 1024
    """Longest reply; one that is cut off there is dropped, not used."""
    max_reasks: Annotated[int, Field(ge=0, le=5)] = 2
    """Further tries when a reply cannot be parsed."""
    max_failure_share: Share = Field(default=0.2, json_schema_extra=VOLATILE)
    """Share of unusable replies (of at least 50) from which the stage stops instead of passing a biased rest on."""


class ClassifyConfig(LlmConfig):
    """Place in the department tree."""

    taxonomy: str | None = Field(default=None, json_schema_extra=VOLATILE)
    """A tree of your own (YAML), relative to the configuration file; its content is hashed."""


class QuotaConfig(Settings):
    """How many questions each node of the tree should end with; what lies beyond is held back before it is paid for."""

    wanted: dict[str, Annotated[int, Field(ge=0)]] = {}
    """Samples wanted by node id, such as `cardiology: 500`; a department's number holds for it as a whole."""
    default: Annotated[int, Field(ge=0)] | None = None
    """Samples wanted of every sub-department that `wanted` does not name; null sets no limit."""
    surplus: Annotated[float, Field(ge=1, le=20)] = 1.25
    """Passages drawn per wanted sample, since some are lost on the way."""


class GenerateConfig(LlmConfig):
    """Two questions per passage."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    """Sampling temperature, as published."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Share of the probability mass, as published."""
    max_tokens: Annotated[int, Field(ge=16)] = 4096
    """Longest reply, as published."""
    task_types: Annotated[list[TaskType], Field(min_length=2)] = list(TASK_TYPES)
    """What questions may ask for; each passage is offered them in an order of its own, which balances a corpus."""
    difficulty: dict[Difficulty, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {
        "basic": 1,
        "intermediate": 2,
        "advanced": 1,
    }
    """Weights from which each passage draws how hard its questions should be; 0 or nothing leaves a level out."""

    @field_validator("task_types")
    @classmethod
    def _different(cls, given: list[TaskType]) -> list[TaskType]:
        if len(set(given)) < len(given):
            raise ValueError("a task type stands twice; name each once")
        return given

    @field_validator("difficulty")
    @classmethod
    def _some_weight(cls, given: dict[Difficulty, float]) -> dict[Difficulty, float]:
        if not sum(given.values()) > 0:
            raise ValueError("no level has a weight above 0; write for example {intermediate: 1}")
        return given


class JudgeConfig(LlmConfig):
    """Scores of the questions."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.8


class DecontaminateConfig(Settings):
    """Removal of text that overlaps with benchmarks."""

    benchmarks: list[str] = Field(default=[], json_schema_extra=VOLATILE)
    """Short names (`medqa`, `medmcqa`, `pubmedqa`, `mmlu`, `mmlu_pro`), or files, folders and patterns relative to the
    configuration file, or URLs (`https://`, `hf://owner/dataset`) of JSON, JSON Lines, CSV or Parquet with questions
    and options; contents are hashed."""
    action: Literal["drop", "mark"] = "drop"
    """Drop what repeats an item, or keep it and say so in the column `contamination`."""
    min_score: Annotated[float, Field(ge=0.3, le=1)] = 0.6
    """Share of an item that a text must hold, by the weights of the words in order; short items need more."""
    ngram_size: Annotated[int, Field(ge=5, le=50)] = 13
    """Consecutive words shared with an item that suffice alone, where they are not boilerplate."""


class RouteConfig(Settings):
    """Which questions get a long reasoning answer."""

    complexity_above: Annotated[int, Field(ge=0, le=10)] | None = 8
    """Questions scored above this are complex (the published rule)."""
    top_share: Share | None = None
    """Or: this share of the questions, hardest first. Set one of the two."""

    @model_validator(mode="after")
    def _one_rule(self) -> RouteConfig:
        if (
            self.top_share is not None
            and "complexity_above" in self.model_fields_set
            and self.complexity_above is not None
        ):
            raise ValueError("set `complexity_above` or `top_share`, not both; `complexity_above: null` makes room")
        if self.top_share is None and self.complexity_above is None:
            raise ValueError("set `complexity_above` or `top_share`")
        return self


class RespondConfig(LlmConfig):
    """Ordinary answers."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Annotated[int, Field(ge=16)] = 2048


class ReasonConfig(LlmConfig):
    """Long reasoning answers to complex questions."""

    temperature: Annotated[float, Field(ge=0, le=2)] = 0.7
    max_tokens: Annotated[int, Field(ge=16)] = 8192


class JudgeAnswersConfig(LlmConfig):
    """Scores of the answers."""

    drop_ungrounded_numbers: bool = True
    """Drop written answers with a dose or a percentage that their passage does not hold, before they are judged."""


class RankConfig(Settings):
    """Choice of the better ordinary answer."""

    min_score: Annotated[float, Field(ge=1, le=10)] = 1.0
    """Answers with a mean score below this are dropped."""


class SplitConfig(Settings):
    """Pools and their splits."""

    validation: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share of each pool's rows."""
    test: Annotated[float, Field(ge=0, le=0.5)] = 0.05
    """Share of each pool's rows."""
    ttt_share: Share = 0.4
    """Share of the complex samples that go to `ttt` instead of `dpo` and `sft_reasoning`."""
    component_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.7
    """Questions at least this similar (Jaccard of word trigrams) are one component; the release is checked for it."""
    passage_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """So are questions from passages at least this similar (Jaccard of five-word sequences)."""
    answer_threshold: Annotated[float, Field(ge=0.5, le=1)] = 0.8
    """So are questions with answers at least this similar (of five words too); the release is checked for it."""
    whole_documents: bool = True
    """Questions of one document are one component too. Where a few long documents hold most of the text, this leaves
    little for `ttt`; false lets their passages part, and the card says so. Near-duplicates stay together either way."""
    min_rows: dict[Literal["sft", "sft_reasoning", "dpo", "ttt"], Annotated[int, Field(ge=0)]] = Field(
        default={"sft": 1, "sft_reasoning": 1, "dpo": 1, "ttt": 1}
    )
    """Smallest pools that are worth publishing; pools that are left out keep their minimum of 1."""
    max_rows: dict[Literal["sft", "sft_reasoning", "dpo", "ttt"], Annotated[int, Field(ge=0)] | None] = {}
    """Largest pools, such as `{sft: 50000}`; null or nothing sets no limit. `dpo` and `sft_reasoning` hold the same
    questions, so the smaller of their two numbers holds for both; what `ttt` may not take stays with them."""
    mixture: dict[Literal["source", "department", "task_type"], dict[str, Share]] = {}
    """Shares of the `sft` pool by one column, such as `{source: {guidelines: 0.3}}`; what is not named shares the rest.
    Rows are dropped until the shares hold."""

    previous: Annotated[list[str], BeforeValidator(lambda given: [given] if isinstance(given, str) else given)] = Field(
        default=[], json_schema_extra=VOLATILE
    )
    """Where earlier versions were published, one target or several: a folder of versions, the folder of one, or
    `hf://owner/name`. What was once in a split, or in `ttt`, and what is like it stays there. Folders are relative to
    the configuration file; the rows' files are hashed. `--previous` adds to it."""

    @model_validator(mode="after")
    def _leaves_training_rows(self) -> SplitConfig:
        if self.validation + self.test > 0.8:
            raise ValueError("`validation` and `test` together leave less than a fifth for training; lower them")
        return self

    @model_validator(mode="after")
    def _can_hold(self) -> SplitConfig:
        for pool, most in self.max_rows.items():
            if most is not None and most < self.min_rows[pool]:
                raise ValueError(f"`max_rows.{pool}` is {most}, below `min_rows.{pool}` ({self.min_rows[pool]})")
        if len(self.mixture) > 1:
            named = " and ".join(sorted(self.mixture))
            raise ValueError(f"`mixture` names {named}; only shares of one column can hold at a time")
        for column, shares in self.mixture.items():
            if not shares:
                raise ValueError(f"`mixture.{column}` names nothing; write for example {{name: 0.3}}, or leave it out")
            if sum(shares.values()) > 1 + 1e-9:
                raise ValueError(f"shares of `mixture.{column}` come to {sum(shares.values()):g}, above 1; lower them")
        return self

    @field_validator("min_rows")
    @classmethod
    def _over_defaults(cls, given: dict[Any, int]) -> dict[Any, int]:
        return {"sft": 1, "sft_reasoning": 1, "dpo": 1, "ttt": 1} | given


def _name_on_the_hub(name: str) -> str:
    if "--" in name or name.endswith(("-", ".git")):
        raise ValueError("no name on the Hub: it may not hold `--` nor end in `-`")
    return name


class BuildConfig(Settings):
    """A whole ``finemed.yaml``."""

    name: Annotated[Name, AfterValidator(_name_on_the_hub)]
    """Short name of the release."""
    seed: int = 0
    """Seed of every random choice."""
    run_dir: str = Field(default="run", json_schema_extra=VOLATILE)
    """Where the run lies, relative to the configuration file."""
    sources: Annotated[list[SourceConfig], Field(min_length=1)]
    backends: dict[Name, Backend] = {}
    ingest: IngestConfig = IngestConfig()
    filter: FilterConfig = FilterConfig()
    phi: PhiConfig = PhiConfig()
    dedup_passages: DedupConfig = DedupConfig()
    classify: ClassifyConfig = ClassifyConfig()
    quota: QuotaConfig = QuotaConfig()
    generate: GenerateConfig = GenerateConfig()
    judge: JudgeConfig = JudgeConfig()
    dedup_instructions: DedupConfig = DedupConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    route: RouteConfig = RouteConfig()
    respond: RespondConfig = RespondConfig()
    reason: ReasonConfig = ReasonConfig()
    judge_answers: JudgeAnswersConfig = JudgeAnswersConfig()
    rank: RankConfig = RankConfig()
    split: SplitConfig = SplitConfig()
    card: CardConfig = CardConfig()

    @model_validator(mode="after")
    def _one_type_a_column(self) -> BuildConfig:
        """A column that two sources bring has one type: a published file has one for all rows."""
        known: dict[str, tuple[str, str, str]] = {}
        for source in self.sources:
            for name, told in source.columns.extra.items():
                first, kind, spelt = known.setdefault(name.casefold(), (source.name, told.type, name))
                if (kind, spelt) != (told.type, name):
                    raise ValueError(
                        f"`columns.extra.{name}` of source `{source.name}` is {told.type}, and `{spelt}` of `{first}` "
                        f"is {kind}; give both the same name and type, or publish one under another name"
                    )
        return self

    def extra_columns(self) -> dict[str, dict[str, Any]]:
        """The sources' own columns that are published: name -> its type, the sources that bring it, what it means."""
        found: dict[str, dict[str, Any]] = {}
        for source in self.sources:
            for name, told in source.columns.extra.items():
                column = found.setdefault(name, {"type": told.type, "sources": [], "description": None})
                column["sources"].append(source.name)
                column["description"] = column["description"] or told.description
        return dict(sorted(found.items()))

    def backend_of(self, section: str) -> Backend:
        """The backend that a section names, with the section's own model where it sets one."""
        settings: LlmConfig = getattr(self, section)
        backend = self.backends.get(settings.backend, RulesBackend())
        if settings.model is not None and not isinstance(backend, RulesBackend):
            other = {} if settings.model == backend.model else {"license": None}
            return backend.model_copy(update={"model": settings.model, **other})
        return backend


LLM_SECTIONS = ("classify", "generate", "judge", "respond", "reason", "judge_answers")
