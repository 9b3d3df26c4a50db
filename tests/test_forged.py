"""A release that was edited and hashed again from its files up: each edit that leaves a trace inside is named.

The forger here knows the toolkit: after every edit hashes, counts, card, plots and metadata are written anew as far as
the edit allows. What stays consistent in rows, hashes and manifest is told by the expected hash alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from published import change, edit, manifest_of, mend, published, rehash, reseal, rewrite_card, rows_of, write_rows

from finemed.cli.main import cli
from finemed.publish.checks.validate import validate
from finemed.publish.release import release_intact
from finemed.publish.targets.target import open_target
from finemed.publish.versions.publish import publish
from finemed.store.atomic import write_json
from finemed.store.shards import write_parquet


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published(tmp_path_factory.mktemp("forged"))


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    return shutil.copytree(release, tmp_path / "1.0.0")


def facts(**changed: Callable[[Any], Any]) -> Callable[[Path], None]:
    """Edits parts of the manifest, and makes everything else follow from them."""

    def forge(folder: Path) -> None:
        manifest = manifest_of(folder)
        for name, edited in changed.items():
            manifest[name] = edited(manifest[name])
        reseal(folder, manifest)

    return forge


def within(*path: Any, to: Any) -> Callable[[Any], Any]:
    """Sets one value deep inside another."""

    def edited(value: Any) -> Any:
        *deep, last = path
        inner = value
        for key in deep:
            inner = inner[key]
        assert inner[last] != to
        inner[last] = to
        return value

    return edited


def empty(name: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        rows = pl.read_parquet(folder / name)
        (folder / name).unlink()
        write_parquet(folder / name, rows.clear())
        reseal(folder, manifest_of(folder))

    return forge


def picture(folder: Path) -> None:
    path = folder / "plots" / "funnel.png"
    path.unlink()
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', "utf-8")
    rehash(folder)


def painted(folder: Path) -> None:
    shutil.copy(folder / "plots" / "coverage.png", folder / "plots" / "x.png")
    (folder / "plots" / "funnel.png").unlink()
    (folder / "plots" / "x.png").rename(folder / "plots" / "funnel.png")
    rehash(folder)


def commented(folder: Path) -> None:
    """Another part in a PNG, between the head and the picture."""
    repainted(lambda data: data[:33] + part(b"tEXt", b"a\x00bcd") + data[33:])(folder)


def part(kind: bytes, content: bytes) -> bytes:
    """A part of a PNG."""
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def repainted(edited: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Other bytes for one picture."""

    def forge(folder: Path) -> None:
        path = folder / "plots" / "funnel.png"
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(edited(data))
        assert path.read_bytes() != data
        rehash(folder)

    return forge


def other_size(data: bytes) -> bytes:
    """The part that says how large the picture is printed, with other numbers."""
    at = data.index(b"pHYs") - 4
    return data[:at] + part(b"pHYs", b"SECRET!!\x01") + data[at + 21 :]


def tail(data: bytes) -> bytes:
    """Bytes behind the compressed pixels, within their part."""
    at = data.index(b"IDAT") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    return data[:at] + part(b"IDAT", data[at + 8 : at + 8 + size] + b"hidden") + data[at + 12 + size :]


def faint(data: bytes) -> bytes:
    """Words that are a little darker than their ground."""
    picture = Image.open(io.BytesIO(data)).convert("RGBA")
    shade = Image.new("RGBA", picture.size, (0, 0, 0, 0))
    ImageDraw.Draw(shade).text((40, 40), "CLINICALLY VALIDATED", fill=(0, 0, 0, 24))
    out = io.BytesIO()
    Image.alpha_composite(picture, shade).save(out, "PNG", dpi=(picture.info["dpi"]))
    return out.getvalue()


def address(value: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        change(folder, "ttt", "train", 0, url=value)
        mend(folder)

    return forge


def exchange(folder: Path) -> None:
    """Two views change places, and whatever counts or hashes them."""
    data, manifest = folder / "data", manifest_of(folder)
    one, other = "sft_surgery", "sft_internal_medicine"
    (data / one).rename(data / "x")
    (data / other).rename(data / one)
    (data / "x").rename(data / other)
    for name in ("configs", "content"):
        manifest[name] |= {one: manifest[name][other], other: manifest[name][one]}
    reseal(folder, manifest)


def listed(name: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("print('hello')\n", "utf-8")
        reseal(folder, manifest_of(folder))

    return forge


def fewer(folder: Path) -> None:
    """Takes rows out, and counts the pools, views and figures again; the stages still tell of them."""
    manifest = manifest_of(folder)
    stages = json.dumps(manifest["stages"])
    edit(folder, "ttt", "train", lambda rows: rows[2:])
    mend(folder)
    reseal(folder, {**manifest_of(folder), "stages": json.loads(stages)})


def another_version(folder: Path) -> None:
    """Version and parent alone; the changelog still tells another story."""
    parent = {"version": "1.9.0", "release_hash": "0" * 64, "commit": None}
    reseal(folder, {**manifest_of(folder), "version": "2.0.0", "parent": parent})


def another_parent(folder: Path) -> None:
    parent = {"version": "0.9.0", "release_hash": "0" * 64, "commit": None}
    reseal(folder, {**manifest_of(folder), "parent": parent})


def facts_without(*names: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        reseal(folder, {key: value for key, value in manifest_of(folder).items() if key not in names})

    return forge


def set_facts(**values: Any) -> Callable[[Path], None]:
    return lambda folder: reseal(folder, {**manifest_of(folder), **values})


def twice(folder: Path) -> None:
    text = (folder / "manifest.json").read_text("utf-8")
    (folder / "manifest.json").write_text(text.replace("{", '{\n  "name": "clinically validated",', 1), "utf-8")


def without_view(folder: Path) -> None:
    shutil.rmtree(folder / "data" / "sft_surgery")
    manifest = manifest_of(folder)
    for key in ("configs", "content"):
        del manifest[key]["sft_surgery"]
    reseal(folder, manifest)


def hollow(folder: Path) -> None:
    write_rows(folder, "sft_surgery", "test", [])
    mend(folder)


def noted(folder: Path) -> None:
    path = folder / "data" / "ttt" / "test.parquet"
    table = pq.read_table(path)
    path.unlink()
    pq.write_table(table.replace_schema_metadata({"note": "clinically validated"}), path)
    mend(folder)


def croissant_of_others(folder: Path) -> None:
    found = json.loads((folder / "croissant.json").read_text("utf-8"))
    write_json(folder / "croissant.json", {**found, "license": "MIT"})
    rehash(folder)


def croissant_that_runs(folder: Path) -> None:
    found = json.loads((folder / "croissant.json").read_text("utf-8"))
    write_json(folder / "croissant.json", {**found, "url": "javascript:alert(1)"})
    rehash(folder)


def rows_of_others(folder: Path) -> None:
    """Licences of the rows alone."""
    manifest = manifest_of(folder)
    for path in (folder / "data").glob("*/*.parquet"):
        edited = [{**row, "license": "MIT"} for row in rows_of(folder, path.parent.name, path.stem)]
        write_rows(folder, path.parent.name, path.stem, edited)
    mend(folder)
    reseal(
        folder,
        {
            **manifest_of(folder),
            "figures": {**manifest_of(folder)["figures"], "licences": manifest["figures"]["licences"]},
        },
    )


def extra_key(folder: Path) -> None:
    reseal(folder, {**manifest_of(folder), "approved_by": "the ministry of health"})


Forgery = tuple[Callable[[Path], object], str, str]
FORGERIES: dict[str, Forgery] = {
    "another licence in the manifest": (
        facts(figures=within("licences", 0, "license", to="MIT")),
        "licence",
        "`figures.licences[0].license` is 'MIT'; from the rows follows 'CC0-1.0'",
    ),
    "another licence in the rows": (rows_of_others, "licence", "from the rows follows 'MIT'"),
    "another licence on the card": (
        lambda f: rewrite_card(f, r"(?m)^license: .*$", "license: mit"),
        "card",
        "reads 'license: mit'",
    ),
    "another version": (another_version, "manifest", "`changelog` does not open with 2.0.0"),
    "a parent that never was": (another_parent, "manifest", "the version before this one in CHANGELOG.md is 'none'"),
    "fewer contaminated rows": (
        facts(contamination=within(0, "questions_dropped", to=7)),
        "figures",
        "`contamination[0].questions_dropped` is 7",
    ),
    "no benchmark was missing": (facts(decontaminated=lambda _: False), "figures", "`decontaminated` is False"),
    "an emptied ledger": (empty("ledger.parquet"), "stages", "ledger.parquet has 0"),
    "clinically validated": (
        lambda f: rewrite_card(f, r"\*\*not a medical device\*\*", "clinically validated"),
        "card",
        "clinically validated",
    ),
    "an SVG under a PNG's name": (picture, "plots", "is no PNG"),
    "another picture": (painted, "plots", "is not the picture that the figures give"),
    "a PNG with a text in it": (commented, "plots", "holds a part b'tEXt'"),
    "other bytes in a PNG": (repainted(other_size), "plots", "is not the picture that the figures give"),
    "bytes behind the pixels": (repainted(tail), "plots", "is not the picture that the figures give"),
    "faint words in a picture": (repainted(faint), "plots", "is not the picture that the figures give"),
    "an empty folder": (lambda f: (f / "clinically validated").mkdir(), "files", "is an empty folder"),
    "a key twice in the manifest": (twice, "manifest", "is not written as a build"),
    "a view less": (without_view, "pools", "there is no such file, and sft/train has"),
    "a view without rows": (hollow, "splits", "the file holds no row"),
    "words in a footer": (noted, "schema", "its footer holds metadata that no build writes: note"),
    "no totals": (facts_without("totals", "examples"), "manifest", "`totals` belongs to format 2"),
    "an older format": (lambda f: reseal(f, {**manifest_of(f), "format": 1}), "manifest", "is there since 2"),
    "no dataset": (facts_without("dataset"), "manifest", "a published release of this format has a `dataset`"),
    "a dataset of another name": (
        facts(dataset=within("name", to="other")),
        "manifest",
        "`dataset.name` is 'other', `name` 'finemed-demo'",
    ),
    "a later reshuffle": (set_facts(splits_since="1.0.0"), "manifest", "says that no version reshuffled the splits"),
    "one seed for the plan and another for the split": (
        facts(stages=within(-1, "settings", "seed", to=99)),
        "stages",
        "stages `route` and `split` were told different things",
    ),
    "a javascript address": (address("javascript:alert(1)"), "addresses", "'javascript:alert(1)', which a browser"),
    "a javascript address in disguise": (address(" JaVa\tScript:alert(1)"), "addresses", "which a browser would run"),
    "a data address": (address("data:text/html,<b>x"), "addresses", "which a browser would run"),
    "a javascript link on the card": (
        lambda f: rewrite_card(f, r"\(CHANGELOG\.md\)", "(javascript:alert)"),
        "addresses",
        "leads to what a browser would run",
    ),
    "a javascript address in croissant.json": (croissant_that_runs, "addresses", "leads to what a browser would run"),
    "two views exchanged": (exchange, "pools", "is not of Internal Medicine, the department of sft_internal_medicine"),
    "a script among the files": (listed("load.py"), "files", "is no file that a release can have"),
    "a page among the files": (listed("card.html"), "files", "is no file that a release can have"),
    "a script among the data": (listed("data/load.py"), "splits", "is no split that the manifest counts"),
    "edited figures": (facts(figures=within("quality", "8", to=90)), "figures", "`figures.quality.8` is 90"),
    "no extractive row": (facts(extractive=lambda _: False), "figures", "`extractive` is False"),
    "edited counts of a stage": (
        facts(stages=within(1, "counts", "rows_dropped", to=0)),
        "stages",
        "stage `filter`: ",
    ),
    "edited drops of a stage": (facts(stages=within(1, "drops", "spam", to=60)), "stages", "says 60 rows `spam`"),
    "edited settings of a stage": (
        facts(stages=within(-1, "settings", "whole_documents", to=False)),
        "stages",
        "stage `split`: its fingerprint does not follow",
    ),
    "a stage less": (lambda f: _without_stage(f, "route"), "stages", "not those of a build"),
    "fewer rows, counted again": (fewer, "stages", "stage `split` gave"),
    "a lower bar for near-duplicates": (
        facts(separation=within("questions", "threshold", to=0.95)),
        "separation",
        "`separation.questions.threshold` is not `component_threshold`",
    ),
    "more pairs compared": (
        facts(separation=within("questions", "compared", to=10**6)),
        "separation",
        "`separation.questions.compared` is 1000000",
    ),
    "other metadata": (croissant_of_others, "croissant", "`license` is not what manifest and files give"),
    "another type of a column": (
        facts(columns=within("sft", 0, "type", to="int64")),
        "figures",
        "`columns.sft[0].type` is 'int64'",
    ),
    "content of other files": (facts(content=lambda found: {**found, "ttt": "0" * 64}), "figures", "`content.ttt` is"),
    "another hash of the release": (
        lambda f: write_json(f / "manifest.json", {**manifest_of(f), "release_hash": "0" * 64}),
        "hash",
        "`release_hash` is 0000000000000000",
    ),
    "a key of one's own": (extra_key, "manifest", "`approved_by`"),
}


def _without_stage(folder: Path, name: str) -> None:
    manifest = manifest_of(folder)
    manifest["stages"] = [stage for stage in manifest["stages"] if stage["stage"] != name]
    reseal(folder, manifest)


def test_an_untouched_release_has_no_fault(release: Path) -> None:
    report = validate(release)
    assert (report.ok, report.faults) == (True, [])
    assert set(report.skipped) == {"features", "held_splits", "retracted"}
    mended = shutil.copytree(release, release.parent / "again")
    mend(mended)
    assert validate(mended).ok


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_that_leaves_a_trace_is_named(copy: Path, name: str) -> None:
    forge, rule, fact = FORGERIES[name]
    forge(copy)
    named = [fault for fault in validate(copy).faults if fault.rule == rule]
    assert any(fact in str(fault) for fault in named), [str(fault) for fault in validate(copy).faults]


def test_the_command_ends_with_1_and_says_what_is_stated(copy: Path) -> None:
    rewrite_card(copy, r"\*\*not a medical device\*\*", "clinically validated")
    done = CliRunner().invoke(cli, ["validate", str(copy), "--json"])
    report = json.loads(done.output)
    assert done.exit_code == 1
    assert (report["rules"]["card"]["state"], report["rules"]["card"]["count"]) == ("failed", 1)
    assert {"models", "inputs", "benchmarks", "owner's words", "publication"} <= set(report["stated_not_checked"])


def test_a_consistent_edit_is_told_by_the_expected_hash_alone(release: Path, copy: Path) -> None:
    expected = manifest_of(release)["release_hash"]
    change(copy, "ttt", "train", 0, rationale="A very good question indeed.")
    mend(copy)
    assert validate(copy).ok
    report = validate(copy, expect_hash=expected)
    assert {fault.rule for fault in report.faults} == {"hash"}
    assert "the expected hash is" in report.faults[0].fact
    assert validate(release, expect_hash=expected).ok
    found = CliRunner().invoke(cli, ["validate", str(copy), "--expect-hash", expected])
    assert found.exit_code == 1


def test_the_hash_of_the_manifest_covers_the_version_as_well(release: Path, copy: Path) -> None:
    whole = hashlib.sha256((release / "manifest.json").read_bytes()).hexdigest()
    assert validate(release, expect_hash=whole).hashes["manifest_sha256"] == whole
    assert validate(release, expect_hash=whole).ok
    write_json(copy / "manifest.json", {**manifest_of(copy), "date": "2027-01-01"})
    assert not validate(copy, expect_hash=whole).ok


def test_the_words_of_the_owner_have_their_place(release: Path, copy: Path) -> None:
    manifest = manifest_of(copy)
    manifest["card"] = {**manifest["card"], "notes": "Collected in Vienna.\n\nThanks to [all](javascript:x)."}
    reseal(copy, manifest)
    text = (copy / "README.md").read_text("utf-8")
    assert "Collected in Vienna." in text
    assert "](javascript" not in text
    assert validate(copy).ok


# --- files that nobody listed ----------------------------------------------------------------------------------------


def test_a_stray_file_is_gone_after_the_next_build_and_is_never_published(release: Path, tmp_path: Path) -> None:
    from finemed.config import load_config
    from finemed.pipeline.plan import Plan
    from finemed.publish.build import build_release

    folder = shutil.copytree(release.parents[1], tmp_path / "all")
    built = folder / "run" / "release"
    before = {path: path.read_bytes() for path in built.rglob("*") if path.is_file()}
    (built / "card.html").write_text("<script>alert(1)</script>", "utf-8")
    assert not release_intact(built)
    build_release(Plan(load_config(folder / "finemed.yaml"), folder), folder / "run")
    assert release_intact(built)
    assert {path: path.read_bytes() for path in built.rglob("*") if path.is_file()} == before


def lets_pass(folder: Path, *languages: str) -> None:
    """Makes the filter's settings say that rows of these languages pass."""
    manifest = manifest_of(folder)
    filtered = next(stage for stage in manifest["stages"] if stage["stage"] == "filter")
    filtered["settings"]["languages"] = list(languages)
    write_json(folder / "manifest.json", manifest)


def test_rows_in_languages_that_are_not_scanned_are_told_with_their_share(copy: Path) -> None:
    lets_pass(copy, "en", "zh")
    edit(copy, "ttt", "test", lambda rows: [{**row, "language": "zh"} for row in rows])
    mend(copy)
    report = validate(copy)
    rows = pq.read_metadata(copy / "data" / "ttt" / "test.parquet").num_rows
    assert report.ok
    assert report.skipped["phi"].startswith(f"{rows} of 92 rows ({100 * rows / 92:.1f}%) are in languages")
    assert report.skipped["phi"].endswith(f"zh {rows}")


def test_a_release_in_an_unknown_language_is_never_phi_ok(copy: Path) -> None:
    for path in (copy / "data").glob("*/*.parquet"):
        config, split = path.parent.name, path.stem
        write_rows(copy, config, split, [{**row, "language": "zh"} for row in rows_of(copy, config, split)])
    lets_pass(copy, "zh")
    mend(copy)
    report = validate(copy)
    assert "phi" not in report.counts
    assert "92 of 92 rows (100.0%)" in report.skipped["phi"]


@pytest.mark.parametrize("column", ["rationale", "url", "attribution"])
def test_every_column_of_text_is_scanned_for_personal_data(copy: Path, column: str) -> None:
    change(copy, "ttt", "train", 0, **{column: "Patient: Jane Doe, DOB 04/12/1956, MRN 4711234."})
    mend(copy)
    (fault,) = (fault for fault in validate(copy).faults if fault.rule == "phi")
    assert f"`{column}` holds " in fault.fact
    assert "Jane" not in str(fault)


def test_only_listed_files_are_published(release: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(release.parents[1] / "run" / "release", tmp_path / "release")
    (folder / ".gitattributes").write_text("*.parquet lfs\n", "utf-8")
    done = publish(folder, open_target(str(tmp_path / "to")), date="2026-11-20")
    out = Path(str(done.ref))
    assert not (out / ".gitattributes").exists()
    assert set(manifest_of(out)["files"]) == {
        path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()
    } - {"manifest.json"}
