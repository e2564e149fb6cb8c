"""`python -m tuneoff`: the command line."""

from tuneoff.cli import main

main()
