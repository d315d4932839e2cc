"""Sentence embeddings: the files of a model, its network, and what turns texts into embeddings."""
