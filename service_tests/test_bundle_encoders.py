"""A bundle names its encoder: it is part of the digest, goes wherever the bundle goes, and is refused if damaged."""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

from app.bundles.file_names import ENCODER_PREFIX, MANIFEST, WEIGHTS
from app.bundles.folder import load, load_all, write
from app.encoders import registry
from app.encoders.image import ImageEncoder
from app.encoders.numbers import NumbersEncoder
from app.encoders.sentences import sentence_model, tokenizer_file
from app.encoders.spec import EncoderSpec
from app.encoders.table import TableEncoder
from app.encoders.text import TextEncoder
from app.errors import BundleError
from app.service.health import Health
from app.storage.bundle_folder import BundleFolder
from app.storage.disk_reserve import DiskReserve
from service_tests.bundles import write_table_bundle
from service_tests.encoders.cases import PATIENTS, TABLE
from service_tests.processes import ROOT
from service_tests.sentence_models import write_sentence_model, write_text_bundle

RANGES = f"{ENCODER_PREFIX}ranges"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle with the encoder `table`."""
    write_table_bundle(tmp_path / "models/wards")
    return tmp_path / "models/wards"


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    contents = json.loads((folder / MANIFEST).read_text())
    change(contents)
    (folder / MANIFEST).write_text(json.dumps(contents))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    content = save(tensors)
    (folder / WEIGHTS).write_bytes(content)
    edit(folder, lambda contents: contents.update(weights_sha256=hashlib.sha256(content).hexdigest()))


def test_a_bundle_whose_package_is_missing_degrades_no_server(
    tmp_path: Path, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tmp_path / "models"
    write_table_bundle(models / "wards")
    encoder = TextEncoder.of_model(str(write_sentence_model(tmp_path / "sentences")))
    write_text_bundle(models / "texts", encoder)
    monkeypatch.setattr(tokenizer_file, "find_spec", lambda name: None if name == "tokenizers" else find_spec(name))
    sentence_model.load.cache_clear()
    client = serve(models_dir=models)
    ready = client.get("/health/ready").json()
    assert (ready["status"], ready["models"]) == ("ready", ["wards"])
    (refused,) = client.get("/models").json()["refused"]
    assert "pip install 'innerloop-server[text]'" in refused["reason"]


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load(folder)
    assert load_all(folder.parent)[1][folder.name].reason == caught.value.reason
    return caught.value


def test_it_is_loaded_with_its_bundle(folder: Path) -> None:
    fitted, bundle = registry.fit("table", PATIENTS, TABLE), load(folder)
    assert isinstance(bundle.encoder, TableEncoder)
    assert bundle.encoder.describe() == fitted.describe()
    assert (bundle.encoder.encode(PATIENTS) == fitted.encode(PATIENTS)).all()
    assert not any(name.startswith(ENCODER_PREFIX) for name in bundle.meta)


def test_what_is_written_again_is_the_same(folder: Path, tmp_path: Path) -> None:
    bundle = load(folder)
    write(tmp_path / "again", bundle.manifest, bundle.meta, bundle.encoder_arrays)
    for name in (MANIFEST, WEIGHTS):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert load(tmp_path / "again").manifest == bundle.manifest


def test_it_is_part_of_the_digest(folder: Path) -> None:
    digests = {load(folder).manifest.digest}
    edit(folder, lambda contents: contents["encoder"]["state"].update(ignore_extra=True))
    digests.add(load(folder).manifest.digest)
    edit_weights(folder, lambda tensors: tensors[RANGES][2].mul_(2))
    digests.add(load(folder).manifest.digest)
    assert len(digests) == 3


@pytest.mark.parametrize("name", ["linear", "omniglot"])
def test_the_default_is_left_out(name: str, tmp_path: Path) -> None:
    shipped = load(ROOT / "models" / name)
    write(tmp_path / name, replace(shipped.manifest, encoder=None), shipped.meta)
    unnamed, bundle = (tmp_path / name / MANIFEST).read_bytes(), load(tmp_path / name)
    assert isinstance(bundle.encoder, ImageEncoder if name == "omniglot" else NumbersEncoder)
    named = replace(bundle.manifest, encoder=EncoderSpec.of(bundle.encoder))
    assert write(tmp_path / name, named, bundle.meta) == bundle.manifest
    assert (tmp_path / name / MANIFEST).read_bytes() == unnamed
    section = {"name": bundle.encoder.name, "state": bundle.encoder.to_json()}
    edit(tmp_path / name, lambda contents: contents.update(encoder=section))
    assert load(tmp_path / name).manifest.digest == bundle.manifest.digest


def test_normalising_drawings_is_part_of_the_digest(tmp_path: Path) -> None:
    bundle = load(ROOT / "models/omniglot")
    assert bundle.manifest.encoder == EncoderSpec("image", {"shape": [28, 28], "normalise": "drawing"})
    assert bundle.takes_features
    plain = write(tmp_path / "omniglot", replace(bundle.manifest, encoder=None), bundle.meta)
    assert plain.digest == "b081f738ba8b38500c77fb6ab83e873f644735e3e55f7d3ada22929f7d35eabc"  # before it normalised


def test_the_default_is_named_where_it_was_fitted(tmp_path: Path) -> None:
    bundle = load(ROOT / "models/linear")
    features = bundle.manifest.schema.features
    encoder = registry.fit("numbers", np.random.default_rng(0).normal(size=(9, features)), {})
    manifest = replace(bundle.manifest, encoder=EncoderSpec.of(encoder))
    write(tmp_path / "linear", manifest, bundle.meta, encoder.arrays())
    assert load(tmp_path / "linear").encoder.describe() == encoder.describe()


def test_a_kept_bundle_has_it(folder: Path, tmp_path: Path) -> None:
    bundle, store = load(folder), BundleFolder(tmp_path, DiskReserve(tmp_path, Health()))
    asyncio.run(store.write(bundle, until=1))
    kept = asyncio.run(store.read(bundle.manifest.digest))
    assert kept is not None
    assert kept.manifest == bundle.manifest
    assert kept.encoder.describe() == bundle.encoder.describe()


def section(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda contents: contents["encoder"].update(changes)


def state(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda contents: contents["encoder"]["state"].update(changes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda contents: contents.update(encoder=3), "encoder: expected an object, got a whole number"),
        (lambda contents: contents["encoder"].pop("name"), "encoder.name: expected a value, got none"),
        (
            section(name="molecule"),
            "encoder: expected one of image, numbers, table, text, got 'molecule': install the package",
        ),
        (section(name="image"), "encoder: state: missing shape; unknown columns, ignore_extra: copy the whole bundle"),
        (section(more=1), "encoder: expected only the fields name, state, got also more"),
        (section(state=[]), "encoder.state: expected an object, got []"),
        (state(ignore_extra=1), "encoder: state.ignore_extra: expected true or false, got 1: copy the whole bundle"),
        (state(columns=[]), "encoder: state.columns: expected at least 1"),
        (lambda contents: contents["schema"].update(features=7), "features: expected the number of features that "),
        (lambda contents: contents["schema"].update(shape=[4, 4]), "encoder: expected features of schema.shape [4, 4]"),
    ],
)
def test_damage_in_the_manifest(folder: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    edit(folder, change)
    error = refusal(folder)
    assert error.file == folder / MANIFEST
    assert error.reason.startswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tensors: tensors.pop(RANGES), "encoder: arrays: expected ['ranges'], got none: copy the whole bundle"),
        (
            lambda tensors: tensors.update({f"{ENCODER_PREFIX}more": torch.zeros(1)}),
            "encoder: arrays: expected ['ranges'], got ['more', 'ranges']",
        ),
        (
            lambda tensors: tensors.update({RANGES: tensors[RANGES][:, 1:].contiguous()}),
            "encoder: ranges: expected float64 [5, 4], got float64 [5, 3]",
        ),
        (lambda tensors: tensors.update({RANGES: tensors[RANGES].float()}), "encoder: ranges: expected float64"),
        (lambda tensors: tensors[RANGES].fill_(torch.nan), "encoder: ranges: expected finite numbers"),
        (
            lambda tensors: tensors.update({RANGES: tensors[RANGES].bfloat16()}),
            f"{RANGES}: expected a type that NumPy has, got bfloat16",
        ),
    ],
)
def test_damage_in_the_arrays(folder: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    edit_weights(folder, change)
    error = refusal(folder)
    assert error.file == folder / WEIGHTS
    assert error.reason.startswith(reason)


def test_another_number_of_features(folder: Path) -> None:
    def without_the_last_column(contents: dict[str, Any]) -> None:
        del contents["encoder"]["state"]["columns"][-1]

    edit(folder, without_the_last_column)
    error = refusal(folder)
    assert error.file == folder / MANIFEST
    assert error.reason.startswith("encoder: expected schema.features (")
    assert error.reason.endswith(": fit the encoder to the inputs of this network")


def test_drawings_need_the_encoder_of_images(tmp_path: Path) -> None:
    bundle = load(ROOT / "models/omniglot")
    encoder = NumbersEncoder(bundle.manifest.schema.shape)
    write(tmp_path / "omniglot", replace(bundle.manifest, encoder=EncoderSpec.of(encoder)), bundle.meta)
    assert refusal(tmp_path / "omniglot").reason == (
        "encoder.name: expected 'image', because schema.image is set, got 'numbers'"
    )


def test_the_arrays_of_an_encoder_that_is_not_named(folder: Path) -> None:
    edit(folder, lambda contents: contents.pop("encoder"))
    assert refusal(folder).file == folder / WEIGHTS


class Broken(NumbersEncoder):
    """A stranger's encoder."""

    name = "broken"

    def encode(self, rows: object) -> np.ndarray:
        raise ZeroDivisionError("no\nrows")


def test_an_encoder_that_fails_refuses_its_bundle_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features = load(folder).manifest.schema.features
    broken = {"name": "broken", "state": NumbersEncoder((features,)).to_json()}
    edit_weights(folder, lambda tensors: tensors.pop(RANGES))
    edit(folder, lambda contents: contents.update(encoder=broken))
    found = registry.encoders()
    monkeypatch.setattr(registry, "encoders", lambda: found | {"broken": lambda: Broken})
    assert refusal(folder).reason == "encoder: the encoder 'broken' fails: ZeroDivisionError: no rows"


def test_a_sentence_model_that_is_gone_is_named_without_advice_about_the_bundle(tmp_path: Path) -> None:
    sentences = write_sentence_model(tmp_path / "sentences")
    write_text_bundle(tmp_path / "texts", TextEncoder.of_model(str(sentences)))
    sentences.rename(tmp_path / "elsewhere")
    sentence_model.load.cache_clear()
    with pytest.raises(BundleError, match=f"got '{re.escape(str(sentences))}': there is no such folder$"):
        load(tmp_path / "texts")
