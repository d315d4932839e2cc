"""Bundles as a client sees them."""

from dataclasses import asdict
from typing import Any

from app import schemas
from app.errors import BundleError
from app.service.model import Model


def _common(model: Model) -> dict[str, Any]:
    manifest = model.bundle.manifest
    return {
        "name": model.bundle.name,
        "digest": manifest.digest,
        "family": manifest.family.name,
        "kind": manifest.kind,
        "algorithm": manifest.algorithm,
        "features": manifest.schema.features,
        "targets": manifest.schema.targets,
        "inner_loop": schemas.InnerLoopBounds(**asdict(manifest.inner_loop)),
        "compiled": model.compiled,
    }


def summary(model: Model) -> schemas.ModelSummary:
    """A bundle in a list."""
    return schemas.ModelSummary(**_common(model))


def detail(model: Model) -> schemas.ModelDetail:
    """A bundle alone."""
    manifest = model.bundle.manifest
    return schemas.ModelDetail(
        **_common(model),
        family_options=dict(manifest.family.options),
        evaluation=dict(manifest.evaluation),
        training=dict(manifest.training),
    )


def refused(name: str, error: BundleError) -> schemas.RefusedBundle:
    """A bundle that does not serve. Its file is named from the models folder on."""
    return schemas.RefusedBundle(name=name, file=f"{name}/{error.file.name}", reason=error.reason)
