"""The settings: one model, read from a file, environment variables and arguments, later ones winning.

The file is `icd.toml` in the current folder, or the one named by `--config`; without either, the one in the
user's configuration folder. Environment variables are `ICD_` and the path with `__`
(``ICD_STUDENT__TEMPERATURE=0.7``). A key that does not exist is an error that names the nearest one. No
secret is a setting: `api_key_env` names the variable that holds the key. Nothing is opened or loaded here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from icd.config_errors import explain, in_brief, unknown_environment_names
from icd.decision import Recording, StrategyCount
from icd.errors import ConfigurationError
from icd.intent_agreement import AgreementKind

__all__ = [
    "BackendSettings",
    "DriftSettings",
    "GuardSettings",
    "MemorySettings",
    "PriceSettings",
    "RetrievalSettings",
    "RunSettings",
    "ServeSettings",
    "Settings",
    "TeacherSettings",
    "find_config",
    "load_settings",
]

BackendKind = Literal["local", "openai", "transformers", "expert"]
Placement = Literal["after_history", "before_history", "sticky"]
ENVIRONMENT_PREFIX = "ICD_"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class PriceSettings(_Section):
    """US dollars per million tokens of one model."""

    input: float = Field(ge=0)
    """Fresh prompt tokens."""
    output: float = Field(ge=0)
    """Tokens that the model writes."""
    cached_input: float | None = Field(default=None, ge=0)
    """Prompt tokens read from the provider's cache; left out: as `input`."""

    @model_validator(mode="before")
    @classmethod
    def _zero_is_free(cls, value: object) -> object:
        if not isinstance(value, int | float | str):
            return value
        if str(value).strip() in ("0", "0.0"):
            return {"input": 0, "output": 0, "cached_input": 0}
        raise ValueError("one number can only be 0 (free); else { input = ..., output = ... }")


class _KindDefaults(NamedTuple):
    model: str | None
    priced_as: str | None
    context: int


_BY_KIND: Mapping[BackendKind, _KindDefaults] = {
    "local": _KindDefaults("smollm2-135m", "gpt-4.1-mini", 4096),
    "openai": _KindDefaults(None, None, 131_072),
    "transformers": _KindDefaults(None, "gpt-4.1-mini", 4096),
    "expert": _KindDefaults("expert", "claude-sonnet-4.5", 8192),
}


class BackendSettings(_Section):
    """A model that answers."""

    kind: BackendKind = "local"
    """local (a GGUF file on this machine), openai (any OpenAI-compatible endpoint), transformers (a local
    checkpoint folder; on the GPU where there is one), expert (the environment's own expert)."""
    model: str | None = Field(default=None, examples=["gpt-4.1-mini"])
    """Name at the endpoint, or of `icd models list`, or a path. Left out: smollm2-135m for local."""
    path: str | None = Field(default=None, examples=["/models/my-model.gguf"])
    """GGUF file or checkpoint folder, if it is not one of `icd models list`."""
    adapter: str | None = Field(default=None, examples=["student.gguf"])
    """GGUF file of a LoRA adapter for a local model, as `icd offline export --as adapter-gguf` writes it."""
    base_url: str | None = Field(default=None, examples=["http://127.0.0.1:8000/v1"])
    """Of an OpenAI-compatible endpoint. Left out: OpenAI's own."""
    api_key_env: str = "OPENAI_API_KEY"
    """The environment variable that holds the key. An endpoint on this machine needs none."""
    temperature: float = Field(default=0.1, ge=0)
    """Of sampling. The paper's value; small models agree with themselves at it."""
    max_tokens: int = Field(default=128, ge=1)
    """Limit of one answer, in tokens."""
    max_code_tokens: int = Field(default=512, ge=1)
    """The same where an answer is a block of code."""
    history: int | None = Field(default=None, ge=0, examples=[0])
    """Latest steps of the episode that its prompts show; left out: all. Where the environment keeps a view of what the
    agent knows, small models do best with 0."""
    context: int | None = Field(default=None, ge=256, examples=[32768])
    """The model's window, in tokens; longer prompts are cut. Left out: 4096 for models on this machine (a
    larger one takes more memory), 131072 for endpoints, 8192 for the expert."""
    deadline: float = Field(default=60.0, gt=0)
    """Seconds for one call, retries included."""
    retries: int = Field(default=4, ge=0)
    """Of a call that failed in a way that may pass, inside the deadline."""
    guided: Literal["choice", "json"] | None = Field(default=None, examples=["choice"])
    """How an endpoint can be told to choose among the admissible actions: choice (a list of choices, as vLLM
    takes it) or json (a JSON schema). Left out: it is asked in words only."""
    priced_as: str | None = Field(default=None, examples=["gpt-4.1-mini"])
    """Price it as this model, labelled nominal. Left out: gpt-4.1-mini for local models and claude-sonnet-4.5
    for the expert, the paper's two; an endpoint's model has its own price."""
    price: PriceSettings | None = Field(default=None, examples=[0])
    """0 (free), or { input = ..., output = ..., cached_input = ... }; wins over priced_as."""
    style: Literal["plain", "chat"] = "plain"
    """How a local model is prompted: plain (a transcript; better for very small ones) or chat (its
    template)."""
    threads: int = Field(default=0, ge=0)
    """Of a local model; 0: all cores."""

    @model_validator(mode="after")
    def _model_is_named(self) -> Self:
        if self.kind == "openai" and self.model is None:
            raise ValueError("model is missing: an endpoint must be told which model to use")
        if self.kind == "transformers" and self.model is None and self.path is None:
            raise ValueError("path is missing: the folder of the checkpoint")
        return self

    @property
    def effective_model(self) -> str:
        """The model's name after defaults: what prices and receipts use."""
        name = self.model or (None if self.path else _BY_KIND[self.kind].model) or Path(self.path or "").name
        return Path(name).stem if name.endswith(".gguf") else name

    @property
    def effective_context(self) -> int:
        """The window after defaults, in tokens."""
        return self.context or _BY_KIND[self.kind].context

    @property
    def effective_priced_as(self) -> str | None:
        """The model whose price is used, after defaults; None: its own."""
        return self.priced_as or _BY_KIND[self.kind].priced_as


class TeacherSettings(BackendSettings):
    """The model that is asked when the student is not sure."""

    kind: BackendKind = "expert"
    """expert (the environment's own), or one of the student's kinds."""


class MemorySettings(_Section):
    """Where demonstrations are kept and how they are compared."""

    store: str = ".icd/icd.db"
    """A SQLite file (relative to the current folder), or a URL such as
    postgresql+psycopg://user@host/name."""
    embedder: str = "minilm"
    """minilm (all-MiniLM-L6-v2), hashing (no model: rough, instant), or sentence-transformers:NAME."""
    index: str = "exact"
    """exact (in this process), chroma (embedded), or chroma:http://HOST:PORT."""
    redact: Literal["on", "off"] = "on"
    """on: what comes from live traffic is stored with placeholders such as <email-1> for secrets and personal data. off:
    it is stored as it came. Environments, whose people are invented, are stored as they are either way."""


class RetrievalSettings(_Section):
    """What the student is shown."""

    k: int = Field(default=6, ge=0)
    """Excerpts per step; 0: none."""
    window: int = Field(default=5, ge=0)
    """Steps shown before and after the best one."""
    min_similarity: float = Field(default=0.0, ge=-1, le=1)
    """Excerpts below it are refused rather than filling k."""
    adapt_names: bool = True
    """Fill the present task's names into excerpts of tasks that are built alike."""
    placement: Placement = "after_history"
    """Where excerpts stand: after_history (keeps prompt caches valid), before_history, or sticky (those of
    the first step, kept)."""
    copy_above: float | None = Field(default=None, ge=-1, le=1, examples=[0.95])
    """From this similarity on the nearest demonstrated action, if it is possible and new here, is taken without asking
    the student. Left out: never."""


class StrategiesSettings(_Section):
    """Which approved strategies of the library the student is shown."""

    k: StrategyCount = Field(default=3, examples=[3])
    """At most so many, 0: none; "global": the whole list in every situation. Benchmarks show those that a method
    names."""
    min_similarity: float = Field(default=0.4, ge=-1, le=1)
    """Strategies whose scenario is less similar are refused rather than filling k."""
    max_tokens: int = Field(default=400, ge=0)
    """Tokens that they may take in a prompt, together."""
    per: Literal["episode", "step"] = "episode"
    """Chosen once an episode, so that prompt caches stay valid, or for each step."""
    auto_approve: Literal["no", "tested"] = "no"
    """tested: what passed its paired test is approved without a person."""

    @field_validator("k")
    @classmethod
    def _none_or_some(cls, value: StrategyCount) -> StrategyCount:
        if isinstance(value, int) and value < 0:
            raise ValueError("write a whole number of at least 0, or global")
        return value


class GuardSettings(_Section):
    """Doubts besides disagreement that call the teacher."""

    validity: bool = True
    """The action is not admissible."""
    progress: bool = True
    """The action was already tried in this very state, or has just failed."""
    support: float | None = Field(default=None, ge=-1, le=1, examples=[0.6])
    """The nearest excerpt is less similar than this. Left out, or false: no such doubt."""

    @field_validator("support", mode="before")
    @classmethod
    def _false_is_off(cls, value: object) -> object:
        if value is True:
            raise ValueError("it is a similarity, such as 0.6, or false")
        return None if value is False else value


class RunSettings(_Section):
    """Limits of running episodes."""

    max_steps: int | None = Field(default=None, ge=1, examples=[30])
    """Steps of an episode. Left out: 30, and 40 where a step is a block of code."""
    budget: float | None = Field(default=None, ge=0, examples=[5.0])
    """US dollars that all calls together may cost. Left out: no limit."""
    episode_tokens: int | None = Field(default=None, ge=1, examples=[200_000])
    """Tokens that the calls of an episode may take, in and out. It ends, lost, before the step after. Left out: no
    limit."""
    episode_cost: float | None = Field(default=None, gt=0, examples=[0.5])
    """The same in US dollars."""
    episode_seconds: float | None = Field(default=None, gt=0, examples=[600])
    """The same in seconds in which it was played; interruptions do not count."""
    seed: int = 0
    """Of sampling and of every random choice."""
    record: Recording = "decisions"
    """decisions (what they took), or full: every sample is drawn, and the teacher is asked at every step, for
    calibration."""


class DriftSettings(_Section):
    """Watching what people's agents do for change, by category (docs/drift.md)."""

    watch: bool = False
    """Test similarity of excerpts, agreement, share of the teacher and success for change; `icd drift list` tells."""
    alpha: float = Field(default=0.01, gt=0, lt=1)
    """Probability that a category in which nothing changes is ever reported."""
    raise_n: int | None = Field(default=None, ge=2, examples=[5])
    """Student's samples in a category that got worse. Left out: as before."""
    turn_off: bool = False
    """Stop showing the demonstrations of a category that got worse."""


class ServeSettings(_Section):
    """The server behind somebody's agent."""

    host: str = "127.0.0.1"
    """Where it listens. Anything but this machine needs a key (`icd keys create`)."""
    port: int = Field(default=8080, ge=0, le=65535)
    """0: any free one."""
    mode: Literal["observe", "shadow", "cascade"] = "cascade"
    """Of tenants without one of their own: observe (the teacher answers, recorded), shadow (the same, with the student
    sampled and scored beside it) or cascade (by the policy)."""
    max_tokens: int = Field(default=4096, ge=1)
    """Limit of an answer where the request names none; what a budget sets aside for it."""
    max_body_mb: float = Field(default=10.0, gt=0)
    """Larger requests are refused."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds for one request."""
    text_similarity: float = Field(default=0.9, ge=-1, le=1)
    """Answers in free text that are this similar agree."""
    fall_back_to_student: bool = False
    """When the teacher fails, answer with the student's best sample instead of an error."""
    drain: float = Field(default=30.0, ge=0)
    """Seconds that requests under way get when the server is stopped."""
    key_day_budget: float | None = Field(default=None, ge=0, examples=[5.0])
    """US dollars that each key may spend a day (of UTC). Left out: no limit, here as below."""
    tenant_budget: float | None = Field(default=None, ge=0, examples=[500.0])
    """US dollars that each tenant may spend in all."""
    tenant_day_budget: float | None = Field(default=None, ge=0, examples=[20.0])
    """US dollars that each tenant may spend a day."""
    episode_budget: float | None = Field(default=None, ge=0, examples=[0.5])
    """US dollars that each episode may cost."""


_config_file: ContextVar[Path | None] = ContextVar("_config_file", default=None)


class Settings(BaseSettings):
    """All settings. Built directly, it reads the environment but no file: see `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
    )

    policy: str = "unanimity(3)"
    """Who takes a step: student, teacher, random(p), copy, unanimity(n), majority(n, share), sequential(n, confidence),
    calibrated(epsilon, delta)."""
    agreement: AgreementKind = "exact"
    """When the student's answers in words agree: exact (the same action) or intent (the same verb and the same kinds of
    places and things)."""
    student: BackendSettings = Field(default_factory=BackendSettings)
    """The cheap model that takes most steps."""
    teacher: TeacherSettings = Field(default_factory=TeacherSettings)
    """The model that is asked when the student is not sure."""
    planner: BackendSettings | None = None
    """The model that drafts the plan. Left out: the student does."""
    verifier: BackendSettings | None = None
    """The model that is asked whether two blocks of code that differ in form do the same. Left out: form decides."""
    memory: MemorySettings = Field(default_factory=MemorySettings)
    """Where demonstrations are kept and how they are compared."""
    retrieval: RetrievalSettings = Field(default_factory=RetrievalSettings)
    """What the student is shown."""
    strategies: StrategiesSettings = Field(default_factory=StrategiesSettings)
    """The library of strategies."""
    guards: GuardSettings = Field(default_factory=GuardSettings)
    """Doubts besides disagreement that call the teacher."""
    run: RunSettings = Field(default_factory=RunSettings)
    """Limits of running episodes."""
    serve: ServeSettings = Field(default_factory=ServeSettings)
    """The server behind somebody's agent."""
    drift: DriftSettings = Field(default_factory=DriftSettings)
    """Watching what people's agents do for change, by category (docs/drift.md)."""
    prices: dict[str, PriceSettings] = Field(
        default_factory=dict, examples=[{"my-model": {"input": 0.5, "output": 1.5, "cached_input": 0.05}}]
    )
    """US dollars per million tokens, by model name; 0 is free. Models that are not named are looked up."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, which wins over the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file.get())


def find_config(explicit: Path | None = None) -> Path | None:
    """Return the file that applies: the one named, else the current folder's, else the user's; None: no file.

    Raises:
        ConfigurationError: a file was named that does not exist.
    """
    if explicit is not None:
        if not explicit.is_file():
            raise ConfigurationError(f"there is no configuration file {explicit}: `icd init` writes one")
        return explicit
    import platformdirs

    here = Path("icd.toml")
    users = Path(platformdirs.user_config_dir("icd", appauthor=False)) / "icd.toml"
    return next((path for path in (here, users) if path.is_file()), None)


def load_settings(config: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings from the file that applies, the environment and `overrides` (nested, as in the file).

    Raises:
        ConfigurationError: the file is not TOML, or a key or value is wrong; the message says where.
    """
    path = find_config(config)
    arguments = dict(overrides or {})
    unknown = unknown_environment_names(Settings, ENVIRONMENT_PREFIX, os.environ)
    if unknown:
        raise ConfigurationError(unknown)
    token = _config_file.set(path)
    try:
        return Settings(**arguments)
    except ValidationError as error:
        raise ConfigurationError(explain(error, Settings, path, arguments)) from error
    except SettingsError as error:
        raise ConfigurationError(f"an {ENVIRONMENT_PREFIX}... environment variable: {error}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {in_brief(error)}") from error
    finally:
        _config_file.reset(token)
