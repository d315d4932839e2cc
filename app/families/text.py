"""Texts with labels: tickets, intents, reviews. A task is to tell a few labels apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from app.encoders.sentences.model_files import DEFAULT
from app.encoders.text import TextEncoder
from app.errors import DataError, expectation
from app.families.family import Description, NamedSamples, Samples, Split, interleave_classes
from app.families.tables.splits import split_tasks
from app.families.texts.embedded_labels import EmbeddedLabels, embed_labels
from app.families.texts.labelled_texts import MIN_TEXTS, LabelledTexts, read_texts
from app.learn.networks import NetworkSpec
from app.learn.shape_annotations import Float, Int

MIN_LABELS = 2
"""Of a split."""
SCALE = 3.0
"""Logits of prototypes are then some 9 times the cosines, which is about as sure as they should be."""


@dataclass(frozen=True)
class Text:
    """Embeddings of texts, and which label of the task each has. Labels are split by name.

    text, label: the columns
    leave_out: labels that are no classes of their own
    classes: the labels of each split; empty to split them by name
    label_names: whether the words of a label count as one more example
    model: the sentence model (`app.encoders.sentences.model_files.find`)
    width: the length of its embedding (0: as the model says)
    ways: the labels of a task
    source, licence: where the texts are from, in sentences for the card, and their licence as Hugging Face names it
    fingerprint: that of the texts, if they have to be those (`LabelledTexts.fingerprint`)
    data: the file or, in Python, the DataFrame
    cache: a folder where embeddings are kept, so that training that was interrupted need not compute them again
    """

    text: str = "text"
    label: str = "label"
    leave_out: Sequence[str] = ()
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    label_names: bool = True
    model: str = DEFAULT
    width: int = 0
    ways: int = 5
    source: str = ""
    licence: str = "unknown"
    fingerprint: str = ""
    data: Path | Any | None = field(default=None, repr=False, compare=False)
    cache: Path | None = field(default=None, repr=False, compare=False)
    kind = "classification"

    @property
    def features(self) -> int:
        """Of an embedding."""
        return self.width or self.encoder.width

    @property
    def targets(self) -> int:
        """The labels of a task."""
        return self.ways

    @cached_property
    def encoder(self) -> TextEncoder:
        """The sentence model; nothing is learned from the texts."""
        return TextEncoder.of_model(self.model)

    @property
    def network(self) -> NetworkSpec:
        """A linear map of embeddings, which begins as the identity."""
        return NetworkSpec("linear_map", {"size": self.features, "scale": SCALE})

    @property
    def description(self) -> Description:
        """What the columns say; whoever knows more about the texts writes it into the card."""
        return Description(
            purpose="tells texts apart by labels of your own, after a few examples of each, also labels that it was "
            "not trained on.",
            not_for="Texts in other languages than the sentence model knows, and labels that depend on more than the "
            "meaning of a text, such as its author.",
            data=self.source or f"A table of texts (column {self.text}) with labels (column {self.label}).",
            licence=self.licence,
        )

    @property
    def max_ways(self) -> int:
        """The labels of the smallest split."""
        return min(len(names) for names in self.splits.values())

    @property
    def max_shots(self) -> int:
        """One less than the texts of the rarest label."""
        return min(len(each) for each in self.read.texts.values()) - 1

    @cached_property
    def splits(self) -> Mapping[Split, list[str]]:
        """The labels of each split. Raises DataError where there are too few."""
        texts = self.read.texts
        chosen = {split: [name for name in names if name in texts] for split, names in self.classes.items()}
        splits = chosen or split_tasks([*texts])
        if min(map(len, splits.values())) < MIN_LABELS:
            expected = f"{MIN_LABELS} labels of {MIN_TEXTS} texts or more in each split"
            fix = "a bundle such as models/intents needs no training for your labels"
            raise DataError(expectation("--label", expected, f"{len(texts)} in all", fix))
        return splits  # type: ignore[return-value]  # the keys of `classes` are the splits

    @cached_property
    def read(self) -> LabelledTexts:
        """The texts as they were read. Raises DataError where they cannot be."""
        if self.data is None:
            raise DataError(expectation("--data", "the file of the texts", "none", "name the file"))
        labelled = read_texts(self.data, self.text, self.label, self.leave_out)
        if self.fingerprint not in ("", labelled.fingerprint):
            fix = "name the file that it was trained on, or train again"
            raise DataError(expectation("--data", "the texts that the bundle was trained on", "others", fix))
        return labelled

    def sample(
        self,
        tasks: int,
        examples: int,
        generator: torch.Generator,
        ways: int | None = None,
        split: Split = "training",
    ) -> Samples:
        """Draw labels, and texts of each, without replacement."""
        labels, ways = self._labels[split], ways or self.targets
        if ways > len(labels.counts) or examples > (least := int(labels.counts.min())):
            least = int(labels.counts.min())
            expected = f"at most {len(labels.counts)} labels in the {split} split and {least} texts of each"
            raise DataError(expectation("ways, shots and queries", expected, f"{ways} and {examples}"))
        device = generator.device
        label = torch.rand((tasks, len(labels.counts)), generator=generator, device=device).topk(ways).indices.cpu()
        order = torch.rand((tasks, ways, labels.rows.shape[1]), generator=generator, device=device).cpu()
        real = torch.arange(labels.rows.shape[1]) < labels.counts[label][..., None]
        row = order.where(real, -1.0).topk(examples).indices
        samples = interleave_classes(labels.rows[label[..., None], row].to(device))
        if not self.label_names:
            return samples
        return NamedSamples(*samples, labels.names[label].to(device), labels.has_name[label].to(device))

    def labels_of(self, inputs: Float[Tensor, "*task example feature"], split: Split) -> Int[Tensor, "*task example"]:
        """The number of the label, among those of a split, that each input of the split has."""
        labels = self._labels[split]
        numbers = {
            row.tobytes(): number
            for number, (rows, count) in enumerate(zip(labels.rows.numpy(), labels.counts.tolist(), strict=True))
            for row in rows[:count]
        }
        flat = inputs.cpu().numpy().reshape(-1, inputs.shape[-1])
        return torch.tensor([numbers[row.tobytes()] for row in flat]).reshape(inputs.shape[:-1])

    @cached_property
    def _labels(self) -> Mapping[Split, EmbeddedLabels]:
        texts = self.read.texts
        return {
            split: embed_labels({name: texts[name] for name in names}, self.encoder, self.cache)
            for split, names in self.splits.items()
        }


family = Text
