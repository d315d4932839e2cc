"""Shipped classifiers mark images that are no drawings, through the server."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits

from app.bundles.folder import load
from app.service.cross_validation import CrossValidation, Method
from app.service.engine import Engine
from app.service.model import Model
from app.service.task import Task
from service_tests.device import DEVICE
from service_tests.learn.test_image_ood import strokes
from service_tests.processes import ROOT

DRAWINGS = strokes(6).numpy()


def unlike(client: TestClient, model: str, queries: np.ndarray) -> list[bool]:
    support: dict[str, Any] = {"inputs": DRAWINGS[:4].tolist(), "targets": ["a", "a", "b", "b"]}
    answer = client.post("/predict", json={"model": model, "support": support, "queries": queries.tolist()})
    assert answer.status_code == 200, answer.text
    marked: list[bool] = answer.json()["unlike"]
    return marked


@pytest.mark.parametrize("model", ["omniglot", "omniglot-maml"])
def test_inverted_empty_and_noisy_images_are_unlike(client: TestClient, model: str) -> None:
    noise = np.random.default_rng(0).random((3, 784), np.float32)
    others = np.concatenate([1 - DRAWINGS, np.zeros((1, 784)), np.ones((1, 784)), noise])
    assert all(unlike(client, model, others))


def quality(client: TestClient, images: np.ndarray, **fields: Any) -> dict[str, Any]:
    """The quality of an adaptation of omniglot to images of two classes, in turns."""
    support = {"inputs": images.tolist(), "targets": [*"ab"] * (len(images) // 2), **fields}
    answer = client.post("/adapt", json={"model": "omniglot", "support": support, "assess": "leave_one_out"})
    assert answer.status_code == 201, answer.text
    assessed: dict[str, Any] = answer.json()["quality"]
    return assessed


def test_a_support_set_of_drawings_is_like_those_of_training_and_an_inverted_one_is_not(client: TestClient) -> None:
    assessed = quality(client, DRAWINGS)
    assert assessed["unlike_training"] is False
    assert assessed["message"].endswith("The support set has images like those that the model was trained on.")
    for images in (1 - DRAWINGS, np.concatenate([DRAWINGS[:5], 1 - DRAWINGS[5:]])):
        assessed = quality(client, images)
        assert assessed["unlike_training"] is True
        assert assessed["message"].endswith(": some images do not look like those of training.")


def test_the_only_image_of_a_class_is_compared_with_those_of_training_too(client: TestClient) -> None:
    images = np.concatenate([DRAWINGS[:3], 1 - DRAWINGS[3:4]])
    assert quality(client, images, targets=[*"aaab"])["unlike_training"] is True


def test_inverted_images_that_hardly_count_do_not_make_a_support_set_unlike_training(client: TestClient) -> None:
    images = np.concatenate([DRAWINGS[:5], 1 - DRAWINGS[5:]])
    assert quality(client, images, weights=[1, 1, 1, 1, 1, 0.01])["unlike_training"] is False
    assert quality(client, images, weights=[1, 1, 1, 1, 1, 0.1])["unlike_training"] is True
    assert quality(client, images, weights=[1, 1, 1, 1, 1, 0])["unlike_training"] is False


def test_without_an_image_reference_it_is_unknown_whether_images_are_unlike_training() -> None:
    bundle = load(ROOT / "models/omniglot")
    bare = replace(bundle, manifest=replace(bundle.manifest, image_reference=None))
    task = Task(1 - DRAWINGS, np.array([*"ababab"], object), 1, 0.0)
    cross_validation = CrossValidation(Model(bare, DEVICE), task, Method.leave_one_out)
    assert cross_validation.quality(Engine(2**28).run(cross_validation.jobs))["unlike_training"] is None


def drawing(seed: int, width: int) -> bytes:
    """A PNG of 105 x 105 pixels with a few lines."""
    generator, image, file = np.random.default_rng(seed), Image.new("L", (105, 105), 255), io.BytesIO()
    for _ in range(3):
        ImageDraw.Draw(image).line(generator.integers(15, 90, 8).tolist(), fill=0, width=width, joint="curve")
    image.save(file, "PNG")
    return file.getvalue()


def test_drawings_with_pens_of_usual_widths_are_like_those_of_training() -> None:
    bundle = load(ROOT / "models/omniglot")
    images = bundle.encoder.encode([drawing(seed, width) for seed in range(20) for width in (1, 2, 4, 6, 8)])
    assert bundle.manifest.image_reference is not None
    assert not bundle.manifest.image_reference.is_unlike(torch.from_numpy(images), (28, 28)).any()


def test_digits_of_8_by_8_pixels_are_told_apart_and_not_marked(client: TestClient) -> None:
    """Digits from 5, as those below chose the limits of `app.encoders.drawing_normalisation`."""
    digits = load_digits()
    rows = [np.flatnonzero(digits.target == digit)[:20] for digit in range(5, 10)]
    images = [[(digits.images[row] / 16).tolist() for row in each] for each in rows]
    support = {"inputs": [image for each in images for image in each[:5]], "targets": [*np.repeat([*"56789"], 5)]}
    queries = [image for each in images for image in each[5:]]
    answer = client.post("/predict", json={"model": "omniglot", "support": support, "queries": queries})
    predicted = np.array(answer.raise_for_status().json()["predictions"])
    assert (predicted == np.repeat([*"56789"], 15)).mean() > 0.9
    assert np.mean(answer.json()["unlike"]) < 0.1


def test_many_images_are_marked_as_few_are(client: TestClient) -> None:
    few = np.concatenate([DRAWINGS, 1 - DRAWINGS])
    assert unlike(client, "omniglot", np.concatenate([few] * 5)) == 5 * unlike(client, "omniglot", few)
