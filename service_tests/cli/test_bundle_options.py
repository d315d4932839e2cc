"""The options of `innerloop bundle`: each error names the option and the fix."""

from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import nn

from app.bundles.folder import load
from service_tests.cli.commands import innerloop

MADE = "bundle new --network mlp --option inputs=7 --option outputs=2 --option hidden=[3] --features 7 --targets 2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    network = nn.Sequential(nn.Linear(7, 3), nn.ReLU(), nn.Linear(3, 2))
    save_file(network.state_dict(), folder / "weights.safetensors")
    (folder / "two.json").write_text('{"name": "numbers", "options": {"scale": true}, "rows": [[1, 2], [3, 4]]}')
    return folder


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--rate nan", "--rate: expected a number above 0, got nan"),
        ("--max-rate 0", "--max-rate: expected a number above 0, got 0"),
        ("--max-rate 0.00999999999", "--max-rate: expected at least --rate (0.01), got 0.00999999999"),
        ("--max-rate 0.001", "--max-rate: expected at least --rate (0.01), got 0.001"),
        ("--steps 5 --max-steps 2", "--max-steps: expected at least --steps (5), got 2"),
        ("--image ink", "--shape: expected --shape ROWS --shape COLUMNS with --image, got none"),
        ("--image ink --shape 7", "--shape: expected --shape ROWS --shape COLUMNS with --image, got --shape 7"),
        ("--image oil", "--image: expected ink, got 'oil'"),
        (
            "--shape 2 --shape 2",
            "--shape: expected lengths whose product is --features (7), got 2 x 2: set --features 4",
        ),
        (
            "--low 1",
            "--low: expected --kind decision, got regression: set --kind decision, or leave --low and --high out",
        ),
        (
            "--kind decision --low 1 --high 2 --high 3",
            "--low: expected 2 (one for each number of an action, --targets), or none for discrete actions, got 1",
        ),
        (
            "--kind decision --low 1 --low 2 --high 2 --high 1",
            "--low: expected each number below that of --high, got 2 and 1",
        ),
        ("--target-name a", "--target-name: expected 2 (one for each target) or none, got 1"),
        ("--target-unit K", "--target-unit: expected 2 (one for each target) or none, got 1"),
        ("--target-mean 1", "--target-mean: expected 2 (one for each target) or none, got 1"),
        ("--target-mean 1 --target-mean 2", "--target-std: expected 2, as --target-mean is given, got none"),
        ("--target-std 1 --target-std 2", "--target-mean: expected 2, as --target-std is given, got none"),
        (
            "--kind decision --target-name a",
            "--target-name: expected --kind regression, got decision: set --kind regression, or leave --target-name "
            "out",
        ),
        (
            "--family linear",
            "--family: the family 'linear' has 1 feature and 1 target, but the network has 7 features and 2 targets: "
            "set --family-option features=7 --family-option targets=2",
        ),
        (
            "--encoder two.json",
            "--encoder: expected 7 features (--features), got 2 from two.json: set --features 2 for a network that "
            "takes 2, or change the columns",
        ),
        ("--initial-loss 0", "--initial-loss: expected a number above 0, got 0"),
        (
            "--discount 0.5",
            "--discount: expected --kind decision, got regression: set --kind decision, or leave --discount out",
        ),
        (
            "--smoothing 0.5",
            "--smoothing: expected --kind decision, got regression: set --kind decision, or leave --smoothing out",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(folder: Path, words: str, message: str) -> None:
    result = innerloop(*f"{MADE} --weights weights.safetensors {words}".split(), folder=folder)
    assert (result.returncode, result.stderr) == (1, f"{message}\n")
    assert not (folder / "models/new").exists()


def test_features_are_named_where_the_network_takes_another_number(folder: Path) -> None:
    words = MADE.replace(" --features 7", "").split()
    result = innerloop(*words, "--weights", "weights.safetensors", folder=folder)
    assert result.stderr.startswith(
        '--features: expected the number of features that the network takes, got 1: the network fails with "'
    )
    assert result.stderr.endswith('". Set it to the length of the rows that the network takes\n')


@pytest.mark.parametrize(("words", "most"), [("--steps 5", 100), ("--steps 200", 200), ("--max-steps 7", 7)])
def test_the_bound_on_steps_is_100_or_the_default(folder: Path, tmp_path: Path, words: str, most: int) -> None:
    made = innerloop(*f"{MADE} --weights weights.safetensors {words} --models-dir {tmp_path}".split(), folder=folder)
    assert made.returncode == 0, made.stderr
    assert load(tmp_path / "new").manifest.inner_loop.max_steps == most
