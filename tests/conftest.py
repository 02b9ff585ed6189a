"""What holds for every test."""

import signal


def pytest_configure() -> None:
    """Started in the background by a shell, we would hand our ignored SIGINT on to every command under test."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
