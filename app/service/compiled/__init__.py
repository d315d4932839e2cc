"""Compiled code: what it is, whether it is faster, and when it serves. Without this package the server is eager."""
