"""From a release's pool to token ids of which only the answer is trained on.

::

    pool = load_pool("release", "sft", "train")
    sample = encode_answer(tokenizer, pool[0]["prompt"], pool[0]["completion"], max_length=512)
    # input_ids  <s> <|user|> What is gout ? <|assistant|> Gout is ... </s>
    # labels     -100  -100   -100 ...          -100       Gout is ... </s>

SFT and test-time training encode through this one function, with the chat template that inference uses. trl encodes
``prompt``/``completion`` rows to the same ids and labels (a test holds that), but cuts long rows without a word; here
they are counted.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finemed.errors import TrainingError
from finemed.records.counts import how_many
from finemed.training.libraries import quiet_libraries

Message = dict[str, str]
IGNORED = -100
"""Label of a token that is not trained on."""


@dataclass(frozen=True)
class Encoded:
    """One sample as token ids."""

    input_ids: list[int]
    labels: list[int]
    """As long as `input_ids`; -100 where a token is not trained on."""
    length: int
    """Tokens before anything was cut."""
    ends: bool
    """The answer's end-of-sequence token is among the labels."""

    @property
    def supervised(self) -> int:
        """Tokens that are trained on."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True)
class Counts:
    """What became of a pool's rows; goes into ``metrics.json``."""

    pool: str
    rows: int
    rows_dropped: int
    truncated: int
    tokens: int
    supervised_tokens: int
    longest: int

    def as_dict(self) -> dict[str, int | str]:
        """The counts by name."""
        return asdict(self)


def load_pool(release: str, name: str, split: str = "train", *, columns: Sequence[str] = (), at_least: int = 1) -> Any:
    """One split of one pool, as a ``datasets.Dataset``.

    A folder's Parquet files are read directly. ``datasets.load_dataset`` (5.2) keys its cache by the folder's last name
    and the README's ``configs``, not by path or content: it returns the old rows after a rebuild, and the rows of any
    other folder called ``release``.

    Args:
        release: folder of a release, or a dataset id on the Hub.
        name: the pool (``sft``, ``sft_reasoning``, ``dpo``, ``ttt``) or a view (``sft_surgery``).
        split: ``train``, ``validation`` or ``test``.
        columns: those that the caller needs; the others are left behind. None named: all.
        at_least: rows that the caller needs.

    Raises:
        TrainingError: there is no such release, pool or split, or it has too few rows or columns.
    """
    import datasets

    quiet_libraries()
    try:
        if Path(release).is_dir():
            rows = _read_local(release, name, split)
        else:
            rows = datasets.load_dataset(release, name, split=split)
    except (ValueError, OSError, datasets.exceptions.DatasetsError) as error:
        fact = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise TrainingError(
            f"{release}: the split `{split}` of the pool `{name}` cannot be loaded: {fact}; "
            "name a release folder that `finemed build` or `finemed demo` wrote"
        ) from error
    if len(rows) < at_least:
        raise TrainingError(
            f"{release}: the split `{split}` of the pool `{name}` has {how_many(len(rows), 'row')}, {at_least} are "
            "needed; build a release from more text, or lower the threshold that fills this pool"
        )
    missing = [column for column in columns if column not in rows.column_names]
    if missing:
        raise TrainingError(
            f"{release}: the pool `{name}` has no column {', '.join(missing)}; it has {', '.join(rows.column_names)}: "
            "name another pool in the recipe"
        )
    return rows.select_columns(list(columns)) if columns else rows


def _read_local(release: str, name: str, split: str) -> Any:
    """The files that the README names for this pool and split, as a dataset in memory.

    Raises:
        ValueError: there is no such pool or split.
        OSError: a file cannot be read.
    """
    import datasets
    import pyarrow.parquet as pq

    if glob.has_magic(release):  # which datasets would take for a pattern
        files = {path.stem: [path] for path in sorted(Path(release, "data", name).glob("*.parquet"))}
    else:
        files = datasets.load_dataset_builder(release, name).config.data_files
    if split not in files:
        raise ValueError(f"it has only {', '.join(str(each) for each in files)}")
    return datasets.Dataset(pq.read_table([str(file) for file in files[split]]))


def encode_answer(tokenizer: Any, prompt: Sequence[Message], answer: Sequence[Message], max_length: int) -> Encoded:
    """Render question and answer with the tokenizer's chat template and mark the answer's tokens as labels.

    Labels go by position, never by token id: an EOS that equals the pad token is trained on all the same.

    Args:
        tokenizer: brings the chat template and the EOS token.
        prompt: the messages before the answer.
        answer: one assistant message.
        max_length: tokens that are kept, counted from the start.

    Raises:
        TrainingError: the template does not end an answer with EOS, doubles BOS, or renders the question in training
            otherwise than in inference.
    """
    asked = list(tokenizer.apply_chat_template(list(prompt), add_generation_prompt=True, return_dict=True)["input_ids"])
    whole = list(tokenizer.apply_chat_template([*prompt, *answer], return_dict=True)["input_ids"])
    if whole[: len(asked)] != asked:
        raise TrainingError(
            "the chat template renders a question with its answer otherwise than the question alone, so training "
            "would not see what inference sees; set `chat_template` to a file that renders both alike"
        )
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    if bos is not None and bos != eos and whole.count(bos) > 1:
        raise TrainingError(
            f"a sample holds {whole.count(bos)} BOS tokens ({tokenizer.bos_token!r}), one is right; "
            "correct the chat template or drop rows whose text spells that token"
        )
    if eos not in whole[len(asked) :]:
        raise TrainingError(
            f"the chat template does not close an answer with the EOS token {tokenizer.eos_token!r}, so the model "
            "would never learn to stop; correct the template or the tokenizer's `eos_token`"
        )
    labels = [IGNORED] * len(asked) + whole[len(asked) :]
    kept = labels[:max_length]
    return Encoded(whole[:max_length], kept, len(whole), eos in kept)


def encode_pool(rows: Any, tokenizer: Any, max_length: int, pool: str) -> tuple[Any, Counts]:
    """A pool's ``prompt``/``completion`` rows as a dataset of ``input_ids`` and ``labels``, with its counts.

    A row whose question alone fills `max_length` has nothing to train on and is dropped, counted.

    Raises:
        TrainingError: no answer would keep its end.
    """

    def encode(row: dict[str, Any]) -> dict[str, Any]:
        sample = encode_answer(tokenizer, row["prompt"], row["completion"], max_length)
        return {**asdict(sample), "supervised": sample.supervised}

    encoded = rows.map(encode, remove_columns=rows.column_names, load_from_cache_file=False)
    lengths = encoded["length"]
    _refuse_all_cut(pool, sum(encoded["ends"]), len(encoded), max_length, shortest=min(lengths))
    kept = encoded.filter(lambda row: row["supervised"] > 0, load_from_cache_file=False)
    counts = Counts(
        pool=pool,
        rows=len(kept),
        rows_dropped=len(encoded) - len(kept),
        truncated=sum(length > max_length for length in lengths),
        tokens=sum(min(length, max_length) for length in lengths),
        supervised_tokens=sum(kept["supervised"]),
        longest=max(lengths),
    )
    return kept.select_columns(["input_ids", "labels"]), counts


def count_pairs(rows: Any, tokenizer: Any, max_length: int, pool: str) -> tuple[Any, Counts]:
    """The ``prompt``/``chosen``/``rejected`` columns of a pool as they are, with the counts of what trl will cut.

    A pair counts as truncated when either side is longer than `max_length`, and is dropped when either side has no
    answer token left: trl would train such a pair on nothing against something.

    Raises:
        TrainingError: no chosen answer would keep its end.
    """
    sides = [
        tuple(encode_answer(tokenizer, row["prompt"], row[side], max_length) for side in ("chosen", "rejected"))
        for row in rows
    ]
    lengths = [max(chosen.length, rejected.length) for chosen, rejected in sides]
    _refuse_all_cut(
        pool, sum(chosen.ends for chosen, _ in sides), len(sides), max_length, min(pair[0].length for pair in sides)
    )
    keep = [index for index, pair in enumerate(sides) if all(side.supervised for side in pair)]
    counts = Counts(
        pool=pool,
        rows=len(keep),
        rows_dropped=len(sides) - len(keep),
        truncated=sum(length > max_length for length in lengths),
        tokens=sum(len(side.input_ids) for index in keep for side in sides[index]),
        supervised_tokens=sum(side.supervised for index in keep for side in sides[index]),
        longest=max(lengths),
    )
    return rows.select(keep), counts


def _refuse_all_cut(pool: str, whole: int, rows: int, max_length: int, shortest: int) -> None:
    if whole == 0:
        raise TrainingError(
            f"pool `{pool}`: all {rows} rows are longer than `max_length` = {max_length} tokens, so no answer keeps "
            f"its end; the shortest has {shortest}: set `max_length` well above that"
        )
