"""How fast every `--help` answers: whole processes, `python -m finemed ... --help`, median of ten.

::

    python benchmarks/startup.py --peers-python peers/bin/python

Beside them the bare interpreter and, where installed beside `--peers-python`, the `--help` of comparable tools. All
commands run in turn, round after round, so that a busy moment of the machine hits all alike. Target: under 300 ms.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from measure import Cost, middle, note, run, table, verdict

TARGET_MS = 300
PEERS = ("distilabel", "data-designer", "synthetic-data-kit")
_LIST = """
import json, click
from finemed.cli.main import cli
def walk(command, path):
    yield path
    if isinstance(command, click.Group):
        with click.Context(command) as context:
            for name in command.list_commands(context):
                yield from walk(command.get_command(context, name), [*path, name])
print(json.dumps(list(walk(cli, []))))
"""


def commands() -> list[list[str]]:
    """Every command and sub-command of `finemed`, as the words after its name; the first has none."""
    found: list[list[str]] = json.loads(run([sys.executable, "-c", _LIST]).stdout)
    return found


def peers(python: Path | None) -> tuple[dict[str, list[str | Path]], list[str]]:
    """(label -> command line of `--help`, names that are not there)."""
    if python is None:
        return {}, list(PEERS)
    scripts = {name: python.absolute().parent / name for name in PEERS}  # not resolved: a venv's python is a link
    query = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    there = {name: path for name, path in scripts.items() if path.exists()}
    versions = {name: run([python, "-c", query, name], toolkit=False).stdout.strip() for name in there}
    return {f"{name} {versions[name]}": [path, "--help"] for name, path in there.items()}, [
        name for name in PEERS if name not in there
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10, help="rounds, of which the median is shown (default: 10)")
    parser.add_argument("--peers-python", type=Path, help="interpreter of an environment that holds peers")
    arguments = parser.parse_args()
    found, absent = peers(arguments.peers_python)
    bare = "python -c pass"
    own: dict[str, list[str | Path]] = {
        " ".join(["finemed", *words, "--help"]): [sys.executable, "-m", "finemed", *words, "--help"]
        for words in commands()
    }
    lines: dict[str, list[str | Path]] = {bare: [sys.executable, "-c", "pass"], **own}
    lines |= {f"{label} --help": line for label, line in found.items()}
    costs: dict[str, list[Cost]] = {label: [] for label in lines}
    for number in range(arguments.runs + 1):  # the first round fills the disk's cache and writes bytecode
        note(f"round {number} of {arguments.runs}")
        for label, line in lines.items():
            cost = run(line, toolkit=label in own)
            if number:
                costs[label].append(cost)
    base = middle(costs[bare]).wall_s
    rows = []
    for label in lines:
        cost = middle(costs[label])
        walls = [one.wall_s * 1000 for one in costs[label]]
        rows.append(
            [
                f"`{label}`",
                f"{cost.wall_s * 1000:.0f}",
                f"{min(walls):.0f} to {max(walls):.0f}",
                f"{cost.cpu_s * 1000:.0f}",
                f"{cost.wall_s / base:.1f}",
                verdict(cost.wall_s * 1000, TARGET_MS) if label in own else "",
            ]
        )
    print(table(["command", "wall ms", "range", "CPU ms", "x bare", f"< {TARGET_MS} ms"], rows))
    for name in absent:
        print(f"\n{name}: not installed beside --peers-python, skipped.")


if __name__ == "__main__":
    main()
