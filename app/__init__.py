"""Innerloop: the server for models that learn from a handful of examples."""

__version__ = "0.2.0.dev0"
