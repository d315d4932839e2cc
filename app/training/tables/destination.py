"""Where the bundle of a table goes, so that nothing else there is lost."""

from pathlib import Path

from app.bundles.file_names import MANIFEST
from app.bundles.manifest_file import read_manifest
from app.errors import BundleError, TrainingError
from app.families.tables.table_spec import TableSpec


def bundle_folder(models_dir: Path, name: str, spec: TableSpec) -> Path:
    """The folder of the bundle. A model of the same task and target is trained again, so it may be there.

    Raises TrainingError where something else is.
    """
    folder = models_dir / name
    file = next((each for each in (folder, *folder.parents) if each.exists() and not each.is_dir()), None)
    if file is not None:
        reason = f"{file} is a file, so choose another"
        raise TrainingError(f"--models-dir: expected a folder, got {models_dir}: {reason}")
    if folder.is_dir() and any(folder.iterdir()) and not _predicts(folder, spec):
        other = f"expected a new name, got {name}: {folder} holds something else than a model of {spec.target!r}"
        raise TrainingError(f"--name: {other} for each {spec.task!r}: choose another --name or --models-dir")
    return folder


def _predicts(folder: Path, spec: TableSpec) -> bool:
    """Whether a folder has a bundle that was trained on a table with this task and this target."""
    try:
        family = read_manifest(folder / MANIFEST).family
    except BundleError:
        return False
    if family is None or family.name != "table":
        return False
    return (family.options.get("task"), family.options.get("target")) == (spec.task, spec.target)
