"""The options of `innerloop train --table`."""

from pathlib import Path
from typing import Any

import pytest

from app.errors import TrainingError
from app.families.tables.table_spec import TableSpec
from app.training.tables import command
from app.training.tables.table_settings import TableSettings, bundle_name, split_names, split_sizes
from service_tests.cli.commands import innerloop
from service_tests.families.tables.made_up import machines, write_csv

pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
TABLE = ("train", "--table", "t.csv", "--task", "machine", "--target", "heat")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_csv(tmp_path / "t.csv", machines())
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--task", "id"), "--table: expected a file, as --task is about a table, got none: name the file"),
        (("train", "--inputs", "a"), "--table: expected a file, as --inputs is about a table, got none"),
        (("train", "linear", *TABLE[1:]), "--table: expected no family beside it, got linear: leave one of them out"),
        ((*TABLE, "--set", "tasks=3"), "--set: expected no --table beside it, got both: leave one of them out"),
        ((*TABLE, "--data", "x"), "--data: expected no --table beside it"),
        ((*TABLE, "--support", "3,x"), "--support: expected numbers of known rows, such as 3,5,10,20, got '3,x'"),
        ((*TABLE, "--support", "²"), "--support: expected numbers of known rows, such as 3,5,10,20, got '²'"),
        ((*TABLE, "--inputs", "oil\nx"), "--inputs: expected names of columns, such as A,B, got 'oil\\nx'"),
        ((*TABLE, "--support", "0"), "--support: expected numbers of known rows from 1 to 1000, such as 3,5,10,20"),
        ((*TABLE, "--inputs", "oil,,x"), "--inputs: expected names of columns, such as A,B, got 'oil,,x'"),
        ((*TABLE, "--inputs", "oli"), '--inputs: expected a column of t.csv, got "oli": did you mean oil?'),
        ((*TABLE, "--name", "a b"), "the name of a bundle: expected letters, digits, -, _ and ., such as pump-2"),
        ((*TABLE, "--algorithm", "mlp"), "--algorithm: expected one of alpaca"),
        (
            (*TABLE[:6], "oil", "--algorithm", "ensemble"),
            "--algorithm: expected an algorithm for classification, got ens",
        ),
        ((*TABLE[:2], "u.csv", *TABLE[3:]), "u.csv: expected the file of a table, got no such file: did you mean"),
        (TABLE[:5], "--target: expected a column, got none: name the column to predict: machine, load (kg), oil, heat"),
    ],
)
def test_each_mistake_gets_one_line(folder: Path, words: tuple[str, ...], message: str) -> None:
    result = innerloop(*words, folder=folder)
    assert result.returncode == 1
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_names_with_commas_are_in_quotes() -> None:
    assert split_names('age, "dose, mg"', "--inputs") == ("age", "dose, mg")
    assert split_names(None, "--inputs") == ()


def test_sizes_are_sorted() -> None:
    assert split_sizes("10, 3,3") == (3, 10)
    assert split_sizes(None) == (3, 5, 10, 20)


@pytest.mark.parametrize(
    ("file", "name"),
    [("visits.csv.gz", "visits"), ("my visits.parquet", "my-visits"), ("visits", "visits"), ("_.csv", "table")],
)
def test_a_bundle_is_called_as_its_file(file: str, name: str) -> None:
    assert bundle_name(Path("folder") / file) == name


def test_the_command_makes_the_bundle_again() -> None:
    spec = TableSpec("id", "pain score", ("age", "dose, mg"), order="day", categories=("ward",))
    settings = TableSettings(Path("data/visits.csv"), spec, (3, 5), "alpaca", "pain", 7, 100)
    assert settings.command == (
        "innerloop train --table visits.csv --task id --target 'pain score' --inputs 'age,\"dose, mg\"' "
        "--categories ward --order day --support 3,5 --algorithm alpaca --name pain --seed 7 --outer-steps 100"
    )


def test_another_setting_is_another_run(folder: Path) -> None:
    from app.training.tables.prepare_family import make_table

    def run_name(**changes: Any) -> str:
        settings = TableSettings(folder / "t.csv", TableSpec("machine", "heat"), **changes)
        return settings.run_name(make_table(settings).prepared)

    names = [run_name(), run_name(seed=1), run_name(support=(3,)), run_name(algorithm="ridge")]
    assert len({*names}) == 4
    assert run_name() == names[0]


def test_ctrl_c_says_how_to_continue(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "run_table", interrupted)
    result = innerloop(*TABLE, folder=folder)
    assert result.returncode == 130
    assert "interrupted: run the same command again to continue" in result.stdout


def test_a_frame_needs_no_name(folder: Path) -> None:
    with pytest.raises(TrainingError, match="--support: expected numbers of known rows"):
        TableSettings(machines(), TableSpec("machine", "heat"), ())
    assert TableSettings(machines(), TableSpec("machine", "heat")).command.startswith("innerloop train --table FILE")
