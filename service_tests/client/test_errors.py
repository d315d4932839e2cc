"""What the errors of the client say can be printed, whatever a server has sent."""

import pytest

from innerloop_client import Diverged, InnerloopError, UnexpectedAnswer
from innerloop_client.descriptions import reading
from innerloop_client.errors import server_error

HALF = "half\ud800"


@pytest.mark.parametrize("more", [{}, {"losses": [1.0]}])
def test_half_of_a_surrogate_pair_is_shown_as_an_escape(more: dict[str, object]) -> None:
    problem = {"status": 422, "title": HALF, "place": HALF, "detail": f"{HALF}: {HALF}", **more}
    error = server_error(problem)
    assert isinstance(error, Diverged) == bool(more)
    for text in (str(error), error.detail, error.title, error.place):
        assert r"half\ud800" in text
        text.encode()
    assert error.problem["detail"] == problem["detail"], "as it came"


@pytest.mark.parametrize("kind", [InnerloopError, UnexpectedAnswer])
def test_every_error_can_be_printed(kind: type[InnerloopError]) -> None:
    assert str(kind(HALF)) == r"half\ud800"


def test_an_answer_whose_reason_cannot_be_printed() -> None:
    with pytest.raises(UnexpectedAnswer) as error, reading("a model"):
        raise KeyError(HALF)
    str(error.value).encode()
