"""Every error that FineMed raises on purpose.

::

    FineMedError                 base; the command line turns it into an exit code without a traceback
    |-- ConfigError              2  a setting is wrong (all faults of a file at once)
    |-- InputError               4  a corpus, benchmark or dataset cannot be used as a whole
    |-- StageError               1  a stage cannot go on with these rows and settings
    |   `-- PoolError            1  a pool cannot reach its minimum size
    |-- BackendError             4  a source of language cannot be used at all
    |-- BudgetError              3  a limit on tokens or money is reached
    |-- StoreError               4  a file of a run or a release is damaged, locked, or cannot be written
    |   `-- DamagedFileError     4  a stored file is missing or is not what was written
    |-- PublishError             4  a release cannot go where it should: taken, or not to be reached
    |   |-- ContractError        1  the release breaks its contract
    |   `-- DamagedReleaseError  4  what is there under a version's name is no whole release
    |-- TrainingError            4  a recipe cannot train what it was given
    |-- MissingExtraError        2  an optional dependency is not installed
    `-- InternalError            5  a fault of FineMed's own
        `-- ReconcileError       5  rows were lost, doubled or renamed

The numbers are the exit codes: 0 ok, 1 a finding, 2 usage or configuration, 3 budget spent, 4 bad input (what was given
or stored, or what a server answered, cannot be used), 5 a failure of ours.

A message gives place, fact, value and next step::

    finemed.yaml: `split.test` is 1.5, above 0.5; set a share of the rows, such as 0.05
"""

from __future__ import annotations

EXIT_CODES = {
    0: "Done, and nothing was found that needs a look.",
    1: "A finding: a rule is broken, a stored reply or a version is damaged, a stage cannot go on with these rows.",
    2: "Usage or configuration: an option, a setting or a value is wrong, or an optional package is missing.",
    3: "The budget is spent: a limit on tokens or money is reached; a higher one goes on from there.",
    4: "Bad input: what was given, is stored, or was answered by a server is missing or cannot be used.",
    5: "A failure of FineMed's own; the message holds what a bug report needs.",
    130: "Interrupted (Ctrl-C); the same command goes on from there.",
}
"""What every command exits with."""


class FineMedError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 4


class ConfigError(FineMedError):
    """A setting is wrong; the message lists every fault found."""

    exit_code = 2


class InputError(FineMedError):
    """An input as a whole cannot be used (single bad rows are quarantined instead)."""


class StageError(FineMedError):
    """A stage cannot go on with these rows and settings."""

    exit_code = 1


class PoolError(StageError):
    """A pool cannot reach its minimum size with these settings."""


class BackendError(FineMedError):
    """A backend cannot be used at all: unreachable, unauthorised, misconfigured."""


class BudgetError(FineMedError):
    """The limit on tokens or money is reached; what was paid for is stored."""

    exit_code = 3


class StoreError(FineMedError):
    """A file of a run or a release is damaged, locked, or belongs to something else."""


class PublishError(FineMedError):
    """A release cannot go where it should; what was published before is as it was."""


class ContractError(PublishError):
    """The release breaks its contract; the message names every fault."""

    exit_code = 1


class DamagedReleaseError(PublishError):
    """What is there under a version's name is no whole release."""


class TrainingError(FineMedError):
    """A recipe cannot train what it was given."""


class MissingExtraError(FineMedError):
    """An optional dependency is not installed."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs `pip install 'finemed[{extra}]'`")
        self.feature = feature
        self.extra = extra


class InternalError(FineMedError):
    """A fault of FineMed's own, never of the user's rows or files; the message holds what a bug report needs."""

    exit_code = 5


def is_of_programming(error: BaseException) -> bool:
    """Whether an error says that code is wrong, ours or a library's: it is never a fault of a file or a connection."""
    kinds = (TypeError, AttributeError, NameError, LookupError, AssertionError, NotImplementedError, RecursionError)
    return isinstance(error, kinds) and type(error).__module__ == "builtins"


class ReconcileError(InternalError):
    """The rows that left a stage do not account for the rows that entered it."""
