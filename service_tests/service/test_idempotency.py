"""The names by which a repeated request is recognised: they stay what they were, or an upgrade would forget them."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from app.service.commands import AdaptCommand
from app.service.cross_validation import Method
from app.service.idempotency import names_of
from app.service.record import InnerLoopSettings
from app.service.support_set import SupportSet

MODEL: Any = SimpleNamespace(bundle=SimpleNamespace(name="sinusoid"), digest="ab" * 32)
SUPPORT = SupportSet(np.array([[1.0], [2.0]], np.float32), np.array([[0.5], [0.25]], np.float32))


@pytest.mark.parametrize(
    ("settings", "assess", "fingerprint", "content"),
    [
        ((3, 0.01), Method.k_fold, "debccf4e89f12b564384367b19339874", "9d55caa60209bdd9ddc7ae09da1e55ae"),
        ((None, None), None, "80976e498733dba3e7c3bf9f10f816df", "5e938970d44c49ba835a308289c9d6ff"),
    ],
)
def test_names_are_those_of_version_0_1(
    settings: tuple[int | None, float | None], assess: Method | None, fingerprint: str, content: str
) -> None:
    command = AdaptCommand("", MODEL, SUPPORT, InnerLoopSettings(*settings), 60, "x", True, assess, "k", True)
    key, reuse = names_of(command)
    assert (key.name, key.fingerprint.hex()) == ("key:k", fingerprint)
    assert (reuse.name, reuse.fingerprint) == (f"content:{content}", b"")
