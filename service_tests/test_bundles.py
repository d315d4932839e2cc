"""What cannot be verified is refused, with the file and the reason."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from app.bundles import MANIFEST, WEIGHTS, load, load_all, write
from app.errors import BundleError, NoFamily
from app.training.problem import family_of


@pytest.fixture
def folder(models_dir: Path, tmp_path: Path) -> Path:
    """A good bundle to break, with all fields."""
    folder = Path(shutil.copytree(models_dir / "sinusoid", tmp_path / "models" / "sinusoid"))
    bundle = load(folder)
    write(folder, bundle.manifest, bundle.meta)
    return folder


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    contents = json.loads((folder / MANIFEST).read_text())
    change(contents)
    (folder / MANIFEST).write_text(json.dumps(contents))


def rewrite(folder: Path, meta: dict[str, torch.Tensor]) -> None:
    """Other weights with the digest that fits them."""
    write(folder, load(folder).manifest, meta)


def refusal(folder: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load(folder)
    return caught.value


@pytest.mark.parametrize("name", ["sinusoid", "linear", "choices"])
def test_the_bundles_that_ship_are_good(models_dir: Path, name: str) -> None:
    bundle = load(models_dir / name)
    assert bundle.name == name
    assert {file.name for file in (models_dir / name).iterdir()} == {MANIFEST, WEIGHTS, "CARD.md", "before-after.svg"}


def test_what_is_written_is_loaded(folder: Path, tmp_path: Path) -> None:
    bundle = load(folder)
    write(tmp_path / "again", bundle.manifest, bundle.meta)
    again = load(tmp_path / "again")
    assert again.manifest == bundle.manifest
    assert all(torch.equal(value, again.meta[name]) for name, value in bundle.meta.items())
    assert again.manifest.digest == bundle.manifest.digest


@pytest.mark.parametrize("file", [MANIFEST, WEIGHTS])
def test_a_missing_file(folder: Path, file: str) -> None:
    (folder / file).unlink()
    error = refusal(folder)
    assert error.file == folder / file
    assert error.reason == "the file is missing"


def test_a_wrong_digest(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    error = refusal(folder)
    assert error.file == folder / WEIGHTS
    assert "sha256" in error.reason


@pytest.mark.parametrize("place", ["family", "network"])
def test_an_unknown_family_or_network(folder: Path, place: str) -> None:
    edit(folder, lambda contents: contents[place].update(name="unheard-of"))
    error = refusal(folder)
    assert error.file == folder / MANIFEST
    assert error.reason.startswith(f"unknown {place} 'unheard-of'; known here: ")


@pytest.mark.parametrize("place", ["algorithm", "kind"])
def test_an_unknown_algorithm_or_kind(folder: Path, place: str) -> None:
    edit(folder, lambda contents: contents.update({place: "unheard-of"}))
    assert f"unknown {place} 'unheard-of'" in refusal(folder).reason


def test_a_wrong_shape(folder: Path) -> None:
    rewrite(folder, load(folder).meta | {"2.bias": torch.zeros(39)})
    error = refusal(folder)
    assert error.file == folder / WEIGHTS
    assert error.reason == "2.bias is float32 [39], the network needs float32 [40]"


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite(folder: Path, value: float) -> None:
    meta = load(folder).meta
    meta["2.weight"][3, 4] = value
    rewrite(folder, meta)
    assert refusal(folder).reason == "2.weight holds NaN or infinity"


def test_a_missing_parameter_and_one_too_many(folder: Path) -> None:
    meta = load(folder).meta
    meta["extra"] = meta.pop("0.bias")
    rewrite(folder, meta)
    assert "the network needs ['0.bias'" in refusal(folder).reason


def test_another_type_of_number(folder: Path) -> None:
    meta = load_file(folder / WEIGHTS)
    content = save(meta | {"0.bias": meta["0.bias"].half()})
    (folder / WEIGHTS).write_bytes(content)
    edit(folder, lambda contents: contents.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    assert refusal(folder).reason == "0.bias is float16 [40], the network needs float32 [40]"


def test_a_pickle_is_not_opened(folder: Path) -> None:
    """safetensors alone are read; a pickle that would act when opened does not."""

    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return Path.touch, (folder / "sprung",)  # type: ignore[return-value]

    content = pickle.dumps(Trap())
    (folder / WEIGHTS).write_bytes(content)
    edit(folder, lambda contents: contents.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    assert refusal(folder).reason.startswith("not safetensors")
    assert not (folder / "sprung").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "nan", "[" * 100_000, '{"format": 1}'])
def test_a_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    assert refusal(folder).file == folder / MANIFEST


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(format=99), "format 99, only 1 can be read"),
        (lambda c: c.update(surprise=1), "unknown ['surprise'] at the top"),
        (lambda c: c.pop("algorithm"), "missing ['algorithm']"),
        (lambda c: c["schema"].update(features="1"), "a int is expected at schema.features, got '1'"),
        (lambda c: c["schema"].update(features=True), "a int is expected at schema.features, got True"),
        (lambda c: c.update(initial_loss=float("nan")), "a float is expected at initial_loss"),
        (lambda c: c["schema"].update(features=2), "kind and schema do not fit the family"),
        (lambda c: c["network"]["options"].update(inputs=2), "does not take 1 features"),
        (lambda c: c["network"]["options"].update(outputs=2), "gives [2], not 1 targets"),
        (lambda c: c["network"]["options"].update(depth=2), "options of the family or of the network do not fit"),
        (lambda c: c["family"]["options"].update(x=2), "options of the family or of the network do not fit"),
        (lambda c: c["inner_loop"].update(steps=101), "a default is outside its bound"),
        (lambda c: c["inner_loop"].update(learning_rate=-1.0), "a default is outside its bound"),
        (lambda c: c.update(calibration=[]), "an object is expected at calibration"),
        (lambda c: c["calibration"].update(error=1.0), "a list is expected at calibration.error"),
        (lambda c: c["calibration"]["error"].__setitem__(2, None), "a float is expected at calibration.error[2]"),
        (lambda c: c["calibration"]["error"].pop(), "the lists do not fit 1 features or each other at calibration"),
        (lambda c: c["calibration"]["input_scale"].append(1.0), "the lists do not fit 1 features"),
        (lambda c: c["schema"].update(shape=[1.0]), "a int is expected at schema.shape[0], got 1.0"),
        (lambda c: c["schema"].update(shape=[1, 2]), "shape and image do not fit 1 features or each other at schema"),
        (lambda c: c["schema"].update(shape=[-1, -1]), "shape and image do not fit 1 features or each other at schema"),
        (lambda c: c["schema"].update(image="ink"), "shape and image do not fit 1 features or each other at schema"),
        (lambda c: c["schema"].update(shape=[1, 1], image="x"), "shape and image do not fit 1 features or each other"),
        (lambda c: c["schema"].update(actions={"low": [], "high": []}), "actions and weighing do not fit the kind"),
        (lambda c: c["schema"].update(actions={"low": []}), "missing ['high'], unknown [] at schema.actions"),
        (lambda c: c["calibration"].update(shots=[]), "the lists do not fit 1 targets or each other at trust"),
        (lambda c: c["calibration"].update(half_widths=[[1.0]]), "a list is expected at calibration.half_widths[0][0]"),
    ],
)
def test_a_manifest_that_makes_no_sense(folder: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    edit(folder, change)
    error = refusal(folder)
    assert error.file == folder / MANIFEST
    assert reason in error.reason


def test_the_digest_is_of_what_answers_depend_on(folder: Path) -> None:
    before = load(folder).manifest.digest
    edit(folder, lambda contents: contents.update(evaluation={}, training={}))
    edit(folder, lambda contents: contents["calibration"].update(seed=3))
    assert load(folder).manifest.digest == before
    edit(folder, lambda contents: contents["inner_loop"].update(steps=4))
    assert load(folder).manifest.digest != before


def test_a_bundle_from_before_there_were_shapes_is_good(folder: Path) -> None:
    def without_shapes(contents: dict[str, Any]) -> None:
        contents["schema"] = {"features": 1, "targets": 1}  # and none of decisions either

    edit(folder, without_shapes)
    contents = json.loads((folder / "bundle.json").read_text())
    for part in ("evaluation", "training", "calibration", "calibration"):
        contents.pop(part, None)
    manifest = load(folder).manifest
    assert (manifest.schema.shape, manifest.schema.image) == ((), "")
    assert manifest.digest == hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()
    write(folder, manifest, load(folder).meta)
    assert load(folder).manifest == manifest
    edit(folder, lambda contents: contents["schema"].update(shape=[1, 1], image="ink"))
    shaped = load(folder).manifest
    assert (shaped.schema.shape, shaped.schema.image) == ((1, 1), "ink")
    assert shaped.digest != manifest.digest


def test_a_bundle_from_before_there_was_a_calibration_is_good(folder: Path) -> None:
    before = load(folder).manifest.digest
    for part in ("calibration", "calibration"):
        edit(folder, lambda contents: contents.pop(part, None))  # noqa: B023 (called at once)
    manifest = load(folder).manifest
    assert manifest.ood_reference.tasks == manifest.calibration.tasks == 0
    assert manifest.digest == before


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("sinusoid", "61dd5855163a524e3306c14e32151d94b646cd5d2cbe567219f4840afc717e11"),
        ("linear", "14a9b2959dccac2c4d47b9956a5bd2a8ba3c3e4a94b9694cc99a06bbac673b88"),
        ("choices", "d4c255c2f189a003e4d5b16ea42b15be433d32d94d03f369b327d031f8fba6c8"),
    ],
)
def test_the_bundles_that_ship_keep_their_digests(models_dir: Path, name: str, digest: str) -> None:
    """Adaptations in stores are known by them: another digest derives each of them again."""
    assert load(models_dir / name).manifest.digest == digest


def test_a_bundle_without_a_family(folder: Path) -> None:
    edit(folder, lambda contents: contents.update(family=None))
    bundle = load(folder)
    assert bundle.manifest.family is None
    with pytest.raises(NoFamily, match="sinusoid came without a family"):
        family_of(bundle)
    edit(folder, lambda contents: contents["schema"].update(features=0))
    assert "do not fit 0 features" in refusal(folder).reason


def test_the_good_ones_are_loaded_beside_the_bad_ones(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "broken")
    (folder.parent / "broken" / WEIGHTS).unlink()
    (folder.parent / "a-file").touch()
    (folder.parent / ".hidden").mkdir()
    good, refused = load_all(folder.parent)
    assert list(good) == ["sinusoid"]
    assert list(refused) == ["broken"]


def test_no_models_folder_is_no_bundle(tmp_path: Path) -> None:
    assert load_all(tmp_path / "absent") == ({}, {})
