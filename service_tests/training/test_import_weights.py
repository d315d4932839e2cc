"""Weights from elsewhere are served as their own loop would adapt them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from safetensors.torch import load as load_tensors
from safetensors.torch import save_file
from torch import nn
from torch.func import functional_call
from typer.testing import CliRunner

from app.bundles.folder import load
from app.bundles.manifest import Bounds, FamilySpec
from app.bundles.schema import Schema
from app.cli.main import cli
from app.errors import TrainingError
from app.learn.algorithms import ALGORITHMS
from app.learn.decision_weights import Weighing
from app.learn.networks import NETWORKS as NETWORKS_OF_OURS
from app.learn.networks import NetworkSpec
from app.training.import_weights import import_weights
from service_tests import forked
from service_tests.processes import MAML, command

NETWORKS = """
from torch import nn

class Net(nn.Module):
    def __init__(self, hidden=8):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, hidden), nn.Tanh(), nn.LayerNorm(hidden))
        self.head = nn.Linear(hidden, 3)

    def forward(self, x):
        return self.head(self.body(x))

class Batch(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3))

class Tracked(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 3))
"""
# all for regression but CAVIA, which moves a vector that this network does not take
IMPORTABLE = sorted(name for name, each in ALGORITHMS.items() if "regression" in each.kinds and name != "cavia")
BOUNDS = Bounds(steps=5, max_steps=10, learning_rate=0.05, max_learning_rate=0.1)


@pytest.fixture
def make_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], nn.Module]:
    """A network of a module that is on the import path, with weights in `weights.safetensors`."""
    (tmp_path / "their_networks.py").write_text(NETWORKS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "their_networks", raising=False)

    def make(name: str, **options: Any) -> nn.Module:
        import their_networks  # type: ignore[import-not-found]

        torch.manual_seed(0)
        network: nn.Module = getattr(their_networks, name)(**options)
        save_file(network.state_dict(), tmp_path / "weights.safetensors")
        return network

    return make


def plain_loop(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor, loss: Any) -> dict[str, torch.Tensor]:
    """The inner loop that people write."""
    fast: dict[str, torch.Tensor] = dict(network.named_parameters())
    for _ in range(BOUNDS.steps):
        gradients = torch.autograd.grad(loss(functional_call(network, fast, (inputs,)), targets), list(fast.values()))
        fast = {name: old - 0.05 * gradient for (name, old), gradient in zip(fast.items(), gradients, strict=True)}
    return fast


def innerloop(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return forked.run([command("innerloop"), *words], cwd=folder)


def test_the_same_support_set_gives_the_fast_weights_of_a_plain_loop(
    make_network: Callable[..., nn.Module], tmp_path: Path, serve: Callable[..., TestClient]
) -> None:
    network = make_network("Net", hidden=6)
    words = ["bundle", "brought", "--network", "their_networks:Net", "--option", "hidden=6", "--rate", "0.05"]
    words += ["--weights", "weights.safetensors", "--features", "2", "--targets", "3"]
    done = innerloop(tmp_path, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    client = serve(models_dir=tmp_path / "models")
    generator = torch.Generator().manual_seed(1)
    inputs, targets = torch.randn(7, 2, generator=generator), torch.randn(7, 3, generator=generator)
    body = {"model": "brought", "support": {"inputs": inputs.tolist(), "targets": targets.tolist()}}
    adaptation = client.post("/adapt", json=body).raise_for_status().json()
    weights = load_tensors(client.get(f"/adaptations/{adaptation['adaptation_id']}/weights").content)
    expected = plain_loop(network, inputs, targets, nn.functional.mse_loss)
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value.detach(), rtol=1e-5, atol=1e-5)
    shown = client.get("/models/brought").json()
    assert "family" not in shown


def brought(folder: Path, network: NetworkSpec, **changes: Any) -> Any:
    arguments: dict[str, Any] = {
        "algorithm": "maml",
        "kind": "regression",
        "schema": Schema(2, 3),
        "inner_loop": BOUNDS,
    }
    weights = folder / "weights.safetensors"
    return import_weights(folder / "models/brought", weights, network, initial_loss=1.0, **(arguments | changes))


def test_half_precision_becomes_float32(make_network: Callable[..., nn.Module], tmp_path: Path) -> None:
    network = make_network("Net").half()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    brought(tmp_path, NetworkSpec("their_networks:Net"))
    meta = load(tmp_path / "models/brought").meta
    assert torch.equal(meta["head.bias"], network.state_dict()["head.bias"].float())


@pytest.mark.parametrize("algorithm", IMPORTABLE)
def test_what_an_algorithm_learns_besides_begins_as_training_begins_it(
    make_network: Callable[..., nn.Module], tmp_path: Path, algorithm: str
) -> None:
    network = make_network("Net")
    bundle = brought(tmp_path, NetworkSpec("their_networks:Net"), algorithm=algorithm)
    for name, value in network.state_dict().items():
        assert torch.equal(bundle.meta[name], value)
    assert all(name.startswith("inner/") for name in bundle.meta if name not in network.state_dict())


@pytest.mark.parametrize("name", ["Batch", "Tracked"])
def test_statistics_over_a_batch_are_refused(make_network: Callable[..., nn.Module], tmp_path: Path, name: str) -> None:
    make_network(name)
    message = "--network: expected an output that depends only on its own input|"
    message += "num_batches_tracked: expected floating-point numbers"
    with pytest.raises(TrainingError, match=message):
        brought(tmp_path, NetworkSpec(f"their_networks:{name}"))
    assert not (tmp_path / "models/brought").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"schema": Schema(3, 3)},
            r'^--features: expected the number of .* takes, got 3: the network fails with ".*"\. '
            r"Set it to the length of the rows that the network takes$",
        ),
        ({"schema": Schema(2, 1)}, r"^--network: expected as many outputs as a target has numbers \(1\), got 3"),
        ({"kind": "divination"}, "^--kind: expected one of .*, got 'divination'"),
        ({"algorithm": "magic"}, "^--algorithm: expected one of .*, got 'magic'"),
        (
            {"algorithm": "protonet"},
            "^--algorithm: expected an algorithm for regression, got protonet, .*: choose one of",
        ),
        (
            {"network": NetworkSpec("their_networks:Gone")},
            "^--network: expected a class of the module their_networks, got Gone, ",
        ),
        ({"network": NetworkSpec("their_networks:Net", {"depth": 3})}, "^--option: expected hidden, got depth: "),
        (
            {"network": NetworkSpec("their_networks:Batch")},
            "--weights: expected the parameters .*, got .*, without 0.bias, 0.weight",
        ),
        ({"network": NetworkSpec("their_networks:Net", {"hidden": 9})}, "expected float32"),
        ({"inner_loop": Bounds(11, 10, 0.05, 0.1)}, "inner_loop: expected steps from 0 to max_steps"),
        ({"family": FamilySpec("cosinusoid")}, "^--family: expected one of bandit, .*, got 'cosinusoid'"),
        ({"family": FamilySpec("linear", {"depth": 3})}, "^--family-option: expected one of features, targets for "),
        ({"family": FamilySpec("blobs")}, "^--family: expected a family for regression, got blobs, which is for class"),
        (
            {"family": FamilySpec("sinusoid")},
            "^--family: the family 'sinusoid' has 1 feature and 1 target, but the network has 2 features and 3 "
            "targets: choose another family$",
        ),
        (
            {"family": FamilySpec("linear", {"targets": 3})},
            "but the network has 2 features and 3 targets: set --family-option features=2 --family-option targets=3$",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    make_network: Callable[..., nn.Module], tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    make_network("Net")
    with pytest.raises(TrainingError, match=reason):
        brought(tmp_path, **({"network": NetworkSpec("their_networks:Net")} | changes))
    assert not (tmp_path / "models/brought").exists()


def test_a_pickle_is_refused_with_the_way_to_save(make_network: Callable[..., nn.Module], tmp_path: Path) -> None:
    torch.save(make_network("Net").state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(TrainingError, match=r"safetensors\.torch\.save_file"):
        brought(tmp_path, NetworkSpec("their_networks:Net"))


def test_with_a_family_it_is_calibrated(tmp_path: Path) -> None:
    shipped = load(MAML)
    save_file(shipped.meta, tmp_path / "weights.safetensors")
    bundle = brought(tmp_path, shipped.manifest.network, schema=Schema(1, 1), family=FamilySpec("sinusoid"))
    assert bundle.manifest.ood_reference.tasks > 0
    assert load(tmp_path / "models/brought").manifest.calibration.has_intervals


POLICIES = {
    "names": (["--network", "mlp", "--option", "outputs=3", "--targets", "3"], {"form": "discrete", "count": 3}),
    "numbers": (
        [
            "--network",
            "gaussian_mlp",
            "--option",
            "actions=2",
            "--targets",
            "2",
            "--low",
            "-1",
            "--low",
            "-0.5",
            "--high",
            "1",
            "--high",
            "0.5",
        ],
        {"form": "box", "low": [-1, -0.5], "high": [1, 0.5]},
    ),
}


@pytest.mark.parametrize("actions", POLICIES)
def test_policies_adapt_to_episodes(tmp_path: Path, serve: Callable[..., TestClient], actions: str) -> None:
    action_words, space = POLICIES[actions]
    options = {"inputs": 2, "hidden": [6]} | ({"outputs": 3} if actions == "names" else {"actions": 2})
    network = NETWORKS_OF_OURS["mlp" if actions == "names" else "gaussian_mlp"](**options)
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    words = ["bundle", "brought", "--kind", "decision", "--weights", str(tmp_path / "weights.safetensors")]
    words += ["--features", "2", "--option", "inputs=2", "--option", "hidden=[6]", "--discount", "0.9"]
    done = CliRunner().invoke(cli, [*words, *action_words, "--models-dir", str(tmp_path / "models")])
    assert done.exit_code == 0, done.output
    assert load(tmp_path / "models/brought").manifest.schema.weighing == Weighing(discount=0.9)
    client = serve(models_dir=tmp_path / "models")
    assert client.get("/models/brought").json()["actions"] == space
    taken = [0, 2] if actions == "names" else [[0.1, 0.2], [0.3, -0.1]]
    episode = {"observations": [[0.1, 0.2], [0.3, 0.4]], "actions": taken, "rewards": [0, 1]}
    body = {"model": "brought", "support": {"episodes": [episode]}, "queries": [[0.1, 0.2]]}
    answer = client.post("/predict", json=body).raise_for_status().json()
    assert len(answer["losses"]) == 6
