"""Compiled programs for models: making them, timing them, and choosing what serves. Without it the server is eager."""
