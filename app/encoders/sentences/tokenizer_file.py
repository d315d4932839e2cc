"""Reads the tokenizer of a sentence model, and checks that the model knows its tokens."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from app.encoders.encoder import FilesError, PackageMissing
from app.encoders.sentences.model_files import EXTRA
from app.errors import cause_text, expected_text, missing_package

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PROBE = "A card \u2603 \U00010450"
"""A text with letters that most tokenizers have in no word."""


def read_tokenizer(file: Path, tokens: int, max_tokens: int) -> "Tokenizer":
    """The tokenizer, which cuts texts at `max_tokens`. tokens: those that the model knows

    Raises PackageMissing where its package is not installed, and FilesError where the file cannot be used.
    """
    if find_spec("tokenizers") is None:
        raise PackageMissing(missing_package("tokenizers", EXTRA))
    from tokenizers import Tokenizer  # only bundles of texts need it

    try:
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
        tokenizer.encode(PROBE)
        empty = tokenizer.encode("").ids
    except Exception as error:  # tokenizers raises nothing narrower
        reason = expected_text("a tokenizer", cause_text(error), "copy the file again")
        raise FilesError(f"{file}: {reason}") from error
    if (largest := max(tokenizer.get_vocab().values(), default=0)) >= tokens:
        expected = expected_text(f"tokens below {tokens}, as config.json says", largest, "copy both files again")
        raise FilesError(f"{file}: {expected}")
    if not empty:
        expected = expected_text("a tokenizer that adds [CLS] and [SEP]", "another", "choose another model")
        raise FilesError(f"{file}: {expected}")
    return tokenizer
