"""How adaptations look at a prompt and in a notebook."""

from io import StringIO

import pytest
from rich.console import Console

from innerloop_client import Client
from service_tests.api.requests import WAVE


def test_an_adaptation_shows_what_people_look_for(innerloop: Client) -> None:
    pump = innerloop.adapt("sinusoid", WAVE["inputs"], WAVE["targets"], label="<b>pump</b>", steps=1)
    start = f"Adaptation(id='{pump.id}', model='sinusoid', label='<b>pump</b>', revision=1, support_size=5, losses=["
    assert repr(pump).startswith(start)
    html = pump._repr_html_()
    assert "<td>&lt;b&gt;pump&lt;/b&gt;</td>" in html
    losses = [loss for loss in pump.losses if loss is not None]
    assert f"<td>{losses[0]:.4g} before the first step, {losses[1]:.4g} after 1</td>" in html
    assert f"<td>{pump.expires_at:%Y-%m-%d %H:%M:%S} UTC</td>" in html
    out = StringIO()
    Console(file=out, width=100).print(pump)
    assert out.getvalue().startswith("Adaptation(\n    id='")


def test_a_method_has_the_signature_and_the_text_of_the_operation(capsys: pytest.CaptureFixture[str]) -> None:
    for method in ("adapt", "predict", "adapt_many", "adaptations", "adapt_stream"):
        help(getattr(Client, method))
    out = capsys.readouterr().out
    assert "learning_rate: float | None = None" in out
    assert "Adapt a model to examples, and store the adaptation on the server." in out
