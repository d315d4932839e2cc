"""Every setting of the server. Each is an environment variable too: INNERLOOP_ and its name in capitals."""

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read from the environment; a value that makes no sense refuses to start."""

    model_config = SettingsConfigDict(env_prefix="INNERLOOP_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one")
    models_dir: Path = Field(Path("models"), description="The folder of the bundles")
    state_dir: Path = Field(Path("state"), description="The folder of what the server keeps between starts")
    cache_dir: Path | None = Field(None, description="The folder of compiled code; unset: `cache` in the state folder")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where to compute; auto: the GPU if any")
    threads: int = Field(1, ge=1, le=1024, description="Threads of one computation on the CPU")
    compile: bool = Field(True, description="Compile the inner loop in the background at start")
    watch: bool = Field(True, description="Load bundles again when the models folder changes; SIGHUP does so always")
    on_new_bundle: Literal["rederive", "pin"] = Field(
        "rederive",
        description="When a newer bundle has the name of theirs, adaptations are derived again with it, or stay with "
        "the older one as long as it is there; a request may say otherwise",
    )
    store: Literal["sqlite", "redis", "memory"] = Field(
        "sqlite", description="Where adaptations are kept: a file in the state folder, Redis or Valkey, this process"
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Where Redis or Valkey is, for the store redis")
    durability: Literal["fsync", "process"] = Field(
        "fsync",
        description="What an acknowledged adaptation survives: fsync, a loss of power; process, the process's end",
    )
    max_adaptations: int = Field(10_000_000, ge=1, description="The most adaptations that are kept")
    max_stored_bytes: int = Field(16 * 2**30, ge=1, description="The most bytes of their records")
    fast_weights_bytes: int = Field(
        256 * 2**20,
        ge=0,
        description="Cache of adapted weights, bytes a bundle; of a classifier, for each number of classes, to the "
        "next power of 2",
    )
    adaptation_ttl_s: int = Field(86_400, ge=1, description="Seconds that an adaptation lives if it does not say")
    max_ttl_s: int = Field(31 * 86_400, ge=1, description="The most seconds that an adaptation may ask to live")
    max_body_bytes: int = Field(32 * 2**20, ge=1024, description="The largest body, bytes")
    max_support_examples: int = Field(10_000, ge=1, description="The largest support set, examples")
    max_waiting: int = Field(4096, ge=1, description="Requests that may wait for the device; one more is answered 503")
    max_waiting_bytes: int = Field(
        512 * 2**20, ge=1, description="Bytes of support sets and queries that may wait; more are answered 503"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least level to log")

    @property
    def compile_cache(self) -> Path:
        """Where compiled code is kept."""
        return self.cache_dir or self.state_dir / "cache"

    @model_validator(mode="after")
    def _lifetimes_fit(self) -> "Settings":
        if self.adaptation_ttl_s > self.max_ttl_s:
            raise ValueError("INNERLOOP_ADAPTATION_TTL_S is over INNERLOOP_MAX_TTL_S: lower the one or raise the other")
        return self
