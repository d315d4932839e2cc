"""`python -m app.cli` is the command `innerloop`."""

from app.cli.start import main

main()
