"""An example request for the card of a bundle of texts."""

import json
from typing import Any

import numpy as np
import torch

from app.bundles.bundle import Bundle
from app.encoders.label_words import label_words
from app.families.text import Text
from app.learn.inner import Examples
from app.learn.outer_directions import Tasks
from app.training.card_example import DECIMALS, Example
from app.training.predictor import offline

LABELS, TEXTS = 3, 2


def text_example(bundle: Bundle, family: Text) -> Example:
    """The first labels of the test split with a few texts of each, and a query of each."""
    labels = family.splits["test"][:LABELS]
    texts = {label: family.read.texts[label][: TEXTS + 1] for label in labels}
    inputs = [text for label in labels for text in texts[label][:TEXTS]]
    targets = [label for label in labels for _ in range(TEXTS)]
    queries = [texts[label][TEXTS] for label in labels]
    logits = _logits(bundle, inputs, [labels.index(label) for label in targets], queries, labels)
    likely = (logits / bundle.manifest.calibration.temperature).softmax(-1)
    request = {"model": bundle.name, "support": {"inputs": inputs, "targets": targets}, "queries": queries}
    answer = {
        "predictions": [labels[index] for index in logits.argmax(-1).tolist()],
        "labels": labels,
        "probabilities": np.round(likely.numpy().astype(np.float64), DECIMALS).tolist(),
    }
    return Example(_shown(request), _shown(answer), f"The true labels are {', '.join(labels)}.")


def _logits(
    bundle: Bundle, inputs: list[str], classes: list[int], queries: list[str], labels: list[str]
) -> torch.Tensor:
    """What a server computes, [query, label]."""
    words = label_words(labels) if bundle.manifest.label_names else [None] * len(labels)
    named = [index for index, word in enumerate(words) if word is not None]
    texts = [*inputs, *(word for word in words if word is not None)]
    support, unlabelled = (torch.from_numpy(bundle.encoder.encode(rows))[None] for rows in (texts, queries))
    targets = torch.eye(len(labels))[[*classes, *named]][None]
    mask = torch.ones(targets.shape[:2], dtype=torch.bool)
    query = Examples(unlabelled, torch.eye(len(labels))[None], torch.ones(unlabelled.shape[:2], dtype=torch.bool))
    steps = [bundle.manifest.inner_loop.steps]
    return offline(bundle)(Tasks(Examples(support, targets, mask), query), steps).outputs[0, 0]


def _shown(value: dict[str, Any]) -> str:
    """JSON with a line for each field of the body and of the support set."""
    lines = []
    for key, each in value.items():
        if isinstance(each, dict):
            inner = ",\n    ".join(f"{json.dumps(name)}: {json.dumps(part)}" for name, part in each.items())
            lines.append(f"{json.dumps(key)}: {{\n    {inner}\n  }}")
        else:
            lines.append(f"{json.dumps(key)}: {json.dumps(each)}")
    return "{\n  " + ",\n  ".join(lines) + "\n}"
