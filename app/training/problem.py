"""From a family to the schema of its bundles, and from a bundle back to its family."""

from pathlib import Path

from app.bundles import Bundle, Schema
from app.errors import NoFamily, TrainingError
from app.families.family import Family, HasActions, HasImages, HasShape, HasWeighing
from app.families.registry import families, make
from app.learn.policies import Weighing


def schema_of(family: Family) -> Schema:
    """The form of a family's examples, as its bundles hold it."""
    return Schema(
        family.features,
        family.targets,
        shape=family.shape if isinstance(family, HasShape) else (),
        image=family.image if isinstance(family, HasImages) else "",
        actions=family.actions if isinstance(family, HasActions) else None,
        weighing=weighing_of(family) if isinstance(family, HasActions) else None,
    )


def weighing_of(family: Family) -> Weighing:
    """How the decisions of a family are weighed; the default where it does not say."""
    return family.weighing if isinstance(family, HasWeighing) else Weighing()


def family_of(bundle: Bundle, data: Path | None = None) -> Family:
    """The family that a bundle was trained on. data: the folder of its data set, where it reads one.

    Raises NoFamily where the bundle names none, and TrainingError where its family is not installed, does not take the
    options that the bundle names, or has another kind or other numbers of features and targets.
    """
    spec, manifest = bundle.manifest.family, bundle.manifest
    if spec is None:
        raise NoFamily(bundle.name)
    if spec.name not in families():
        known = ", ".join(sorted(families()))
        raise TrainingError(f"{bundle.name}: the family {spec.name!r} is not installed; installed are {known}")
    try:
        family = make(spec.name, spec.options, data)
    except (ImportError, TypeError, ValueError) as error:
        raise TrainingError(f"{bundle.name}: the family {spec.name!r} cannot be made: {error}") from error
    form = manifest.kind, manifest.schema.features, manifest.schema.targets
    if (family.kind, family.features, family.targets) != form:
        raise TrainingError(f"{bundle.name}: kind and schema do not fit the family {spec.name!r}")
    return family
