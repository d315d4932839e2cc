"""The training script, end to end, on a machine that has only what a bare GPU machine has."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from app.bundles.folder import load
from app.training.algorithm_search import Round, SearchResult
from app.training.checkpoints import restore_checkpoint
from app.training.kept_search import always_validated, choose_algorithm, save_search
from app.training.overrides import Overrides, choose_recipe
from app.training.recipes.recipe import Recipe
from app.training.training_run import Run
from service_tests.processes import ROOT

BARE = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    # pydantic is not among them because typer itself needs it by now; the rings keep it out of our modules
    names = {"fastapi", "starlette", "pydantic_settings", "msgspec", "orjson", "httpx", "uvicorn", "jaxtyping"}

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
from app.train import main
main()
"""


def train(folder: Path, *words: str) -> str:
    folders = ["--models-dir", str(folder / "models"), "--runs-dir", str(folder / "runs")]
    command = [sys.executable, "-c", BARE, *words, "--eager", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    options = ["--option", "features=3", "--option", "targets=2"]
    settings = ["--set", "validate_every=50", "--set", "evaluation_shots=[5, 10]"]
    out = train(folder, "linear", "--name", "plane", "--outer-steps", "150", "--seed", "3", *options, *settings)
    assert "best score on validation tasks" in out
    assert "evaluating, and writing" in out
    return folder


def test_the_bundle_is_good_and_says_how_it_was_made(folder: Path) -> None:
    bundle = load(folder / "models/plane")
    assert bundle.name == "plane"
    assert (bundle.manifest.schema.features, bundle.manifest.schema.targets) == (3, 2)
    training = bundle.manifest.training
    assert training["command"] == (
        "innerloop train linear --name plane --outer-steps 150 --seed 3 --option features=3 --option targets=2 "
        "--set validate_every=50 --set 'evaluation_shots=[5, 10]'"
    )
    assert training["recipe"]["family_options"] == {"features": 3, "targets": 2}
    assert {"innerloop", "torch", "python"} <= training["versions"].keys()
    assert training["validation"]["outer_step"] in (50, 100, 150)
    assert training["cost"]["tasks"] == 150 * training["recipe"]["tasks"]
    assert training["cost"]["seconds"] > 0


def test_the_evaluation_has_600_tasks_by_steps_with_intervals(folder: Path) -> None:
    evaluation = json.loads((folder / "models/plane/bundle.json").read_text())["evaluation"]
    assert evaluation["tasks"] == 600
    assert evaluation["steps"] == [*range(11), 20], "to 10, and the default"
    for scores in evaluation["by_shots"].values():
        assert len(scores["mean"]) == len(scores["half_width_95"]) == len(scores["refused"]) == len(evaluation["steps"])
        assert scores["mean"][10] < scores["mean"][0]
    assert evaluation["unlike"]["by_setting"].keys() == {"5-shot", "10-shot"}
    for measures in evaluation["unlike"]["by_setting"].values():
        assert measures["outside_marked"] == 1, "one of the three numbers is outside"
        assert measures["false_alarms"] <= 0.03


def test_the_card_has_its_plot_and_the_command(folder: Path) -> None:
    card = (folder / "models/plane/CARD.md").read_text()
    assert "`innerloop train linear --name plane" in card
    assert "(before-after.svg)" in card
    assert "scored best on validation tasks" in card
    assert "<svg" in (folder / "models/plane/before-after.svg").read_text()


def test_the_algorithm_can_be_chosen(tmp_path: Path) -> None:
    settings = ["--set", "validation_tasks=5", "--set", "tasks=4", "--set", "evaluation_shots=[5]"]
    settings += ["--set", "outer_rate=1.0"]  # so that later outer steps are worse
    out = train(tmp_path, "linear", "--algorithm", "auto", "--outer-steps", "16", *settings)
    assert "validation after 1 outer step: " in out
    training = load(tmp_path / "models/linear").manifest.training
    seen = [score for each in training["choice"]["rounds"] for score in each["scores"].values()]
    assert training["validation"]["score"] <= min(seen), "it ships nothing worse than it has seen"
    assert training["recipe"]["algorithm"] == training["choice"]["algorithm"]
    assert "was chosen on validation tasks among" in (tmp_path / "models/linear/CARD.md").read_text()
    assert "--algorithm auto" in training["command"]
    assert not (tmp_path / "runs/linear/choice.json").exists()


def test_an_interrupted_training_keeps_the_best_of_its_search(tmp_path: Path) -> None:
    recipe = always_validated(Recipe("linear", validate_every=None, outer_steps=20, tasks=2))
    assert recipe.validate_every == 20
    checkpoint, device = tmp_path / "run/checkpoint.safetensors", torch.device("cpu")
    run, later = (Run(recipe, device, compiled=False) for _ in range(2))
    run.keep_if_best(0.5)
    search = SearchResult("averaging", [Round(1, {"averaging": 0.5})], run.best)
    save_search(search, run, checkpoint)

    def no_run(recipe: Recipe) -> Run:
        raise AssertionError("it does not search again")

    assert choose_algorithm(recipe, no_run, checkpoint, Console(quiet=True), fresh=False) == search
    restore_checkpoint(later, checkpoint)
    assert later.best is not None
    assert (later.step, later.best.score) == (0, 0.5)
    checkpoint.unlink()
    with pytest.raises(AssertionError):  # the best of the search is lost with the checkpoint
        choose_algorithm(recipe, no_run, checkpoint, Console(quiet=True), fresh=False)


def test_settings_of_the_recipe_hold_for_another_algorithm_too() -> None:
    overrides = Overrides("blobs", None, "protonet", 7, None, [], ["outer_rate=0.02"])
    recipe = choose_recipe(overrides)
    assert (recipe.algorithm, recipe.outer_rate, recipe.outer_steps) == ("protonet", 0.02, 7)
    assert choose_recipe(dataclasses.replace(overrides, settings=[])).outer_rate is None


def test_the_command_has_data_but_not_its_folder() -> None:
    overrides = Overrides("choices", "people", None, None, None, ["fold=2"], [], has_data=True)
    assert overrides.command == "innerloop train choices --data FOLDER --name people --option fold=2"


def test_there_is_a_tensorboard_log_and_no_checkpoint_left(folder: Path) -> None:
    assert [file.name for file in (folder / "runs/plane").iterdir() if "tfevents" in file.name]
    assert not (folder / "runs/plane/checkpoint.safetensors").exists()
