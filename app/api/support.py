"""Support sets from the wire to arrays and back, for each kind of prediction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from msgspec import UNSET
from msgspec.structs import replace

from app.api import schemas
from app.api.arrays import read_inputs, read_labels, read_numbers
from app.api.csv_table import CsvBody, CsvTable
from app.api.decode_errors import missing_field
from app.api.episodes import read_episodes, show_episodes
from app.api.rows import from_objects
from app.bundles import Bundle
from app.errors import Invalid
from app.service.model import Model
from app.service.record import Adaptation, SupportSet
from app.service.request_checks import check_classes, check_support_size

FIELDS = ("inputs", "targets", "episodes")
"""The fields of a posted support set, in the order of `Kind.fields`; `rows` stands for the first two."""
Read = Callable[[schemas.Support, Bundle, str], SupportSet]
"""(posted support set, the bundle, its place in the body) -> arrays. Raises Invalid."""


@dataclass(frozen=True)
class Kind:
    """The form of a support set on the wire.

    fields: that it has; it has no others
    unit: what its rows are called
    read, show: to arrays, and from a record back to the wire
    """

    fields: tuple[str, ...]
    unit: str
    read: Read
    show: Callable[[Adaptation], schemas.SupportView]


def read_support(support: schemas.Support, model: Model, limit: int, place: str = "support") -> SupportSet:
    """A posted support set as arrays, in the form of the model's kind. Raises Invalid.

    limit: examples or episodes that it may have; place: its path in the body, "" where it is the body
    """
    if support.rows is not UNSET:
        return _read_rows(support, model, limit, place)
    kind = KINDS[model.bundle.manifest.kind]
    _check_fields(support, kind, model.bundle.name, place)
    prefix = f"{place}." if place else ""
    sizes = {field: len(getattr(support, field)) for field in kind.fields}
    if len(set(sizes.values())) > 1:
        raise Invalid(place, f"as many {' as '.join(sizes)}", " and ".join(map(str, sizes.values())))
    where = f"{prefix}{kind.fields[0]}" if len(kind.fields) == 1 else place
    check_support_size(sizes[kind.fields[0]], limit, kind.unit, where)
    arrays = kind.read(support, model.bundle, prefix)
    check_classes(arrays.targets, model, f"{prefix}targets")
    return arrays


def show_support(adaptation: Adaptation) -> schemas.SupportView:
    """The examples of a record, as they are posted."""
    return KINDS[adaptation.kind].show(adaptation)


def _read_rows(support: schemas.Support, model: Model, limit: int, place: str) -> SupportSet:
    """A support set whose rows have the targets among their columns, or are a CSV. Raises Invalid."""
    prefix = f"{place}." if place else ""
    for field in FIELDS:
        if getattr(support, field) is not UNSET:
            expected = f"either rows or {' and '.join(KINDS[model.bundle.manifest.kind].fields)}"
            raise Invalid(place, expected, f"rows and {field}", f"leave {field} or rows out")
    if isinstance(support.rows, CsvBody):
        rows = CsvTable(support.rows, model.bundle, with_targets=True).examples(limit)
    else:
        assert support.rows is not UNSET, "its presence was checked"
        rows = from_objects(support.rows, model.bundle, f"{prefix}rows")
    apart: schemas.Support = replace(support, rows=UNSET, inputs=rows.inputs, targets=rows.targets)
    try:
        return read_support(apart, model, limit, place)
    except Invalid as error:
        raise rows.locate(error, prefix) from error


def _check_fields(support: schemas.Support, kind: Kind, name: str, place: str) -> None:
    """The fields are those of the kind, and no others. Raises Invalid."""
    present = [field for field in FIELDS if getattr(support, field) is not UNSET]
    if tuple(present) == kind.fields:
        return
    if extra := [field for field in present if field not in kind.fields]:
        fix = f"leave {' and '.join(extra)} out"
        *others, last = present
        came = f"{', '.join(others)} and {last}" if others else last
        raise Invalid(place, f"{' and '.join(kind.fields)} for {name}", came, fix)
    missing = next(field for field in kind.fields if field not in present)
    raise missing_field(missing, place)


def _read_regression(support: schemas.Support, bundle: Bundle, prefix: str) -> SupportSet:
    assert support.inputs is not UNSET, "its presence was checked"
    assert support.targets is not UNSET, "its presence was checked"
    inputs = read_inputs(support.inputs, bundle.encoder, f"{prefix}inputs")
    return SupportSet(inputs, read_numbers(support.targets, bundle.manifest.schema.targets, f"{prefix}targets"))


def _read_classification(support: schemas.Support, bundle: Bundle, prefix: str) -> SupportSet:
    assert support.inputs is not UNSET, "its presence was checked"
    assert support.targets is not UNSET, "its presence was checked"
    inputs = read_inputs(support.inputs, bundle.encoder, f"{prefix}inputs")
    return SupportSet(inputs, read_labels(support.targets, f"{prefix}targets"))


def _read_decision(support: schemas.Support, bundle: Bundle, prefix: str) -> SupportSet:
    assert support.episodes is not UNSET, "its presence was checked"
    return read_episodes(support.episodes, bundle, f"{prefix}episodes")


def _view(adaptation: Adaptation) -> schemas.SupportView:
    return schemas.SupportView(
        adaptation_id=adaptation.id, revision=adaptation.revision, examples=adaptation.numbers.tolist()
    )


def _show_examples(adaptation: Adaptation) -> schemas.SupportView:
    view, task = _view(adaptation), adaptation.task
    view.inputs, view.targets = task.inputs, task.targets.tolist() if task.classes else task.targets
    return view


def _show_decisions(adaptation: Adaptation) -> schemas.SupportView:
    view = _view(adaptation)
    view.episodes = show_episodes(adaptation.stages)
    return view


KINDS: Mapping[str, Kind] = {
    "regression": Kind(("inputs", "targets"), "examples", _read_regression, _show_examples),
    "classification": Kind(("inputs", "targets"), "examples", _read_classification, _show_examples),
    "decision": Kind(("episodes",), "episodes", _read_decision, _show_decisions),
}
