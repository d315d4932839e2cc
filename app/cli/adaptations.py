"""`innerloop adaptations`: list, show, delete and export the adaptations on a server."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli.completion import complete_id, complete_model
from app.cli.console import print_error, print_result
from app.cli.export_examples import export_support
from app.cli.losses_text import losses_text
from app.cli.output_file import check_output, write_output
from app.cli.server_requests import Url, asking, check_id, check_text, in_words, path_of
from app.errors import InnerloopError, expectation, printable
from innerloop_client.connection_options import DEFAULT_URL
from innerloop_client.descriptions import reading

PAGE = 1000
"""The most adaptations that the server lists at once."""
Id = Annotated[str, typer.Argument(help="Id of the adaptation.", autocompletion=complete_id)]

adaptations = typer.Typer(no_args_is_help=True, help="List, show, delete and export the adaptations on a server.")


@adaptations.command(name="ls")
def list_adaptations(
    model: Annotated[
        str | None,
        typer.Option(help="Only adaptations of this model.", callback=check_text, autocompletion=complete_model),
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="Only adaptations with exactly this label.", callback=check_text)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10**9, help="Largest number of adaptations.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as the server describes them, in JSON.")] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List adaptations, the newest first."""
    with asking(url) as server, in_words():
        listed = list(islice(server.listed(limit=min(limit + 1, PAGE), model=model, label=label), limit + 1))
        with reading("a list of adaptations"):
            # for JSON too, as another server's answer fails here
            text = _columns(_listing(listed[:limit])) if listed else ""
            if as_json:
                text = json.dumps({"adaptations": listed[:limit]}) + "\n"
    print_result(text)
    if not listed:
        typer.echo("there are no such adaptations" if model or label else "there are no adaptations", err=True)
    if len(listed) > limit:
        typer.echo(f"there are more: list them with --limit {10 * limit}", err=True)


@adaptations.command()
def show(
    id: Id,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print it as the server describes it, with its revisions, in JSON.")
    ] = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show the fields and the history of an adaptation."""
    with asking(url) as server, in_words():
        body, history = server.get(path_of(id)), server.get(f"{path_of(id)}/history")
        server.check(body, id=id)
        with reading("an adaptation"):
            text = f"{_columns(_fields(body))}\n{_columns(_history(history['revisions']))}"
            if as_json:
                text = json.dumps(body | {"revisions": history["revisions"]}) + "\n"
    print_result(text)


@adaptations.command()
def rm(
    ids: Annotated[list[str], typer.Argument(help="Ids of the adaptations.", autocompletion=complete_id)],
    url: Url = DEFAULT_URL,
) -> None:
    """Delete adaptations with their examples for good, without asking."""
    failed = False
    for each in ids:
        try:
            with asking(url) as server, in_words():
                server.delete(path_of(each))
        except InnerloopError as error:
            print_error(error)
            failed = True
        else:
            print_result(f"deleted {each}\n")
    if failed:
        raise typer.Exit(1)


@adaptations.command()
def export(
    id: Id,
    file: Annotated[
        Path, typer.Argument(help="File ending in .safetensors for the weights, in .csv or .jsonl for the examples.")
    ],
    url: Url = DEFAULT_URL,
) -> None:
    """Write the adapted weights or the examples of an adaptation into a file.

    The weights are those of the network, to use them without the server. You can pass the examples to
    `innerloop adapt` again. Weights of examples, declared labels and the stages of episodes are not in the file.
    """
    form = file.suffix.lower()
    if form not in (".safetensors", ".csv", ".jsonl"):
        expected = "a name that ends in .safetensors (weights), .csv or .jsonl (examples)"
        raise InnerloopError(expectation("FILE", expected, str(file)))
    check_output("FILE", file)
    check_id(id)
    with asking(url) as client, in_words():
        adaptation = client.adaptation(id)
        if form == ".safetensors":
            content, about = adaptation.weights(), "the adapted weights"
        else:
            content, about = export_support(client, adaptation, form)
    write_output("FILE", file, content)
    typer.echo(f"wrote {about} to {file}", err=True)


def _listing(adaptations: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    """A line for each adaptation."""
    yield "id", "model", "label", "examples", "revision", "status", "expires"
    for each in adaptations:
        label, size, revision = each.get("label", "-"), str(each["support_size"]), str(each["revision"])
        yield each["adaptation_id"], each["model"], label, size, revision, each["status"], each["expires_at"]


def _fields(body: Mapping[str, Any]) -> Iterator[Sequence[str]]:
    """The fields that people look at, each with its name."""
    yield "id", body["adaptation_id"]
    yield "model", f"{body['model']} ({body['model_digest'][:8]}){', pinned' if body.get('pinned') else ''}"
    for name in ("label", "labels", "kind"):
        if name in body:
            yield name, ", ".join(map(str, body[name])) if name == "labels" else body[name]
    yield "examples", f"{body['support_size']}: {', '.join(map(str, body['examples']))}"
    yield "steps", f"{body['steps']}"
    yield "losses", losses_text(body["losses"])
    yield "status", f"{body['status']}: {body['message']}"
    if "quality" in body:
        yield "quality", body["quality"]["message"]
    yield "created", body["created_at"]
    yield "expires", body["expires_at"]
    if "lineage" in body:
        yield "earlier", ", ".join(digest[:8] for digest in body["lineage"])


def _history(revisions: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[str]]:
    """The revisions, each with the examples that it added or deleted."""
    yield "revision", "at", "change", "examples"
    for each in revisions:
        numbers = [each["forgotten"]] if "forgotten" in each else each["added"]
        change = f"{each['change']} {', '.join(map(str, numbers))}".strip()
        yield f"{each['revision']}", each["at"], change, f"{each['support_size']}"


def _columns(lines: Iterable[Sequence[str]]) -> str:
    """Cells below each other, with spaces between the columns and no line break in a line."""
    lines = [list(map(printable, line)) for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    cells = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
    return "".join(f"{'  '.join(line).rstrip()}\n" for line in cells)
