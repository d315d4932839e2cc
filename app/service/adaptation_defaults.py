"""The defaults and limits of the server for adaptations."""

from dataclasses import dataclass


@dataclass(frozen=True)
class AdaptationDefaults:
    """The server's defaults and limits.

    ttl_s: seconds that an adaptation lives where the client does not say
    pinned: whether an adaptation stays with its bundle when there is a newer one, where the client does not say
    max_support: examples that an adaptation may have
    """

    ttl_s: int
    pinned: bool
    max_support: int
