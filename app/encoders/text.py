"""Texts as sentence embeddings of a frozen network, which is no part of the bundle: `sentences` finds its files."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from app.encoders.encoder import Rows, StateError
from app.encoders.error_places import place, show
from app.encoders.finite_numbers import read_floats
from app.encoders.posted_texts import check_is_embedding, checked_text, of_length_1
from app.encoders.sentences.bert_form import Pooling
from app.encoders.sentences.model_files import DEFAULT, TOKENIZER, WEIGHTS, ModelId, find, sha256_of
from app.encoders.sentences.pooling_files import pooling_of
from app.encoders.state_checks import check_arrays, check_fields
from app.errors import Invalid, TrainingError, expectation, expected_text, one_of

if TYPE_CHECKING:
    from app.encoders.sentences.sentence_model import SentenceModel

EXAMPLE, OTHER_EXAMPLE = "My card has not arrived yet.", "How much money is in my account?"
TEXT_S, TOKEN_S, TOKEN_CHARACTERS = 1e-3, 4e-4, 4
"""Of encoding a text, and each of its tokens, which have about so many characters."""
MAX_PARTS = 4
"""Characters that a letter outside of ASCII becomes where a tokenizer takes it apart."""
SPECIAL_TOKENS = 2
"""At the beginning and the end of each text."""
FIELDS = {
    "model": str,
    "revision": str,
    "weights_sha256": str,
    "tokenizer_sha256": str,
    "pooling": str,
    "max_tokens": int,
    "width": int,
}


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A text as its embedding, of length 1. A row of as many numbers as an embedding has is one that is known already.

    model: DEFAULT, a folder, or a model of the Hugging Face cache (`sentences.model_files.find`)
    revision: that it had when the encoder was fitted
    id: what the files of the model have to be, and how they are used
    width: the length of an embedding
    """

    model: str
    revision: str
    id: ModelId
    width: int

    name: ClassVar[str] = "text"
    keeps_features: ClassVar[bool] = True
    slow: ClassVar[bool] = True
    encodes_later: ClassVar[bool] = True

    @classmethod
    def fit(cls, rows: Rows, model: str = DEFAULT, max_tokens: int = 0) -> Self:
        """The encoder with a model as it is; nothing is learned from the rows. Arguments as for `of_model`."""
        if not len(rows):
            raise TrainingError("the encoder text: expected at least 1 training row, got none")
        fitted = cls.of_model(model, max_tokens)
        fitted.canonical(rows)
        return fitted

    @classmethod
    def of_model(cls, model: str = DEFAULT, max_tokens: int = 0) -> Self:
        """The encoder with a model. Raises TrainingError where it is not there, or is none that can be used.

        max_tokens: what is longer is cut; 0 for what the model was trained for
        """
        try:
            files = find(model)
            hashes = sha256_of(files.folder / WEIGHTS), sha256_of(files.folder / TOKENIZER)
            form, pooling = files.form, pooling_of(files)
            length = max_tokens or min(files.max_tokens, form.positions)
            if not 2 < length <= form.positions:
                expected = f"a number from 3 to {form.positions}"
                raise TrainingError(expectation("the encoder text: max_tokens", expected, length))
            # a server that is started in another folder has to find it too
            name = model if files.revision else str(files.folder.absolute())
            encoder = cls(name, files.revision, ModelId(*hashes, pooling.value, length), form.width)
            encoder.encode([EXAMPLE])
        except StateError as error:
            raise TrainingError(f"the encoder text: {error}") from error
        return encoder

    @classmethod
    def from_state(cls, json: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Read back `to_json`. The files of the model are read when it encodes."""
        check_fields(json, FIELDS)
        check_arrays(arrays, {})
        if not 2 < json["max_tokens"] <= 100_000 or not 0 < json["width"] <= 100_000:
            raise StateError("state: expected max_tokens from 3 and width from 1 to 100000, got others")
        if json["pooling"] not in [*Pooling]:
            raise StateError(f"state.pooling: {expected_text(one_of([*Pooling]), show(json['pooling']))}")
        model_id = ModelId(json["weights_sha256"], json["tokenizer_sha256"], json["pooling"], json["max_tokens"])
        return cls(json["model"], json["revision"], model_id, json["width"])

    @property
    def loaded(self) -> "SentenceModel":
        """The model. Raises StateError where it is not there, or is another one."""
        from app.encoders.sentences.sentence_model import load  # other encoders do without PyTorch

        model = load(self.model, self.id)
        if model.form.width != self.width:
            raise StateError(f"state.width: expected {model.form.width}, as {self.model} has, got {self.width}")
        if self.id.max_tokens > model.form.positions:
            expected = f"at most {model.form.positions}, as {self.model} reads"
            raise StateError(f"state.max_tokens: {expected_text(expected, self.id.max_tokens)}")
        return model

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The length of an embedding."""
        return (self.width,)

    def seconds(self, kept: Rows) -> float:
        """Of encoding the texts, each of them once."""
        longest = self.id.max_tokens * TOKEN_CHARACTERS
        texts = [min(len(row), longest) for row in {row for row in kept if isinstance(row, str)}]
        return len(texts) * TEXT_S + sum(texts) / TOKEN_CHARACTERS * TOKEN_S

    def encode(self, rows: Rows) -> np.ndarray:
        """The embeddings, float32 [row, feature], of texts as numbers of half precision."""
        kept = self.canonical(rows)
        if isinstance(kept, np.ndarray):
            return kept
        features = np.empty((len(kept), self.width), np.float32)
        texts = [index for index, row in enumerate(kept) if isinstance(row, str)]
        features[texts] = self.loaded.embed([kept[index] for index in texts])
        for index, row in enumerate(kept):
            if not isinstance(row, str):
                features[index] = row
        return features

    def canonical(self, rows: Rows) -> Rows:
        """Embeddings as float32 [row, width]; where there are texts too, a list of strings and float32 [width].

        It refuses whatever `encode` would.
        """
        if isinstance(rows, np.ndarray):
            are_embeddings = rows.dtype.kind not in "OU" and rows.shape[1:] == self.feature_shape
            rows = read_floats(rows, self.feature_shape) if are_embeddings else rows.tolist()
        if not len(rows):
            return np.zeros((0, self.width), np.float32)
        if isinstance(rows, np.ndarray):
            return of_length_1(rows)
        kept = [self._kept(row, index) for index, row in enumerate(rows)]
        return kept if any(isinstance(row, str) for row in kept) else np.stack(kept)

    def _kept(self, row: Any, index: int) -> str | np.ndarray:
        if isinstance(row, str):
            return checked_text(row, index)
        check_is_embedding(row, index, self.width)
        try:
            embedding = read_floats([row], self.feature_shape)
        except Invalid as error:
            raise Invalid(f"{place(index)}{error.place.removeprefix(place(0))}", *error.reason) from error
        scaled: np.ndarray = of_length_1(embedding, index)[0]
        return scaled

    def cut(self, kept: Rows) -> list[int]:
        """The numbers of the texts that are longer than the model reads."""
        long = [index for index, row in enumerate(kept) if isinstance(row, str) and self._may_be_cut(row)]
        are_cut = self.loaded.are_cut([kept[index] for index in long]) if long else []
        return [index for index, is_cut in zip(long, are_cut, strict=True) if is_cut]

    def _may_be_cut(self, text: str) -> bool:
        """Whether a text has enough characters, of which each token takes one: letters outside of ASCII become more."""
        return len(text) * (1 if text.isascii() else MAX_PARTS) + SPECIAL_TOKENS > self.id.max_tokens

    def describe(self) -> dict[str, Any]:
        """See `Encoder.describe`. A text has no columns."""
        return {
            "encoder": self.name,
            "shape": [self.width],
            "columns": [],
            "sentence_model": self.model,
            "max_tokens": self.id.max_tokens,
            "example": EXAMPLE,
        }

    def to_json(self) -> dict[str, Any]:
        """The model, and the sha256 of its files."""
        return {"model": self.model, "revision": self.revision, **self.id._asdict(), "width": self.width}

    def arrays(self) -> dict[str, np.ndarray]:
        """None."""
        return {}


encoder = TextEncoder
