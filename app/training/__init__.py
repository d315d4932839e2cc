"""Offline: what turns a family and a recipe into a bundle."""
