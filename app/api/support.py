"""Support sets from the wire to arrays and back, for each kind of prediction."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from app.api import schemas
from app.api.csv_table import CsvBody, CsvTable
from app.api.decode_errors import missing_field
from app.api.episodes import read_episodes, show_episodes
from app.api.read_arrays import (
    Values,
    columns_of,
    have_names,
    read_classes,
    read_inputs,
    read_labels,
    read_numbers,
    read_weights,
    show_rows,
)
from app.api.support_rows import from_objects
from app.bundles.bundle import Bundle
from app.errors import Invalid
from app.service.class_labels import Label
from app.service.model import Model
from app.service.record import Adaptation
from app.service.request_checks import (
    check_classes,
    check_declared,
    check_examples,
    check_labels,
    check_support_size,
)
from app.service.support_set import SupportSet

EXAMPLES = ("inputs", "targets", "episodes")
"""The fields with the examples of a posted support set; `rows` stands for the first two."""
FIELDS = (*EXAMPLES, "weights", "labels")
"""The fields in the order of `Kind.fields` and `Kind.optional`."""
AT_LEAST_1 = "at least 1 element"
Read = Callable[[schemas.Support, Bundle, str], SupportSet]
"""(posted support set, the bundle, its place in the body) -> arrays. Raises Invalid."""
ReadApart = Callable[[schemas.Support, Model, int, str], SupportSet]
"""`read_support` or `read_addition`."""


@dataclass(frozen=True)
class Kind:
    """The form of a support set on the wire.

    fields: that it has
    optional: those that it may have; it has no others
    unit: what its rows are called
    read, show: to arrays, and from a record back to the wire
    """

    fields: tuple[str, ...]
    optional: tuple[str, ...]
    unit: str
    read: Read
    show: Callable[[Adaptation], schemas.SupportView]

    @cached_property
    def forms(self) -> frozenset[tuple[str, ...]]:
        """The fields that support sets may have: those that it has, and any of the optional ones."""
        counts = range(len(self.optional) + 1)
        return frozenset((*self.fields, *some) for count in counts for some in combinations(self.optional, count))


def read_support(
    support: schemas.Support, model: Model, limit: int, place: str = "support", *, names_count: bool = False
) -> SupportSet:
    """A posted support set as arrays, in the form of the model's kind. Raises Invalid.

    limit: examples or episodes that it may have; place: its path in the body
    names_count: whether the words of a label are an example
    """
    if support.rows is not UNSET and not _only_declares(support, model):
        return _read_rows(support, model, limit, place, read_support)
    arrays = read_addition(support, model, limit, place)
    if arrays.labels:
        check_examples(model, arrays.size, arrays.labels, f"{place}.labels", names_count=names_count)
        check_declared(arrays.targets, arrays.labels, f"{place}.targets")
    return arrays


def read_addition(support: schemas.Support, model: Model, limit: int, place: str = "") -> SupportSet:
    """A support set to add to another, as arrays. Raises Invalid. Arguments as in `read_support`.

    Its targets may have labels of the other support set.
    """
    prefix = f"{place}." if place else ""
    if support.labels is not UNSET and _only_declares(support, model):
        arrays = _read_declared(support, model.bundle, prefix)
    elif support.rows is not UNSET:
        return _read_rows(support, model, limit, place, read_addition)
    else:
        arrays = _read_examples(support, model, limit, place)
    if model.ways is not None:  # a classifier
        check_labels(len(arrays.labels), limit, f"{prefix}labels")
        check_classes(len(arrays.classes), model, f"{prefix}{'labels' if arrays.labels else 'targets'}")
    return arrays


def _only_declares(support: schemas.Support, model: Model) -> bool:
    """Whether a support set names its classes and has no example: the other fields are absent or empty."""
    if support.labels is UNSET or "labels" not in KINDS[model.bundle.manifest.kind].optional:
        return False
    others = (getattr(support, field) for field in (*EXAMPLES, "rows", "weights"))
    return all(value is UNSET or len(value) == 0 for value in others)


def _read_examples(support: schemas.Support, model: Model, limit: int, place: str) -> SupportSet:
    """A support set with examples, whose inputs and targets are apart. Raises Invalid."""
    kind, prefix = KINDS[model.bundle.manifest.kind], f"{place}." if place else ""
    _check_fields(support, kind, model.bundle.name, place)
    sizes = [len(getattr(support, field)) for field in kind.fields]
    if 0 in sizes:
        raise Invalid(f"{prefix}{kind.fields[sizes.index(0)]}", AT_LEAST_1, 0)
    if len(set(sizes)) > 1:
        raise Invalid(place, f"as many {' as '.join(kind.fields)}", " and ".join(map(str, sizes)))
    where = f"{prefix}{kind.fields[0]}" if len(kind.fields) == 1 else place
    check_support_size(sizes[0], limit, kind.unit, where)
    return kind.read(support, model.bundle, prefix)


def is_slow(
    model: Model, *posted: schemas.Support | Values | CsvBody | UnsetType, encodes_at_once: bool = False
) -> bool:
    """Whether reading support sets or inputs takes long however small they are: where some are files, for example.

    A CSV takes long for an encoder that is slow, as its cells may be files. Arrays take long if the encoder changes
    them (`keeps_features` is false). What the worker encodes later is quick to read, unless it is encoded at once.
    """
    encoder = model.bundle.encoder
    if not encoder.slow or (encoder.encodes_later and not encodes_at_once):
        return False
    if not encoder.keeps_features:
        return True
    return not all(isinstance(row, list) for values in _inputs(posted) for row in values)


def _inputs(posted: Iterable[schemas.Support | Values | CsvBody | UnsetType]) -> Iterator[Sequence[Any]]:
    """The lists of inputs among what was posted, which may also be raw arrays or absent. A CSV counts as one input."""
    for each in posted:
        if isinstance(each, schemas.Support):
            episodes = each.episodes or ()
            yield from _inputs([each.inputs, each.rows, *(episode.observations for episode in episodes)])
        elif isinstance(each, list):
            yield each
        elif isinstance(each, CsvBody):
            yield [each]


def show_support(adaptation: Adaptation) -> schemas.SupportView:
    """The examples of a record, as they are posted."""
    return KINDS[adaptation.kind].show(adaptation)


def _read_rows(support: schemas.Support, model: Model, limit: int, place: str, read: ReadApart) -> SupportSet:
    """A support set whose rows have the targets among their columns, or are a CSV. Raises Invalid.

    read: reads the same support set with its inputs and targets apart
    """
    prefix = f"{place}." if place else ""
    for field in EXAMPLES:
        if getattr(support, field) is not UNSET:
            expected = f"either rows or {' and '.join(KINDS[model.bundle.manifest.kind].fields)}"
            raise Invalid(place, expected, f"rows and {field}", f"leave {field} or rows out")
    if isinstance(support.rows, CsvBody):
        rows = CsvTable(support.rows, model.bundle, with_targets=True).examples(limit)
    else:
        assert support.rows is not UNSET, "its presence was checked"
        if not support.rows:
            raise Invalid(f"{prefix}rows", AT_LEAST_1, 0)
        rows = from_objects(support.rows, model.bundle, f"{prefix}rows")
    apart: schemas.Support = replace(support, rows=UNSET, inputs=rows.inputs, targets=rows.targets)
    try:
        arrays = read(apart, model, limit, place)
    except Invalid as error:
        raise rows.locate(error, prefix) from error
    return arrays._replace(locate=rows.locate, named_inputs=True, named_targets=True)


def _check_fields(support: schemas.Support, kind: Kind, name: str, place: str) -> None:
    """The fields are those of the kind, and no others. Raises Invalid."""
    present = tuple([field for field in FIELDS if getattr(support, field) is not UNSET])
    if present in kind.forms:
        return
    if extra := [field for field in present if field not in (*kind.fields, *kind.optional)]:
        fix = f"leave {' and '.join(extra)} out"
        *others, last = present
        came = f"{', '.join(others)} and {last}" if others else last
        raise Invalid(place, f"{' and '.join(kind.fields)} for {name}", came, fix)
    missing = next(field for field in kind.fields if field not in present)
    raise missing_field(missing, place)


def _read_regression(support: schemas.Support, bundle: Bundle, prefix: str) -> SupportSet:
    assert support.inputs is not UNSET, "its presence was checked"
    assert support.targets is not UNSET, "its presence was checked"
    inputs, features = read_inputs(support.inputs, bundle.encoder, f"{prefix}inputs")
    targets = read_numbers(support.targets, bundle.manifest.schema.targets, f"{prefix}targets")
    return SupportSet(
        inputs,
        targets,
        features=features,
        columns=columns_of(inputs, bundle),
        weights=_read_weights(support, len(inputs), prefix),
        named_inputs=have_names(support.inputs),
    )


def _read_classification(support: schemas.Support, bundle: Bundle, prefix: str) -> SupportSet:
    assert support.inputs is not UNSET, "its presence was checked"
    assert support.targets is not UNSET, "its presence was checked"
    inputs, features = read_inputs(support.inputs, bundle.encoder, f"{prefix}inputs")
    return SupportSet(
        inputs,
        read_labels(support.targets, f"{prefix}targets"),
        features=features,
        columns=columns_of(inputs, bundle),
        weights=_read_weights(support, len(inputs), prefix),
        labels=_read_labels(support, prefix),
        named_inputs=have_names(support.inputs),
    )


def _read_declared(support: schemas.Support, bundle: Bundle, prefix: str) -> SupportSet:
    """A support set that only names its classes."""
    inputs = np.empty((0, bundle.manifest.schema.features), np.float32)
    return SupportSet(inputs, np.empty(0, object), labels=_read_labels(support, prefix))


def _read_labels(support: schemas.Support, prefix: str) -> tuple[Label, ...]:
    """The classes that a support set names."""
    return () if support.labels is UNSET else read_classes(support.labels, f"{prefix}labels")


def _read_decision(support: schemas.Support, bundle: Bundle, prefix: str) -> SupportSet:
    assert support.episodes is not UNSET, "its presence was checked"
    return read_episodes(support.episodes, bundle, f"{prefix}episodes")


def _read_weights(support: schemas.Support, examples: int, prefix: str) -> np.ndarray | None:
    """The weights of the examples; None where all are 1."""
    if support.weights is UNSET:
        return None
    place = f"{prefix}weights"
    if len(support.weights) != examples:
        raise Invalid(place, f"as many weights as examples ({examples})", len(support.weights))
    weights = read_weights(support.weights, place)
    return None if (weights == 1).all() else weights


def _view(adaptation: Adaptation) -> schemas.SupportView:
    return schemas.SupportView(
        adaptation_id=adaptation.id, revision=adaptation.revision, examples=adaptation.numbers.tolist()
    )


def _show_examples(adaptation: Adaptation) -> schemas.SupportView:
    view, weights, labels = _view(adaptation), adaptation.weights, adaptation.all_labels
    view.inputs = show_rows(adaptation.rows)
    view.targets = adaptation.targets.tolist() if labels else adaptation.targets
    view.weights = UNSET if weights is None else weights
    view.labels = labels if adaptation.declares_labels else UNSET
    return view


def _show_decisions(adaptation: Adaptation) -> schemas.SupportView:
    view = _view(adaptation)
    view.episodes = show_episodes(adaptation.stages)
    return view


KINDS: Mapping[str, Kind] = {
    "regression": Kind(("inputs", "targets"), ("weights",), "examples", _read_regression, _show_examples),
    "classification": Kind(
        ("inputs", "targets"), ("weights", "labels"), "examples", _read_classification, _show_examples
    ),
    "decision": Kind(("episodes",), (), "episodes", _read_decision, _show_decisions),
}
