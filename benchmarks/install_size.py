"""Weight of a core installation: packages and megabytes in a fresh virtual environment.

::

    python benchmarks/install_size.py

Runs `pip install -c constraints.txt .` in a folder that is removed afterwards. pip and setuptools, which a virtual
environment brings itself, do not count. Bytes are the sizes of the files, bytecode included, as pip leaves them; on
the disk they take up whole blocks. Targets: under 50 packages and under 1 GB.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from measure import MB, REPO, note, run, table, verdict

TARGET_PACKAGES = 50
TARGET_MB = 1000
_WEIGH = """
import importlib.metadata, json, os, pathlib, sysconfig
site = pathlib.Path(sysconfig.get_path("purelib"))
own = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence.pth", "__pycache__")
held = [path.stat() for top in site.iterdir() if top.name.split("-")[0] not in own and top.name not in own
        for path in (top.rglob("*") if top.is_dir() else [top]) if path.is_file()]
packages = {}
for dist in importlib.metadata.distributions(path=[str(site)]):
    name = dist.metadata["Name"]
    files = {os.path.realpath(dist.locate_file(file)) for file in dist.files or []}
    if name.lower() not in own:
        packages[name] = [dist.version, sum(os.path.getsize(path) for path in files if os.path.isfile(path))]
print(json.dumps([packages, sum(s.st_size for s in held), sum(512 * s.st_blocks for s in held)]))
"""


def weigh(python: Path) -> tuple[dict[str, tuple[str, int]], int, int]:
    """(package -> version and bytes of its files, bytes of site-packages, bytes of the blocks that these take up)."""
    found, size, blocks = json.loads(run([python, "-c", _WEIGH], toolkit=False).stdout)
    return {name: (version, held) for name, (version, held) in found.items()}, size, blocks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="makes the environment")
    parser.add_argument("--extra", default="", help="weigh `.[EXTRA]` instead of the core, such as train")
    arguments = parser.parse_args()
    what = f"{REPO}[{arguments.extra}]" if arguments.extra else str(REPO)
    with tempfile.TemporaryDirectory(prefix="finemed-bench-") as folder:
        note("venv")
        made = run([arguments.python, "-m", "venv", folder], toolkit=False)
        python = Path(folder) / "bin" / "python"
        constraints = REPO / "constraints.txt"
        note("pip install")
        installed = run(
            [python, "-m", "pip", "install", "-q", "-c", constraints, what], cwd=Path(folder), toolkit=False
        )
        packages, size, blocks = weigh(python)
        started = run([python, "-m", "finemed", "--version"], cwd=Path(folder), toolkit=False)
    rows = [
        ["packages", len(packages), f"< {TARGET_PACKAGES}", verdict(len(packages), TARGET_PACKAGES)],
        ["MB of site-packages", f"{size / MB:.0f}", f"< {TARGET_MB}", verdict(size / MB, TARGET_MB)],
        ["MB of the disk's blocks", f"{blocks / MB:.0f}", "", ""],
        ["seconds of `python -m venv`", f"{made.wall_s:.1f}", "", ""],
        ["seconds of `pip install`", f"{installed.wall_s:.1f}", "", ""],
    ]
    print(table(["figure", "measured", "target", ""], rows), end="\n\n")
    largest = sorted(packages.items(), key=lambda item: (-item[1][1], item[0]))
    cells = [[name, version, f"{held / MB:.1f}", f"{held / size:.0%}"] for name, (version, held) in largest[:10]]
    print(table(["package", "version", "MB", "share"], cells), end="\n\n")
    print(f"It runs: {started.stdout.strip()}.")


if __name__ == "__main__":
    main()
