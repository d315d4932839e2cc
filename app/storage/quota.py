"""Whether an owner may store more: the rule of memory and sqlite. `redis_scripts` has the same rule in Lua."""

from app.errors import QuotaExceeded
from app.service.store_protocol import Quota, Usage


def refusal(quota: Quota, old: Usage, new: Usage) -> QuotaExceeded | None:
    """The error that refuses a change of usage, or None. Shrinking is always allowed, even under a lowered quota."""
    if new.records > max(quota.records, old.records):
        return QuotaExceeded(quota.records, "adaptations")
    if new.bytes > max(quota.bytes, old.bytes):
        return QuotaExceeded(quota.bytes, "bytes")
    return None
