"""Which columns of a file have the targets."""

from collections.abc import Sequence
from pathlib import Path

from app.cli.example_files import Csv, Rows, name_of
from app.cli.option_words import Source, command_line_words
from app.errors import InnerloopError, RequestError, expectation, name_text, names_text
from innerloop_client import Model
from innerloop_client.descriptions import reading
from innerloop_client.tables import column_names


def target_columns(model: Model, table: Csv | Rows, chosen: Sequence[str], file: Path) -> dict[str, str]:
    """The columns of a file that have the targets, and how the server calls them, in the order of the model's targets.

    chosen: by --target, or none for those that the server expects. If they are the names of the model's targets, their
    order does not matter. Otherwise they are in the order of the model's targets. Raises InnerloopError.
    """
    with reading("a model"):
        names = target_names(model)
    if not names:
        if chosen:
            fix = f"{model.name} learns from episodes, so leave --target out"
            raise InnerloopError(expectation("--target", "no column", name_text(chosen[0]), fix))
        return {}
    if isinstance(table, Csv) and not has_names(model) and all(map(_is_number, table.columns)):
        fix = "begin the file with a line of names"
        raise InnerloopError(expectation(f"{name_of(file)}, line 1", "names of columns", "numbers", fix))
    if isinstance(table, Csv) and not set(chosen or names) <= set(table.columns):
        _check_form(table, name_of(file))
    return _matched(names, table, chosen, name_of(file))


def target_names(model: Model) -> list[str]:
    """What the server calls the targets; none for a policy."""
    return [column["name"] for column in model.target_columns]


def has_names(model: Model) -> bool:
    """Whether the columns of the inputs have names; otherwise they are numbers in their order, or a single value."""
    with reading("a model"):
        return bool(column_names(model.inputs))


def _matched(names: Sequence[str], table: Csv | Rows, chosen: Sequence[str], where: str) -> dict[str, str]:
    columns = names_text(table.columns)
    if not chosen and (missing := [name for name in names if name not in table.columns]):
        fix = f"name the column that has the target: {columns}"
        raise InnerloopError(f"--target: {where} has no column called {missing[0]}: {fix}")
    chosen = chosen or names
    if twice := next((column for column in chosen if list(chosen).count(column) > 1), None):
        raise InnerloopError(f"--target: {name_text(twice)} is named twice: name each column once")
    if len(chosen) != len(names):
        expected = f"{len(names)} column{'s' if len(names) > 1 else ''} ({', '.join(names)})"
        raise InnerloopError(expectation("--target", expected, len(chosen)))
    chosen = names if sorted(chosen) == sorted(names) else chosen
    for column, name in zip(chosen, names, strict=True):
        _check_column(column, name, names, table, where)
        if name in table.columns and name not in chosen:
            why = f"{name} is the server's name for the target, and another column of {where} has it"
            raise InnerloopError(f"--target: {why}: rename or remove that column")
    return dict(zip(chosen, names, strict=True))


def _check_column(column: str, name: str, names: Sequence[str], table: Csv | Rows, where: str) -> None:
    """Raise InnerloopError unless a column of the file can be the target of this name. names: of all targets"""
    if column not in table.columns:
        raise InnerloopError(
            expectation("--target", f"a column of {where} ({names_text(table.columns)})", name_text(column))
        )
    if table.columns.count(column) > 1:
        raise InnerloopError(f"--target: two columns of {where} are called {name_text(column)}: rename or remove one")
    if column != name and column in names:
        fix = f"name the columns in the order of the model's targets, {', '.join(names)}"
        raise InnerloopError(expectation("--target", f"the column for {name}", f"{column}, another target", fix))


def _check_form(table: Csv, where: str) -> None:
    """Raise InnerloopError with the server's fix if the names of the columns cannot be read, as with semicolons."""
    from app.api.csv_text import CsvText  # with msgspec and the schemas of the server, which take a while to import

    try:
        CsvText(table.renamed({}))
    except RequestError as error:
        raise InnerloopError(command_line_words(Source(where), str(error), error.place)) from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
