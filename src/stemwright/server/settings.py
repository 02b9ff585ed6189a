"""Every setting of the service: an environment variable `STEMWRIGHT_…` becomes one frozen, typed value, once."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, PositiveInt, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

Dialect = Literal["apikley", "sunoapi"]
FORMATS = ("mp3", "wav", "flac", "opus", "m4a")
_FACTORS = "give models and what their prices are multiplied by, 1000 at most, such as four:2,karaoke:1.5"
_MOST_FACTOR, _MOST = 1000, {float: 1e9, int: 10**15}  # what the database and the system's clocks can take


# What other parts of the program read, and what its processes tell each other.
_ELSEWHERE = (
    *("CHILD_CPU_SECONDS", "CHILD_HEADER_SECONDS", "CHILD_MEMORY", "CHILD_SECONDS", "KEY", "LICENCES", "MIRROR"),
    *("MODELS", "OFFLINE", "PARENT_PID", "PRECISION", "TRACEBACK", "TRAIN_CACHE", "URL"),
)


class Settings(BaseSettings):
    """The service's settings; field `x` is read from `STEMWRIGHT_X`."""

    model_config = SettingsConfigDict(env_prefix="STEMWRIGHT_", frozen=True, extra="ignore", env_ignore_empty=True)

    # where things are
    data: Path = Path("data")
    database_url: str = ""  # empty: SQLite in the data folder
    blobs_url: str = ""  # empty: a folder in the data folder
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = ""  # what clients reach us by; empty: taken from each request

    # the wire
    dialect: Dialect = "apikley"
    http_status: Literal["mirrored", "always-200"] = "mirrored"
    require_callback: bool = False
    upstream_url: str = ""  # who makes the music; empty: nobody
    upstream_key: SecretStr = SecretStr("")  # the operator's, for looking songs up
    upstream_seconds: float = Field(default=60, gt=0)  # the longest wait for it

    # prices, in credits
    cost_separate_vocal: int = Field(default=1, ge=0)
    cost_split_stem: int = Field(default=5, ge=0)
    cost_split_stem_advanced: int = Field(default=5, ge=0)
    cost_factors: Annotated[dict[str, Decimal], NoDecode] = Field(default_factory=dict[str, Decimal])  # per model
    admin_credits: int = Field(default=1_000_000, ge=0)  # what the first start gives to the admin account

    # how long things are kept
    retention_days: float = Field(default=14, gt=0)
    upload_days: float = Field(default=3, gt=0)
    idempotency_hours: float = Field(default=24, gt=0)
    session_hours: float = Field(default=12, gt=0)  # from signing in to the console until the key is asked for again

    # limits on clients
    rate_limit_creates: PositiveInt = 20
    rate_limit_seconds: PositiveInt = 10
    rate_limit_burst: PositiveInt = 1000  # calls of any kind per second and account, in each API process
    rate_limit_wrong_keys: PositiveInt = 30  # per minute and address, in each API process
    max_body_bytes: PositiveInt = 1 << 20  # of a JSON request
    max_upload_bytes: PositiveInt = 500 << 20
    account_uploads_bytes: PositiveInt = 50 << 30  # that are kept, and as much again on its way to each API process
    base64_memory_bytes: PositiveInt = 64 << 20  # of base64 uploads on their way, in each API process
    slow_client_seconds: float = Field(default=20, gt=0)  # to send a head; before a body's speed counts
    slow_client_bytes_per_second: PositiveInt = 500  # a body may not be slower
    stalled_client_seconds: float = Field(default=120, gt=0)  # without taking any of an answer
    max_duration_seconds: float = Field(default=2 * 3600, gt=0)
    max_queued_per_account: PositiveInt = 1000
    max_running_per_account: PositiveInt = 4
    short_slots: int = Field(default=0, ge=0)  # of the whole fleet, for two-stem tasks alone; one is left to the others

    # inbound traffic
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()  # whose X-Forwarded-… fields count

    # outbound traffic
    allow_networks: Annotated[tuple[str, ...], NoDecode] = ()
    fetch_seconds: float = Field(default=300, gt=0)
    callback_timeout_seconds: float = Field(default=15, gt=0)
    callback_delays_seconds: Annotated[tuple[float, ...], NoDecode] = (0, 60, 300, 900)

    # the worker
    formats: Annotated[tuple[str, ...], NoDecode] = FORMATS
    model: str = "twelve"
    allowed_models: Annotated[tuple[str, ...], NoDecode] = ()  # cards and recipes that a create may name besides
    device: str = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    task_memory_bytes: PositiveInt = 4 << 30
    task_seconds: float = Field(default=3600, gt=0)
    task_cpu_seconds: float = Field(default=0, ge=0)  # of all processors together; 0: its time on every one of them
    task_attempts: PositiveInt = 2  # a task that kills its child this often fails
    concurrent_tasks: PositiveInt = 1  # per worker process
    separator_command: Annotated[
        tuple[str, ...], NoDecode
    ] = ()  # empty: our own; for measuring a fleet without a model
    drain_seconds: float = Field(default=5, ge=0)  # what running tasks get to end in after SIGTERM
    child_idle_seconds: float = Field(default=600, gt=0)
    child_silent_seconds: float = Field(default=60, gt=0)  # without a sign of life: it was stopped, or is stuck
    heartbeat_seconds: float = Field(default=10, gt=0)
    dead_after_seconds: float = Field(default=45, gt=0, validate_default=True)
    sweep_seconds: float = Field(default=10, gt=0)
    retention_cron: str = "*/5 * * * *"
    worker_port: int = Field(default=0, ge=0, le=65535)  # for health and figures of a worker; 0: none
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    otel: bool = False  # export spans; needs stemwright[otel]

    @field_validator("*")
    @classmethod
    def _within_reason(cls, value: object) -> object:
        """No number for ever, such as inf: a task would be separated, and could not be ended."""
        most = _MOST.get(type(value))
        if most and not value <= most:  # type: ignore[operator]
            raise ValueError(f"give {most:.0f} at most")
        return value

    @field_validator(
        *(
            "allow_networks",
            "trusted_proxies",
            "formats",
            "allowed_models",
            "callback_delays_seconds",
            "separator_command",
        ),
        mode="before",
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("cost_factors", mode="before")
    @classmethod
    def _factors(cls, value: object) -> object:
        """`four:2,karaoke:1.5` as a table."""
        if not isinstance(value, str):
            return value
        pairs = [part.partition(":") for part in value.split(",") if part.strip()]
        try:
            return {model.strip(): Decimal(factor.strip()) for model, _, factor in pairs}
        except InvalidOperation:
            raise ValueError(_FACTORS) from None

    @field_validator("cost_factors")
    @classmethod
    def _costs(cls, value: dict[str, Decimal]) -> dict[str, Decimal]:
        if not all(factor.is_finite() and 0 <= factor <= _MOST_FACTOR for factor in value.values()):
            raise ValueError(_FACTORS)
        return value

    @field_validator("callback_delays_seconds")
    @classmethod
    def _delays(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value or not all(math.isfinite(delay) and delay >= 0 for delay in value):
            raise ValueError("give the seconds to wait before each attempt, one or more, such as 0,60,300,900")
        return value

    @field_validator("device")
    @classmethod
    def _known_device(cls, value: str) -> str:
        if not re.fullmatch("auto|cpu|mps|cuda(:[0-9]+)?", value.lower()):
            raise ValueError("choose one of auto, cpu, cuda and mps")
        return value.lower()

    @field_validator("database_url")
    @classmethod
    def _databases(cls, value: str) -> str:
        from sqlalchemy import exc, make_url

        if not value:
            return value
        try:
            url = make_url(value)
        except (exc.ArgumentError, ValueError):
            url = None
        in_file = url and url.get_backend_name() == "sqlite" and url.database not in (None, "", ":memory:")
        if not url or not (in_file or url.get_backend_name() in ("postgresql", "postgres")):
            raise ValueError("give sqlite:///file or postgresql://user:password@host/name")
        if "@" in (url.host or ""):
            raise ValueError("write an @ in its password as %40, a / as %2F and a : as %3A")
        return value

    @field_validator("blobs_url")
    @classmethod
    def _folder(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme == "file" and (parts.netloc not in ("", "localhost") or not parts.path.startswith("/")):
            raise ValueError("a folder's address has three slashes, and then all of its path: file:///srv/stems")
        return value

    @field_validator("allow_networks", "trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ip_network(network, strict=False)  # its ValueError says what is wrong
        return value

    @field_validator("dead_after_seconds")
    @classmethod
    def _longer_than_a_beat(cls, value: float, info: ValidationInfo) -> float:
        beat = info.data.get("heartbeat_seconds", 0)
        if value < 2 * beat:  # one sign of life that is late is nobody's death
            raise ValueError(
                f"give at least {2 * beat:g}, twice STEMWRIGHT_HEARTBEAT_SECONDS, or every worker seems dead"
            )
        return value

    @field_validator("retention_cron")
    @classmethod
    def _schedule(cls, value: str) -> str:
        from croniter import croniter

        try:
            by_lot = re.search(r"\bR\b", value, re.IGNORECASE)  # another one each time that it is asked for
            comes = not by_lot and croniter(value, second_at_beginning=True).get_prev()
        except ValueError:  # also of a 30th of February, which never comes
            comes = False
        if not comes:
            raise ValueError("give minute, hour, day, month and day of the week, such as */5 * * * *")
        return value

    @field_validator("public_url", "upstream_url")
    @classmethod
    def _address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username):
            raise ValueError("give an address such as https://stems.example.com, without a query or a password")
        return value.rstrip("/").removesuffix("/api/v1")  # as other clients of the API want it

    @field_validator("formats")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or not set(value) <= set(FORMATS):
            raise ValueError(f"choose one or more of {','.join(FORMATS)}")
        return value

    @property
    def database(self) -> str:
        """The URL of the database in use."""
        return self.database_url or f"sqlite:///{self.data.resolve() / 'stemwright.db'}"

    @property
    def blobs(self) -> str:
        """The URL of the blob store in use."""
        return self.blobs_url or (self.data.resolve() / "blobs").as_uri()

    @property
    def work(self) -> Path:
        """The folder for files of running tasks, on this machine's own disk."""
        return self.data.resolve() / "work"

    @property
    def models(self) -> tuple[str, ...]:
        """The models and recipes that a create may name."""
        return tuple(dict.fromkeys((self.model, *self.allowed_models)))

    @property
    def unused_factors(self) -> list[str]:
        """The models that have a price of their own, and that no task gets."""
        return sorted(set(self.cost_factors) - set(self.models))

    def cost(self, kind: str, model: str | None = None) -> int:
        """Credits that one task of `kind` costs with that model, the operator's if none is named: rounded up."""
        return math.ceil(getattr(self, f"cost_{kind}") * self.cost_factors.get(model or self.model, Decimal(1)))


def idle(settings: Settings, environment: Iterable[str]) -> list[str]:
    """What is set to no effect: names in the environment that nothing reads, prices of models that no task gets, the
    key of an upstream that is not there."""
    why = "it is not among STEMWRIGHT_ALLOWED_MODELS"
    priced = [f"{model} in STEMWRIGHT_COST_FACTORS: {why}" for model in settings.unused_factors]
    has_lone_key = settings.upstream_key.get_secret_value() and not settings.upstream_url
    lone = ["STEMWRIGHT_UPSTREAM_KEY without STEMWRIGHT_UPSTREAM_URL"] if has_lone_key else []
    return unknown(environment) + priced + lone


def unknown(environment: Iterable[str]) -> list[str]:
    """The STEMWRIGHT_… names in the environment that nothing reads, each with the name that was probably meant."""
    known = sorted(name.upper() for name in (*Settings.model_fields, *_ELSEWHERE))
    names = sorted(name.removeprefix("STEMWRIGHT_") for name in environment if name.startswith("STEMWRIGHT_"))
    near = {name: get_close_matches(name, known, 1, 0.7) for name in names if name not in known}
    meant = {name: f" (did you mean STEMWRIGHT_{found[0]}?)" if found else "" for name, found in near.items()}
    return [f"STEMWRIGHT_{name}{hint}" for name, hint in meant.items()]
