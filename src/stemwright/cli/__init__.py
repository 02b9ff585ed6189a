"""The command `stemwright`: what there is, and how every command ends. Each one is imported when it is called."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version as installed_version
from types import FrameType
from typing import Any

from cyclopts import App, CycloptsError, Parameter, Token, UnknownCommandError, UnknownOptionError, convert

from stemwright.audio.parts import is_full
from stemwright.errors import Misuse, StemwrightError, Unforeseen
from stemwright.terminal import plain

FAILED, MISUSED, UNEXPECTED, INTERRUPTED = 1, 2, 70, 130
SIGNALS = (signal.SIGINT, signal.SIGTERM)
SERVICES = (["serve"], ["worker"])
_LIST = "`stemwright --help` shows those that exist"
ONE_SECONDS = 0.3
"""Signals within them count as one: `timeout`, make and others pass on what the terminal has sent to all."""


def _as_said(kind: Any, tokens: Sequence[Token]) -> Any:
    """A value as it was said: left to itself, the parser rounds 1.5 to 2 where a whole number is meant."""
    if kind not in (int, int | None):
        return convert(kind, tokens)
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"Must be a whole number, not {tokens[0].value!r}.") from None


app = App(
    name="stemwright",
    help="Splits songs into stems: vocals, drums, bass and nine more. `stemwright COMMAND --help` tells more.",
    version=lambda: installed_version("stemwright"),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(converter=_as_said),
    # Parameters without a help text of their own are told by the docstring of their command.
    help_format="markdown",
)

# A help text here, and not in the module, is what lets `stemwright --help` answer without importing any of them.
for _name, _module, _help in (
    ("separate", "stemwright.cli.separating", "Separate songs, or whole folders of them, into stems."),
    ("models", "stemwright.cli.models", "List, show, fetch, take in and remove models."),
    (
        "doctor",
        "stemwright.server.commands.doctor",
        "Look at this machine: device, disk, models, database, storage, clock.",
    ),
    ("evaluate", "stemwright.cli.training", "Measure a model on a folder of songs whose stems are known."),
    ("train", "stemwright.cli.training", "Make or take training songs, and train on them (needs `stemwright[train]`)."),
    ("mcp", "stemwright.cli.assistants", "Serve tools to an AI assistant (needs `stemwright[mcp]`)."),
    ("serve", "stemwright.server.commands", "Run the service: the API and one worker."),
    ("worker", "stemwright.server.commands", "Run one more worker for a service."),
    ("migrate", "stemwright.server.commands", "Bring the service's database forward to this version."),
    ("backup", "stemwright.server.commands", "Copy a data folder while the service uses it."),
    ("keys", "stemwright.server.commands.keys", "Create, list, rotate and revoke API keys."),
    ("credits", "stemwright.server.commands.credits", "Grant credits, and show an account's balance or ledger."),
    ("accounts", "stemwright.server.commands.accounts", "List accounts, and share the fleet among them."),
    ("tasks", "stemwright.server.commands.tasks", "List, show, cancel and retry tasks."),
    ("workers", "stemwright.server.commands.workers", "List the workers, and what they are on."),
    ("callbacks", "stemwright.server.commands.callbacks", "List callbacks, and send them again."),
    ("maintenance", "stemwright.server.commands", "Stop taking new tasks for a while, and start again."),
):
    app.command(f"{_module}:{_name}", name=_name, help=_help)


@app.command
def version() -> None:
    """Print the version."""
    app.version_print()


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; ends the process with 0, 1 after an error, 2 a misuse, 70 a fault of ours, 130 an interrupt."""
    heard = [each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN]  # as in a shell's background
    for number in heard:
        signal.signal(number, _interrupt)
    status = run(arguments)
    for number in heard:  # all is done and told: on the way out an interrupt would only be a traceback
        signal.signal(number, signal.SIG_DFL)
    sys.exit(status)


def run(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit status; errors become one line on stderr.

    Those that nobody foresaw too, unless STEMWRIGHT_TRACEBACK is set: then they are raised.
    """
    try:
        status = app(arguments, exit_on_error=False, print_error=False)
        return status if isinstance(status, int) else 0
    except UnknownCommandError as error:  # its own message would import every command, to suggest one
        unknown = (error.unused_tokens or ["?"])[0]
        way = f"`stemwright separate {unknown}` separates it" if os.access(unknown, os.F_OK) else _LIST
        return _complain(f"There is no command {unknown!r}. {way}.", MISUSED)
    except CycloptsError as error:
        return _complain(_misuse(error), MISUSED)
    except StemwrightError as error:
        return _complain(str(error), MISUSED if isinstance(error, Misuse) else FAILED)
    except KeyboardInterrupt:
        return _break_off(sys.argv[1:] if arguments is None else arguments)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output has left: nobody is there to be told
        return FAILED
    except Exception as error:
        if os.environ.get("STEMWRIGHT_TRACEBACK"):
            raise
        if isinstance(error, UnicodeEncodeError) and any(error.object in each for each in arguments or sys.argv):
            return _complain(f"{error.object!r} is no text in UTF-8.", MISUSED)
        # A folder, a disk: theirs, not ours.
        if isinstance(error, OSError) and error.strerror and (error.filename or is_full(error)):
            return _complain(f"{error.filename or 'the output'} cannot be used: {error.strerror}", FAILED)
        return _complain(str(Unforeseen.by(error)), UNEXPECTED)


def _misuse(error: CycloptsError) -> str:
    """What was wrong with the words of a command; names of files that begin with a dash are no options."""
    unknown = error.token.value if isinstance(error, UnknownOptionError) else ""
    if unknown == "-":
        return "A pipe (-) is not read. Save it to a file, and give that."
    if unknown and os.access(unknown, os.F_OK):
        return f"{unknown} was taken for an option. Write ./{unknown}"
    told = str(error).rstrip(".")
    return f"{told}{'' if told.endswith('?') else '.'} Add --help to see how."


def _break_off(arguments: list[str]) -> int:
    if arguments[:1] in SERVICES:
        return 0  # one that is stopped while it starts ends as later: nobody waits for what it does
    return _complain("interrupted: nothing half-written was left behind", INTERRUPTED)


def _complain(message: str, status: int) -> int:
    sys.stderr.write(f"stemwright: {plain(' '.join(message.split()))}\n")
    return status


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Ctrl-C or a polite kill is answered at once and leaves nothing behind; the next one waits for nothing."""
    heard = time.monotonic()

    def again(_signal: int, _frame: FrameType | None) -> None:
        if time.monotonic() - heard > ONE_SECONDS:
            os._exit(INTERRUPTED)

    for number in SIGNALS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, again)
    line = "stemwright: stopping; once more leaves at once\n"
    with suppress(OSError):  # not by sys.stderr, into which this may have broken
        os.write(2, (f"\n{line}" if os.isatty(2) else line).encode())
    raise KeyboardInterrupt
