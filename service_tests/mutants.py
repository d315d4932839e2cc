"""Which changes of the code would the tests not notice?

The script changes one operator or constant at a time ("a mutant") and runs the tests that execute the changed line. A
mutant that no test fails on has survived: either the change is equivalent, or an assertion is missing.

    python -m service_tests.mutants --ring service --count 100 --seed 0
    python -m service_tests.mutants --ring api --only app/encoders/image.py:40 service_tests/api/test_images.py

It needs a system that can fork, and `coverage`: `pip install coverage`, or a folder of PYTHONPATH that has it. Mutants
are drawn evenly over the modules of a ring. They are written to a temporary copy of the checkout, never to it.

First the tests run once with coverage, each in a context of its own. The map from lines to tests is kept in a file;
later runs measure only the test files that have changed, or all of them if `app` has changed. Each mutant then runs at
most `--tests` tests that execute its line: those of the file that mirrors the module first, then the fastest, and of
functions elsewhere at most three sets of parameters. A mutant is killed if a test fails, if it cannot be imported, or
if it takes too long.

A process that has imported PyTorch and FastAPI, but nothing of `app`, forks for each mutant, so a run takes as long as
its tests and the import of `app`.
"""

import argparse
import ast
import copy
import hashlib
import importlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
RINGS = ("learn", "service", "api")
TESTS = ["service_tests/learn", "service_tests/service", "service_tests/api"]
PRELOADED = (
    "torch", "torch.func", "torch.utils.benchmark", "numpy", "fastapi", "fastapi_offline", "fastapi.testclient",
    "uvicorn", "httpx", "hypothesis", "hypothesis.strategies", "beartype", "jaxtyping", "msgspec", "orjson",
    "safetensors.torch", "pydantic_settings", "PIL.Image", "redis.asyncio",
)  # fmt: skip
RETURNS_DRAWN = 0.15
"""The share of mutants that return None that is drawn."""
FAILED = 70
"""The exit code of a child that could not run pytest."""
PARAMETRIZATIONS = 3
"""The most tests of one function that a mutant runs, unless they are in the file that mirrors the module."""

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
}  # fmt: skip
FUNCTIONS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
    "amin": "amax", "amax": "amin", "argmin": "argmax", "argmax": "argmin",
}  # fmt: skip
WITHOUT_EFFECT = {
    "frozen", "slots", "kw_only", "gc", "strict", "description", "examples", "example", "title", "summary",
}  # fmt: skip
"""Keywords whose values only protect against mistakes, or are documentation."""


class Change(NamedTuple):
    """A node, and the text that replaces it."""

    node: ast.expr | ast.stmt
    text: str


@dataclass(frozen=True)
class Mutant:
    """A change of a module. first, last: the lines of the statement that it is part of."""

    path: str
    line: int
    column: int
    first: int
    last: int
    old: str
    new: str
    source: bytes = field(repr=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}  {shorten(self.old)} -> {shorten(self.new)}"


def shorten(text: str) -> str:
    """The text in one line of at most 100 characters."""
    words = " ".join(text.split())
    return words if len(words) <= 100 else f"{words[:60]} ... {words[-35:]}"


def mutants_of(path: str, source: bytes) -> list[Mutant]:
    """All mutants of a module."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    mutants = []
    for statement, (node, text) in changes_of(ast.parse(source)):
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        mutated = source[:start] + text.encode() + source[end:]
        with suppress(SyntaxError):
            compile(mutated, path, "exec")
            old = source[start:end].decode()
            mutants.append(
                Mutant(
                    path, node.lineno, node.col_offset + 1, statement.lineno, last_line(statement), old, text, mutated
                )
            )
    return mutants


def last_line(statement: ast.stmt) -> int:
    """The last line of a statement, or of its head if it has a body."""
    body: Sequence[ast.stmt] = getattr(statement, "body", None) or getattr(statement, "cases", [])
    return max(body[0].lineno - 1, statement.lineno) if body else statement.end_lineno or statement.lineno


def changes_of(node: ast.AST, statement: ast.stmt | None = None) -> Iterator[tuple[ast.stmt, Change]]:
    """The changes of a node and of what it contains, each with the statement that it is part of."""
    if is_left_alone(node, at_module_level=statement is None):
        return
    if isinstance(node, ast.stmt):
        statement = node
    if statement is not None:
        yield from ((statement, change) for change in changes(node))
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from changes_of(child, statement)


def is_left_alone(node: ast.AST, at_module_level: bool) -> bool:
    """Whether a node has no mutants: messages, log calls, assertions, type aliases, what only type checkers read."""
    match node:
        case ast.Raise() | ast.Assert() | ast.JoinedStr():
            return True
        case ast.keyword(arg=str(name)):
            return name in WITHOUT_EFFECT
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "warnings"))):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="log" | "warnings")))):
            return True
        case ast.Assign(targets=[ast.Name(id="__slots__" | "__all__")]):
            return True
        case ast.Assign(value=ast.Subscript()):
            return at_module_level
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
    return False


def changes(node: ast.AST) -> Iterator[Change]:
    """The changes of this node alone."""
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                mutated = copy.copy(node)
                mutated.ops = [*ops[:index], COMPARISONS[type(op)](), *ops[index + 1 :]]
                yield Change(node, f"({ast.unparse(mutated)})")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS and not is_text(left, right):
            yield Change(node, f"({ast.unparse(ast.BinOp(left, OPERATORS[type(op)](), right))})")
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in OPERATORS:
            yield Change(node, ast.unparse(ast.AugAssign(target, OPERATORS[type(op)](), value)))
        case ast.BoolOp(op=op, values=values):
            yield Change(
                node, f"({ast.unparse(ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values))})"
            )
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield Change(node, f"({ast.unparse(operand)})")
        case ast.Constant(value=bool(value)):
            yield Change(node, str(not value))
        case ast.Constant(value=int(value) | float(value)):
            yield Change(node, repr(value + 1))
        case ast.Call(func=ast.Name(id=name) as function) if name in FUNCTIONS:
            yield Change(function, FUNCTIONS[name])
        case ast.Call(func=ast.Attribute(value=value, attr=name) as function) if name in FUNCTIONS:
            yield Change(function, f"{ast.unparse(value)}.{FUNCTIONS[name]}")
        case ast.If(test=test, body=[ast.Raise()], orelse=[]):
            yield Change(test, "False")
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield Change(value, "None")
        case ast.Expr(value=ast.Call() | ast.Await(value=ast.Call())):
            yield Change(node, "pass")


def is_text(*operands: ast.expr) -> bool:
    """Whether one of the operands is a string."""
    return any(
        isinstance(each, ast.JoinedStr) or (isinstance(each, ast.Constant) and isinstance(each.value, str))
        for each in operands
    )


def draw(ring: str, count: int, seed: int) -> list[Mutant]:
    """Mutants of a ring, evenly over its modules. Few of them return None instead of a value: tests notice that."""
    generator = random.Random(seed)
    piles = []
    for module in sorted((ROOT / "app" / ring).rglob("*.py")):
        pile = mutants_of(str(module.relative_to(ROOT)), module.read_bytes())
        generator.shuffle(pile)
        piles.append([each for each in pile if each.new != "None" or generator.random() < RETURNS_DRAWN])
    generator.shuffle(piles)
    rounds = max(map(len, piles))
    return [pile[index] for index in range(rounds) for pile in piles if index < len(pile)][:count]


class Copy:
    """A temporary copy of the checkout, with its folder `shared` beside it."""

    def __init__(self, parent: Path) -> None:
        self.root = parent / "checkout"
        self._writes = 0
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.root / name)
        if (ROOT.parent / "shared").exists():
            (parent / "shared").symlink_to(ROOT.parent / "shared")

    def write(self, path: str, source: bytes) -> None:
        """Replace a module. Its modification time is new, so Python does not run what it has compiled before."""
        self._writes += 1
        (self.root / path).write_bytes(source)
        stamp = time.time() + 10 * self._writes
        os.utime(self.root / path, (stamp, stamp))


def in_child(folder: Path, output: Path, timeout: float, work: Callable[[], int]) -> int | None:
    """The exit code of a forked process that works in the copy; None if it took longer and was ended."""
    child = os.fork()
    if child == 0:
        os.setsid()  # so that it ends together with the servers that its tests start
        with output.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(folder)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False  # children after this one import `app` sooner
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
        sys.path[:] = [str(folder), *(each for each in sys.path if not (Path(each) / "service_tests").is_dir())]
        sys.modules.pop("service_tests", None)
        code: int | None = None
        try:
            code = work()
        finally:
            sys.stdout.flush()
            os._exit(FAILED if code is None else code)
    code, deadline = None, time.monotonic() + timeout
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if code is None:
        os.waitpid(child, 0)
    return code


def run_pytest(words: Sequence[str], plugins: Sequence[object] = ()) -> int:
    """Run tests in this process."""
    quiet = ["-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"]
    quiet += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # about modules that are imported already
    return int(pytest.main([*quiet, *words], plugins=list(plugins)))


class Recorder:
    """A plug-in of pytest: each test has a context of coverage, and its outcome and seconds are recorded."""

    def __init__(self, coverage: Any) -> None:
        self._coverage = coverage
        self.seconds: dict[str, float] = defaultdict(float)
        self.unfit: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._coverage.switch_context(item.nodeid)
        result = yield
        self._coverage.switch_context("")
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if not report.passed:
            self.unfit.add(report.nodeid)


class Measured(NamedTuple):
    """What the tests of one file execute.

    seconds: of each test that passed; lines: by module and line, the tests; compiled: whether they need `-m compiled`
    """

    digest: str
    compiled: bool
    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]


def measure(folder: Path, test_file: str, compiled: bool, result: Path) -> int:
    """Run the tests of one file in this process with coverage, and write what they execute."""
    from coverage import Coverage  # only the script needs it

    coverage = Coverage(data_file=None, include=[str(folder / "app/*")], messages=False)
    recorder = Recorder(coverage)
    coverage.start()
    code = run_pytest([test_file, *(["-m", "compiled"] if compiled else [])], [recorder])
    coverage.stop()
    data = coverage.get_data()
    seconds = {test: spent for test, spent in recorder.seconds.items() if test not in recorder.unfit}
    lines: dict[str, dict[str, list[str]]] = {}
    for module in data.measured_files():
        tests = {
            str(line): [each for each in contexts if each in seconds]
            for line, contexts in data.contexts_by_lineno(module).items()
        }
        lines[str(Path(module).relative_to(folder))] = {line: each for line, each in tests.items() if each}
    result.write_text(json.dumps([compiled, seconds, lines]))
    return code


class CoverageMap:
    """Which tests execute a line, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._app = digest((ROOT / "app").rglob("*.py"))
        stored: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {"app": "", "tests": {}}
        kept = stored["tests"] if stored["app"] == self._app else {}
        self._measured = {name: Measured(*values) for name, values in kept.items()}

    def update(self, checkout: Copy, test_files: Sequence[str], scratch: Path, timeout: float) -> None:
        """Measure the test files that are new or have changed."""
        for name in test_files:
            current = digest([checkout.root / name])
            if name in self._measured and self._measured[name].digest == current:
                continue
            compiled = "pytest.mark.compiled" in (ROOT / name).read_text()
            result, started = scratch / "measured.json", time.monotonic()
            result.unlink(missing_ok=True)

            def work(name: str = name, compiled: bool = compiled, result: Path = result) -> int:
                return measure(checkout.root, name, compiled, result)

            code = in_child(checkout.root, scratch / "output", timeout, work)
            print(f"measured {name} in {time.monotonic() - started:.0f} s (exit code {code})", flush=True)
            if result.exists():
                self._measured[name] = Measured(current, *json.loads(result.read_text()))
                self._file.write_text(json.dumps({"app": self._app, "tests": self._measured}))
        self._measured = {name: self._measured[name] for name in test_files if name in self._measured}

    def tests_of(self, mutant: Mutant, limit: int) -> list[str]:
        """At most so many tests that execute a mutant's statement, or its module if it runs at import."""
        covering: set[str] = set()
        for measured in self._measured.values():
            lines = measured.lines.get(mutant.path, {})
            covering.update(*(lines.get(str(line), []) for line in range(mutant.first, mutant.last + 1)))
        if not covering and runs_at_import(mutant):
            covering.update(
                *(tests for each in self._measured.values() for tests in each.lines.get(mutant.path, {}).values())
            )
        chosen: list[str] = []
        functions: Counter[str] = Counter()
        mirror = f"/test_{Path(mutant.path).stem}.py::"
        for test in sorted(covering, key=lambda test: (mirror not in test, self.seconds(test), test)):
            functions[test.partition("[")[0]] += 1
            if mirror in test or functions[test.partition("[")[0]] <= PARAMETRIZATIONS:
                chosen.append(test)
        return chosen[:limit]

    def seconds(self, test: str) -> float:
        """How long a test takes."""
        return self._measured[test.partition("::")[0]].seconds[test]

    def is_compiled(self, test: str) -> bool:
        """Whether a test runs with `-m compiled`."""
        return self._measured[test.partition("::")[0]].compiled


def runs_at_import(mutant: Mutant) -> bool:
    """Whether the changed statement is outside of functions, or defines one."""
    inside = [
        node
        for node in ast.walk(ast.parse((ROOT / mutant.path).read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        and node.lineno <= mutant.line <= (node.end_lineno or node.lineno)
    ]
    return all(node.lineno == mutant.first for node in inside)


def digest(files: Iterable[Path]) -> str:
    """A hash of the contents of files."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in sorted(files))).hexdigest()


class Outcome(NamedTuple):
    """What became of a mutant. reason: why it was killed, or nothing if it survived."""

    mutant: Mutant
    reason: str
    tests: list[str]


def attempt(checkout: Copy, coverage_map: CoverageMap, mutant: Mutant, limit: int, scratch: Path) -> Outcome:
    """Run the tests that may notice a mutant."""
    tests = coverage_map.tests_of(mutant, limit)
    output, basetemp = scratch / "output", scratch / "basetemp"
    checkout.write(mutant.path, mutant.source)
    try:
        for marker in ([], ["-m", "compiled"]):
            chosen = [test for test in tests if coverage_map.is_compiled(test) == bool(marker)]
            if not chosen:
                continue
            timeout = 40 + 5 * sum(map(coverage_map.seconds, chosen))
            words = ["-x", "--basetemp", str(basetemp), *marker, *chosen]
            code = in_child(checkout.root, output, timeout, partial(run_pytest, words))
            if code is None:
                return Outcome(mutant, "timeout", tests)
            if code != 0:
                failed = re.search(r"^(?:FAILED|ERROR) (\S+)", output.read_text(errors="replace"), re.MULTILINE)
                return Outcome(mutant, failed[1] if failed else f"exit code {code}", tests)
    finally:
        checkout.write(mutant.path, (ROOT / mutant.path).read_bytes())
    return Outcome(mutant, "", tests)


def report(ring: str, outcomes: Sequence[Outcome]) -> None:
    """Print the table of a ring, and its survivors."""
    survivors = [each for each in outcomes if not each.reason]
    print(f"\n| ring | made | killed | survived | of those not executed |\n|{'---|' * 5}")
    unexecuted = sum(not each.tests for each in survivors)
    print(f"| {ring} | {len(outcomes)} | {len(outcomes) - len(survivors)} | {len(survivors)} | {unexecuted} |\n")
    for mutant, _, tests in survivors:
        print(mutant)
        for name, count in Counter(test.partition("::")[0] for test in tests).items():
            print(f"    {count} of {name}")


def main() -> None:
    """Make mutants, run the tests, and print what survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="service_tests.mutants"
    )
    parser.add_argument("paths", nargs="*", default=TESTS, help="folders and files of tests to run")
    parser.add_argument("--ring", choices=RINGS, action="append", help="package of app to change (default: all three)")
    parser.add_argument("--count", type=int, default=100, help="mutants for each ring")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--tests", type=int, default=25, help="the most tests to run for a mutant")
    parser.add_argument("--only", action="append", help="only the drawn mutants of this PATH:LINE")
    parser.add_argument("--map", type=Path, default=Path(tempfile.gettempdir()) / "innerloop_mutants.json")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for measuring a test file")
    options = parser.parse_args()
    files = [
        str(file.relative_to(ROOT))
        for name in options.paths
        for file in ([ROOT / name] if (ROOT / name).is_file() else sorted((ROOT / name).rglob("test_*.py")))
    ]
    for module in PRELOADED:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        checkout = Copy(scratch)
        coverage_map = CoverageMap(options.map)
        coverage_map.update(checkout, files, scratch, options.timeout)
        for ring in options.ring or RINGS:
            outcomes = []
            for mutant in draw(ring, options.count, options.seed):
                if options.only and f"{mutant.path}:{mutant.line}" not in options.only:
                    continue
                started = time.monotonic()
                outcomes.append(attempt(checkout, coverage_map, mutant, options.tests, scratch))
                reason = outcomes[-1].reason
                state = f"killed by {reason}" if reason else f"SURVIVED {len(outcomes[-1].tests)} tests"
                print(f"{len(outcomes):4} {time.monotonic() - started:4.0f} s  {mutant}  {state}", flush=True)
            report(ring, outcomes)


if __name__ == "__main__":
    main()
