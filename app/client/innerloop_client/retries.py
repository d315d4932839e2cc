"""When a request is sent again, and after how long."""

import random
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

import httpx

RETRIED = frozenset({429, 502, 503})
"""The status codes of answers after which the same request may succeed."""
FIRST_S, MAX_S = 0.1, 5.0
"""Longest wait before the first repeat, and before any."""


def wait_s(attempt: int, response: httpx.Response | None) -> float:
    """Seconds to wait after an attempt, counted from 0.

    The wait is random, up to a bound that doubles with each attempt, so that many clients do not come back at once. It
    begins after the time that the server asks for.
    """
    backoff = random.uniform(0, min(MAX_S, FIRST_S * 2**attempt))  # noqa: S311 (no secret)
    return backoff + (0.0 if response is None else retry_after_s(response.headers.get("retry-after", "")))


def retry_after_s(header: str) -> float:
    """The seconds of a Retry-After header, which has a number or a date; 0 if it has neither."""
    if header.strip().isdigit():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    return max(0.0, (date.replace(tzinfo=date.tzinfo or timezone.utc) - datetime.now(timezone.utc)).total_seconds())
