"""The package by itself: what it imports, what it needs, and that it is shipped once."""

import ast
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import innerloop_client
from app import __version__
from service_tests.processes import ROOT

FOLDER = ROOT / "app/client"
SOURCES = sorted(FOLDER.rglob("*.py"))
OPTIONAL = ("numpy", "pandas", "PIL", "torch", "sklearn", "app", "msgspec")
SCRIPT = f"""
import sys
import innerloop_client
imported = [name for name in {OPTIONAL} if name in sys.modules]
with innerloop_client.Client(sys.argv[1]) as innerloop:
    pump = innerloop.adapt("sinusoid", [[1.0], [2.0]], [0.5, 1.0])
    pump.predict([[1.5]] * 5000)
    pump.extend([[3.0]], [1.0]).forget(0).undo()
    innerloop.adapt_many([{{"model": "sinusoid", "x": [[1.0]], "y": [1.0]}}])
print(imported, [name for name in {OPTIONAL} if name in sys.modules])
"""


def test_nothing_optional_is_imported_unless_it_is_passed(url: str) -> None:
    words = [sys.executable, "-c", SCRIPT, url]
    result = subprocess.run(words, env={"PYTHONPATH": str(FOLDER)}, capture_output=True, text=True, check=False)
    assert (result.stdout, result.stderr) == ("[] []\n", "")


@pytest.mark.parametrize("path", SOURCES, ids=[path.name for path in SOURCES])
def test_the_syntax_is_that_of_the_oldest_python(path: Path) -> None:
    """And nothing is imported from the standard library that it does not have."""
    tree = ast.parse(path.read_text(), feature_version=(3, 10))
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported = {f"{node.module}.{name.name}" for node in froms for name in node.names}
    newer = {"Self", "Unpack", "Required", "NotRequired", "override", "assert_never", "reveal_type", "LiteralString"}
    assert not imported & {"datetime.UTC", "enum.StrEnum", "contextlib.chdir", *(f"typing.{name}" for name in newer)}


@pytest.mark.parametrize("path", SOURCES, ids=[path.name for path in SOURCES])
def test_no_comprehension_inside_another_one_awaits(path: Path) -> None:
    """Which `ast` lets pass, and Python 3.10 refuses."""
    comprehensions = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
    for outer in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, comprehensions)):
        for inner in (node for node in ast.walk(outer) if node is not outer and isinstance(node, comprehensions)):
            assert not any(isinstance(node, ast.Await) for node in ast.walk(inner)), f"line {inner.lineno}"


def test_the_oldest_python_compiles_it() -> None:
    command = shutil.which("python3.10")
    if not command or subprocess.run([command, "--version"], capture_output=True, check=False).returncode:
        pytest.skip("needs python3.10")
    script = "import sys; [compile(open(path).read(), path, 'exec') for path in sys.argv[1:]]"
    result = subprocess.run([command, "-c", script, *map(str, SOURCES)], capture_output=True, text=True, check=False)
    assert result.stderr == ""


def test_its_version_is_that_of_the_server() -> None:
    assert innerloop_client.__version__ == __version__


def test_all_names_are_there_and_sorted() -> None:
    assert innerloop_client.__all__ == sorted(innerloop_client.__all__)
    assert all(hasattr(innerloop_client, name) for name in innerloop_client.__all__)


def test_it_needs_httpx_alone() -> None:
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    assert [each.partition(">")[0] for each in project["dependencies"]] == ["httpx"]


@pytest.mark.parametrize("folder", [ROOT, FOLDER], ids=["server", "client"])
def test_a_wheel_has_one_copy(folder: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = [name for name in zipfile.ZipFile(wheel).namelist() if "client/" in name or "innerloop_client/" in name]
    expected = {f"innerloop_client/{path.relative_to(FOLDER / 'innerloop_client')}" for path in SOURCES}
    assert {name for name in names if "dist-info" not in name} == expected | {"innerloop_client/py.typed"}
