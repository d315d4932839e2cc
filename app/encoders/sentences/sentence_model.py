"""A sentence model in memory: texts to embeddings."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor

from app.encoders.encoder import FilesError
from app.encoders.sentences.bert import embed, prepared
from app.encoders.sentences.bert_form import BertForm, Pooling
from app.encoders.sentences.model_files import TOKENIZER, WEIGHTS, ModelId, find, sha256_of
from app.encoders.sentences.tokenizer_file import read_tokenizer
from app.encoders.sentences.weights_file import read_weights
from app.errors import expected_text

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_TOKENS = 1024
"""Tokens that the network takes at once: with more, the time for each falls no further."""
LONGEST_WORD = 100
"""Characters of a word: the tokenizers of BERT know no longer one. So no text needs more than this for each token."""


class SentenceModel(NamedTuple):
    """A model that is loaded. Threads may share it."""

    form: BertForm
    weights: Mapping[str, Tensor]
    tokenizer: "Tokenizer"
    pooling: Pooling
    max_tokens: int

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """The embeddings of texts, float32 [text, width], each of length 1 and in half precision."""
        tokens = self._tokens(texts)
        result = np.empty((len(texts), self.form.width), np.float16)
        for part in _parts([len(each) for each in tokens]):
            sentences = [tokens[index] for index in part]
            result[part] = embed(self.weights, self.form, sentences, self.pooling).numpy()
        # so that a cache in half precision loses nothing
        return result.astype(np.float32)

    def are_cut(self, texts: Sequence[str]) -> list[bool]:
        """Which texts are longer than the model reads."""
        limit = self.max_tokens * LONGEST_WORD
        encodings = self.tokenizer.encode_batch([text[:limit] for text in texts])
        # spaces are no tokens
        pairs = zip(encodings, texts, strict=True)
        return [bool(each.overflowing) or bool(text[limit:].strip()) for each, text in pairs]

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        limit = self.max_tokens * LONGEST_WORD
        return [each.ids for each in self.tokenizer.encode_batch([text[:limit] for text in texts])]


def _parts(lengths: Sequence[int]) -> list[list[int]]:
    """The indices of sentences in parts of BATCH_TOKENS, those of similar length together."""
    parts: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if lengths[index] > room:
            parts.append([])
            room = max(BATCH_TOKENS, lengths[index])
        parts[-1].append(index)
        room -= lengths[index]
    return parts


@lru_cache(maxsize=4)
def load(model: str, wanted: ModelId) -> SentenceModel:
    """The model of that name. Bundles with the same one share it.

    Raises PackageMissing where a package is not installed. Raises FilesError where there is no such model, where its
    files are others than wanted, or where they cannot be used.
    """
    files = find(model)
    for name, expected in ((WEIGHTS, wanted.weights_sha256), (TOKENIZER, wanted.tokenizer_sha256)):
        if (actual := sha256_of(files.folder / name)) != expected:
            fix = "install the version that the bundle was trained with, or train the bundle again"
            raise FilesError(f"{files.folder / name}: {expected_text(f'the sha256 {expected}', actual, fix)}")
    form = files.form
    tokenizer = read_tokenizer(files.folder / TOKENIZER, form.tokens, wanted.max_tokens)
    weights = prepared(read_weights(files.folder / WEIGHTS, form), form)
    return SentenceModel(form, weights, tokenizer, Pooling(wanted.pooling), wanted.max_tokens)
