"""Calls per second, CPU and memory of the client beside a bare loop, bespokelabs-curator and distilabel.

::

    python benchmarks/backends.py --requests 20000 --curator VENV/bin/python --distilabel VENV/bin/python

A server process of our own answers every chat completion after one second. Each client runs in a process of its own
and asks for the same judgements, 256 at a time: the `openai` package in a bare `asyncio` loop without journal, parsing
or retries; ours from end to end (keys, journal, replies read); the peers with their own caches on, each in its own
environment and on `--peer-requests` requests. CPU time is that of the calls, without imports; memory is the peak of the
whole process tree (proportional share), imports included.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from measure import REPO, note, table

LATENCY_S = 1.0
SYSTEM = "You are a strict reviewer of questions for training a medical assistant. Reply with one JSON object."
PASSAGE = "Croup is a viral infection of the larynx in small children, with a barking cough and hoarse breath. " * 30
JUDGEMENT = {
    "rationale": "The question is clear and can be answered from what a student knows of the larynx.",
    "quality": 8,
    "difficulty": 5,
    "relevance_to_medicine": 6,
    "mention_specific_details": False,
}


def prompt(number: int) -> str:
    return f"<question>\nWhat is seen in case {number}?\n</question>\n<text>\n{PASSAGE}\n</text>"


# --- the server ------------------------------------------------------------------------------------------------------


def serve() -> None:
    """Answers every POST after `LATENCY_S`; prints its port. As little work per call as can be."""
    import asyncio

    message = {"role": "assistant", "content": json.dumps(JUDGEMENT)}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 800, "completion_tokens": 60, "total_tokens": 860}
    reply = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    body = json.dumps(reply).encode()
    limits = "x-ratelimit-limit-requests: 10000000\r\nx-ratelimit-limit-tokens: 10000000000\r\n"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{limits}content-length: {len(body)}\r\n\r\n"
    good = head.encode() + body

    class Connection(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.data = transport, b""

        def data_received(self, data: bytes) -> None:
            self.data += data
            while (end := self.data.find(b"\r\n\r\n")) >= 0:
                head = self.data[:end].lower()
                at = head.find(b"content-length:")
                size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
                if len(self.data) < end + 4 + size:
                    return
                self.data = self.data[end + 4 + size :]
                asyncio.get_running_loop().call_later(LATENCY_S, self.answer)

        def answer(self) -> None:
            if not self.transport.is_closing():
                self.transport.write(good)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=4096)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    asyncio.run(run())


# --- the clients -----------------------------------------------------------------------------------------------------


def usage_s() -> float:
    """CPU time of this process and of the children it waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@contextmanager
def timed(requests: int) -> Iterator[list[int]]:
    """Prints what the block took; the list takes the number of good replies."""
    good: list[int] = []
    cpu, wall = usage_s(), time.perf_counter()
    yield good
    wall_s, cpu_s = time.perf_counter() - wall, usage_s() - cpu
    if sum(good) != requests:
        sys.exit(f"{sum(good)} of {requests} replies are good")
    print(json.dumps({"wall_s": wall_s, "cpu_s": cpu_s}), flush=True)


def bare(url: str, requests: int, concurrency: int) -> None:
    """`openai.AsyncOpenAI` in a loop: no journal, nothing parsed, no retry of its own."""
    import asyncio

    import httpx2
    import openai

    async def run() -> None:
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        http = openai.DefaultAsyncHttpxClient(limits=limits, timeout=120)
        client = openai.AsyncOpenAI(api_key="none", base_url=url, timeout=120, http_client=http)
        room = asyncio.Semaphore(concurrency)

        async def one(number: int) -> int:
            messages: Any = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt(number)}]
            async with room:
                reply = await client.chat.completions.create(
                    model="m", messages=messages, temperature=0.8, top_p=1.0, max_tokens=1024
                )
            return int(bool(reply.choices[0].message.content))

        with timed(requests) as good:
            good += await asyncio.gather(*(one(number) for number in range(requests)))

    asyncio.run(run())


def ours(url: str, requests: int, concurrency: int, again: bool = False) -> None:
    """`ask` with the journal on; a judge's requests, its replies read. `again` reads all of them from the journal."""
    from finemed.config import OpenAIBackend
    from finemed.llm.accounting import FailureLimit, Tally
    from finemed.llm.ask import ask, parser_of
    from finemed.llm.base import Request, Sampling
    from finemed.llm.openai import OpenAIChat
    from finemed.prompts import load_prompt
    from finemed.records import JudgementReply
    from finemed.store.journal import Journal

    settings: Any = {"base_url": url, "api_key_env": None, "concurrency": concurrency, "timeout_s": 120}
    backend = OpenAIChat(OpenAIBackend(type="openai", model="m", structured="off", **settings))
    judge, sampling = load_prompt("judge"), Sampling(0.8, 1.0, 1024)

    def wanted() -> Iterator[Request]:
        for number in range(requests):
            inputs = {"instruction": f"What is seen in case {number}?", "text": PASSAGE, "given": False}
            yield Request((str(number), "judge"), judge, inputs, sampling, JudgementReply)

    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder, "journal.sqlite"))
        for _ in range(1 + again):
            limit = FailureLimit("judge", 0.2)
            with timed(requests) as good:
                stream = ask(wanted(), backend, journal, parse=parser_of, max_reasks=2, tally=Tally(), limit=limit)
                good += [int(answer.state == "parsed") for answer in stream]
        backend.close()
        journal.close()


def curator(url: str, requests: int, concurrency: int) -> None:
    """bespokelabs-curator, its cache in an empty folder, its telemetry and viewer off."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"CURATOR_CACHE_DIR": folder, "TELEMETRY_ENABLED": "false", "CURATOR_VIEWER": "false"}
        os.environ |= {"OPENAI_API_KEY": "none", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        import litellm

        # it counts tokens with a vocabulary from the network; litellm brings the same file
        os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(litellm.__file__).parent / "litellm_core_utils" / "tokenizers")
        from bespokelabs import curator as package
        from datasets import Dataset

        class Judge(package.LLM):  # type: ignore[misc]
            def prompt(self, row: Any) -> Any:
                return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt(row["number"])}]

            def parse(self, row: Any, response: Any) -> Any:
                return {"quality": json.loads(response)["quality"]}

        limits = {"max_requests_per_minute": 10_000_000, "max_tokens_per_minute": 10_000_000_000}
        params = {"base_url": url, "max_concurrent_requests": concurrency, "request_timeout": 120, **limits}
        judge = Judge(model_name="gpt-4o-mini", backend="openai", backend_params=params)
        rows = Dataset.from_dict({"number": list(range(requests))})
        with timed(requests) as good:
            found = judge(rows)
            good += [int(row["quality"] == 8) for row in getattr(found, "dataset", found)]


def distilabel(url: str, requests: int, concurrency: int) -> None:
    """distilabel: a pipeline with one task, a batch as large as the others' calls in flight, its cache off."""
    from datasets import Dataset
    from distilabel.models import OpenAILLM
    from distilabel.pipeline import Pipeline
    from distilabel.steps import LoadDataFromDicts
    from distilabel.steps.tasks import ChatGeneration

    def messages(number: int) -> list[dict[str, str]]:
        return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt(number)}]

    with tempfile.TemporaryDirectory() as folder, timed(requests) as good:
        with Pipeline(name="judge", cache_dir=folder) as pipeline:
            rows = [{"messages": messages(number)} for number in range(requests)]
            load = LoadDataFromDicts(data=rows, batch_size=concurrency)
            model = OpenAILLM(model="m", base_url=url, api_key="none", timeout=120)
            load >> ChatGeneration(llm=model, input_batch_size=concurrency)
        found: Any = pipeline.run(use_cache=False)
        data: Dataset = found["default"]["train"]
        good += [int(json.loads(reply)["quality"] == 8) for reply in data["generation"]]


CLIENTS = {"bare": bare, "ours": ours, "curator": curator, "distilabel": distilabel}


# --- measuring -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """One client's run."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for each in found:
        for path in Path("/proc", str(each), "task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                continue
    return found


def share_mb(pid: int) -> float:
    """Memory of a process in megabytes, what it shares with others divided among them."""
    try:
        lines = Path("/proc", str(pid), "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024 / 1e6


def measured(python: str, name: str, url: str, requests: int, concurrency: int) -> Cost:
    """Runs a client as a child process and watches its memory."""
    env = {**os.environ, "PYTHONPATH": str(REPO / "toolkit"), "TOKENIZERS_PARALLELISM": "false"}
    if name in ("curator", "distilabel"):
        del env["PYTHONPATH"]
    command = [python, __file__, name, url, str(requests), str(concurrency)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(command, env=env, stdout=out, stderr=err)
        peak = 0.0
        while child.poll() is None:
            peak = max(peak, sum(map(share_mb, tree(child.pid))))
            time.sleep(0.5)
        out.seek(0)
        err.seek(0)
        if child.returncode:
            shown = err.read().decode("utf-8", "replace")[-1500:]
            sys.exit(f"{name}: exit code {child.returncode}\n{shown}")
        line = next(line for line in reversed(out.read().decode().splitlines()) if line.startswith("{"))
        told = json.loads(line)
        return Cost(told["wall_s"], told["cpu_s"], peak)


@contextmanager
def server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, __file__, "serve"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def busy(seconds: float = 2.0) -> float:
    """Share of the machine's CPU that others use just now."""

    def idle() -> tuple[float, float]:
        times = [float(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return times[3] + times[4], sum(times)

    before = idle()
    threading.Event().wait(seconds)
    after = idle()
    return 1 - (after[0] - before[0]) / max(1e-9, after[1] - before[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--peer-requests", type=int, default=2_000)
    parser.add_argument("--concurrency", type=int, default=256)
    parser.add_argument("--curator", metavar="PYTHON", help="interpreter of an environment with bespokelabs-curator")
    parser.add_argument("--distilabel", metavar="PYTHON", help="interpreter of one with distilabel[openai]")
    given = parser.parse_args()
    runs = [("bare", sys.executable, given.requests), ("ours", sys.executable, given.requests)]
    peers = [(name, python) for name in ("curator", "distilabel") if (python := getattr(given, name))]
    if peers:
        runs += [("ours", sys.executable, given.peer_requests)]
        runs += [(name, python, given.peer_requests) for name, python in peers]
    note(f"{busy():.0%} of the machine is busy with other things")
    rows, costs = [], {}
    with server() as url:
        for name, python, requests in runs:
            note(f"{name}: {requests:,} requests")
            cost = costs[name, requests] = measured(python, name, url, requests, given.concurrency)
            rate, cpu = requests / cost.wall_s, cost.cpu_s / requests * 1000
            rows.append(
                (name, f"{requests:,}", f"{cost.wall_s:.1f}", f"{rate:.0f}", f"{cpu:.2f}", f"{cost.peak_mb:.0f}")
            )
    print(table(("client", "requests", "wall s", "requests/s", "CPU ms/request", "peak MB"), rows))
    share = costs["bare", given.requests].wall_s / costs["ours", given.requests].wall_s
    print(f"\nThroughput of ours against the bare loop: {share:.1%} ({'met' if share >= 0.95 else 'missed'}: 95%)")
    for name, _ in peers:
        peer, own = costs[name, given.peer_requests], costs["ours", given.peer_requests]
        ahead = own.cpu_s < peer.cpu_s and own.peak_mb < peer.peak_mb
        cpu, memory, wall = peer.cpu_s / own.cpu_s, peer.peak_mb / own.peak_mb, peer.wall_s / own.wall_s
        print(
            f"{name} takes {cpu:.1f} times the CPU, {memory:.1f} times the memory and {wall:.1f} times as long "
            f"({'met' if ahead else 'missed'}: ours ahead in CPU and memory)"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    elif sys.argv[1:2] and sys.argv[1] in CLIENTS:
        CLIENTS[sys.argv[1]](sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        main()
