"""The settings of the server. Each is also an environment variable: INNERLOOP_ and its name in capitals."""

import os
import re
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

NEARLY = 0.85
"""Similarity to the name of a setting, from 0 to 1, above which another name counts as misspelt."""

ENDPOINTS = ("adapt", "predict", "adaptations", "models", "health", "docs", "openapi.json", "static-offline-docs")
"""What paths of the server begin with. A prefix of that name could not be told from them."""
DEFAULT_PORT = r"http://.*:80|https://.*:443"
"""Browsers leave such a port out."""
Words = Annotated[tuple[str, ...], NoDecode]
"""Words that an environment variable separates by commas."""


class Settings(BaseSettings):
    """The settings of the server, read from the environment. The server does not start if a value is out of range."""

    model_config = SettingsConfigDict(env_prefix="INNERLOOP_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address that the server listens on; 0.0.0.0 for all interfaces")
    port: int = Field(8000, ge=0, le=65535, description="Port that the server listens on; 0 for any free port")
    models_dir: Path = Field(Path("models"), description="Folder of the bundles that the server serves")
    state_dir: Path = Field(
        Path("state"), description="Folder of the adaptations and everything else that the server stores between starts"
    )
    cache_dir: Path | None = Field(None, description="Folder of compiled code; by default `cache` in the state folder")
    root_path: str = Field(
        "",
        description="Prefix under which a proxy serves the server, such as /innerloop. The proxy may remove the prefix "
        "or keep it",
    )
    trusted_proxies: Words = Field(
        (),
        description="Addresses or networks of proxies, separated by commas, whose X-Forwarded-For, -Proto and -Prefix "
        "count; * for all",
    )
    cors_origins: Words = Field(
        (),
        description="Origins whose web pages may call the server (CORS), separated by commas, such as "
        "https://example.com; * for all",
    )
    access_log: bool = Field(False, description="Whether to log a line for each request")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device that computes: cpu, cuda, or auto for the GPU if there is one and the CPU otherwise"
    )
    threads: int = Field(1, ge=1, le=1024, description="Number of CPU threads that one computation uses")
    compile: bool = Field(
        True,
        description="Whether to compile the inner loop of regression models, and the predictions of policies, in the "
        "background at start; this needs g++ and Python's headers. Classifiers always run uncompiled",
    )
    watch: bool = Field(
        True, description="Whether to load bundles again when the models folder changes; SIGHUP always does"
    )
    on_new_bundle: Literal["rederive", "pin"] = Field(
        "rederive",
        description="What happens to an adaptation when a newer bundle replaces its own: rederive adapts again on the "
        "newer bundle, pin keeps the older one; a request can choose with `pinned`",
    )
    store: Literal["sqlite", "redis", "memory"] = Field(
        "sqlite",
        description="Where adaptations are stored: sqlite, a file in the state folder; redis, a Redis or Valkey "
        "server; memory, which loses them when the server stops",
    )
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0", description="URL of the Redis or Valkey server, if the store is redis"
    )
    durability: Literal["fsync", "process"] = Field(
        "fsync",
        description="When the server answers that an adaptation is stored. fsync: once it is on the disk, where it "
        "survives a power failure. process: sooner; it survives a crash of the server, but may be lost in a power "
        "failure",
    )
    max_adaptations: int = Field(
        10_000_000, ge=1, description="Largest number of stored adaptations; further ones get a 507"
    )
    max_stored_bytes: int = Field(
        16 * 2**30, ge=1, description="Largest size of all stored adaptations in bytes; further ones get a 507"
    )
    fast_weights_bytes: int = Field(
        256 * 2**20,
        ge=0,
        description="Largest size, in bytes, of the cache of adapted weights (fast weights) of each bundle. For a "
        "classifier, it is split among four caches: one for each of the four class counts (rounded up to 2, 4, 8, ...) "
        "that were used last",
    )
    adaptation_ttl_s: int = Field(
        86_400, ge=1, description="Seconds until an adaptation expires, unless its request sets `ttl_s`"
    )
    max_ttl_s: int = Field(31 * 86_400, ge=1, description="Largest `ttl_s` of a request, in seconds")
    max_body_bytes: int = Field(32 * 2**20, ge=1024, description="Largest request body, in bytes")
    max_support_examples: int = Field(10_000, ge=1, description="Largest number of examples in a support set")
    max_multiply_adds: int = Field(
        500_000_000_000,
        ge=1,
        description="Largest work of one request, in multiply-adds (a core does about 20 billion a second); requests "
        "that cost more get a 422",
    )
    max_work_bytes: int = Field(
        2**30,
        ge=2**20,
        description="Largest memory for the work of one request, in bytes; requests that need more get a 422",
    )
    max_waiting: int = Field(4096, ge=1, description="Largest number of waiting requests; further ones get a 503")
    max_waiting_bytes: int = Field(
        512 * 2**20,
        ge=1,
        description="Largest size of all waiting requests together, in bytes; further ones get a 503",
    )
    shutdown_s: float = Field(
        30,
        ge=0,
        le=3600,
        allow_inf_nan=False,
        description="Largest time that stopping takes, in seconds, at most 3600: the server answers the requests that "
        "it has received, and drops those that take longer. 0 drops them at once; closing the store then takes up to "
        "a second",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level of messages that the server logs"
    )

    @field_validator("port", mode="before")
    @classmethod
    def _check_port(cls, value: object) -> object:
        if isinstance(value, str) and value.startswith("tcp://"):
            raise ValueError(
                f"expected a port, got {value!r}: Kubernetes sets this variable for a service called innerloop, so set "
                "enableServiceLinks: false for the pod, or give the service another name"
            )
        return value

    @field_validator("trusted_proxies", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value

    @field_validator("root_path")
    @classmethod
    def _check_root_path(cls, root_path: str) -> str:
        root_path = root_path.removesuffix("/")
        words = root_path.split("/")
        if words[0] or not all(re.fullmatch(r"(?!\.{1,2}$)[\w.~-]+", word, re.ASCII) for word in words[1:]):
            raise ValueError(
                f"expected a path such as /innerloop, of letters, digits, '.', '_', '~' and '-', got {root_path!r}"
            )
        if words[1:2] and words[1] in ENDPOINTS:
            expected = "expected a prefix that does not begin like an endpoint"
            raise ValueError(f"{expected}, got {root_path!r}: choose another, such as /innerloop")
        return root_path

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network("0.0.0.0/0" if proxy == "*" else proxy)
            except ValueError as error:
                expected = "expected addresses, networks such as 10.0.0.0/8, or *"
                raise ValueError(f"{expected}, got {proxy!r}: {error}") from error
        return ("*",) if "*" in proxies else proxies

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        origins = tuple(origin.lower() for origin in origins)
        for origin in origins:
            if not re.fullmatch(r"\*|null|\w[\w+.-]*://[^/?#\s]+", origin) or re.fullmatch(DEFAULT_PORT, origin):
                raise ValueError(
                    f"expected origins such as https://example.com, or *, got {origin!r}: an origin has a scheme and a "
                    "host, but no path, no slash at the end, and no port that is the default of its scheme"
                )
        return origins

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, values: object) -> object:
        """Refuse a variable whose name is close to that of a setting. Other names may belong to other programs."""
        ours = {f"INNERLOOP_{name.upper()}" for name in cls.model_fields}
        for name in os.environ:
            capitals = name.upper()  # a setting is found whatever its case
            near = get_close_matches(capitals, ours, 1, NEARLY) if capitals.startswith("INNERLOOP_") else []
            if near and capitals not in ours:
                raise ValueError(
                    f"{name}: unknown setting. Did you mean {near[0]}? Correct the name, or unset the variable"
                )
        return values

    @property
    def compile_cache(self) -> Path:
        """The folder of compiled code."""
        return self.cache_dir or self.state_dir / "cache"

    @model_validator(mode="after")
    def _check_lifetimes(self) -> "Settings":
        if self.adaptation_ttl_s > self.max_ttl_s:
            raise ValueError(
                f"INNERLOOP_ADAPTATION_TTL_S: expected at most INNERLOOP_MAX_TTL_S ({self.max_ttl_s}), got "
                f"{self.adaptation_ttl_s}: lower the first or raise the second"
            )
        return self
