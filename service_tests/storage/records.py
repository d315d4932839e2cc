"""Records for the suites of the stores."""

from collections.abc import Sequence
from dataclasses import fields, replace

import numpy as np

from app.learn.adaptation_outcome import Status
from app.service.record import Adaptation, Change, InnerLoopSettings, Revision
from app.service.store_protocol import Name, Quota
from app.service.stored_examples import Stage

PLENTY = Quota(records=10**9, bytes=10**12)
DIGEST = "ab" * 32


def id_of(number: int) -> str:
    """Ids that ascend with these numbers."""
    return f"{number:012x}70008{0:015x}"


def record(
    number: int,
    owner: str = "ann",
    *,
    model: str = "sinusoid",
    label: str | None = None,
    names: Sequence[Name] = (),
    expires_at: float = 200.0,
    inputs: np.ndarray | None = None,
) -> Adaptation:
    """A record of two examples, or of those given."""
    inputs = np.ones((2, 1), np.float32) if inputs is None else inputs
    rows = len(inputs)
    return Adaptation(
        id=id_of(number),
        owner=owner,
        model=model,
        kind="regression",
        settings=InnerLoopSettings(None, None),
        steps=5,
        learning_rate=0.01,
        stages=(Stage(1, np.arange(rows, dtype=np.int32), inputs, np.zeros((rows, 1), np.float32)),),
        next_example=rows,
        history=(Revision(1, Change.adapted, rows, DIGEST, 100.25),),
        losses=(2.0, 1.0),
        status=Status.improved,
        created_at=100.25,
        expires_at=expires_at,
        label=label,
        names=tuple(name.name for name in names),
    )


def revised(adaptation: Adaptation, **changes: object) -> Adaptation:
    """The next revision, changed in these fields."""
    last = adaptation.history[-1]
    history = (*adaptation.history, last._replace(number=last.number + 1, change=Change.extended))
    return replace(adaptation, history=history, **changes)  # type: ignore[arg-type]  # the fields vary


def comparable(adaptation: Adaptation | None) -> object:
    """A record with lists for arrays."""

    def plain(value: object) -> object:
        return (value.dtype.name, [plain(each) for each in value.tolist()]) if isinstance(value, np.ndarray) else value

    assert adaptation is not None
    stages = [[*map(plain, stage), [type(each) for each in stage.labels]] for stage in adaptation.stages]
    return stages, [getattr(adaptation, each.name) for each in fields(adaptation) if each.name != "stages"]
