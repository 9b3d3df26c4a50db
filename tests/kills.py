"""Kills builds with SIGKILL at chosen moments, runs the same command again, and compares with an undisturbed build.

::

    python tests/kills.py --kills 24                            # the demo corpus in small shards
    python tests/kills.py --kills 40 --seed 3 --config finemed.yaml

Exact moments (inside a stage, inside a rename, half-way through a file) need the killed process to help: it runs
through ``python tests/kills.py child``, which wraps a few functions in its own memory and sends itself SIGKILL; the
package knows nothing of it. Uniform moments are killed from outside, by the clock. Prints a table; any run that does
not go on, or ends with other bytes, makes the exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [] if str(ROOT / "toolkit") in sys.path else [str(ROOT / "toolkit")]

from finemed.assets import demo_file  # noqa: E402
from finemed.pipeline.plan import STAGES, stage_folder  # noqa: E402
from finemed.publish.demo import FILES  # noqa: E402

VOLATILE = {"session.json", ".lock", "journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm"}
"""What a clock, a host or the network decides; everything else of a run is compared."""
SMALL_SHARDS = ("ingest.shard_rows=40",)
PATIENCE_S = 600.0
How = Literal["inside", "bytes", "before", "after", "uniform"]


@dataclass(frozen=True)
class Moment:
    """When to kill.

    `inside` a stage's work (or the release's) at its nth call; with half the `bytes` of a temporary file on disk;
    `before` or `after` the rename to a path that ends with `where`, the nth one; or `uniform`: at a share of the time.
    """

    how: How
    where: str = ""
    nth: int = 1
    share: float = 0.0
    old_release: bool = False
    """Start from a finished run with another card, so that its release has to be replaced."""

    def __str__(self) -> str:
        if self.how == "uniform":
            return f"{self.share:.0%} of the time"
        place = f"{self.where}, no. {self.nth}" if self.nth > 1 else self.where
        return {"inside": "inside", "bytes": "half the bytes of"}.get(
            self.how, f"{self.how} the rename to"
        ) + f" {place}"


@dataclass(frozen=True)
class Kill:
    """What came of one kill."""

    moment: str
    stage: str
    """First stage that was not finished; `release` behind the last, `start` before anything was written."""
    continued: bool
    differing: list[str]
    """Files that are missing, too many or different after the run went on."""

    @property
    def sound(self) -> bool:
        return self.continued and not self.differing


@dataclass(frozen=True)
class Build:
    """One build command, whose run folder can be chosen."""

    config: Path
    overrides: tuple[str, ...] = SMALL_SHARDS
    environment: dict[str, str] = field(default_factory=dict)

    def arguments(self, run: Path, *more: str) -> list[str]:
        sets = [part for override in (*self.overrides, *more) for part in ("--set", override)]
        return ["build", "--config", str(self.config), "--run", str(run), *sets]

    def start(self, run: Path, *more: str, program: Sequence[str] = ("-m", "finemed")) -> subprocess.Popen[str]:
        """Starts the command in a process group of its own; its talk goes to a file beside the run."""
        paths = [str(ROOT / "toolkit"), *filter(None, [os.environ.get("PYTHONPATH")])]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **self.environment}
        run.parent.mkdir(parents=True, exist_ok=True)
        with run.with_name(run.name + ".log").open("a") as log:
            command = [sys.executable, *program, *self.arguments(run, *more)]
            return subprocess.Popen(
                command, env=env, stdout=subprocess.DEVNULL, stderr=log, text=True, start_new_session=True
            )

    def finish(self, run: Path, *more: str) -> bool:
        """Runs the plain command to its end; True where it succeeded."""
        return self.start(run, *more).wait(PATIENCE_S) == 0

    def undisturbed(self, run: Path) -> float:
        """Builds without a kill; the seconds from the run's lock to the end."""
        process = self.start(run)
        began = _wait_for_lock(process, run)
        if process.wait(PATIENCE_S) != 0:
            raise SystemExit(f"the undisturbed build failed:\n{run.with_name(run.name + '.log').read_text()}")
        return time.monotonic() - began


def _wait_for_lock(process: subprocess.Popen[str], run: Path) -> float:
    while process.poll() is None and not (run / ".lock").exists():
        time.sleep(0.002)
    return time.monotonic()


# --- killing and comparing -------------------------------------------------------------------------------------------


def kill_and_go_on(build: Build, moment: Moment, run: Path, reference: Path, seconds: float) -> Kill:
    """Kills a build of `run` at this moment, runs the plain command again, compares with `reference`."""
    if moment.old_release:
        shutil.copytree(reference, run)
        if not build.finish(run, "card.title=Old") or not differences(reference, run):
            return Kill(str(moment), "start", False, ["there is no older release"])
    if moment.how == "uniform":
        killed = _kill_by_time(build, run, seconds * moment.share)
    else:
        program = [__file__, "child", moment.how, moment.where, str(moment.nth)]
        killed = build.start(run, program=program).wait(PATIENCE_S) == -signal.SIGKILL
    if not killed:
        return Kill(str(moment), stage_reached(run), False, ["the moment never came"])
    return go_on(build, str(moment), run, reference)


def go_on(build: Build, moment: str, run: Path, reference: Path) -> Kill:
    """Continues a run that was just killed and compares it."""
    stage = stage_reached(run)
    return Kill(moment, stage, build.finish(run), differences(reference, run))


def _kill_by_time(build: Build, run: Path, delay: float) -> bool:
    """Kills after this many seconds; where the build was faster this time, tries a little earlier."""
    for _ in range(5):
        process = build.start(run)
        until = _wait_for_lock(process, run) + delay
        while process.poll() is None and time.monotonic() < until:
            time.sleep(min(0.005, max(0.0, until - time.monotonic())))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.wait(PATIENCE_S) == -signal.SIGKILL:
            return True
        shutil.rmtree(run)
        delay *= 0.8
    return False


def stage_reached(run: Path) -> str:
    """The first stage that is not finished."""
    if not (run / "stages").exists():
        return "start"
    return next((name for name in STAGES if not (stage_folder(run, name) / "stage.json").exists()), "release")


def contents(run: Path) -> dict[str, bytes]:
    """Every file of a run that must not depend on when, where or how often it was started."""
    files = [path for path in run.rglob("*") if path.is_file() and path.name not in VOLATILE]
    return {path.relative_to(run).as_posix(): path.read_bytes() for path in files}


def differences(reference: Path, run: Path) -> list[str]:
    """Names of files that are not the same in both runs."""
    left, right = contents(reference), contents(run)
    return sorted(name for name in left.keys() | right.keys() if left.get(name) != right.get(name))


# --- moments ---------------------------------------------------------------------------------------------------------


def inside_each_stage(reference: Path) -> list[Moment]:
    """One moment per stage at its middle shard, by turns: at work, half a file, before and after a rename."""
    moments = []
    for number, name in enumerate(STAGES):
        folder = stage_folder(reference, name)
        middle = len(list(folder.glob("kept-*.parquet"))) // 2
        how: How = ("inside", "bytes", "before", "after")[number % 4]
        file = f"{folder.name}/{'drop' if how == 'after' else 'kept'}-{middle:05d}.parquet"
        moments.append(Moment(how, name, middle + 1) if how == "inside" else Moment(how, file))
    return moments


def plan_moments(kills: int, reference: Path, seed: int) -> list[Moment]:
    """Every stage, the manifest's write, the change of releases; what is left of `kills` is uniform over the time."""
    chance = random.Random(seed)
    manifest = f"/{reference.name}/manifest.json"
    exact = [
        *inside_each_stage(reference),
        Moment("before", manifest, chance.randint(1, len(STAGES))),
        Moment("after", "/release.old.tmp", old_release=True),
    ]
    more = [
        Moment("bytes", manifest, chance.randint(1, len(STAGES))),
        Moment("inside", "release", 3),
        Moment("before", "/ledger.parquet"),
    ]
    exact += more[: max(0, kills - len(exact) - 6)]
    uniform = [Moment("uniform", share=chance.uniform(0, 0.97)) for _ in range(kills - len(exact))]
    return [*exact[:kills], *uniform]


# --- the child: a build that kills itself ----------------------------------------------------------------------------


def child(how: str, where: str, nth: int) -> None:
    """Wraps what the moment is about, then runs the command line that is left in `sys.argv`."""
    from finemed.cli.main import main

    seen = 0

    def strike(name: str) -> None:
        nonlocal seen
        seen += name.endswith(where)
        if name.endswith(where) and seen == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    if how == "inside":
        _strike_at_work(where, strike)
    elif how == "bytes":
        _strike_at_half_a_file(where, strike)
    else:
        _strike_at_a_rename(how, strike)
    main()


Strike = Callable[[str], None]


def _strike_at_a_rename(how: str, strike: Strike) -> None:
    real = os.replace

    def replace(source: Any, target: Any) -> None:
        if how == "before":
            strike(str(target))
        real(source, target)
        if how == "after":
            strike(str(target))

    os.replace = replace  # type: ignore[assignment]


def _strike_at_half_a_file(where: str, strike: Strike) -> None:
    from finemed.store import atomic, shards

    def wrap(module: Any, name: str) -> None:
        real = getattr(module, name)

        def write(path: Path, content: Any) -> None:
            real(path, content)
            if str(path).removesuffix(atomic.TEMPORARY).endswith(where):
                os.truncate(path, path.stat().st_size // 2)
            strike(str(path).removesuffix(atomic.TEMPORARY))

        setattr(module, name, write)

    wrap(atomic, "_dump")
    wrap(shards, "_write")


def _strike_at_work(where: str, strike: Strike) -> None:
    from finemed.pipeline.plan import Plan
    from finemed.publish.pools import PoolFiles

    real_write, real_stages = PoolFiles.write, Plan.stages

    def write(self: PoolFiles, *arguments: Any) -> None:
        real_write(self, *arguments)
        strike("release")

    def stages(self: Plan) -> Any:
        found = real_stages(self)
        for kind in {type(stage): None for stage in found if stage.contract.name == where}:
            _wrap_work(kind, where, strike)
        return found

    PoolFiles.write = write  # type: ignore[method-assign]
    Plan.stages = stages  # type: ignore[method-assign]


def _wrap_work(kind: Any, where: str, strike: Strike) -> None:
    """The rows of a shard are worked out, and nothing of them is written yet."""
    name = "collect" if hasattr(kind, "requests") else "apply"
    real = getattr(kind, name)

    def work(self: Any, *arguments: Any) -> Any:
        outcome = real(self, *arguments)
        if self.contract.name == where:
            strike(where)
        return outcome

    setattr(kind, name, work)


# --- a model server, for kills with calls in flight ------------------------------------------------------------------


class JudgeServer(ThreadingHTTPServer):
    """Speaks the OpenAI protocol; its judgements follow from the request alone and name the request."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _JudgeHandler)
        self.asked: list[str] = []
        self.lock = threading.Lock()
        self.on_request: Callable[[int], None] = lambda number: None
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def overrides(self) -> tuple[str, ...]:
        """Puts `judge` behind this server, four calls in flight."""
        backend = f"{{type: openai, model: loop, base_url: '{self.url}', api_key_env: null, concurrency: 4}}"
        return ("judge.backend=loop", f"backends={{loop: {backend}}}")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed is what this is about."""

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()


class _JudgeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: JudgeServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        digest = hashlib.sha256(body).hexdigest()
        with self.server.lock:
            self.server.asked.append(digest)
            number = len(self.server.asked)
        self.server.on_request(number)
        score = int(digest[:8], 16)
        judgement = {
            "rationale": f"request {digest}",
            "quality": 5 + score % 6,
            "difficulty": 1 + score // 6 % 10,
            "relevance_to_medicine": 4 + score // 60 % 3,
            "mention_specific_details": False,
        }
        message = {"role": "assistant", "content": json.dumps(judgement)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        reply = {"id": digest, "object": "chat.completion", "created": 0, "model": "loop", "choices": [choice]}
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Says nothing."""


def recorded(run: Path) -> set[str]:
    """The requests whose replies lie in the run's journal, read from a copy of it."""
    with tempfile.TemporaryDirectory() as folder:
        for path in run.glob("journal.sqlite*"):
            shutil.copy(path, folder)
        with contextlib.closing(sqlite3.connect(Path(folder, "journal.sqlite"))) as journal:
            replies = [json.loads(reply) for (reply,) in journal.execute("SELECT reply FROM replies")]
    return {json.loads(reply["text"])["rationale"].removeprefix("request ") for reply in replies}


def kill_at_request(build: Build, server: JudgeServer, number: int, run: Path) -> bool:
    """Kills a build while the server holds its nth request; True where it was killed."""
    process: list[subprocess.Popen[str]] = []
    started = threading.Event()

    def strike(count: int) -> None:
        if count == number:
            started.wait(PATIENCE_S)
            os.killpg(process[0].pid, signal.SIGKILL)

    server.asked.clear()
    server.on_request = strike
    process.append(build.start(run))
    started.set()
    try:
        return process[0].wait(PATIENCE_S) == -signal.SIGKILL
    finally:
        server.on_request = lambda count: None


# --- the command -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def demo_config() -> Iterator[Path]:
    """The bundled corpus in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="finemed-kills-") as folder:
        for name in FILES:
            shutil.copy(demo_file(name), folder)
        yield Path(folder, "finemed.yaml")


def run_kills(build: Build, kills: int, seed: int, folder: Path, show: Callable[[str], None]) -> list[Kill]:
    """Builds undisturbed, then kills and goes on as often as asked."""
    reference = folder / "undisturbed" / "run"
    seconds = build.undisturbed(reference)
    show(f"undisturbed build: {seconds:.2f} s, {len(contents(reference))} files; seed {seed}")
    show(f"{'':>3} {'moment':<68} {'stage at the kill':<22} {'continued':<10} identical")
    found = []
    for number, moment in enumerate(plan_moments(kills, reference, seed), start=1):
        run = folder / f"kill-{number}" / "run"
        kill = kill_and_go_on(build, moment, run, reference, seconds)
        same = "yes" if not kill.differing else f"NO: {', '.join(kill.differing[:3])}"
        show(f"{number:>3} {kill.moment:<68} {kill.stage:<22} {'yes' if kill.continued else 'NO':<10} {same}")
        if kill.sound:
            shutil.rmtree(run.parent)
        found.append(kill)
    return found


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill builds, go on, and compare with an undisturbed build.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--config", type=Path, help="Configuration to build; the demo corpus if absent.")
    parser.add_argument("--set", action="append", dest="overrides", help=f"Settings; default: {SMALL_SHARDS[0]}")
    return parser.parse_args()


def command() -> int:
    options = parse_arguments()
    given = contextlib.nullcontext(options.config) if options.config else demo_config()
    folder = Path(tempfile.mkdtemp(prefix="finemed-kills-runs-"))
    with given as config:
        build = Build(config.resolve(), tuple(options.overrides or SMALL_SHARDS))
        kills = run_kills(build, options.kills, options.seed, folder, lambda line: print(line, flush=True))
    bad = [kill for kill in kills if not kill.sound]
    reached = {kill.stage for kill in kills}
    missing = [name for name in STAGES if name not in reached] if options.kills >= 22 else []
    print(f"{len(kills)} kills, {len(bad)} not sound; stages without a kill: {', '.join(missing) or 'none'}")
    if bad:
        print(f"what is left of them lies in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if bad or missing else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        _how, _where, _nth = sys.argv[2:5]
        sys.argv[1:5] = []
        child(_how, _where, int(_nth))
    else:
        sys.exit(command())
