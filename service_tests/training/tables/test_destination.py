"""Nothing but an older model of the same table is replaced, and only the run's own files are deleted."""

from pathlib import Path
from shutil import copytree

import pytest

from app.errors import TrainingError
from app.families.tables.table_spec import TableSpec
from app.training.tables.destination import bundle_folder
from app.training.tables.train_table import train_table
from service_tests.families.tables.made_up import machines, write_csv

SPEC = TableSpec("machine", "heat")


def test_a_bundle_of_something_else_stays(models_dir: Path, tmp_path: Path) -> None:
    copytree(models_dir / "linear", tmp_path / "linear")
    with pytest.raises(TrainingError, match=r"^--name: .*linear holds something else than a model of 'heat'"):
        bundle_folder(tmp_path, "linear", SPEC)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/todo.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"choose another --name or --models-dir$"):
        bundle_folder(tmp_path, "notes", SPEC)


def test_a_file_is_no_folder_of_bundles(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("")
    with pytest.raises(TrainingError, match=r"^--models-dir: expected a folder, got .* is a file, so choose another$"):
        bundle_folder(tmp_path / "models", "heat", SPEC)


def test_a_run_deletes_nothing_but_itself(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
    (tmp_path / "visits").mkdir()
    write_csv(tmp_path / "visits/all.csv", machines())
    train_table(
        tmp_path / "visits/all.csv",
        task="machine",
        target="heat",
        name="visits",
        algorithm="alpaca",
        outer_steps=5,
        runs_dir=tmp_path,
        models_dir=tmp_path / "models",
        fresh=True,
    )
    assert [each.name for each in (tmp_path / "visits").iterdir()] == ["all.csv"]
    assert bundle_folder(tmp_path / "models", "visits", SPEC).is_dir(), "a newer model of the same table may replace it"


def test_a_folder_of_files_is_trained_again(tmp_path: Path) -> None:
    """Its task is the name of the file, although nobody says so."""
    pytest.importorskip("pyarrow", reason="an extra: pip install 'innerloop-server[tables]'")
    (tmp_path / "visits").mkdir()
    columns = machines(tasks=12, rows=4)
    for start in range(0, 48, 4):
        part = {name: columns[name][start : start + 4] for name in ("load (kg)", "heat")}
        write_csv(tmp_path / f"visits/{columns['machine'][start]}.csv", part)
    for _ in range(2):
        manifest = train_table(
            tmp_path / "visits",
            task="",
            target="heat",
            support=(2,),
            algorithm="alpaca",
            outer_steps=1,
            runs_dir=tmp_path / "runs",
            models_dir=tmp_path / "models",
        )
    assert manifest.family is not None
    assert manifest.family.options["task"] == "file"
