"""Bundles load with the digests that they have always had; one that cannot be verified is refused with its reason."""

import hashlib
import json
import pickle
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save

from app.bundles.file_names import MANIFEST, WEIGHTS
from app.bundles.folder import load, load_all, write
from app.errors import BundleError
from app.families.family import HasMeanings
from app.families.registry import make
from app.learn.support_ood import OODReference
from service_tests.processes import ROOT, SHIPPED

DIGESTS = {
    "choices": "d4c255c2f189a003e4d5b16ea42b15be433d32d94d03f369b327d031f8fba6c8",
    "driving": "5b12c69da581c35e21f63a8f9e6262195cf7102a83fc1727829f2a74b369d739",
    "intents": "cb9beade78ae4632bce9ce7d222cb85f331df822ffd03df40f2a4c5dcaf2c749",
    "linear": "14a9b2959dccac2c4d47b9956a5bd2a8ba3c3e4a94b9694cc99a06bbac673b88",
    "navigation": "15c7a7b88c0f98f94feecec54d66b06e35a3745d9e1dce795859dac75ebdb498",
    "omniglot": "6ed9b8f8347a4c42b378a8dd12e936a89017a23c9ba1a338c2ebbeb5d12f1320",
    "omniglot-maml": "2b7acff276396e0a659b05a09b6f2726cfcd3c636ac904be40181373ac3c6723",
    "pharmacokinetics": "5397e5d4524bfa511efeacc80131e9ac4a13a044b14363a3f5601424296d6703",
    "sinusoid": "f8a13ae1eed832f2f6abc8e4eac49a2ccda9d63c02d389124eb52c1f7071fc87",
    "sinusoid-bayes": "e6873f37445fc030f812cf165bdd8dd6dd10f33f16d1d1fde3fcd457acc77a0c",
}
"""Of the bundles that ship. Stores know adaptations by them: with another digest each would be derived again."""
MAML_DIGEST = "61dd5855163a524e3306c14e32151d94b646cd5d2cbe567219f4840afc717e11"
"""Of MAML's `sinusoid`, which shipped before."""
FORMAT_1 = Path(__file__).with_name("format_1")
"""Shipped bundles as they were written in format 1."""


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


def test_all_shipped_bundles_are_pinned() -> None:
    assert sorted(DIGESTS) == SHIPPED


@pytest.mark.parametrize("name", DIGESTS)
def test_a_shipped_bundle_loads_with_its_digest(name: str) -> None:
    bundle = load(ROOT / "models" / name)
    assert bundle.name == name
    assert bundle.manifest.digest == DIGESTS[name]
    films = {"film.gif", "film.png"} if name == "driving" else set()
    files = {file.name for file in (ROOT / "models" / name).iterdir()}
    assert files == {MANIFEST, WEIGHTS, "CARD.md", "before-after.svg"} | films


@pytest.mark.parametrize("name", sorted(path.name for path in FORMAT_1.iterdir()))
def test_a_bundle_of_format_1_equals_the_shipped_one(models_dir: Path, tmp_path: Path, name: str) -> None:
    """But for the evaluation, whose sentences have been reworded (its scores are the same), and for what is newer: the
    meanings, the ranges of inputs, and intervals without support examples and by the distance from them.
    """
    assert json.loads((FORMAT_1 / name / MANIFEST).read_text())["format"] == 1
    old, shipped = load(FORMAT_1 / name), load(models_dir / name)
    calibration = shipped.manifest.calibration
    if calibration.has_intervals:
        assert calibration.shots[0] == 0
        assert calibration.has_distances
        calibration = replace(old.manifest.calibration, levels=calibration.levels, shots=calibration.shots[1:])
    reference = OODReference()
    if shipped.manifest.kind != "decision":
        reference = replace(shipped.manifest.ood_reference, input_low=None, input_high=None)
    newest = replace(
        shipped.manifest,
        evaluation={},
        meanings=None,
        calibration=calibration,
        ood_reference=reference,
        image_reference=None,
    )
    assert replace(old.manifest, evaluation={}) == newest
    for shots, scores in old.manifest.evaluation["by_shots"].items():
        assert scores["mean"] == shipped.manifest.evaluation["by_shots"][shots]["mean"]
    assert old.manifest.digest == (DIGESTS | {"sinusoid": MAML_DIGEST})[name]
    assert old.meta.keys() == shipped.meta.keys()
    assert all(torch.equal(value, shipped.meta[key]) for key, value in old.meta.items())
    write(tmp_path / name, old.manifest, old.meta)
    written, expected = (json.loads((each / name / MANIFEST).read_text()) for each in (tmp_path, models_dir))
    for newer in ("meanings", "image_reference"):
        expected.pop(newer, None)
    for end in ("input_low", "input_high"):
        expected["ood_reference"].pop(end, None)
    if shipped.manifest.kind == "decision":
        expected["ood_reference"] = written["ood_reference"]
    if calibration.has_intervals:
        expected["calibration"] = written["calibration"]
    assert written | {"evaluation": {}} == expected | {"evaluation": {}}


def test_bundles_are_written_in_format_2(folder: Path) -> None:
    assert json.loads((folder / MANIFEST).read_text())["format"] == 2


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
    assert error.reason == "expected a file, got none: copy the whole bundle again"


def test_a_wrong_digest(folder: Path) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    error = refusal(folder)
    assert error.file == folder / WEIGHTS
    assert "sha256" in error.reason


def test_an_unknown_network(folder: Path) -> None:
    edit(folder, lambda contents: contents["network"].update(name="unheard-of"))
    error = refusal(folder)
    assert error.file == folder / MANIFEST
    assert error.reason.startswith("network: expected one of context_mlp, ")


def test_a_bundle_loads_where_its_family_is_not_installed(folder: Path) -> None:
    edit(folder, lambda contents: contents["family"].update(name="unheard-of", options={"colour": 3}))
    family = load(folder).manifest.family
    assert family is not None
    assert family.name == "unheard-of"


@pytest.mark.parametrize("place", ["algorithm", "kind"])
def test_an_unknown_algorithm_or_kind(folder: Path, place: str) -> None:
    edit(folder, lambda contents: contents.update({place: "unheard-of"}))
    assert refusal(folder).reason.startswith(f"{place}: expected one of ")


def test_a_wrong_shape(folder: Path) -> None:
    rewrite(folder, load(folder).meta | {"2.bias": torch.zeros(39)})
    error = refusal(folder)
    assert error.file == folder / WEIGHTS
    assert error.reason == "2.bias: expected float32 [40], got float32 [39]"


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite(folder: Path, value: float) -> None:
    meta = load(folder).meta
    meta["2.weight"][3, 4] = value
    rewrite(folder, meta)
    assert refusal(folder).reason == "2.weight: expected finite numbers, got NaN or infinity"


def test_a_missing_parameter_and_one_too_many(folder: Path) -> None:
    meta = load(folder).meta
    meta["extra"] = meta.pop("0.bias")
    rewrite(folder, meta)
    assert "expected the parameters ['0.bias'" in refusal(folder).reason


def test_another_type_of_number(folder: Path) -> None:
    meta = load_file(folder / WEIGHTS)
    content = save(meta | {"0.bias": meta["0.bias"].half()})
    (folder / WEIGHTS).write_bytes(content)
    edit(folder, lambda contents: contents.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    assert refusal(folder).reason == "0.bias: expected float32 [40], got float16 [40]"


def test_a_pickle_is_not_opened(folder: Path) -> None:
    """safetensors alone are read; a pickle that would act when opened does not."""

    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
            return Path.touch, (folder / "sprung",)  # type: ignore[return-value]

    content = pickle.dumps(Trap())
    (folder / WEIGHTS).write_bytes(content)
    edit(folder, lambda contents: contents.update(weights_sha256=hashlib.sha256(content).hexdigest()))
    assert refusal(folder).reason.startswith('expected safetensors, got "')
    assert not (folder / "sprung").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "nan", "[" * 100_000, '{"format": 1}'])
def test_a_manifest_that_is_none(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    assert refusal(folder).file == folder / MANIFEST


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda c: c.update(format=3), "format: expected 1 to 2, got 3: upgrade"),
        (lambda c: c.update(format=0), "format: expected 1 to 2, got 0"),
        (lambda c: c.update(format="2"), "format: expected a whole number, got '2'"),
        (lambda c: c.update(surprise=1), "top level: expected only the fields algorithm, calibration, "),
        (lambda c: c.pop("algorithm"), "algorithm: expected a value, got none"),
        (lambda c: c["schema"].update(features="1"), "schema.features: expected a whole number, got '1'"),
        (lambda c: c["schema"].update(features=True), "schema.features: expected a whole number, got True"),
        (lambda c: c.update(initial_loss=float("nan")), "initial_loss: expected a number, got nan"),
        (
            lambda c: c["schema"].update(features=2),
            "ood_reference: expected lists that fit features (2) and each other, got 1 in input_center, ",
        ),
        (
            lambda c: c["network"]["options"].update(inputs=2),
            'features: expected the number of features that the network takes, got 1: the network fails with "',
        ),
        (
            lambda c: c["network"]["options"].update(outputs=2),
            "network: expected as many outputs as a target has numbers (1), got 2",
        ),
        (
            lambda c: c["network"]["options"].update(depth=2),
            "expected inputs, outputs, hidden, activation, got inputs, outputs, hidden, depth",
        ),
        (lambda c: c["network"]["options"].update(hidden=None), "the network 'mlp' cannot be built: Type"),
        (lambda c: c["inner_loop"].update(steps=101), "inner_loop: expected steps from 0 to max_steps (100)"),
        (lambda c: c["inner_loop"].update(learning_rate=-1.0), "got 5 and -1"),
        (
            lambda c: c.update(algorithm="protonet"),
            "inner_loop: expected steps and max_steps to be 1 for protonet, got 5 and 100",
        ),
        (
            lambda c: (c.update(algorithm="protonet"), c["inner_loop"].update(steps=1, max_steps=1)),
            "algorithm: expected one for regression, got protonet, which is for classification",
        ),
        (lambda c: c.update(ood_reference=[]), "ood_reference: expected an object"),
        (lambda c: c["ood_reference"].update(error_limits=1.0), "ood_reference.error_limits: expected a list"),
        (
            lambda c: c["ood_reference"]["error_limits"].__setitem__(2, None),
            "ood_reference.error_limits[2]: expected a number",
        ),
        (
            lambda c: c["ood_reference"]["error_limits"].pop(),
            "ood_reference: expected lists that fit features (1) and each other, got ",
        ),
        (
            lambda c: c["ood_reference"]["input_scale"].append(1.0),
            "expected lists that fit features (1) and each other, got 1 in input_center, 2 in input_scale",
        ),
        (lambda c: c["schema"].update(shape=[1.0]), "schema.shape[0]: expected a whole number, got 1.0"),
        (
            lambda c: c["schema"].update(shape=[1, 2]),
            "schema.shape: expected lengths whose product is features (1), got [1, 2]",
        ),
        (
            lambda c: c["schema"].update(shape=[-1, -1]),
            "schema.shape: expected lengths whose product is features (1), got [-1, -1]",
        ),
        (
            lambda c: c["schema"].update(image="ink"),
            "schema.shape: expected [rows, columns], because image is set, got []",
        ),
        (
            lambda c: c["schema"].update(shape=[1, 1], image="x"),
            "schema.image: expected ink, or an empty string, got 'x'",
        ),
        (
            lambda c: c["schema"].update(actions={"low": [], "high": []}),
            "schema.actions: expected null, because kind is regression, got an object",
        ),
        (lambda c: c["schema"].update(actions={"low": []}), "schema.actions.high: expected a value, got none"),
        (
            lambda c: c["calibration"].update(shots=[]),
            "calibration: expected lists that fit targets (1) and each other, got 0 in shots, ",
        ),
        (lambda c: c["calibration"].update(half_widths=[[1.0]]), "calibration.half_widths[0][0]: expected a list"),
    ],
)
def test_a_manifest_that_makes_no_sense(folder: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    edit(folder, change)
    error = refusal(folder)
    assert error.file == folder / MANIFEST
    assert reason in error.reason


def test_the_digest_is_of_what_predictions_depend_on(folder: Path) -> None:
    before = load(folder).manifest.digest
    edit(folder, lambda contents: contents.update(evaluation={}, training={}))
    for part in ("ood_reference", "calibration"):
        edit(folder, lambda contents: contents[part].update(seed=3))  # noqa: B023 (called at once)
    assert load(folder).manifest.digest == before
    edit(folder, lambda contents: contents["inner_loop"].update(steps=4))
    assert load(folder).manifest.digest != before


def described(**scale: list[float]) -> dict[str, Any]:
    """A description of the targets of `sinusoid`."""
    parts = {"names": ["temperature"], "units": ["K"], "low": [300.0], "high": [900.0]}
    return {"targets": {**parts, "scale": scale or None}}


def test_targets_are_part_of_the_digest_only_with_a_scale(folder: Path, tmp_path: Path) -> None:
    before = load(folder).manifest.digest
    assert load(folder).manifest.targets is None
    edit(folder, lambda contents: contents.update(described()))
    assert load(folder).manifest.digest == before
    edit(folder, lambda contents: contents.update(described(mean=[600.0], std=[170.0])))
    scaled = load(folder)
    assert scaled.manifest.digest != before
    write(tmp_path / "again", scaled.manifest, scaled.meta)
    assert load(tmp_path / "again").manifest == scaled.manifest
    edit(folder, lambda contents: contents.update(described(mean=[600.0], std=[171.0])))
    assert load(folder).manifest.digest not in (before, scaled.manifest.digest)
    edit(folder, lambda contents: contents.update(described(mean=[600.0], std=[0.0])))
    assert refusal(folder).reason == "targets.scale.std[0]: expected 1e-18 to 1e+18, got 0"


def test_targets_that_are_not_described_are_not_written(folder: Path) -> None:
    assert "targets" not in json.loads((folder / MANIFEST).read_text())


def test_only_numbers_have_a_description(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(ROOT / "models" / "omniglot", tmp_path / "omniglot"))
    edit(folder, lambda contents: contents.update(described()))
    assert refusal(folder).reason == "targets: expected null, because kind is classification, got an object"


@pytest.fixture
def oldest(tmp_path: Path) -> Path:
    """A bundle of format 1 from before there were shapes, decisions, OOD references and calibrations."""
    folder = Path(shutil.copytree(FORMAT_1 / "linear", tmp_path / "models" / "linear"))

    def without(contents: dict[str, Any]) -> None:
        contents["schema"] = {key: contents["schema"][key] for key in ("features", "targets")}
        for part in ("calibration", "trust"):
            contents.pop(part, None)

    edit(folder, without)
    return folder


def test_the_oldest_bundles_load_with_empty_parts(oldest: Path) -> None:
    manifest = load(oldest).manifest
    assert (manifest.schema.shape, manifest.schema.image) == ((), "")
    assert (manifest.schema.actions, manifest.schema.weighing) == (None, None)
    assert manifest.ood_reference.tasks == manifest.calibration.tasks == 0
    contents = json.loads((oldest / MANIFEST).read_text())
    identity = {key: value for key, value in contents.items() if key not in ("evaluation", "training")}
    assert manifest.digest == hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    write(oldest, manifest, load(oldest).meta)
    assert load(oldest).manifest == manifest


def test_a_shape_changes_the_digest(oldest: Path) -> None:
    before = load(oldest).manifest
    edit(oldest, lambda contents: contents["schema"].update(shape=[1, before.schema.features], image="ink"))
    after = load(oldest).manifest
    assert (after.schema.shape, after.schema.image) == ((1, before.schema.features), "ink")
    assert after.digest != before.digest


def test_a_bundle_without_a_family(folder: Path) -> None:
    edit(folder, lambda contents: contents.update(family=None))
    assert load(folder).manifest.family is None
    edit(folder, lambda contents: contents["schema"].update(features=0))
    assert refusal(folder).reason == "schema.features: expected at least 1, got 0"


NETWORKS = """
from torch import nn

class Network(nn.Linear):
    def __init__(self):
        {construction}
        super().__init__(1, 1)

    def forward(self, inputs):
        {forward}
        return super().forward(inputs)

{module}
"""
"""A user's module, with room for a statement that raises."""


@pytest.mark.parametrize("place", ["module", "construction", "forward"])
@pytest.mark.parametrize(
    ("statement", "cause"),
    [
        ("raise RuntimeError('no such device')", "no such device"),
        ("raise KeyError('colour')", "KeyError: 'colour'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise ValueError('colour must be red')", "colour must be red"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("exec('def')", "SyntaxError: "),
    ],
)
def test_a_users_network_that_raises_refuses_its_bundle_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, statement: str, cause: str
) -> None:
    statements = {"module": "", "construction": "pass", "forward": "pass"} | {place: statement}
    (tmp_path / "user_networks.py").write_text(NETWORKS.format(**statements))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "user_networks", raising=False)
    broken = Path(shutil.copytree(folder, folder.parent / "broken"))
    edit(broken, lambda contents: contents.update(network={"name": "user_networks:Network", "options": {}}))
    bundles, errors = load_all(folder.parent)
    monkeypatch.delitem(sys.modules, "user_networks", raising=False)
    assert list(bundles) == ["sinusoid"]
    assert list(errors) == ["broken"]
    assert errors["broken"].file == broken / MANIFEST
    assert cause in errors["broken"].reason
    assert errors["broken"].__cause__ is not None


def test_the_good_ones_are_loaded_beside_the_bad_ones(folder: Path) -> None:
    shutil.copytree(folder, folder.parent / "broken")
    (folder.parent / "broken" / WEIGHTS).unlink()
    (folder.parent / "a-file").touch()
    (folder.parent / ".hidden").mkdir()
    bundles, errors = load_all(folder.parent)
    assert list(bundles) == ["sinusoid"]
    assert list(errors) == ["broken"]


def test_no_models_folder_is_no_bundle(tmp_path: Path) -> None:
    assert load_all(tmp_path / "absent") == ({}, {})


def test_numbers_and_nesting_that_python_cannot_take_are_refused(tmp_path: Path, models_dir: Path) -> None:
    old = Path(__file__).parent / "format_1/linear"
    for name, folder, change in (
        ("large", models_dir / "linear", lambda c: c["inner_loop"].update(max_learning_rate=10**400)),
        ("deep", old, lambda c: c.update(evaluation=nested(2000))),
    ):
        shutil.copytree(folder, tmp_path / name)
        contents = json.loads((folder / "bundle.json").read_text())
        change(contents)
        sys.setrecursionlimit(10_000)
        try:
            (tmp_path / name / "bundle.json").write_text(json.dumps(contents))
        finally:
            sys.setrecursionlimit(1000)
    bundles, refused = load_all(tmp_path)
    assert bundles == {}
    assert (
        "inner_loop.max_learning_rate: expected a number in the range of float64, got a larger one"
        in refused["large"].reason
    )
    assert "nested too deeply" in refused["deep"].reason or "expected JSON" in refused["deep"].reason


def nested(depth: int) -> dict[str, object]:
    tree: dict[str, object] = {}
    for _ in range(depth):
        tree = {"a": tree}
    return tree


@pytest.mark.parametrize("name", ["choices", "driving", "navigation"])
def test_a_shipped_policy_has_the_meanings_of_its_family(name: str) -> None:
    manifest = load(ROOT / "models" / name).manifest
    assert manifest.family is not None
    family = make(manifest.family.name, manifest.family.options)
    assert isinstance(family, HasMeanings)
    assert manifest.meanings == family.meanings


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            lambda meanings: meanings["inputs"].pop(),
            "meanings.inputs: expected 4 or none, as the schema and the encoder",
        ),
        (
            lambda meanings: meanings["actions"].pop(),
            "meanings.actions: expected 2 or none, as the schema and the encoder",
        ),
        (lambda meanings: meanings["inputs"][0].update(low="a"), "meanings.inputs[0].low: expected a number, got 'a'"),
        (lambda meanings: meanings.pop("inputs"), "meanings.inputs: expected a value, got none"),
    ],
)
def test_meanings_that_do_not_fit(tmp_path: Path, change: Callable[[dict[str, Any]], Any], reason: str) -> None:
    folder = Path(shutil.copytree(ROOT / "models/choices", tmp_path / "choices"))
    edit(folder, lambda contents: change(contents["meanings"]))
    assert refusal(folder).reason.startswith(reason)
