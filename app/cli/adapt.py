"""`innerloop adapt` and `innerloop predict`: from files of examples and queries, at a server."""

import csv
import io
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from app.cli.completion import complete_id, complete_model
from app.cli.console import check_stdout, print_result
from app.cli.example_files import STDOUT, Csv, Rows, name_of, read_examples, write_csv
from app.cli.file_requests import CSV, adapt_call, predict_call
from app.cli.losses_text import losses_text
from app.cli.option_bounds import MAX_STEPS
from app.cli.option_words import Source
from app.cli.output_file import check_output, write_output
from app.cli.server_requests import AsJson, Asking, Url, asking, check_id, check_model, check_text, in_words
from app.cli.target_columns import target_columns
from app.errors import printable, shown
from innerloop_client import Model, NotFound
from innerloop_client.body_encoding import JSON
from innerloop_client.connection_options import DEFAULT_URL
from innerloop_client.descriptions import reading
from innerloop_client.output_forms import Form
from innerloop_client.prediction import read_prediction
from innerloop_client.responses import content
from innerloop_client.session import Call, Reply

DURATION = re.compile(r"([0-9]{1,12})\s*([smhdw]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
File = Annotated[Path, typer.Argument(help="CSV with a line of column names, JSON lines or Parquet; - for stdin.")]


def read_duration(text: str) -> int:
    """The seconds of a time such as `7d`, `12h`, `30m` or `3600`."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise typer.BadParameter(f"expected a time such as 7d, 12h, 30m or 3600 (seconds), got {shown(text)}")
    return int(match[1]) * SECONDS[match[2]]


def adapt(
    model: Annotated[str, typer.Argument(help="Name of the model.", autocompletion=complete_model)],
    file: File,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of the target column; by default the model's own name for it, such as `target` or `label`. "
            "Repeat it for several, in the order of the model's targets. If all have its own names, any order will do."
        ),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Your own name for the adaptation.", callback=check_text)] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, max=MAX_STEPS, help="Number of gradient steps; by default the model's.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Learning rate of the gradient steps; by default the model's.")
    ] = None,
    label_names: Annotated[
        bool | None,
        typer.Option(
            "--label-names/--no-label-names",
            help="For a model of texts: whether the words of each label count as one more example of its class; by "
            "default as the model has it.",
        ),
    ] = None,
    ttl: Annotated[
        int | None,
        typer.Option(parser=read_duration, metavar="TIME", help="Time until it expires, such as 7d, 12h or 3600 (s)."),
    ] = None,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Stay with this version of the model when a newer one replaces it.")
    ] = False,
    assess: Annotated[
        Literal["leave_one_out", "k_fold"] | None,
        typer.Option(help="Measure whether adapting helps, by predicting examples that are left out."),
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Adapt a model on a server to the examples in a file, and print the id of the adaptation.

    The id alone is on stdout, so `id=$(innerloop adapt sinusoid readings.csv --target y)` works. All columns
    except those of the target are inputs.
    """
    check_stdout()
    check_model(model)
    table = read_examples(file)
    options = {
        "label": label, "steps": steps, "learning_rate": learning_rate, "label_names": label_names,
        "ttl_s": ttl, "pinned": pinned or None, "assess": assess,
    }  # fmt: skip
    fields = {"model": model} | {name: value for name, value in options.items() if value is not None}
    with asking(url) as server:
        with in_words():
            described = server.model(model)
        targets = target_columns(described, table, target or [], file)
        call = adapt_call(described, table, targets, fields)
        with in_words(_examples_source(table, targets, file)):
            reply = server.send(call)
            adapted = reply.body
            server.check(adapted, model=model)
        with reading("an adaptation"):
            made, summary = printable(adapted["adaptation_id"]), printable(_summary(adapted))
    if as_json:
        print_result(f"{reply.response.content.decode(errors='replace')}\n")
        return
    print_result(f"{made}\n")
    typer.echo(summary, err=True)


def predict(
    id: Annotated[str, typer.Argument(help="Id of the adaptation.", autocompletion=complete_id)],
    file: File,
    interval: Annotated[
        float | None,
        typer.Option(help="Add an interval that has this share of true values on average, such as 0.9."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File for the predictions; by default, and for -, stdout.")
    ] = None,
    pinned: Annotated[
        bool, typer.Option("--pinned", help="Predict with the version of the model that the adaptation was made with.")
    ] = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Predict the queries in a file with an adaptation on a server, and print a CSV with a line for each.

    The CSV has the prediction and what else the model says of it, such as the probability of each label. If the
    model can tell, `unlike` is true if the query is unlike the data that it knows, so that the prediction is a guess.
    """
    check_id(id)
    if output is not None and output != STDOUT:
        check_output("--output", output, file)
    table = read_examples(file)
    fields: dict[str, Any] = {"adaptation_id": id}
    if interval is not None:
        fields["interval"] = interval
    if pinned:
        fields["pinned"] = True
    source = Source(name_of(file), _place_of(table), columns={"queries": table.columns})
    accept = JSON if as_json else CSV
    with asking(url) as server, in_words(source):
        request = partial(predict_call, table=table, fields=fields, accept=accept, file=name_of(file))
        reply = _predicted(server, id, request, table)
        data = content(reply.response, accept)
        with reading("predictions"):
            text = _predictions(data.decode(), accept, len(table.rows) if isinstance(table, Rows) else None)
    if output is None or output == STDOUT:
        print_result(text)
        return
    write_output("--output", output, text.encode())
    typer.echo(f"wrote the predictions to {output}", err=True)


def _examples_source(table: Csv | Rows, targets: Mapping[str, str], file: Path) -> Source:
    """The file that the examples come from, with its own names for columns. targets: of `target_columns`"""
    names = {name: column for column, name in targets.items()}
    inputs = [name for name in table.columns if name not in targets]
    renamed = [targets.get(name, name) for name in table.columns]
    said, ours = (f"the columns are {shown(', '.join(each))}" for each in (renamed, table.columns))
    beside, our_beside = (f" beside {', '.join(each)}, got" for each in (names, targets))
    phrases = {said: ours, beside: our_beside}
    phrases |= {f"add the target as {name}": f"add the target as {column}" for name, column in names.items()}
    return Source(name_of(file), _place_of(table), names, {"inputs": inputs, "targets": list(targets)}, phrases)


def _predicted(server: Asking, id: str, request: Callable[[Model | None], Call], table: Csv | Rows) -> Reply:
    """The reply to a call to predict. A CSV is sent even if its model is not there, as the server says more of that."""
    try:
        return server.send_for(server.adaptation(id), request)
    except NotFound:
        if isinstance(table, Csv):
            return server.send(request(None))
        raise


def _place_of(table: Csv | Rows) -> Callable[[int], str]:
    """Where a row is in the file. The server knows the lines of a CSV."""
    return table.place if isinstance(table, Rows) else "row {}".format


def _predictions(text: str, media: str, queries: int | None) -> str:
    """What is printed of an answer. Raises an error for that of another server.

    queries: how many there were, if that is known
    """
    if media == JSON:
        body = json.loads(text)
        read_prediction(body, Form(), len(body["predictions"]) if queries is None else queries, body["model"])
        return f"{text}\n"
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if not rows or any(len(row) != len(header) for row in rows) or queries not in (None, len(rows)):
        raise ValueError(f"{len(rows)} rows")
    return write_csv(header, rows)


def _summary(adapted: Mapping[str, Any]) -> str:
    """What a new adaptation is, in sentences."""
    count, unit = adapted["support_size"], "episode" if adapted["kind"] == "decision" else "example"
    losses = losses_text(adapted["losses"])
    text = f"adapted {adapted['model']} to {count} {unit}{'' if count == 1 else 's'}. Support loss: {losses}. "
    quality = f" {adapted['quality']['message']}" if "quality" in adapted else ""
    return f"{text}{adapted['message']}{quality} It expires at {adapted['expires_at']}"
