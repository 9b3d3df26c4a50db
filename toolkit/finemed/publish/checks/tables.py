"""The Parquet files of a release, row group by row group, through every rule about rows.

::

    tables = Tables(shipped, previous=None, faults)
    tables.check()          # reads data/*/*.parquet, ledger.parquet, notes.parquet
    tables.rows             # 191
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from finemed.errors import FineMedError
from finemed.publish.checks.endings import check_cut_off
from finemed.publish.checks.exposure import Scanned, check_addresses, check_phi, check_secrets
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.ids import check_ids
from finemed.publish.checks.provenance import Provenance
from finemed.publish.checks.rules import REBUILD, Batch, check_judge, check_messages, check_values
from finemed.publish.checks.settings import Settings
from finemed.publish.checks.shipped import Shipped
from finemed.publish.checks.spread import Components, Spread
from finemed.publish.figures import Figures
from finemed.publish.pools import arrow_schema, pool_of, view_name
from finemed.publish.versions.tombstones import Tombstones
from finemed.publish.versions.version import Version
from finemed.records import ADDED_LATER, POOLS, SCHEMAS, frame_schema
from finemed.records.manifest import Manifest
from finemed.sources.columnar import decoding_errors, footer_errors
from finemed.taxonomy import NONE_LABEL

RECORDS = {"ledger.parquet": "ledger", "notes.parquet": "note"}
"""Tables beside the data, and the name of their schema."""
_FOOTER = ("ARROW:schema",)
"""Metadata that the writers put into a file's footer."""
BATCH_ROWS = 4096
BATCH_BYTES = 32_000_000


@dataclass
class Tables:
    """The rows of one release on their way through the rules."""

    shipped: Shipped
    previous: Shipped | None
    faults: Faults
    rows: int = 0
    pools: Counter[str] = field(default_factory=Counter)
    """Pool -> its rows."""
    questions: int | None = None
    components: Components | None = None
    figures: Figures = field(default_factory=Figures)
    unread: str = ""
    """File that could not be read to its end."""
    uncounted: str = ""
    """Why the figures do not count all rows."""
    scanned: Scanned = field(default_factory=Scanned)

    def check(self) -> None:
        """Reads all tables once."""
        faults, manifest = self.faults, self.shipped.manifest
        faults.apply("schema")
        spread, origin = Spread(), Provenance()
        settings = None if self.shipped.whole is None else Settings.of(self.shipped.whole)
        if manifest is not None:
            views = views_of(self.shipped.whole)
            spread = Spread(whole_documents=manifest.whole_documents, pairs=manifest.dpo_questions, views=views)
        if not self.shipped.data:
            faults.add("schema", "data", "there is no data/<config>/<split>.parquet", "give the folder of a release")
        for (config, split), path in self.shipped.data.items():
            for batch in self._batches(config, split, path):
                self._rows(batch)
                spread.add(batch, faults)
                origin.add(batch, faults)
                if settings is not None:
                    settings.check(batch, faults)
        spread.finish(faults, self._read, self._row_of)
        if settings is not None:
            settings.finish(faults)
        self.questions, self.components = spread.questions, spread.components
        if manifest is not None:
            origin.finish(manifest.backends, faults)
        else:
            faults.skip("model_licence", "the manifest cannot be read")
        for name, schema in RECORDS.items():
            if name in self.shipped.names and schema in SCHEMAS:
                self._record(name, schema)
        self.scanned.tell(faults)
        self._features()

    def _rows(self, batch: Batch) -> None:
        faults = self.faults
        check_values(batch, faults)
        check_judge(batch, faults)
        check_messages(batch, faults)
        check_ids(batch, faults)
        check_cut_off(batch, faults)
        nested = [
            name for name in ("messages", "prompt", "completion", "chosen", "rejected") if name in batch.frame.columns
        ]
        check_secrets(batch.frame, {name: batch.turns(name) for name in nested}, batch.place, faults)
        if batch.config in POOLS:  # a view has the very rows of `sft`, or breaks `pools`
            check_phi(batch, self.scanned, faults)
            check_addresses(batch, faults)
            self.rows += batch.table.num_rows
            self.pools[batch.config] += batch.table.num_rows
            try:
                if any(batch.frame.select(pl.col(pl.Float64).is_nan().any()).row(0)):
                    raise ValueError("a score is no number")
                self.figures.add(batch.config, batch.frame)
            except Exception as error:  # rows that break the schema can make a count fail in any way
                self.uncounted = f"{batch.config}/{batch.split}: {_short(error)}"
        if self._tombstones is not None:
            faults.apply("retracted")
            for row in batch.frame.select(self._tombstones.mask(batch.frame.columns)).to_series().arg_true():
                faults.add("retracted", batch.place(row), "the row was retracted", "run `finemed publish` again")

    @cached_property
    def _tombstones(self) -> Tombstones | None:
        try:
            found = Tombstones.read(self.shipped.path)
        except (FineMedError, OSError, ValueError, RecursionError) as error:
            self.faults.add("retracted", "tombstones.jsonl", str(error).rpartition(": ")[0] or "damaged", REBUILD)
            return None
        if not len(found):
            self.faults.skip("retracted", "nothing was retracted")
        return found if len(found) else None

    def _batches(self, config: str, split: str, path: Path) -> Iterator[Batch]:
        """The rows of a file with its sound columns; what is wrong with the others is told."""
        place, first = f"{config}/{split}", 0
        try:
            sound = self._columns(place, config, path)
            for table in _tables(path, sound):
                yield Batch(config, split, first, table)
                first += table.num_rows
        except decoding_errors() as error:
            self.faults.add("schema", place, f"behind row {first} it cannot be read: {_short(error)}", REBUILD)
            self.unread = self.unread or place
        else:
            self.shipped.count(config, split, first, self.faults)
            if not first:
                self.faults.add("splits", place, "the file holds no row; `datasets` refuses to load it", REBUILD)

    def _columns(self, place: str, config: str, path: Path) -> list[str]:
        import pyarrow.parquet as pq

        manifest = self.shipped.manifest
        extra = {name: column.model_dump() for name, column in manifest.extra_columns.items()} if manifest else {}
        found, wanted = pq.read_schema(path), arrow_schema(config, extra)
        self._bare(place, path)
        if gap := _unused(path):
            fact = f"holds {gap:,} bytes that belong to no column, which no reader shows and every copy keeps"
            self.faults.add("schema", place, fact, REBUILD)
        stated = manifest.columns.get(pool_of(config)) if manifest else None
        earlier = {name for name in ADDED_LATER if stated and name not in {column.get("name") for column in stated}}
        names = list(found.names)
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.faults.add("schema", place, f"the column `{name[:60]}` stands twice", REBUILD)
        for name in sorted(set(wanted.names) - set(names) - earlier):
            self.faults.add("schema", place, f"the column `{name}` is missing", REBUILD)
        for name in sorted(set(names) - set(wanted.names)):
            self.faults.add("schema", place, f"the column `{name[:60]}` is none of docs/columns.md", REBUILD)
        once = [name for name in wanted.names if names.count(name) == 1]
        for name in once:
            if found.field(name).type != wanted.field(name).type:
                fact = f"`{name}` is {str(found.field(name).type)[:80]}, expected {wanted.field(name).type}"
                self.faults.add("schema", place, fact, REBUILD)
        return [name for name in once if found.field(name).type == wanted.field(name).type]

    def _record(self, name: str, schema: str) -> None:
        """A table of the ledger's kind: its columns, and secrets in it."""
        import pyarrow.parquet as pq

        path = self.shipped.path / name
        try:
            wanted = dict(frame_schema(SCHEMAS[schema]))  # type: ignore[arg-type]  # all of these are rows
            self._bare(name, path)
            found = _types(pq.read_schema(path))
            if found != wanted:
                fact = f"its columns are not those of schemas/{schema}.schema.json, {', '.join(wanted)}"
                self.faults.add("schema", name, fact, REBUILD)
            first = 0
            for table in _tables(path, None):
                check_secrets(pl.DataFrame(pl.from_arrow(table)), {}, partial(_numbered, name, first), self.faults)
                first += table.num_rows
        except decoding_errors() as error:
            self.faults.add("schema", name, f"cannot be read: {_short(error)}", REBUILD)

    def _bare(self, place: str, path: Path) -> None:
        """A file's footer holds types alone: texts in it are read by nobody, and kept by every copy."""
        import pyarrow.parquet as pq

        stored, schema = pq.read_metadata(path), pq.read_schema(path)
        keys = {key.decode("utf-8", "replace") for key in [*(stored.metadata or {}), *(schema.metadata or {})]}
        keys |= {
            f"{key.decode('utf-8', 'replace')} of {field.name}" for field in schema for key in field.metadata or ()
        }
        if strange := sorted(key for key in keys if key not in _FOOTER and not key.startswith("PARQUET:field_id of ")):
            fact = f"its footer holds metadata that no build writes: {', '.join(key[:40] for key in strange[:4])}"
            self.faults.add("schema", place, fact, REBUILD)

    def _features(self) -> None:
        """Columns and types against the previous release."""
        faults, previous = self.faults, self.previous
        if previous is None:
            faults.skip("features", "there is no previous release to compare with; name one with --previous")
            return
        before, now = _version(previous), _version(self.shipped)
        if before and now and now.major > before.major:
            faults.skip("features", f"{now} is a new major version after {before}")
            return
        faults.apply("features")
        remedy = "publish it as the next major version (--version), or build with the earlier columns"
        shared = [key for key in self.shipped.data if key in previous.data]
        for config, split in shared:
            new, old = (_schema(shipped.data[config, split]) for shipped in (self.shipped, previous))
            for name in sorted(new.keys() | old.keys() if new and old else ()):
                if new.get(name) != old.get(name):
                    fact = f"`{name[:60]}` is {new.get(name, 'gone')}, was {old.get(name, 'not there')}"
                    faults.add("features", f"{config}/{split}", f"{fact} in {before or 'the previous release'}", remedy)

    def _read(self, config: str, split: str, row: int, column: str) -> str | None:
        values = _column(self.shipped.data[config, split], column)
        return None if values is None else values[row].as_py()

    def _row_of(self, config: str, split: str, row: int) -> dict[str, Any]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.shipped.data[config, split]) as file:
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row < rows:
                    return dict(file.read_row_group(group).slice(row, 1).to_pylist()[0])
                row -= rows
        raise IndexError(row)


def views_of(manifest: Manifest | None) -> dict[str, str] | None:
    """View -> label of its department, as the stage `quota` names the nodes of the taxonomy; no department has none."""
    quota = manifest.stage("quota") if manifest is not None else None
    nodes = quota.facts.get("nodes") if quota is not None else None
    try:
        return {
            view_name(node["id"]): str(node["department"])
            for node in nodes or ()
            if node["subdepartment"] is None and node["id"] != NONE_LABEL
        } or None
    except (TypeError, KeyError, AttributeError):
        return None


def _unused(path: Path) -> int:
    """Bytes of a data file between its columns and its footer; what writes them leaves none."""
    import pyarrow.parquet as pq

    stored = pq.read_metadata(path)
    groups = [stored.row_group(number) for number in range(stored.num_row_groups)]
    used = sum(group.column(at).total_compressed_size for group in groups for at in range(stored.num_columns))
    return int(path.stat().st_size - used - stored.serialized_size - 12)


def _numbered(name: str, first: int, row: int) -> str:
    return f"{name}:{first + row + 1}"


def _tables(path: Path, columns: list[str] | None) -> Iterator[Any]:
    """A file's record batches, each looked through for bytes that are no text."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        metadata = file.metadata
        size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        at_once = max(1, min(BATCH_ROWS, metadata.num_rows * BATCH_BYTES // max(1, size)))
        for table in file.iter_batches(batch_size=at_once, columns=columns):
            table.validate(full=True)
            yield table


@lru_cache(maxsize=4)
def _column(path: Path, name: str) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(path, columns=[name]).column(0) if name in pq.read_schema(path).names else None


def _types(schema: Any) -> dict[str, Any]:
    return {field.name: pl.Series(pl.from_arrow(schema.empty_table().column(field.name))).dtype for field in schema}


def _schema(path: Path) -> dict[str, str]:
    """Column -> type; nothing for a file that cannot be read, which is told elsewhere."""
    import pyarrow.parquet as pq

    try:
        return {field.name: str(field.type) for field in pq.read_schema(path)}
    except footer_errors():
        return {}


def _version(shipped: Shipped) -> Version | None:
    try:
        return Version.parse(str(shipped.manifest.version)) if shipped.manifest else None
    except FineMedError:
        return None


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
