"""Whether an owner may keep more."""

from app.errors import QuotaExceeded
from app.service.store import Quota, Usage


def refusal(quota: Quota, used: Usage, wanted: Usage) -> QuotaExceeded | None:
    """What to refuse a change of usage with, or None; one that shrinks is always allowed, whatever the quota is now."""
    if wanted.records > max(quota.records, used.records):
        return QuotaExceeded(quota.records, "adaptations")
    if wanted.bytes > max(quota.bytes, used.bytes):
        return QuotaExceeded(quota.bytes, "bytes")
    return None
