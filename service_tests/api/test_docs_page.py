"""In the page /docs, Execute sends each example as it stands. Needs Chromium; the encoder of msgpack needs Node.js."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from fastapi.responses import HTMLResponse

from app.api.docs_page import SCRIPT
from app.main import create_app
from app.settings import Settings
from service_tests.api.requests import body
from service_tests.processes import ROOT, serving_in_a_thread

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
OPTIONS = (
    "--headless",
    "--no-sandbox",  # for root, and the pages are ours
    "--disable-gpu",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # there is no other host
    "--virtual-time-budget=120000",  # its milliseconds pass at once if the page only waits for a timer
    "--dump-dom",
)
PRESS_EXECUTE = ROOT / "service_tests/api/press_execute.js"


@pytest.mark.skipif(CHROMIUM is None, reason="install Chromium")
@pytest.mark.parametrize("root", ["", "/ml"], ids=["without a prefix", "below a prefix"])
def test_execute_sends_each_example_as_it_stands(
    models_dir: Path, reused_models: None, tmp_path: Path, root: str
) -> None:
    settings = {"models_dir": models_dir, "compile": False, "watch": False, "store": "memory", "root_path": root}
    app = create_app(Settings.model_validate(settings))
    with serving_in_a_thread(app) as origin, httpx.Client(base_url=origin + root) as client:
        page = client.get("/docs").text.replace("</body>", f"<script>{PRESS_EXECUTE.read_text()}</script></body>")

        @app.get("/pressed", include_in_schema=False)
        async def show_pressed() -> HTMLResponse:
            return HTMLResponse(page)

        adaptation_id = client.post("/adapt", json=body()).json()["adaptation_id"]
        words = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={tmp_path}", f"{origin}{root}/pressed?id={adaptation_id}"]
        browser = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True)
        paths: dict[str, Any] = client.get("/openapi.json").json()["paths"]

    found = re.search('<script id="pressed" type="application/json">(.*?)</script>', browser.stdout, re.DOTALL)
    assert found, browser.stderr[-3000:]
    pressed = json.loads(found[1])
    assert isinstance(pressed, list), pressed
    assert [(each["operation"], each["media"]) for each in pressed] == [
        (operation["operationId"], media)
        for operations in paths.values()
        for operation in operations.values()
        for media in operation.get("requestBody", {"content": {}})["content"]
    ]
    for each in pressed:
        assert each["status"] in ("200", "201"), each
        assert f"-H 'Content-Type: {each['media']}'" in each["curl"]
        if each["media"] == "application/msgpack":
            assert each["curl"].endswith("--data-binary '@body.msgpack'")
        if each["media"] == "application/x-ndjson":
            assert '-d \'{"model": ' in each["curl"]
            model = "sinusoid-bayes" if each["operation"] == "propose" else "sinusoid"
            assert [json.loads(line)["model"] for line in each["answer"].splitlines()] == [model] * 2


def run_script(program: str, value: object) -> bytes:
    """What a program in JavaScript prints, which has the functions of the page and a value."""
    if shutil.which("node") is None:
        pytest.skip("install Node.js 20 or newer")
    words = ["node", "--eval", f"{SCRIPT}\nconst value = JSON.parse(fs.readFileSync(0));\n{program}"]
    return subprocess.run(words, input=json.dumps(value).encode(), capture_output=True, timeout=60, check=True).stdout


def test_the_page_encodes_any_json_as_msgpack() -> None:
    value: dict[str, Any] = {
        "": None,
        "booleans": [True, False],
        "integers": [0, -1, 255, 604_800, 2**53 - 1, 1 - 2**53],
        "others": [0.5, -3.64, 1e-300, 1e300],
        "größe": ["", "µm", "😀", "a" * 70_000],
        "nested": [[], {}, [[{"deep": [[]]}]]],
        "many": list(range(70_000)),
    }
    write = "new Blob([...msgpack(value)]).arrayBuffer().then((buffer) => process.stdout.write(Buffer.from(buffer)))"
    decoded = msgspec.msgpack.decode(run_script(write, value))
    assert decoded == value
    assert [type(each) for each in decoded["integers"]] == [int] * 6


def test_the_page_sends_wrong_json_as_json_so_that_the_problem_says_where() -> None:
    request = {"headers": {"Content-Type": "application/msgpack"}, "body": '{"model": sinusoid}'}
    sent = json.loads(run_script("console.log(JSON.stringify(encodeBody(value)))", request))
    assert sent == {"headers": {"Content-Type": "application/json"}, "body": request["body"]}
