"""`python -m stemwright` is the command `stemwright`."""

import signal


def main() -> None:
    """An interrupt ends the process without a word until the command has its own answer: nothing has begun yet."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from stemwright import cli  # what the command needs takes a moment to import

    cli.main()


if __name__ == "__main__":
    main()
