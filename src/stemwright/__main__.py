"""`python -m stemwright` is the command `stemwright`."""

from stemwright.cli import main

main()
