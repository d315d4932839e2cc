"""The texts of labels as embeddings, which may be kept in a folder: they take most of the time of training."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from app.encoders.label_words import label_words
from app.encoders.text import TextEncoder
from app.learn.shape_annotations import Bool, Float, Int


class EmbeddedLabels(NamedTuple):
    """The labels of a split: the embeddings of their texts and of their words.

    rows: padded with 0; counts: how many of them are texts
    names: 0 where a label has no words; has_name: which have some
    """

    rows: Float[Tensor, "label text feature"]
    counts: Int[Tensor, " label"]
    names: Float[Tensor, "label feature"]
    has_name: Bool[Tensor, " label"]


def embed_labels(texts: Mapping[str, Sequence[str]], encoder: TextEncoder, cache: Path | None) -> EmbeddedLabels:
    """The embeddings of the texts of labels, and of the words of these.

    cache: the folder where they are kept, and taken from; None to compute them
    """
    words = label_words([*texts])
    flat = [text for each in texts.values() for text in each] + [word for word in words if word is not None]
    embeddings = _kept(flat, encoder, cache)
    counts = [len(each) for each in texts.values()]
    rows = np.zeros((len(counts), max(counts), encoder.width), np.float32)
    *by_label, of_words = np.split(embeddings, np.cumsum(counts))
    for index, part in enumerate(by_label):
        rows[index, : len(part)] = part
    names, has_name = np.zeros((len(counts), encoder.width), np.float32), [word is not None for word in words]
    names[has_name] = of_words
    return EmbeddedLabels(*map(torch.from_numpy, (rows, np.array(counts), names, np.array(has_name))))


def _kept(texts: Sequence[str], encoder: TextEncoder, cache: Path | None) -> np.ndarray:
    if cache is None:
        return encoder.encode(texts)
    content = blake2b(repr((texts, encoder.id)).encode(), digest_size=16)
    file = cache / f"{content.hexdigest()}.npy"
    if file.exists():
        kept: np.ndarray = np.load(file, allow_pickle=False)
        return kept
    embeddings = encoder.encode(texts)
    cache.mkdir(parents=True, exist_ok=True)
    np.save(file, embeddings)
    return embeddings
