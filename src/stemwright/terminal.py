"""What is said on a terminal: nothing in a name or a message may move its cursor or set its colours."""

from __future__ import annotations


def plain(text: str) -> str:
    """The text with an escape in place of each character that is not to be seen.

    >>> plain("bell\\a, line\\n, name.mp3")
    'bell\\\\x07, line\\\\n, name.mp3'
    """
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
