"""The arguments of `train_table`: each mistake is an error that names the argument, before anything is read."""

from typing import Any

import numpy as np
import pytest

from app.errors import TrainingError
from app.training.tables import train_table
from service_tests.families.tables.made_up import machines

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"table": None}, "table: expected a path, a DataFrame or a dict of columns, got None"),
        ({"task": ["machine"]}, "task: expected the name of a column, got ['machine']"),
        ({"task": ("a", "b")}, "task: expected the name of a column, got ('a', 'b')"),
        ({"kind": None}, "kind: expected a text, got None: leave it out for the default"),
        ({"support": 5}, "support: expected numbers of known rows, such as (3, 5, 10, 20), got 5"),
        ({"support": ("3",)}, "support: expected numbers of known rows"),
        ({"inputs": None}, "inputs: expected a list of names of columns, got None: write a list of texts"),
        ({"inputs": "load"}, "inputs: expected a list of names of columns, got 'load': write inputs=['load']"),
        ({"inputs": "x,z"}, "inputs: expected a list of names of columns, got 'x,z': write a list of texts"),
        ({"inputs": [0]}, "inputs: expected a list of names of columns, got [0]: write names as texts"),
        ({"categories": None}, "categories: expected a list of names of columns, got None"),
        ({"models_dir": None}, "models_dir: expected the path of a folder, got None"),
        ({"console": "x"}, "console: expected a rich.console.Console or None, got 'x'"),
        ({"outer_steps": 0}, "outer_steps: expected a whole number of at least 1, or None, got 0"),
        ({"outer_steps": 2.5}, "outer_steps: expected a whole number of at least 1, or None, got 2.5"),
        ({"seed": -1}, "seed: expected a whole number from 0 to 9223372036854775807, got -1"),
        ({"seed": np.nan}, "seed: expected a whole number from 0 to 9223372036854775807, got nan"),
        ({"seed": 2**70}, "seed: expected a whole number from 0 to 9223372036854775807, got 1180591620717411303424"),
        ({"outer_steps": 5}, "--outer-steps: expected no number of outer steps for an ensemble, got 5: leave it out"),
        ({"algorithm": "xgb"}, "--algorithm: expected one of"),
        ({"algorithm": "protonet"}, "--algorithm: expected an algorithm for regression, got protonet"),
        ({"algorithm": "xgb", "kind": "classification", "target": "oil"}, "--algorithm: expected one of"),
    ],
)
def test_each_mistake_names_the_argument(arguments: dict[str, Any], message: str, tmp_path: Any) -> None:
    usual = {
        "table": machines(10, 6),
        "task": "machine",
        "target": "heat",
        "models_dir": tmp_path,
        "runs_dir": tmp_path,
    }
    given = {**usual, **arguments}
    with pytest.raises(TrainingError) as error:
        train_table(given.pop("table"), **given)
    assert str(error.value).startswith(message)
