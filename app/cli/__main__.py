"""`python -m app.cli` is the command `innerloop`."""

from app.cli.main import main

main()
