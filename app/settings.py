"""The settings of the server. Each is also an environment variable: INNERLOOP_ and its name in capitals."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings, read from the environment. The server does not start with a value out of range."""

    model_config = SettingsConfigDict(env_prefix="INNERLOOP_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    models_dir: Path = Field(Path("models"), description="Folder of the bundles")
    state_dir: Path = Field(Path("state"), description="Folder of what the server keeps between starts")
    cache_dir: Path | None = Field(None, description="Folder of compiled code; by default `cache` in the state folder")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device that computes; auto: the GPU if there is one"
    )
    threads: int = Field(1, ge=1, le=1024, description="Threads of a computation on the CPU")
    compile: bool = Field(True, description="Compile the inner loop in the background at start")
    watch: bool = Field(True, description="Reload bundles when the models folder changes; SIGHUP always reloads them")
    on_new_bundle: Literal["rederive", "pin"] = Field(
        "rederive",
        description="What happens to adaptations when a bundle is replaced: rederive them from the new bundle, or pin "
        "them to the old one while it is there; a request may choose for itself",
    )
    store: Literal["sqlite", "redis", "memory"] = Field(
        "sqlite", description="Store of the adaptations: a file in the state folder, Redis or Valkey, or memory"
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="URL of Redis or Valkey, for the store redis")
    durability: Literal["fsync", "process"] = Field(
        "fsync",
        description="What acknowledged adaptations survive: fsync, a power failure; process, the end of the process",
    )
    max_adaptations: int = Field(10_000_000, ge=1, description="Most adaptations to keep")
    max_stored_bytes: int = Field(16 * 2**30, ge=1, description="Most bytes of adaptation records to keep")
    fast_weights_bytes: int = Field(
        256 * 2**20,
        ge=0,
        description="Bytes of the cache of fast weights of a bundle; a classifier has one for each number of classes, "
        "rounded up to a power of 2",
    )
    adaptation_ttl_s: int = Field(
        86_400, ge=1, description="Lifetime of an adaptation in seconds, unless the request sets ttl_s"
    )
    max_ttl_s: int = Field(31 * 86_400, ge=1, description="Longest lifetime in seconds that a request may set")
    max_body_bytes: int = Field(32 * 2**20, ge=1024, description="Largest request body in bytes")
    max_support_examples: int = Field(10_000, ge=1, description="Largest support set in examples")
    max_waiting: int = Field(4096, ge=1, description="Requests that may wait for the device; further ones get a 503")
    max_waiting_bytes: int = Field(
        512 * 2**20, ge=1, description="Bytes of support sets and queries that may wait; further requests get a 503"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level to log")

    @property
    def compile_cache(self) -> Path:
        """The folder of compiled code."""
        return self.cache_dir or self.state_dir / "cache"

    @model_validator(mode="after")
    def _check_lifetimes(self) -> "Settings":
        if self.adaptation_ttl_s > self.max_ttl_s:
            raise ValueError(
                "INNERLOOP_ADAPTATION_TTL_S is over INNERLOOP_MAX_TTL_S: lower the first or raise the second"
            )
        return self
