"""Serving a rival as our server is served: uvicorn, one process, no access log."""

import sys

import uvicorn


def run(application: object) -> None:
    """Serve it on the port that the first word of the command names."""
    uvicorn.run(application, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)  # type: ignore[arg-type]
