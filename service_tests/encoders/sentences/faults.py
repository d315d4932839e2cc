"""Faults of the files of sentence models, and what is said of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from service_tests.sentence_models import CONFIG

TRANSFORMER = {"path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
NORMALIZE = {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}
DENSE = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
Change = Callable[[Path], object]


def written(name: str, content: Any) -> Change:
    """Writes a file of a folder: a text as it is, any other value as JSON."""

    def write(folder: Path) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    return write


def config(**fields: Any) -> Change:
    return written("config.json", CONFIG | fields)


def pooling(*modules: Any, **fields: Any) -> Change:
    def write(folder: Path) -> None:
        if modules:
            written("modules.json", modules)(folder)
        written("1_Pooling/config.json", fields)(folder)

    return write


def weights(change: Callable[[str, torch.Tensor], torch.Tensor | None]) -> Change:
    """Changes each tensor, or leaves it out."""

    def write(folder: Path) -> None:
        changed = {name: change(name, value) for name, value in load_file(folder / "model.safetensors").items()}
        kept = {name: value for name, value in changed.items() if value is not None}
        save_file(kept, folder / "model.safetensors")

    return write


def tokenizer(**fields: Any) -> Change:
    def write(folder: Path) -> None:
        content = json.loads((folder / "tokenizer.json").read_text())
        written("tokenizer.json", content | fields)(folder)

    return write


def few_tokens(folder: Path) -> None:
    config(vocab_size=10)(folder)
    weights(lambda name, value: value[:10].clone() if "word" in name else value)(folder)


FAULTS: dict[str, tuple[Change, str]] = {
    "dense": (
        pooling(TRANSFORMER, POOLING, DENSE, pooling_mode_mean_tokens=True),
        'modules.json, [2]: expected the modules Transformer, Pooling, Normalize, got "Dense": choose another model',
    ),
    "no pooling listed": (pooling(TRANSFORMER), "modules.json: expected one Pooling, got 0: choose"),
    "pooling gone": (
        written("modules.json", [TRANSFORMER, POOLING]),
        "1_Pooling/config.json: expected a file, got none: copy the whole folder again",
    ),
    "transformer elsewhere": (
        pooling(TRANSFORMER | {"path": "0_Transformer"}, POOLING),
        'modules.json, [0].path: expected a model in the folder itself, got "0_Transformer": name that folder',
    ),
    "modules": (written("modules.json", {"a": 1}), "modules.json: expected a list of modules, got another value"),
    "prompt": (
        written("config_sentence_transformers.json", {"default_prompt_name": "query"}),
        "config_sentence_transformers.json: default_prompt_name: expected a model without a default prompt",
    ),
    "max": (pooling(pooling_mode_max_tokens=True), "1_Pooling/config.json: expected the pooling 'mean' or 'cls'"),
    "word": (pooling(pooling_mode="max"), "1_Pooling/config.json: expected the pooling 'mean' or 'cls', got \"max\": "),
    "both": (
        pooling(pooling_mode_mean_tokens=True, pooling_mode_cls_token=True),
        "config.json: expected the pooling",
    ),
    "neither": (pooling(pooling_mode_mean_tokens=False), "1_Pooling/config.json: expected the pooling 'mean' or 'cls'"),
    "positions": (
        config(position_embedding_type="relative_key"),
        'config.json, position_embedding_type: expected "absolute", got "relative_key": choose another model',
    ),
    "mpnet": (
        config(model_type="mpnet"),
        'config.json, model_type: expected "bert", got "mpnet": choose',
    ),
    "relu": (config(hidden_act="relu"), 'config.json, hidden_act: expected "gelu", got "relu": choose another model'),
    "decoder": (config(is_decoder=True), "config.json, is_decoder: expected false, got true: choose another model"),
    "heads": (config(num_attention_heads=7), "config.json, hidden_size: expected a multiple of 7 heads, got 16: "),
    "size": (config(vocab_size="many"), 'config.json, vocab_size: expected a whole number above 0, got "many": '),
    "epsilon": (config(layer_norm_eps=None), "config.json, layer_norm_eps: expected a number from 0 to 1, got null: "),
    "list": (written("config.json", []), "config.json: expected an object, got an array: copy it again"),
    "no json": (written("config.json", "{"), "config.json: expected a file in JSON, got one that cannot be read"),
    "width": (config(hidden_size=32), "model.safetensors, embeddings.word_embeddings.weight: expected numbers ["),
    "layers": (
        config(num_hidden_layers=10**9),
        "model.safetensors: expected the tensor encoder.layer.2.attention.self.query.weight of a BERT, got none",
    ),
    "vocabulary": (
        weights(lambda name, value: value[:10].clone() if "word" in name else value),
        "model.safetensors, embeddings.word_embeddings.weight: expected numbers [72, 16], as config.json says",
    ),
    "no norm": (
        weights(lambda name, value: None if name == "embeddings.LayerNorm.weight" else value),
        "model.safetensors: expected the tensor embeddings.LayerNorm.weight of a BERT, got none: choose another model",
    ),
    "whole numbers": (
        weights(lambda name, value: value.int() if name == "embeddings.LayerNorm.weight" else value),
        "model.safetensors, embeddings.LayerNorm.weight: expected numbers [16], as config.json says, got int32 [16]",
    ),
    "nan": (
        weights(lambda name, value: value * float("nan") if "LayerNorm.weight" in name else value),
        "LayerNorm.weight: expected finite numbers, got others: choose another model",
    ),
    "cut off": (
        lambda folder: (folder / "model.safetensors").write_bytes(b"abc"),
        "model.safetensors: expected weights in safetensors, got ",
    ),
    "pointer": (
        written("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 90868376\n"),
        "copy the file again: it is cut off, or only names the file of Git LFS",
    ),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "model.safetensors: expected a file, got none: a sentence model needs model.safetensors, tokenizer.json and",
    ),
    "empty tokenizer": (written("tokenizer.json", {}), 'tokenizer.json: expected a tokenizer, got "'),
    "more tokens": (
        few_tokens,
        "tokenizer.json: expected tokens below 10, as config.json says, got 71: copy both files again",
    ),
    "no specials": (
        tokenizer(post_processor=None),
        "tokenizer.json: expected a tokenizer that adds [CLS] and",
    ),
}
