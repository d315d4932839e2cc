"""What do values as people have them cost, beside bare numbers?

One bundle predicts from 10 standardised numbers with names. The same values are posted as lists of numbers, as objects
in the order of the columns, as objects in another order, and as rows with the target among the columns. POST /adapt
gets 64 support sets of 10 examples in turn, 5 steps, MLP 10-40-40-1; POST /predict gets one query by one of 64
adaptations. All forms are sent to one server, and a round has one load of each.
"""

import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from app.bundles.folder import write
from app.bundles.manifest import Bounds, Manifest
from app.bundles.schema import Schema
from app.encoders.numbers import NumbersEncoder
from app.encoders.spec import EncoderSpec
from app.learn.networks import NetworkSpec, initialize
from service_tests.benchmarks.bodies import SHOTS, STEPS, adapt_all
from service_tests.benchmarks.comparison import Effort, Prepare, Round, effort, publish, relative, row, warm_up
from service_tests.benchmarks.servers import Server, innerloop, serving

COLUMNS = [f"column_{index}" for index in range(10)]
SETS = 64
NUMBERS = "lists of numbers"
QUESTION = f"Lists of numbers and objects: {len(COLUMNS)} columns, requests a second on one core"
USUAL = Effort(connections=(1, 64))
Form = Mapping[str, Any]


def main() -> None:
    """Measure, and write the results."""
    chosen = effort(QUESTION, USUAL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_bundle(folder / "models/columns")
        plan = innerloop("Innerloop", folder / "state", models_dir=folder / "models")
        with serving(plan, folder) as server:
            with server.awake():
                ids = adapt_all(server, [_json(each) for each in adapt_forms()[NUMBERS]])
            rows = [
                *measure(server, "/adapt", adapt_forms(), chosen, folder),
                *measure(server, "/predict", predict_forms(ids), chosen, folder),
            ]
    publish("forms_http", QUESTION, rows, chosen, USUAL)


def measure(
    server: Server, path: str, forms: Mapping[str, Sequence[Form]], effort: Effort, folder: Path
) -> list[dict[str, Any]]:
    """A row for each form and number of connections."""
    contenders = {}
    for name, bodies in forms.items():
        with server.awake():
            contenders[name] = warm_up(server, path, _fixed(bodies), folder / name)
    rounds: dict[tuple[str, int], list[Round]] = {}
    for number in range(effort.rounds):
        for connections in effort.connections:
            for name in contenders if number % 2 == 0 else reversed(contenders):
                loaded = contenders[name].load(connections, effort.seconds)
                rounds.setdefault((name, connections), []).append(loaded)
    return [
        {"path": path, "form": name}
        | row(server.name, connections, rounds[name, connections])
        | relative(rounds, connections, name, "share_of_numbers", NUMBERS)
        for connections in effort.connections
        for name in contenders
    ]


def adapt_forms() -> dict[str, list[Form]]:
    """Bodies of POST /adapt, by form."""
    generator = np.random.default_rng(0)
    inputs, targets = generator.normal(size=(SETS, SHOTS, len(COLUMNS))), generator.normal(size=(SETS, SHOTS, 1))
    sets = list(zip(_rounded(inputs), _rounded(targets), strict=True))
    supports: dict[str, list[Form]] = {
        NUMBERS: [{"inputs": x, "targets": y} for x, y in sets],
        "objects": [{"inputs": _objects(x), "targets": y} for x, y in sets],
        "objects, other order": [{"inputs": _objects(x, shuffled=True), "targets": y} for x, y in sets],
        "rows with the target": [
            {"rows": [{**each, "target": value} for each, [value] in zip(_objects(x), y, strict=True)]} for x, y in sets
        ],
    }
    return {
        name: [{"model": "columns", "support": support, "steps": STEPS} for support in each]
        for name, each in supports.items()
    }


def predict_forms(ids: Sequence[str]) -> dict[str, list[Form]]:
    """Bodies of POST /predict, by form."""
    queries = _rounded(np.random.default_rng(1).normal(size=(len(ids), 1, len(COLUMNS))))
    forms = {
        NUMBERS: queries,
        "objects": [_objects(each) for each in queries],
        "objects, other order": [_objects(each, shuffled=True) for each in queries],
    }
    return {
        name: [{"adaptation_id": adaptation, "queries": each} for adaptation, each in zip(ids, queries, strict=True)]
        for name, queries in forms.items()
    }


def write_bundle(folder: Path) -> None:
    """Write a bundle of named, standardised numbers, with fresh parameters."""
    rows = np.random.default_rng(2).normal(size=(1000, len(COLUMNS)))
    encoder = NumbersEncoder.fit(rows, scale=True, names=COLUMNS)
    network = NetworkSpec("mlp", {"inputs": len(COLUMNS), "outputs": 1, "hidden": [40, 40]})
    manifest = Manifest(
        family=None,
        network=network,
        algorithm="maml",
        kind="regression",
        schema=Schema(len(COLUMNS), 1),
        inner_loop=Bounds(STEPS, 50, 0.01, 1.0),
        initial_loss=1.0,
        weights_sha256="",
        evaluation={},
        training={},
        encoder=EncoderSpec.of(encoder),
    )
    write(folder, manifest, initialize(network.name, network.options, seed=0), encoder.arrays())


def _fixed(bodies: Sequence[Form]) -> Prepare:
    encoded = [*map(_json, bodies)]
    return lambda server: encoded


def _objects(rows: Sequence[Sequence[float]], shuffled: bool = False) -> list[Form]:
    names = random.Random(0).sample(COLUMNS, len(COLUMNS)) if shuffled else COLUMNS
    return [{name: row[COLUMNS.index(name)] for name in names} for row in rows]


def _rounded(values: np.ndarray) -> list[Any]:
    rounded: list[Any] = values.round(4).tolist()
    return rounded


def _json(body: Form) -> bytes:
    return orjson.dumps(body)


if __name__ == "__main__":
    main()
