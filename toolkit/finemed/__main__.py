"""The door of the command: ``finemed ...`` and ``python -m finemed ...``.

It is open before anything else is imported, so that Ctrl-C during the start ends as it does later: one line, exit code
130, no traceback. What is imported here before that is part of Python's own start.
"""

import os
import signal
import sys

INTERRUPTED = 130


def _at_start(_number: int, _frame: object) -> None:
    """Ends at once: nothing has been begun, and no import that is under way can catch this."""
    os.write(2, b"finemed: interrupted; run the same command again to go on\n")
    os._exit(INTERRUPTED)


def main() -> None:
    """Runs the command line and exits."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not where a shell started it in the background
        signal.signal(signal.SIGINT, _at_start)
    from finemed.cli.main import main as run
    from finemed.cli.streams import closing_streams

    with closing_streams():
        if signal.getsignal(signal.SIGINT) is _at_start:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            run()
        finally:
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
                signal.signal(signal.SIGINT, signal.SIG_IGN)  # the exit code stands; what is left takes a moment


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:  # between two of the lines above
        sys.exit(INTERRUPTED)
