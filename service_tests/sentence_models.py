"""Small sentence models for tests: untrained, so a text is told by its words alone."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from app.bundles.folder import write
from app.bundles.manifest import Bounds, Manifest
from app.bundles.schema import Schema
from app.encoders.spec import EncoderSpec
from app.encoders.text import TextEncoder
from app.learn.algorithms import ALGORITHMS
from app.learn.calibration_table import Calibration
from app.learn.networks import NetworkSpec, build, initialize

WIDTH, LAYERS = 16, 2
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["card", "arrive", "lost", "pin", "change", "money", "rain", "sun", "weather", "where", "is", "my", "the", "a"]
WORDS += ["please", "today"]
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": WIDTH,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": LAYERS,
    "vocab_size": len(VOCABULARY),
    "max_position_embeddings": 32,
    "layer_norm_eps": 1e-12,
}


def write_sentence_model(folder: Path, seed: int = 0) -> Path:
    """A BERT of 2 layers with a tokenizer of a few words and all letters. Returns its folder."""
    tokenizers = pytest.importorskip("tokenizers", reason="an extra: pip install 'innerloop-server[text]'")
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(numbers, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    specials = [(token, numbers[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=specials)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps(CONFIG))
    save_file(_weights(seed), folder / "model.safetensors")
    return folder


def _weights(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(VOCABULARY), WIDTH),
        "embeddings.position_embeddings.weight": (32, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm": (WIDTH,),
    }
    for layer in range(LAYERS):
        place = f"encoder.layer.{layer}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _linear(f"{place}.attention.{part}", WIDTH, WIDTH)
        shapes |= _linear(f"{place}.intermediate.dense", 32, WIDTH) | _linear(f"{place}.output.dense", WIDTH, 32)
        shapes |= {f"{place}.attention.output.LayerNorm": (WIDTH,), f"{place}.output.LayerNorm": (WIDTH,)}
    weights: dict[str, torch.Tensor] = {}
    for name, shape in shapes.items():
        if name.endswith("LayerNorm"):
            weights |= {f"{name}.weight": torch.ones(shape), f"{name}.bias": torch.zeros(shape)}
        else:
            weights[name] = torch.randn(shape, generator=generator) * (1.0 if "word" in name else 0.1)
    return weights


def _linear(name: str, outputs: int, inputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def write_text_bundle(folder: Path, encoder: TextEncoder, *, label_names: bool = True) -> None:
    """Write an untrained bundle of texts: prototypes of the embeddings as they are, then 5 steps."""
    width, algorithm = encoder.width, ALGORITHMS["protoanil"]
    network = NetworkSpec("linear_map", {"size": width, "scale": 3.0})
    params = initialize(network.name, network.options, seed=0)
    meta = algorithm.initial_meta(build(network.name, network.options), params, 5, width, 0.5, 5)
    manifest = Manifest(
        family=None,
        network=network,
        algorithm="protoanil",
        kind="classification",
        schema=Schema(width, 5),
        inner_loop=Bounds(5, 20, 0.5, 0.5),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
        calibration=Calibration(100, 0, (1, 2, 5), similarity=(0.3, 0.4, 0.5)),
        encoder=EncoderSpec.of(encoder),
        label_names=label_names,
    )
    write(folder, manifest, meta)
