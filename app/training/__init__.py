"""Offline training: from a family and a recipe to a bundle."""
