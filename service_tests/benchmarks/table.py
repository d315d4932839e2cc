"""Print the results of the benchmarks as the page `app/docs/performance.md`, which a test compares with them.

python -m service_tests.benchmarks.table > app/docs/performance.md
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from service_tests.benchmarks.report import RESULTS

Row = Mapping[str, Any]
Cell = Callable[[Row], object]


class Section(NamedTuple):
    """A table of the page.

    result: the name of the result file
    title, text: what is compared, explained before the numbers
    columns: the cell of a row, by the head of the column
    """

    result: str
    title: str
    text: str
    columns: Mapping[str, Cell]


INTRODUCTION = """# Performance

Each table is a file in [service_tests/benchmarks/results](../../service_tests/benchmarks/results), written by the
benchmark of the same name. `make bench` runs them all, and `python -m service_tests.benchmarks.table` prints this page.

The line below each table names its machine and date. Compare ratios, not absolute figures: in each round, the servers
run one after another. Where a range is given, the ratio is the median of the rounds and the range is its 95 %
confidence interval. Other ratios between servers compare the best round of each.

All requests to adapt are of one kind unless a table says otherwise: 10 examples and 5 gradient steps of a perceptron
with two hidden layers of 40. Servers run on one core, the load on another.

- The *obvious service* is a FastAPI route that copies the model and takes the steps by SGD, request by request.
- The *echo* is a FastAPI route that parses the body with pydantic and returns it. No FastAPI service that validates
  its bodies with pydantic can be faster.
- The *raw echo* returns the bytes unread, without FastAPI.
"""


def _value(name: str, form: str = "{:,}") -> Cell:
    return lambda row: form.format(row[name]) if row.get(name) is not None else ""


def _ratio(name: str) -> Cell:
    def cell(row: Row) -> str:
        if row.get(name) is None:
            return ""
        interval = row.get(f"{name}_95")
        digits = 2 if row[name] < 10 else 1
        text = f"{row[name]:.{digits}f}"
        return text if interval is None else f"{text} ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"

    return cell


SPEED: Mapping[str, Cell] = {
    "server": _value("server", "{}"),
    "connections": _value("connections"),
    "requests a second": _value("requests_per_s", "{:,.0f}"),
    "median, ms": _value("p50_ms", "{:.2f}"),
    "99 %, ms": _value("p99_ms", "{:.1f}"),
    "times the obvious service": _ratio("times_the_obvious"),
    "share of the echo": _ratio("share_of_the_echo"),
}


def _with_95(name: str, digits: int, sign: str = "") -> Cell:
    """A mean with the half width of its 95 % interval."""

    def cell(row: Row) -> str:
        if row.get(name) is None:
            return ""
        text = f"{row[name]:{sign}.{digits}f}"
        return text if f"{name}_95" not in row else f"{text} ± {row[f'{name}_95'] or 0:.{digits}f}"

    return cell


ACCURACY: Mapping[str, Cell] = {
    "table": _value("table", "{}"),
    "known rows": _value("known_rows"),
    "tasks": _value("tasks"),
    "error": _with_95("error", 4),
    "baseline": _value("baseline", "{}"),
    "its error": _value("baseline_error", "{:.4f}"),
    "difference, %": _with_95("difference_percent", 1, "+"),
    "inside of 90 % intervals": _with_95("coverage_90", 3),
    "interval score": _value("interval_score", "{:.3f}"),
    "that of ALPaCA": _value("alpaca_interval_score", "{:.3f}"),
    "that of the mixed model": _value("mixed_model_interval_score", "{:.3f}"),
}
SECTIONS = (
    Section(
        "inner_loop",
        "The inner loop",
        "The table shows how many tasks a second are adapted to on one thread, without HTTP. TorchOpt and `deepcopy` "
        "+ SGD adapt to one task after another. A *served step* is the compiled step that the server runs on several "
        "tasks at once. *The engine's whole work* adds what the server does around the steps: it pads the tasks to a "
        "batch, chooses a program, and checks whether the losses diverged.",
        {
            "way": _value("way", "{}"),
            "tasks a second": _value("tasks_per_s"),
            "µs per task": _value("us_per_task"),
            "times the faster rival": _ratio("times_the_best_rival"),
        },
    ),
    Section(
        "adapt_http",
        "POST /adapt",
        "The server answers once the adaptation is on the disk, except in the rows `durability process` and `store "
        "memory`.",
        SPEED,
    ),
    Section("predict_http", "POST /predict", "Each request sends one query to one of 10,000 adaptations.", SPEED),
    Section(
        "forms_http",
        "Lists and objects",
        "One model takes 10 standardised numbers that have names. The same values are sent as lists of numbers, as "
        "objects whose columns are in the order of the model or in another one, and as rows that have the target among "
        "their columns. The share is the requests a second, divided by those of lists of numbers.",
        {
            "request": _value("path", "POST {}"),
            "form": _value("form", "{}"),
            "connections": _value("connections"),
            "requests a second": _value("requests_per_s", "{:,.0f}"),
            "median, ms": _value("p50_ms", "{:.2f}"),
            "share of lists of numbers": _ratio("share_of_numbers"),
        },
    ),
    Section(
        "load_latency",
        "Latency under load",
        "Requests to adapt arrive at a constant rate. The rate is a share of the largest rate that each server can "
        "keep up with.",
        {
            "server": _value("server", "{}"),
            "share of its capacity": lambda row: f"{row['share_of_capacity'] * 100:.0f} %",
            "requests a second": _value("offered_per_s", "{:,.0f}"),
            "median, ms": _value("p50_ms", "{:.2f}"),
            "99 %, ms": _value("p99_ms", "{:.1f}"),
        },
    ),
    Section(
        "large_work",
        "Large requests",
        "These are the largest requests that a server with all bundles takes or refuses, on one core. Meanwhile, "
        "another client sends small requests: `/predict` with two examples to adapt to. The last two columns have the "
        "response time that 99 % of the small requests stay below, beside the large request and without it. Memory is "
        "the peak of the server above what it held before.",
        {
            "request": _value("corner", "{}"),
            "status": _value("statuses", "{}"),
            "seconds": _value("seconds", "{:.1f}"),
            "memory, MiB": _value("memory_mib"),
            "small, 99 %, ms": _value("small_p99_ms", "{:.0f}"),
            "small alone, 99 %, ms": _value("small_alone_p99_ms", "{:.0f}"),
        },
    ),
    Section(
        "training_step",
        "A training step",
        "This is one outer step of second-order MAML on 25 sinusoids, each with 10 support and 10 query examples. It "
        "is compared with the usual loop over tasks.",
        {
            "way": _value("way", "{}"),
            "ms per step": _value("ms_per_step", "{:.2f}"),
            "times the loop": _ratio("times_the_loop"),
        },
    ),
    Section(
        "capacity",
        "Many adaptations",
        "One server stores more and more adaptations, up to a million.",
        {
            "adaptations": _value("adaptations"),
            "memory, MiB": _value("memory_mib"),
            "disk, bytes each": _value("disk_bytes_each"),
            "list 100, ms": _value("list_ms", "{:.2f}"),
            "predict by any, ms": _value("predict_any_ms", "{:.2f}"),
        },
    ),
    Section(
        "evicted",
        "Predictions whose weights are not cached",
        "If the adapted weights are not in the cache, the server computes them again from the support set.",
        {
            "after": _value("after", "{}"),
            "at once": _value("at_once"),
            "adapted weights": _value("fast_weights", "{}"),
            "median, ms": _value("p50_ms", "{:.2f}"),
            "times cached": _value("times_cached", "{:.1f}"),
        },
    ),
    Section(
        "conv_http",
        "Convolutions",
        "Each request to adapt has 5 images of 28 x 28 pixels. The network has four convolutions of 64 filters.",
        SPEED,
    ),
    Section(
        "client",
        "The Python client",
        "One call of the client is compared with httpx, which posts the same JSON. The client also sends a deadline "
        "and, for `adapt`, an idempotency key. Both cost the server time, so in the column *same headers* httpx sends "
        "them too. The row *500 tasks* compares `adapt_many` with 500 calls of `adapt`. The last row compares `import "
        "innerloop_client` with `import httpx`.",
        {
            "call": _value("call", "{}"),
            "client, µs": _value("client_us"),
            "httpx, µs": _value("httpx_us"),
            "times httpx": _ratio("times_httpx"),
            "times httpx, same headers": _ratio("times_same_headers"),
            "times faster than a loop": _ratio("times_faster"),
        },
    ),
    Section(
        "closed_loop",
        "A closed loop",
        "64 policies make decisions at once, each over its own connection. They are compared with 64 PyTorch modules "
        "behind FastAPI.",
        {
            "server": _value("server", "{}"),
            "form": _value("form", "{}"),
            "decisions a second": _value("decisions_per_s", "{:,.0f}"),
            "median, ms": _value("p50_ms", "{:.2f}"),
            "times the modules": _value("times_the_obvious", "{:.1f}"),
        },
    ),
    Section(
        "table_accuracy",
        "Accuracy on tables",
        "`innerloop train --table` on tables that were named before any result was seen, beside [what a statistician "
        "would do](tables.md#when-a-baseline-is-better). Each task is held out once, in 5 folds; its known rows are "
        "drawn 3 times, and its other rows are predicted. The error is the mean squared error over the variance of the "
        "targets, with its 95 % interval over "
        "tasks. The baseline is the one that cross-validation over training tasks chooses in most folds; its error is "
        "of the one chosen in each fold. The difference is paired by task, and below 0 the model is better. The "
        "interval score is the width of a 90 % interval plus 20 times the distance of the rows outside. ALPaCA is "
        "one member of the model alone: a Bayesian linear regression on learned features. The result file has all "
        "baselines. In 27 of the 30 rows, the interval of the difference excludes that the model is more than 2 % "
        "worse. The others are Exam without known rows, Cigar after 3 rows, where 46 tasks are too few to tell, and "
        "storms after 20 rows. Without known rows of Cigar or nox_emissions, the intervals of ALPaCA score better than "
        "those of the model.",
        ACCURACY,
    ),
    Section(
        "table_accuracy_order",
        "Forecasts on tables",
        "The same with `--order`: the first rows of a task are known, and later ones are predicted. In 16 of the 20 "
        "rows, the interval of the difference excludes that the model is more than 2 % worse. The others are "
        "remifentanil after 0, 5 and 20 rows and Cigar after 20, where 65 and 46 tasks are too few to tell. On storms "
        "the model is hardly better than gradient boosting that adds the last residual. Intervals of ALPaCA score "
        "better after 10 rows of Cigar, and after 0 and 3 of nox_emissions. The members that carry residuals forward "
        "were chosen by cross-validation on the training tasks of one fold of each table, most of which are held out "
        "in other folds. They first carried 95 % of the last residual; after a look at the held-out results of "
        "that, the training tasks chose 80 %. Rows of hsb82 and Exam have no order.",
        ACCURACY,
    ),
    Section(
        "text_accuracy",
        "Accuracy on texts",
        "CLINC150 over HTTP, in per cent. Parts 01 to 05 are published splits of its intents, 50 each for training, "
        "validation and test; each has a bundle of its own. The accuracy is the mean over 600 tasks of test intents, "
        "with its 95 % interval over tasks. `similarity` tells their sentences from sentences out of scope: the area "
        "under its curve (AUROC), and the shares of both that `unlike` marks. In the part `all` the classes are all "
        "150 intents, and the queries the official test sentences; `plain` is the bundle `intents` without its map. "
        "The accuracy is the mean over 3 draws of examples, with the standard deviation over draws.",
        {
            "part": _value("part", "{}"),
            "setting": _value("setting", "{}"),
            "accuracy": _with_95("accuracy", 2),
            "AUROC": _value("out_of_scope_auroc", "{:.1f}"),
            "known marked": _value("known_marked", "{:.1f}"),
            "out of scope marked": _value("out_of_scope_marked", "{:.1f}"),
            "deviation over draws": _value("draws_std", "{:.2f}"),
        },
    ),
    Section(
        "text_http",
        "Texts",
        "Requests one after another, without other load. Both servers use the same sentence model. The rival is a "
        "FastAPI route that fits the logistic regression of scikit-learn.",
        {
            "server": _value("server", "{}"),
            "request": _value("request", "{}"),
            "median, ms": _value("ms", "{:.1f}"),
        },
    ),
)


def page() -> str:
    """The whole page. A benchmark without results is left out."""
    return "\n".join([INTRODUCTION, *(text for section in SECTIONS if (text := _section(section)))])


def _section(section: Section) -> str:
    file = RESULTS / f"{section.result}.json"
    if not file.exists():
        return ""
    result = json.loads(file.read_text())
    rows: Sequence[Row] = result["rows"]
    hardware = re.sub(r"\(R\)| Processor", "", result["hardware"])
    lines = [
        f"## {section.title}",
        "",
        section.text,
        "",
        "| " + " | ".join(section.columns) + " |",
        "|---" * len(section.columns) + "|",
        *("| " + " | ".join(str(cell(row)) for cell in section.columns.values()) + " |" for row in rows),
        "",
        f"{hardware}; {result['date']}; torch {result['versions']['torch']}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
