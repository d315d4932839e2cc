from dataclasses import replace
from pathlib import Path

import pytest

from app.bundles.folder import load
from app.training.family_and_network import family_of
from app.training.plots import task_panel
from app.training.tasks import Setting

figure = pytest.importorskip("matplotlib.figure", reason="an extra: pip install 'innerloop-server[train]'")


def test_a_default_of_no_steps_is_drawn_twice(models_dir: Path) -> None:
    bundle = load(models_dir / "linear")
    bounds = replace(bundle.manifest.inner_loop, steps=0)
    still = replace(bundle, manifest=replace(bundle.manifest, inner_loop=bounds))
    axes = figure.Figure().subplots()
    task_panel(still, family_of(bundle), Setting(5))(axes)
    lines = {line.get_label(): line.get_ydata().tolist() for line in axes.lines}
    assert lines["before"] == lines["after 0 steps"]
