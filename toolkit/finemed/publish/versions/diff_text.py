"""The differences of two releases as a person reads them; all words of a corpus escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from finemed.publish.cards.markdown import escape, one_line
from finemed.publish.pools import pool_of
from finemed.publish.versions.diff_rows import ConfigDiff
from finemed.records.counts import how_many

Counts = Mapping[str, tuple[int, int]]
LEAST_SHIFT = 0.001
"""Shares that moved by less are not worth a line."""


def reasons(configs: Mapping[str, ConfigDiff], parts: list[str]) -> str:
    """The weightiest facts in a few words, such as ``column `x` of `sft` added``."""
    schema = [fact for config in configs.values() if config.breaks for fact in _schema_facts(config)]
    rows = [
        f"`{name}`: {_row_facts(config)}"
        for name, config in configs.items()
        if pool_of(name) == name and (config.rows_differ or config.is_new)
    ]
    return "; ".join((schema or rows or [f"{', '.join(parts)} changed"] * bool(parts))[:3])


def markdown(
    configs: Mapping[str, ConfigDiff],
    departments: Counts,
    sources: Mapping[tuple[str, str, str], tuple[int, int]],
    parts: list[str],
) -> str:
    """All differences as a list."""
    lines: list[str] = []
    views = [config for name, config in configs.items() if pool_of(name) != name]
    for config in configs.values():
        if config not in views:
            lines += _config_lines(config)
    lines += [fact for view in views for fact in _schema_facts(view)]
    moved = [view for view in views if view.rows_differ and not view.is_new and not view.is_gone]
    if moved:
        lines.append(
            f"Views of `sft` whose rows differ: {', '.join(f'`{escape_code(view.config)}`' for view in moved)}"
        )
    lines += _shift_lines(departments)
    lines += _source_lines(sources)
    if parts:
        lines.append(f"Beside the rows: {', '.join(f'`{escape_code(part)}`' for part in parts)}")
    return "".join(f"- {line}\n" for line in lines)


def escape_code(name: str) -> str:
    """A name that will stand between backticks, as one line that cannot end them."""
    return one_line(name.replace("`", "'"))


def _config_lines(config: ConfigDiff) -> Iterator[str]:
    name = escape_code(config.config)
    old, new = sum(config.old_rows.values()), sum(config.new_rows.values())
    yield from _schema_facts(config)
    if config.rows_differ and not (config.is_new or config.is_gone):
        yield f"`{name}`: {old:,} -> {how_many(new, 'row')}: {_row_facts(config)}"
    shifts = [
        f"{score} {old_mean:.2f} -> {new_mean:.2f}"
        for score, (old_mean, new_mean) in config.scores.items()
        if old_mean is not None and new_mean is not None and f"{old_mean:.2f}" != f"{new_mean:.2f}"
    ]
    if shifts:
        yield f"`{name}`, mean scores: {', '.join(shifts)}"


def _row_facts(config: ConfigDiff) -> str:
    facts = [f"{config.added:,} added"] * bool(config.added)
    facts += [f"{config.removed:,} removed"] * bool(config.removed)
    if config.changed:
        columns = ", ".join(f"`{escape_code(name)}` {count:,}" for name, count in config.changed_columns.items())
        facts.append(f"{config.changed:,} changed ({columns})")
    return ", ".join(facts)


def _schema_facts(config: ConfigDiff) -> Iterator[str]:
    name = escape_code(config.config)
    if config.is_new:
        yield f"config `{name}` is new, with {how_many(sum(config.new_rows.values()), 'row')}"
    elif config.is_gone:
        yield f"config `{name}` is gone, with its {how_many(sum(config.old_rows.values()), 'row')}"
    else:
        yield from (f"`{name}`: split `{escape_code(split)}` removed" for split in config.splits_removed)
        yield from (f"`{name}`: split `{escape_code(split)}` added" for split in config.splits_added)
    if pool_of(config.config) != config.config:
        return  # a view's columns are those of `sft`
    for column, kind in config.columns_added.items():
        yield f"`{name}`: column `{escape_code(column)}` added ({escape_code(kind)})"
    for column, kind in config.columns_removed.items():
        yield f"`{name}`: column `{escape_code(column)}` removed ({escape_code(kind)})"
    for column, (before, after) in config.columns_retyped.items():
        yield f"`{name}`: column `{escape_code(column)}` is {escape_code(after)}, was {escape_code(before)}"


def _shift_lines(departments: Counts) -> Iterator[str]:
    before = sum(old for old, _ in departments.values())
    after = sum(new for _, new in departments.values())
    if not before or not after:
        return
    shifts = {name: (old / before, new / after) for name, (old, new) in departments.items()}
    moved = {name: pair for name, pair in shifts.items() if abs(pair[1] - pair[0]) >= LEAST_SHIFT}
    if moved:
        told = (f"{escape(name)} {old:.1%} -> {new:.1%}" for name, (old, new) in moved.items())
        yield f"Departments, share of the questions: {', '.join(told)}"


def _source_lines(sources: Mapping[tuple[str, str, str], tuple[int, int]]) -> Iterator[str]:
    """Sources that came, went, or whose licence or attribution changed."""
    questions: dict[str, list[int]] = {}
    terms: dict[str, tuple[list[str], list[str]]] = {}
    for (source, licence, attribution), counts in sources.items():
        told = escape(", ".join([licence or "licence unknown", *([attribution] if attribution else [])]))
        for side, count in enumerate(counts):
            questions.setdefault(source, [0, 0])[side] += count
            if count:
                terms.setdefault(source, ([], []))[side].append(told)
    for source, (old, new) in terms.items():
        before, after = questions[source]
        if not old:
            yield f"Source {escape(source)} ({'; '.join(new)}) is new, with {how_many(after, 'question')}"
        elif not new:
            yield f"Source {escape(source)} ({'; '.join(old)}) is gone, with its {how_many(before, 'question')}"
        elif old != new:
            yield f"Source {escape(source)}: licence and attribution are now {'; '.join(new)}; were {'; '.join(old)}"
