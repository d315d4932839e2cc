"""weights.safetensors, verified."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from app.bundles.file_names import COPY_AGAIN, ENCODER_PREFIX, MANIFEST, read
from app.bundles.manifest import Manifest
from app.errors import BundleError
from app.learn.update_rules import Params


def read_weights(
    file: Path, manifest: Manifest, expected: Mapping[str, torch.Size]
) -> tuple[Params, Mapping[str, np.ndarray]]:
    """The meta-parameters, and the arrays of the encoder that the manifest names.

    Raises BundleError unless the file has the sha256 of the manifest, and the meta-parameters the expected names and
    shapes.
    """
    content, sha256 = read(file), manifest.weights_sha256
    actual = hashlib.sha256(content).hexdigest()
    if actual != sha256:
        raise BundleError(
            file,
            f"expected the sha256 {sha256} of {MANIFEST}, got {actual}: one of the files was changed; copy both again",
        )
    try:
        # always in one order: it is part of a compiled graph, and so of the key of its cache
        meta: Params = dict(sorted(load_tensors(content).items()))
    except SafetensorError as error:
        raise BundleError(file, f'expected safetensors, got "{error}": {COPY_AGAIN}') from error
    names = [] if manifest.encoder is None else [name for name in meta if name.startswith(ENCODER_PREFIX)]
    arrays = {name: meta.pop(name) for name in names}
    if meta.keys() != expected.keys():
        reason = f"expected the parameters {sorted(expected)}, got {sorted(meta)}: save those of this network"
        raise BundleError(file, reason)
    for name, value in meta.items():
        if value.dtype != torch.float32 or value.shape != expected[name]:
            shape, needed = list(value.shape), list(expected[name])
            raise BundleError(file, f"{name}: expected float32 {needed}, got {str(value.dtype)[6:]} {shape}")
        if not value.isfinite().all():
            raise BundleError(file, f"{name}: expected finite numbers, got NaN or infinity")
    return meta, {name.removeprefix(ENCODER_PREFIX): _as_numpy(file, name, value) for name, value in arrays.items()}


def _as_numpy(file: Path, name: str, value: torch.Tensor) -> np.ndarray:
    try:
        return value.numpy()
    except TypeError as error:
        raise BundleError(file, f"{name}: expected a type that NumPy has, got {str(value.dtype)[6:]}") from error
