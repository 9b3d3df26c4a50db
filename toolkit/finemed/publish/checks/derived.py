"""What is made from the manifest and the files, made again and compared: hash, card, metadata, plots.

::

    check_derived(shipped, expected=None, faults)
    # README.md:12: reads 'Clinically validated.', the manifest gives ''; ...

A release that another version of the card's templates wrote reads otherwise without any fault; that is said instead.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

from finemed.publish.cards import plots
from finemed.publish.cards.canvas import drawn_with
from finemed.publish.cards.card import card_hash, render_card, renderer_hash
from finemed.publish.cards.croissant import croissant
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.pictures import alike, no_png
from finemed.publish.checks.recount import NO_FORM, REMEDY, differing
from finemed.publish.checks.shipped import CARD, CROISSANT, MANIFEST, Shipped
from finemed.publish.versions.identity import facts_of, release_hash
from finemed.records.manifest import Manifest

_RULES = ("hash", "card", "croissant", "plots")


def check_derived(shipped: Shipped, expected: str | None, faults: Faults) -> dict[str, str]:
    """`hash`, `card`, `croissant` and `plots`: all that follows from the rest.

    Args:
        shipped: the release.
        expected: the hash that the release has according to whoever asks.
        faults: where what differs goes.

    Returns:
        The release's hash as it follows from the folder, where that can be said, and that of its manifest.
    """
    hashes = _hashes(shipped)
    manifest = shipped.whole
    if manifest is None:
        for rule in _RULES:
            faults.skip(rule, NO_FORM)
        _expect(expected, hashes, faults)
        return hashes
    if not shipped.spoilt:
        _hash(shipped, manifest, hashes, faults)
    _expect(expected, hashes, faults)
    same = manifest.renderer == renderer_hash()
    why = f"it was written by another version of the card's templates (finemed {manifest.finemed[:20]})"
    _card(shipped, manifest, why if not same else None, faults)
    _metadata(shipped, why if not same else None, faults)
    _plots(shipped, manifest, why if not same else None, faults)
    return hashes


# --- hash ------------------------------------------------------------------------------------------------------------


def _hashes(shipped: Shipped) -> dict[str, str]:
    found: dict[str, str] = {}
    if shipped.whole is not None:
        files = {name: value for name, value in shipped.hashes.items() if name in shipped.whole.files}
        made = _made(lambda: release_hash(shipped.path, shipped.raw, files))
        if not isinstance(made, Exception):
            found["release_hash"] = made
    with contextlib.suppress(OSError):
        found["manifest_sha256"] = hashlib.sha256((shipped.path / MANIFEST).read_bytes()).hexdigest()
    return found


def _expect(expected: str | None, hashes: dict[str, str], faults: Faults) -> None:
    if expected is None:
        return
    faults.apply("hash")
    if expected.strip().lower() not in hashes.values():
        known = ", ".join(f"{name} {value}" for name, value in hashes.items()) or "none"
        fact = f"the expected hash is {expected[:64]!a}, this release has {known}"
        faults.add("hash", MANIFEST, fact, "this is not the release that was meant: get it from where it was published")


def _hash(shipped: Shipped, manifest: Manifest, hashes: dict[str, str], faults: Faults) -> None:
    found = hashes.get("release_hash", "none")
    if manifest.format == 1 and found != manifest.release_hash:  # its hash holds the card of the templates of its day
        faults.skip("hash", "it was made when the hash did not follow from the folder alone; it is taken as stated")
        hashes["release_hash"] = manifest.release_hash
        return
    faults.apply("hash")
    if found != manifest.release_hash:
        fact = f"`release_hash` is {manifest.release_hash[:16]}, files and manifest give {found[:16]}"
        faults.add("hash", MANIFEST, fact, REMEDY)
    if manifest.renderer == renderer_hash():
        text = _made(lambda: card_hash(facts_of(shipped.raw)))
        if text != manifest.card_text:
            faults.add("hash", MANIFEST, "`card_text` is not the hash of the card that the manifest gives", REMEDY)


# --- card and metadata -----------------------------------------------------------------------------------------------


def _made(make: Any) -> Any:
    """What is made of a manifest; the error where its values do not do, for they may be anything."""
    try:
        return make()
    except Exception as error:  # an edited manifest can make a template raise nearly anything
        return error


def _card(shipped: Shipped, manifest: Manifest, why: str | None, faults: Faults) -> None:
    try:
        found = (shipped.path / CARD).read_bytes()
    except OSError:
        return  # the rule `card` tells of it already
    made = _made(lambda: render_card(shipped.raw, manifest.card).encode("utf-8", "replace"))
    if found == made:
        return
    if why is not None:
        faults.withdraw("card", f"the text: {why}; its front matter was checked")
        return
    if isinstance(made, Exception):
        faults.add("card", CARD, f"cannot be written from this manifest ({type(made).__name__})", REMEDY)
        return
    number, here, there = _first_difference(found.decode("utf-8", "replace"), made.decode("utf-8", "replace"))
    fact = f"reads {here!a}, the manifest gives {there!a}"
    remedy = "put your own words under `card.notes` in the configuration, and build or publish again"
    faults.add("card", f"{CARD}:{number}", fact, remedy)


def _first_difference(found: str, made: str) -> tuple[int, str, str]:
    one, other = found.split("\n"), made.split("\n")
    for number in range(max(len(one), len(other))):
        here, there = (lines[number] if number < len(lines) else "" for lines in (one, other))
        if here != there:
            alike = next((at for at, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), 0)
            begin = max(0, alike - 30)
            return number + 1, here[begin : begin + 80], there[begin : begin + 80]
    return len(one), "", ""


def _metadata(shipped: Shipped, why: str | None, faults: Faults) -> None:
    if CROISSANT not in shipped.names:
        return
    try:
        text = (shipped.path / CROISSANT).read_bytes()
        found = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return  # the rule `croissant` tells of it already
    made = _made(lambda: json.loads(json.dumps(croissant(shipped.raw, shipped.path))))
    if made == found and not isinstance(made, Exception):
        if text != (json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode("utf-8", "replace"):
            faults.add("croissant", CROISSANT, "is not written as `finemed publish` writes it", REMEDY)
        return
    if why is not None:
        faults.withdraw("croissant", f"all but its files: {why}")
        return
    place = "it"
    if not isinstance(made, Exception):
        place = next((f"`{where}`" for where, _, _ in differing(found, made, "")), "it")
    faults.add("croissant", CROISSANT, f"{place[:120]} is not what manifest and files give", REMEDY)


# --- plots -----------------------------------------------------------------------------------------------------------


def _plots(shipped: Shipped, manifest: Manifest, why: str | None, faults: Faults) -> None:
    names = [name for name in shipped.names if name.startswith("plots/")]
    if manifest.version is None and not names:
        faults.skip("plots", "the release is not published yet; `finemed publish` draws them")
        return
    faults.apply("plots")
    for name in names:
        if (fact := no_png(shipped.path / name)) is not None:
            faults.add("plots", name, fact, "remove it; `finemed publish` draws the pictures")
    told = manifest.plots or []
    if sorted(told) != sorted(names):
        faults.add("plots", MANIFEST, "`plots` does not name the pictures that are here", REMEDY)
    ours = drawn_with()
    if why is None and manifest.drawn_with != ours:
        there = ", ".join(f"{name} {version}" for name, version in (manifest.drawn_with or {}).items())[:60]
        why = f"they were drawn by {there or 'unknown libraries'}, here are {', '.join(map(' '.join, ours.items()))}"
    made = _made(lambda: plots.pictures(shipped.raw))
    if isinstance(made, Exception):
        wrong = {MANIFEST: f"they cannot be drawn from this manifest ({type(made).__name__})"}
    else:
        wrong = {name: "is missing" if name in made else "is no picture of a card" for name in made.keys() ^ set(names)}
        for name in sorted(made.keys() & set(names)):
            if not alike((shipped.path / name).read_bytes(), made[name]):
                wrong[name] = "is not the picture that the figures give"
    if why is None and isinstance(made, Exception) and faults.counts:
        why = "the figures, which break other rules, cannot be drawn"
    if why is not None and wrong:
        faults.withdraw("plots", f"what they show: {why}")
        return
    for name, fact in sorted(wrong.items()):
        faults.add("plots", name, fact, REMEDY)
