"""Sources elsewhere: datasets on the Hub, addresses, what fsspec opens; against a server on this machine."""

from __future__ import annotations

import base64
import gzip
import importlib.util
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from loopback_hub import Hub

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.sources import web
from finemed.sources.columns import check_columns
from finemed.sources.hub import HubPath, parse, pattern
from finemed.sources.records import find_files, record_batches

ROOT = Path(__file__).resolve().parents[1]
REPO = "m-a-p/FineFineWeb"
TOKEN = "hf_ThisTokenIsSecret"


def rows(domain: str, language: str, count: int, words: int = 4) -> bytes:
    """Rows of the published shape: text, token_count, language, domain."""
    return b"".join(
        json.dumps(
            {
                "text": f"{domain} {language} {number}: " + "croup barks " * words,
                "token_count": 3 * words,
                "language": language,
                "domain": domain,
            }
        ).encode()
        + b"\n"
        for number in range(count)
    )


def parquet(groups: list[tuple[str, int]], words: int = 4) -> bytes:
    """A row group per domain."""
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, pa.schema({"text": pa.string(), "domain": pa.string()}), compression="none") as writer:
        for domain, count in groups:
            texts = [f"{domain} {number}: " + "croup barks " * words for number in range(count)]
            writer.write_table(pa.table({"text": texts, "domain": [domain] * count}))
    return sink.getvalue()


FILES = {
    "README.md": b"# FineFineWeb",
    ".gitattributes": b"*.jsonl filter=lfs",
    "dataset_infos.json": b"{}",
    "medical/medical_000000.jsonl": rows("medical", "en", 6) + rows("medical", "zh", 3),
    "medical/medical_000001.jsonl": rows("medical", "es", 2),
    "sports/sports_000000.jsonl": rows("sports", "en", 4),
    "sports/notes.txt": b"Not a data file of the whole dataset.",
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    server = Hub({REPO: FILES})
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "WAIT_S", 0.01)
    monkeypatch.setenv("NO_PROXY", "*")


READ = """
import json, sys
from pathlib import Path
from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.sources import web
from finemed.sources.columns import check_columns
from finemed.sources.records import find_files, record_batches
web.WAIT_S = 0.01
source = SourceConfig(**json.loads(sys.argv[1]))
try:
    files = find_files(source, Path("/"))
    check_columns(source, files)
    found = [row for _, batch in record_batches(files, 1000) for row in batch.iter_rows(named=True)]
    told = {"facts": [file.facts() for file in files], "records": found}
except InputError as error:
    told = {"error": str(error)}
print(json.dumps(told))
"""


def environment(hub: Hub, home: Path, **variables: str) -> dict[str, str]:
    """That of a process whose Hub is the server of this test, without a login of the person who runs it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return {
        **kept,
        "PYTHONPATH": str(ROOT / "toolkit"),
        "OMP_NUM_THREADS": "1",
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **variables,
    }


@pytest.fixture
def ask(hub: Hub, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Reads a source in another process, where the server is the Hub; `environ` adds variables."""

    def asked(path: str, environ: dict[str, str] | None = None, **settings: Any) -> dict[str, Any]:
        source = json.dumps({"name": "ffw", "path": path, **settings})
        env = environment(hub, tmp_path, **(environ or {}))
        done = subprocess.run(
            [sys.executable, "-c", READ, source], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    return asked


def texts(told: dict[str, Any]) -> list[str]:
    return [" ".join(record["text"].split()[:3]).rstrip(":") for record in told["records"]]


# --- the Hub ---------------------------------------------------------------------------------------------------------


def test_domain_and_language_are_chosen_and_every_file_has_commit_and_hash(ask: Any, hub: Hub) -> None:
    told = ask(f"hf://{REPO}", where={"domain": ["medical"], "language": ["zh", "es"]})
    assert texts(told) == ["medical zh 0", "medical zh 1", "medical zh 2", "medical es 0", "medical es 1"]
    assert [record["record_id"] for record in told["records"]] == [
        "ffw/medical/medical_000000.jsonl:7",
        "ffw/medical/medical_000000.jsonl:8",
        "ffw/medical/medical_000000.jsonl:9",
        "ffw/medical/medical_000001.jsonl:1",
        "ffw/medical/medical_000001.jsonl:2",
    ]
    assert [fact["file"] for fact in told["facts"]] == [name for name in FILES if name.endswith(".jsonl")]
    assert {(fact["repo"], fact["commit"]) for fact in told["facts"]} == {(REPO, hub.commit(REPO))}
    first = told["facts"][0]
    assert (first["bytes"], len(first["sha256"])) == (len(FILES["medical/medical_000000.jsonl"]), 64)
    assert [bool(fact["sha256"]) or len(fact["blob_id"]) == 40 for fact in told["facts"]] == [True] * 3
    assert hub.url not in json.dumps(told)


def test_a_limit_reads_a_small_part_of_a_file(ask: Any, hub: Hub) -> None:
    name = "medical/medical_000000.jsonl"
    hub.datasets[REPO] = {
        name: rows("medical", "en", 12_000, words=200),
        "sports/sports.jsonl": rows("sports", "en", 9),
    }
    size = len(hub.datasets[REPO][name])
    told = ask(f"hf://{REPO}", where={"domain": ["medical"], "language": ["en"]}, limit=100)
    assert len(told["records"]) == 100
    assert size > 28_000_000
    assert hub.sent[name] < size / 10
    assert hub.sent["sports/sports.jsonl"] == 0


def test_of_a_parquet_file_only_the_row_groups_that_are_asked_for_are_read(ask: Any, hub: Hub) -> None:
    groups = [("sports", 4000), ("medical", 3), ("finance", 4000)]
    hub.datasets[REPO] = {"all.parquet": parquet(groups, words=400)}
    size = len(hub.datasets[REPO]["all.parquet"])
    told = ask(f"hf://{REPO}/all.parquet", where={"domain": ["medical"]})
    assert [record["record_id"] for record in told["records"]] == [f"ffw/all.parquet:{n}" for n in (4001, 4002, 4003)]
    assert size > 38_000_000
    assert hub.sent["all.parquet"] < size / 3
    hub.sent.clear()
    assert len(ask(f"hf://{REPO}/all.parquet", limit=5)["records"]) == 5
    assert hub.sent["all.parquet"] < size / 3


@pytest.mark.parametrize(
    ("path", "names"),
    [
        (
            "hf://datasets/m-a-p/FineFineWeb",
            ["medical/medical_000000.jsonl", "medical/medical_000001.jsonl", "sports/sports_000000.jsonl"],
        ),
        ("hf://m-a-p/FineFineWeb/medical", ["medical_000000.jsonl", "medical_000001.jsonl"]),
        ("hf://m-a-p/FineFineWeb/medical/medical_000001.jsonl", ["medical_000001.jsonl"]),
        ("hf://m-a-p/FineFineWeb/*/*_000000.jsonl", ["medical/medical_000000.jsonl", "sports/sports_000000.jsonl"]),
        ("hf://m-a-p/FineFineWeb/medical/*[1-9].jsonl", ["medical_000001.jsonl"]),
        ("hf://m-a-p/FineFineWeb@main/sports/*", ["notes.txt", "sports_000000.jsonl"]),
        ("hf://m-a-p/FineFineWeb@refs/convert/parquet/sports", ["sports_000000.jsonl"]),
        ("hf://m-a-p/FineFineWeb@refs%2Fconvert%2Fparquet/sports", ["sports_000000.jsonl"]),
        (
            "hf://m-a-p/FineFineWeb@v1.0/**/*_000000.jsonl",
            ["medical/medical_000000.jsonl", "sports/sports_000000.jsonl"],
        ),
    ],
)
def test_files_are_named_from_the_sources_folder(ask: Any, hub: Hub, path: str, names: list[str]) -> None:
    for revision in ("refs/convert/parquet", "v1.0"):
        hub.branches[f"{REPO}@{revision}"] = hub.commit(REPO)
    told = ask(path)
    assert [fact["file"] for fact in told["facts"]] == names
    assert {fact["commit"] for fact in told["facts"]} == {hub.commit(REPO)}
    assert {call.path.split("/")[5] for call in hub.asked("/resolve/")} == {hub.commit(REPO)}


def test_a_token_goes_to_the_hub_alone_and_nowhere_into_what_is_told(ask: Any, hub: Hub) -> None:
    hub.token, hub.through_cdn = TOKEN, True
    told = ask(f"hf://{REPO}/sports/sports_000000.jsonl", {"HF_TOKEN": TOKEN})
    assert texts(told) == [f"sports en {number}" for number in range(4)]
    assert {call.headers.get("authorization") for call in hub.asked("/resolve/")} == {f"Bearer {TOKEN}"}
    assert {call.headers.get("authorization") for call in hub.asked("/cdn/")} == {None}
    assert hub.asked("/cdn/")[0].headers["host"].startswith("localhost")
    assert "sekret" not in json.dumps(told)


def test_what_is_not_to_be_had_is_told_with_a_next_step(ask: Any, hub: Hub, tmp_path: Path) -> None:
    def error(path: str, **environ: str) -> str:
        return str(ask(path, environ)["error"])

    assert "there is no dataset m-a-p/Gone for this login; check its name, or set HF_TOKEN" in error("hf://m-a-p/Gone")
    assert f"hf://{REPO}@dev: there is no such revision" in error(f"hf://{REPO}@dev")
    assert "hf://m-a-p/FineFineWeb/none matches no file" in error(f"hf://{REPO}/none")
    assert "there is no none/*.jsonl" in error(f"hf://{REPO}/none/*.jsonl")
    assert "HF_HUB_OFFLINE is set; unset it" in error(f"hf://{REPO}", HF_HUB_OFFLINE="1")
    assert "the Hub cannot be reached" in error(f"hf://{REPO}", HF_ENDPOINT="http://127.0.0.1:9")
    hub.gated.add(REPO)
    for environ in ({}, {"HF_TOKEN": TOKEN}):
        told = error(f"hf://{REPO}/sports", **environ)
        assert f"accept them at {hub.url}/datasets/{REPO}, then log in with `hf auth login` or set HF_TOKEN" in told


def test_a_connection_that_breaks_is_taken_up_where_it_broke(ask: Any, hub: Hub) -> None:
    name = "medical/medical_000000.jsonl"
    hub.datasets[REPO] = {name: rows("medical", "en", 500, words=60)}
    whole = ask(f"hf://{REPO}", layout="documents")
    hub.broken[name], hub.busy[name] = 3, 2
    assert ask(f"hf://{REPO}", layout="documents")["records"] == whole["records"]
    assert [call for call in hub.asked("/resolve/") if "range" in call.headers]


def test_a_build_streams_from_the_hub_and_goes_on_without_reading_again(hub: Hub, tmp_path: Path) -> None:
    config = {
        "name": "streamed",
        "sources": [{"name": "ffw", "path": f"hf://{REPO}", "where": {"domain": ["medical"]}, "limit": 8}],
        "ingest": {"min_tokens": 0},
    }
    (tmp_path / "finemed.yaml").write_text(json.dumps(config))

    def build() -> list[dict[str, Any]]:
        command = [sys.executable, "-m", "finemed", "build", "-c", str(tmp_path / "finemed.yaml"), "--until", "ingest"]
        env = environment(hub, tmp_path)
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
        assert manifest["stages"][0]["counts"]["rows_in"] == 8
        return list(manifest["inputs"])

    inputs = build()
    assert [(fact["repo"], fact["commit"]) for fact in inputs] == [(REPO, hub.commit(REPO))] * 3
    kept = tmp_path / "run" / "stages" / "01-ingest" / "kept-00000.parquet"
    made = kept.stat().st_mtime_ns
    assert build() == inputs
    assert kept.stat().st_mtime_ns == made
    hub.datasets[REPO]["README.md"] += b", with a new line"
    moved = build()
    assert [fact | {"commit": inputs[0]["commit"]} for fact in moved] == inputs
    assert {fact["commit"] for fact in moved} == {hub.commit(REPO)} != {inputs[0]["commit"]}
    assert kept.stat().st_mtime_ns == made
    hub.datasets[REPO]["medical/medical_000000.jsonl"] += rows("medical", "en", 1)
    assert build() != moved
    assert kept.stat().st_mtime_ns != made


@pytest.mark.parametrize(
    ("url", "repo", "revision", "path"),
    [
        ("hf://a/b", "a/b", None, ""),
        ("hf://datasets/a/b/", "a/b", None, ""),
        ("hf://a/b@v1/x/*.csv", "a/b", "v1", "x/*.csv"),
        ("hf://a/b@feature%2Fx/y.csv", "a/b", "feature/x", "y.csv"),
        ("hf://a/b@refs/pr/7", "a/b", "refs/pr/7", ""),
        ("hf://a/b/x@y/z.csv", "a/b", None, "x@y/z.csv"),
    ],
)
def test_the_parts_of_an_address(url: str, repo: str, revision: str | None, path: str) -> None:
    assert parse(url) == HubPath(repo, revision, path)


@pytest.mark.parametrize("url", ["hf://", "hf://a", "hf://datasets/a", "hf://spaces/a/b", "hf://a/b@", "hf://a b/c"])
def test_an_address_without_a_dataset_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="write hf://"):
        parse(url)


@pytest.mark.parametrize(
    ("glob", "path", "fits"),
    [
        ("*.jsonl", "a.jsonl", True),
        ("*.jsonl", "b/a.jsonl", False),
        ("**/*.jsonl", "a.jsonl", True),
        ("**/*.jsonl", "b/c/a.jsonl", True),
        ("b/**", "b/c/a.jsonl", True),
        ("b/?.csv", "b/1.csv", True),
        ("b/[!1].csv", "b/1.csv", False),
        ("b/[1-3].csv", "b/2.csv", True),
        ("a+b/*.csv", "aab/1.csv", False),
    ],
)
def test_globs(glob: str, path: str, fits: bool) -> None:
    assert bool(pattern(glob).fullmatch(path)) is fits


# --- addresses -------------------------------------------------------------------------------------------------------


def source(path: str, **settings: Any) -> SourceConfig:
    return SourceConfig(name="demo", path=path, **settings)


def read(path: str, **settings: Any) -> list[dict[str, Any]]:
    files = find_files(source(path, **settings), Path("/"))
    check_columns(files[0].source, files)
    return [row for _, batch in record_batches(files, 100) for row in batch.iter_rows(named=True)]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("corpus.jsonl", rows("medical", "en", 3)),
        ("corpus.jsonl.gz", gzip.compress(rows("medical", "en", 3), mtime=0)),
        ("corpus.csv", b"text\n" + b"".join(b"medical en %d: croup.\n" % n for n in range(3))),
        ("corpus.json", b"[" + rows("medical", "en", 3).strip().replace(b"\n", b",\n") + b"]"),
        ("corpus.parquet", parquet([("medical en", 3)])),
        ("notes on croup.txt", b"medical en 0\n"),
    ],
)
def test_every_format_is_read_from_an_address(hub: Hub, name: str, data: bytes) -> None:
    hub.web[name] = data
    found = read(f"{hub.url}/web/{name}?version=2")
    assert [record["fault"] for record in found] == [None] * len(found)
    assert found[0]["record_id"] == f"demo/{name}:1"
    assert " ".join(found[-1]["text"].split()[:3]) == f"medical en {len(found) - 1}" + ":" * (not name.endswith("txt"))
    assert "127.0.0.1" not in json.dumps(found)


def test_facts_hold_while_the_file_is_unchanged(hub: Hub) -> None:
    hub.web["a.jsonl"] = rows("medical", "en", 3)
    url = f"{hub.url}/web/a.jsonl"

    def facts() -> dict[str, Any]:
        (file,) = find_files(source(url), Path("/"))
        return file.facts()

    first = facts()
    assert first == facts()
    assert (first["file"], first["bytes"], first["sha256"]) == ("a.jsonl", len(hub.web["a.jsonl"]), None)
    hub.web["a.jsonl"] = hub.web["a.jsonl"].replace(b"croup", b"gout!")
    assert facts() != first
    assert facts()["bytes"] == first["bytes"]


def test_credentials_are_sent_and_never_shown(hub: Hub) -> None:
    hub.web["a.jsonl"] = rows("medical", "en", 1)
    address = hub.url.replace("//", "//ann:s%40cret@")
    assert len(read(f"{address}/web/a.jsonl?token=t0ken")) == 1
    expected = base64.b64encode(b"ann:s@cret").decode()
    assert {call.headers["authorization"] for call in hub.calls} == {f"Basic {expected}"}
    assert all(call.path.endswith("?token=t0ken") for call in hub.calls)
    hub.token = "another"
    for path in ("web/gone.jsonl", "web/none", "web/*.jsonl"):
        with pytest.raises(InputError) as raised:
            read(f"{address}/{path}?token=t0ken")
        assert ("127.0.0.1" in str(raised.value)) is (path != "web/none")
        for secret in ("ann", "s%40cret", "s@cret", "t0ken"):
            assert secret not in str(raised.value)
    (file,) = find_files(source(f"{address}/web/a.jsonl?token=t0ken", layout="documents"), Path("/"))
    assert "t0ken" not in repr(file.place) + json.dumps(file.facts())


def test_a_server_without_ranges_serves_lines_and_no_parquet(hub: Hub) -> None:
    hub.ranges = False
    hub.web |= {"a.jsonl": rows("medical", "en", 3), "a.parquet": parquet([("medical", 3)])}
    assert len(read(f"{hub.url}/web/a.jsonl")) == 3
    with pytest.raises(InputError, match=r"a\.parquet: is sent from its beginning only; download it and give its path"):
        read(f"{hub.url}/web/a.parquet")


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
def test_a_connection_that_stays_broken_stops_the_run_instead_of_losing_rows(hub: Hub, name: str) -> None:
    whole = {"a.jsonl": rows("medical", "en", 900), "a.parquet": parquet([("medical", 900)])}
    hub.web[name] = whole.get(name) or gzip.compress(whole["a.jsonl"])
    files = find_files(source(f"{hub.url}/web/{name}"), Path("/"))
    hub.busy[name] = 1000
    with pytest.raises(InputError, match=r"cannot be read \(status 503\); check the connection and run the same"):
        list(record_batches(files, 10))


def test_a_file_that_changes_while_it_is_read_stops_the_run(hub: Hub) -> None:
    hub.web["a.jsonl"] = rows("medical", "en", 20_000)
    files = find_files(source(f"{hub.url}/web/a.jsonl", layout="documents"), Path("/"))
    hub.broken["a.jsonl"] = 1
    batches = record_batches(files, 10)
    next(batches)
    hub.web["a.jsonl"] = rows("medical", "en", 20_000).replace(b"croup", b"gout!")
    with pytest.raises(InputError, match="changed while it was read"):
        list(batches)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (
            "web/gone.jsonl",
            r"http://127\.0\.0\.1:\d+/web/gone\.jsonl: status 404; check `sources\.path`",
        ),
        ("web/", "names no file; give the address of one file"),
        ("web/*.jsonl", "a web server does not list its files"),
        ("web/a.bin", r"a\.bin: format unknown from its ending; set `format` to one of"),
    ],
)
def test_an_address_that_is_no_file(hub: Hub, path: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(f"{hub.url}/{path}")


# --- fsspec ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def memory() -> Iterator[Any]:
    system = fsspec.filesystem("memory")
    system.pipe(
        {
            "/bucket/corpus/a.jsonl": rows("medical", "en", 2),
            "/bucket/corpus/b/c.csv.gz": gzip.compress(b"text\nGout hurts.\n"),
            "/bucket/corpus/b/d.parquet": parquet([("sports", 2), ("medical", 1)]),
            "/bucket/corpus/.hidden/e.jsonl": rows("medical", "en", 2),
            "/bucket/corpus/notes.pdf": b"%PDF",
        }
    )
    yield system
    system.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("memory://bucket/corpus", ["a.jsonl", "b/c.csv.gz", "b/d.parquet"]),
        ("memory://bucket/corpus/", ["a.jsonl", "b/c.csv.gz", "b/d.parquet"]),
        ("memory://bucket/corpus/a.jsonl", ["a.jsonl"]),
        ("memory://bucket/corpus/**/*.parquet", ["b/d.parquet"]),
        ("memory://bucket/*/a.*", ["corpus/a.jsonl"]),
    ],
)
def test_files_of_a_file_system_are_named_from_the_sources_folder(memory: Any, path: str, names: list[str]) -> None:
    files = find_files(source(path), Path("/"))
    assert [file.name for file in files] == names
    facts = [file.facts() for file in files]
    assert facts == [file.facts() for file in find_files(source(path), Path("/"))]
    assert "bucket" not in json.dumps(facts)
    assert all(fact["bytes"] and fact["version"] for fact in facts)
    assert [record["fault"] for record in read(path)] == [None] * len(read(path))


def test_where_over_files_of_several_formats(memory: Any) -> None:
    found = read("memory://bucket/corpus", where={"domain": ["medical"]})
    assert [record["record_id"] for record in found] == ["demo/a.jsonl:1", "demo/a.jsonl:2", "demo/b/d.parquet:3"]


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("memory://bucket/none/*.jsonl", r"memory://bucket/none/\*\.jsonl matches no file"),
        ("memory://bucket/none.jsonl", r"memory://bucket/none\.jsonl matches no file"),
        ("nosuch://user:pw@bucket/a.jsonl", r"nosuch://bucket/a\.jsonl: Protocol not known: nosuch"),
    ],
)
def test_a_file_system_that_has_no_such_file_or_is_none(memory: Any, path: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        read(path)
    assert "pw" not in str(raised.value)


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(InputError, match=r"s3://bucket/a\.jsonl: reading `s3` needs a package \(Install s3fs"):
        read("s3://KEY:SECRET@bucket/a.jsonl?versionId=3")


class Failing(fsspec.AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A file system whose files break behind their first kilobyte, with a secret in the message."""

    protocol = "failing"

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        return {"name": path, "size": 1 << 20, "type": "file"}

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **kwargs: Any) -> Any:
        class Broken(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell() == 0:
                    return super().read(1024)
                raise RuntimeError("failing://key:secret@host/a.jsonl?sig=abc said no to hf_abcdef")

        return Broken(rows("medical", "en", 1000))


def test_a_failure_of_a_file_system_stops_the_run_without_its_secrets() -> None:
    fsspec.register_implementation("failing", Failing, clobber=True)
    with pytest.raises(InputError, match=r"cannot be read .* said no") as raised:
        read("failing://host/a.jsonl", layout="documents")
    for secret in ("key", "secret", "sig", "hf_abcdef"):
        assert secret not in str(raised.value)
