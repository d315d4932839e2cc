"""The attempts of one call: how long each may take, and whether another may help."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

RETRIED = frozenset({429, 502, 503})
"""The status codes of answers after which the same request may succeed."""
FIRST_S, MAX_S = 0.1, 5.0
"""Longest wait before the first repeat, and before any."""
SILENCE = (0.1, 0.2)
"""How long the server may be silent in the first attempts, in shares of the timeout; after these for all that is left.

So a connection that is dropped without a word costs a tenth of the time.
"""
LEAST_SILENCE_S = 5.0
"""The server may be silent for so long in any attempt, because it may be slow."""
MAX_SILENT = 0.31
"""The largest share of the timeout that silent attempts take together.

So a call that takes two thirds of the timeout succeeds, even if the server starts again with each attempt.
"""


class Attempts:
    """The attempts of one call, until one succeeds, none is left or the timeout has passed."""

    def __init__(self, timeout: float, retries: int, deadline: float | None = None) -> None:
        """Begin with the first attempt.

        timeout: seconds for all attempts
        retries: most repeats
        deadline: when the timeout has passed, if it began with an earlier request
        """
        self.timeout, self._retries = timeout, retries
        self._deadline = time.monotonic() + timeout if deadline is None else deadline
        self._failed = 0
        self._silences = self._first_silences()

    @property
    def repeated(self) -> bool:
        """Whether the next attempt repeats an earlier one, which may have arrived too."""
        return self._failed > 0

    @property
    def left_s(self) -> float:
        """The time that is left."""
        return self._deadline - time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time that does not count, because the user has it."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._deadline += time.monotonic() - began

    def silence_s(self, left_s: float) -> float:
        """How long the server may be silent in the next attempt. left_s: the time that is left"""
        if not self._silences or self._failed == self._retries or 2 * self._silences[0] >= left_s:
            return left_s
        return self._silences[0]

    def wait_s(self, response: httpx.Response | None = None, error: httpx.RequestError | None = None) -> float | None:
        """An attempt has failed: seconds to wait before the next one; None if there is none.

        response, error: how it has failed
        """
        wait = backoff_s(self._failed) + (0 if response is None else retry_after_s(response))
        if self._failed == self._retries or wait >= self.left_s:
            return None
        self._failed += 1
        if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            del self._silences[:1]
        return wait

    def _first_silences(self) -> list[float]:
        """How long the server may be silent in each of the first attempts, in seconds."""
        silences: list[float] = []
        for share in SILENCE:
            silence = max(LEAST_SILENCE_S, share * self.timeout)
            if sum(silences) + silence <= MAX_SILENT * self.timeout:
                silences.append(silence)
        return silences


def backoff_s(attempt: int) -> float:
    """Seconds to wait after an attempt, counted from 0.

    The wait is random, up to a bound that doubles with each attempt, so that many clients do not come back at once.
    """
    return random.uniform(0, min(MAX_S, FIRST_S * 2 ** min(attempt, 30)))  # 30: far above MAX_S  # noqa: S311 (no secret)


def retry_after_s(response: httpx.Response) -> float:
    """The seconds of a Retry-After header, which has a number or a date; 0 if there is none or it has neither."""
    header = response.headers.get("retry-after", "").strip()
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
        wait = date.replace(tzinfo=date.tzinfo or timezone.utc) - datetime.now(timezone.utc)
    except (OverflowError, TypeError, ValueError):  # TypeError and OverflowError: of dates that cannot be
        return 0.0
    return max(0.0, wait.total_seconds())
