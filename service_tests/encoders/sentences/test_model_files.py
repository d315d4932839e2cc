"""Folders of sentence models: each fault is an error that names the file and what is wrong with it."""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from app.encoders.encoder import StateError
from app.encoders.text import TextEncoder
from app.errors import TrainingError
from service_tests.encoders.sentences.faults import (
    FAULTS,
    NORMALIZE,
    POOLING,
    TRANSFORMER,
    Change,
    pooling,
    weights,
    written,
)
from service_tests.sentence_models import write_sentence_model

TEXTS = ["where is my card", "rain"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_sentence_model(tmp_path / "model")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_file_is_named(folder: Path, fault: str) -> None:
    change, message = FAULTS[fault]
    change(folder)
    with pytest.raises(TrainingError, match=re.escape(message)) as error:
        TextEncoder.of_model(str(folder))
    assert str(error.value).startswith(f"the encoder text: {folder}")


@pytest.mark.parametrize(
    ("change", "way"),
    [
        (pooling(pooling_mode="mean"), "mean"),
        (pooling(pooling_mode="cls"), "first"),
        (pooling(pooling_mode_cls_token=True), "first"),
        (pooling(TRANSFORMER, POOLING, NORMALIZE, pooling_mode_mean_tokens=True), "mean"),
        (pooling(word_embedding_dimension=16), "mean"),
    ],
)
def test_it_reads_how_outputs_become_an_embedding(folder: Path, change: Change, way: str) -> None:
    change(folder)
    assert TextEncoder.of_model(str(folder)).id.pooling == way


def test_the_file_of_the_pooling_is_the_one_that_is_listed(folder: Path) -> None:
    written("modules.json", [TRANSFORMER, POOLING | {"path": "9_Pooling"}])(folder)
    written("9_Pooling/config.json", {"pooling_mode": "cls"})(folder)
    assert TextEncoder.of_model(str(folder)).id.pooling == "first"


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_weights_in_another_precision_are_converted(folder: Path, kind: torch.dtype) -> None:
    expected = TextEncoder.of_model(str(folder)).encode(TEXTS)
    weights(lambda name, value: value.to(kind))(folder)
    np.testing.assert_allclose(TextEncoder.of_model(str(folder)).encode(TEXTS), expected, atol=0.02)


@pytest.mark.parametrize("name", ["/no/such/folder", "./model", "", "a/b/c", "x" * 300 + "/" + "y" * 300])
def test_a_folder_that_is_not_there_is_no_name(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TrainingError, match=r"expected 'all-MiniLM-L6-v2', the folder of .*there is no such folder"):
        TextEncoder.of_model(name)


def test_a_relative_folder_is_found_from_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    encoder = TextEncoder.of_model("model")
    monkeypatch.chdir(os.sep)
    assert TextEncoder.from_state(encoder.to_json(), {}).encode(TEXTS).shape == (2, 16)


@pytest.mark.parametrize(("field", "value"), [("pooling", "max"), ("max_tokens", 1000)])
def test_a_state_that_does_not_fit_the_model_is_refused(folder: Path, field: str, value: Any) -> None:
    state = TextEncoder.of_model(str(folder)).to_json() | {field: value}
    with pytest.raises(StateError, match=rf"^state\.{field}: expected .*, got .*{value}"):
        TextEncoder.from_state(state, {}).encode(TEXTS)
