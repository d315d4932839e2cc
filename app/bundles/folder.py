"""Bundles as folders: written, verified and loaded."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from safetensors.torch import save as save_tensors

from app.atomic_write import write_atomically
from app.bundles.bundle import Bundle, without_default_encoder
from app.bundles.file_names import ENCODER_PREFIX, MANIFEST, WEIGHTS
from app.bundles.manifest import FORMAT, OPTIONAL, Manifest
from app.bundles.manifest_checks import check_encoder, check_manifest, expected_network
from app.bundles.manifest_file import read_manifest
from app.bundles.weights_file import read_weights
from app.errors import BundleError, InnerloopError, expectation, one_of, shown
from app.learn.update_rules import Params

MAX_NAME = 255
"""Characters of the name of a bundle: that of a folder."""
NO_ARRAYS: Mapping[str, np.ndarray] = MappingProxyType({})


def load_named(folder: Path, name: str) -> Bundle:
    """The bundle of that name in a folder of bundles. Raises BundleError, and InnerloopError where there is none."""
    if len(name) > MAX_NAME or not (folder / name).is_dir():
        names = sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
        expected = f"{one_of(names)} in {folder}" if names else f"the name of a bundle in {folder}, which has none"
        raise InnerloopError(expectation("bundle", expected, shown(name)))
    return load(folder / name)


def check_name(name: str) -> None:
    """Raise InnerloopError for a name that cannot be that of a bundle: it is a folder, and part of addresses."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        expected = "letters, digits, -, _ and ., such as pump-2"
        raise InnerloopError(expectation("the name of a bundle", expected, shown(name)))


def write(
    folder: Path, manifest: Manifest, meta: Params, encoder_arrays: Mapping[str, np.ndarray] = NO_ARRAYS
) -> Manifest:
    """Write bundle.json and weights.safetensors. Returns the manifest as written, with the sha256 of the weights.

    encoder_arrays: the arrays of the encoder that the manifest names
    """
    manifest, files = as_files(manifest, meta, encoder_arrays)
    write_files(folder, files)
    return manifest


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files of a bundle by name, in their order. The folder is made if it is missing.

    Each file is replaced atomically, those of `as_files` with bundle.json last, so that a reader gets the old bundle,
    the new one, or a BundleError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)


def as_files(
    manifest: Manifest, meta: Params, encoder_arrays: Mapping[str, np.ndarray] = NO_ARRAYS
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest as it is written, and what is in the files of the bundle, by name. Arguments as for `write`."""
    tensors = {name: value.float().cpu().contiguous() for name, value in meta.items()}
    tensors |= {f"{ENCODER_PREFIX}{name}": torch.tensor(value) for name, value in encoder_arrays.items()}
    weights = save_tensors(tensors)
    manifest = without_default_encoder(manifest, encoder_arrays)
    manifest = replace(manifest, weights_sha256=hashlib.sha256(weights).hexdigest(), format=FORMAT)
    contents = asdict(manifest)
    for part, owner in (
        (contents, manifest),
        (contents["ood_reference"], manifest.ood_reference),
        (contents["calibration"], manifest.calibration),
    ):
        for each in fields(owner):
            if each.metadata == OPTIONAL and part[each.name] is None:
                del part[each.name]
    return manifest, {WEIGHTS: weights, MANIFEST: (json.dumps(contents, indent=2) + "\n").encode()}


def load(folder: Path) -> Bundle:
    """Read and verify the bundle in `folder`. Raises BundleError with the file and the reason."""
    manifest = read_manifest(folder / MANIFEST)
    check_manifest(folder / MANIFEST, manifest)
    shapes, width = expected_network(folder / MANIFEST, manifest)
    meta, arrays = read_weights(folder / WEIGHTS, manifest, shapes)
    bundle = Bundle(folder.name, without_default_encoder(manifest, arrays), meta, width, arrays)
    check_encoder(folder, bundle)
    return bundle


def load_all(folder: Path) -> tuple[dict[str, Bundle], dict[str, BundleError]]:
    """Load the bundles in the subfolders of `folder`: the valid ones by name, and the error of each other one by name.

    Hidden folders are skipped. A bad bundle does not keep the others from loading.
    """
    bundles: dict[str, Bundle] = {}
    errors: dict[str, BundleError] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            bundles[path.name] = load(path)
        except BundleError as error:
            errors[path.name] = error
    return bundles, errors
