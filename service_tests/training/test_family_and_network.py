"""The problem of a run or a bundle, and errors that name what to change, whatever a plug-in raises."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from app import plugins
from app.bundles.folder import load
from app.bundles.manifest import FamilySpec
from app.errors import NoFamily, TrainingError
from app.families.linear import Linear
from app.learn.algorithms import ALGORITHMS
from app.learn.networks import NETWORKS, NetworkSpec
from app.training.family_and_network import family_of, fit_network, make_family, schema_of
from app.training.overrides import Overrides, choose_recipe
from app.training.recipes.recipe import Recipe
from app.training.recipes.registry import recipe_for
from app.training.train_to_end import make_run

PluginInstaller = Callable[[str, Callable[[], Any]], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> PluginInstaller:
    """Installs a plug-in called `strange` into a group of entry points."""

    def install(group: str, load: Callable[[], Any]) -> None:
        point = SimpleNamespace(name="strange", load=load)
        monkeypatch.setattr(plugins, "entry_points", lambda **selected: [point] if selected["group"] == group else [])

    return install


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(**options: Any) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ZeroDivisionError("division by zero"), "the family 'strange' raised ZeroDivisionError: division by zero"),
        (ModuleNotFoundError("No module named 'gone'"), "ModuleNotFoundError: No module named 'gone'"),
        (RuntimeError("one line\n  and another"), "raised RuntimeError: one line and another"),
        (SystemExit(3), "raised SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("when", ["at import", "at construction"])
def test_whatever_a_plug_in_raises_names_it(
    install: PluginInstaller, models_dir: Path, error: BaseException, message: str, when: str
) -> None:
    install("innerloop.families", failing(error) if when == "at import" else lambda: failing(error))
    with pytest.raises(TrainingError, match=message):
        choose_recipe(Overrides("strange", None, None, None, None, [], []))
    bundle = load(models_dir / "linear")
    strange = replace(bundle, manifest=replace(bundle.manifest, family=FamilySpec("strange")))
    with pytest.raises(TrainingError, match=f"^linear: .*{message}"):
        family_of(strange)


def test_a_recipe_that_raises_is_named(install: PluginInstaller) -> None:
    install("innerloop.recipes", lambda: failing(OSError("gone")))
    with pytest.raises(TrainingError, match="the recipe of 'strange' raised OSError: gone"):
        recipe_for("strange")
    install("innerloop.recipes", lambda: lambda: {"outer_steps": 3})
    with pytest.raises(TrainingError, match="the recipe of 'strange' is a dict, not a Recipe"):
        recipe_for("strange")


def test_a_network_that_raises_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "broken", failing(KeyError("size")))
    with pytest.raises(TrainingError, match="the network 'broken' cannot be built: KeyError: 'size'"):
        make_run(Recipe("linear", network="broken"), torch.device("cpu"), compiled=False)


def test_a_family_of_an_unknown_kind_is_refused(install: PluginInstaller) -> None:
    class Divination(Linear):
        kind = "divination"

    install("innerloop.families", lambda: Divination)
    with pytest.raises(TrainingError, match=r"'strange': kind: expected one of classif.*, got 'divination'"):
        make_family("strange", {})


def test_unknown_options_are_refused_with_those_that_exist() -> None:
    with pytest.raises(
        TrainingError,
        match=r"--option: expected one of features, targets for the family 'linear', got colour, foo$",
    ):
        make_family("linear", {"foo": 1, "colour": "red", "features": 2})
    with pytest.raises(TrainingError, match=r"--option: expected no options for the family 'sinusoid', got foo$"):
        make_family("sinusoid", {"foo": 1})
    with pytest.raises(
        TrainingError, match=r"--option: expected one of cut, distortion for the family 'omniglot', got data$"
    ):
        make_family("omniglot", {"data": "here"})
    with pytest.raises(TrainingError, match=r"--set: expected one of network, .*patience, got foo$"):
        choose_recipe(Overrides("linear", None, None, None, None, [], ["foo=1"]))
    spec, schema = NetworkSpec("mlp", {"inputs": 1, "depth": 3}), schema_of(Linear())
    with pytest.raises(
        TrainingError,
        match=r"options of the network 'mlp': expected inputs, outputs, hidden, activation, got .*depth.*: ",
    ):
        fit_network(spec, ALGORITHMS["maml"], schema, "regression")


def test_options_that_a_family_refuses_are_reported_with_the_reason() -> None:
    with pytest.raises(TrainingError, match="the family 'bandit': drift: expected a number from 0"):
        make_family("bandit", {"drift": 2.0})


def test_a_folder_is_for_families_that_read_one() -> None:
    with pytest.raises(
        TrainingError, match=r"--data: expected no data set for the family 'linear', got .*: leave --data out"
    ):
        make_family("linear", {}, Path("here"))


def test_an_unknown_family_is_refused_with_those_that_exist() -> None:
    with pytest.raises(TrainingError, match=r"family: expected one of bandit, blobs, .*, got 'cosinusoid'"):
        make_family("cosinusoid", {})


@pytest.mark.parametrize("name", ["linear", "sinusoid", "navigation"])
def test_a_shipped_bundle_has_the_schema_of_its_family(models_dir: Path, name: str) -> None:
    bundle = load(models_dir / name)
    assert schema_of(family_of(bundle)) == bundle.manifest.schema


def test_a_bundle_without_a_family(models_dir: Path) -> None:
    bundle = load(models_dir / "sinusoid")
    imported = replace(bundle, manifest=replace(bundle.manifest, family=None))
    with pytest.raises(NoFamily, match="sinusoid"):
        family_of(imported)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("unheard-of", {}, "sinusoid: family: expected one of "),
        ("sinusoid", {"x": 2}, "sinusoid: family options: expected no options for the family 'sinusoid', got x"),
        (
            "blobs",
            {},
            "sinusoid: expected a bundle of the family 'blobs': classification with .*, got regression with 1 feature",
        ),
        (
            "linear",
            {"features": 2},
            "sinusoid: expected a bundle of the family 'linear': regression with 2 features and 1 target, got "
            "regression with 1 ",
        ),
    ],
)
def test_a_family_that_cannot_be_used(models_dir: Path, name: str, options: Mapping[str, Any], reason: str) -> None:
    bundle = load(models_dir / "sinusoid")
    broken = replace(bundle, manifest=replace(bundle.manifest, family=FamilySpec(name, options)))
    with pytest.raises(TrainingError, match=reason):
        family_of(broken)


def test_another_number_of_features_than_the_familys(models_dir: Path) -> None:
    bundle = load(models_dir / "sinusoid")
    schema = replace(bundle.manifest.schema, features=2)
    with pytest.raises(TrainingError, match="expected a bundle of the family"):
        family_of(replace(bundle, manifest=replace(bundle.manifest, schema=schema)))


@pytest.mark.parametrize("part", ["features", "targets"])
def test_a_family_without_features_or_targets_is_refused(part: str) -> None:
    with pytest.raises(TrainingError, match=f"^--option {part}: expected at least 1, got 0$"):
        make_family("linear", {part: 0})
