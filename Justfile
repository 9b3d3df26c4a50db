# The same commands as in README.md and CONTRIBUTING.md, shorter. https://just.systems

python := ".venv/bin/python"

# List the targets.
default:
    @just --list

# Make the environment for development.
install:
    python3 -m venv .venv
    .venv/bin/pip install -c constraints.txt -e '.[dev,train]'

# Build the sample release.
demo:
    {{python}} -m finemed demo

# Run the tests.
test *args:
    {{python}} -m pytest {{args}}

# Everything that must pass before a commit.
check: lint
    {{python}} docs/generate.py --check
    {{python}} -m pytest

# Style, types, layers.
lint:
    {{python}} -m ruff check .
    {{python}} -m ruff format --check .
    {{python}} -m mypy
    .venv/bin/lint-imports

# Write docs/cli.md, columns.md, configuration.md and the schemas.
docs:
    {{python}} docs/generate.py

# Thirty kills of a build, each continued and compared byte for byte.
kill-test *args:
    {{python}} tests/kills.py --kills 30 {{args}}

# A thousand bit flips and exchanges in what a build stores; each is healed or named (docs/pipeline.md).
flip-test *args:
    {{python}} tests/flips.py --flips 1000 {{args}}

# A hundred kills of a judge stage of 2,000 requests; no recorded reply is asked for again.
call-kill-test *args:
    {{python}} tests/kill_calls.py --kills 100 {{args}}

# The tests with the lowest versions that pyproject.toml allows, in an environment of their own; torch as in constraints.txt.
floors folder=".venv-floors" python3="python3":
    {{python3}} -m venv {{folder}}
    {{folder}}/bin/pip install -q uv
    {{folder}}/bin/pip install -q -c constraints.txt torch
    grep '^torch==' constraints.txt > {{folder}}/torch.txt
    {{folder}}/bin/uv pip install -q --python {{folder}}/bin/python --resolution lowest-direct -c {{folder}}/torch.txt -e '.[dev,train]'
    {{folder}}/bin/python -m pytest

# The whole chain on CPU: demo release, tiny SFT, tiny DPO, one TTT answer with the base restored.
chain folder="finemed-chain":
    {{python}} -m finemed demo {{folder}}
    {{python}} -m finemed train {{folder}}/run/release --out {{folder}}/model
    {{python}} -m finemed ttt answer "How is croup treated, and what role does dexamethasone have?" --release {{folder}}/run/release --model {{folder}}/model/dpo --json

# A real vLLM on this machine's CPU behind both of its backends: 3.5 GB, some minutes; docs/engine-test.md says more.
engine-test *args:
    {{python}} tests/engine/run.py {{args}}

# All benchmarks; each prints a table (see docs/benchmarks.md).
bench:
    for script in benchmarks/*.py; do {{python}} $script; done
