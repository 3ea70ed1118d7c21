"""Things that answer chat requests, and `make_backend`, which builds one from its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from icd.errors import ConfigurationError

if TYPE_CHECKING:
    from icd.backends.base import Backend
    from icd.config import BackendSettings

__all__ = ["make_backend"]


def make_backend(settings: BackendSettings, *, count_tokens: Callable[[str], int] | None = None) -> Backend:
    """Return the backend that a section of the settings describes; what it needs is checked, not yet loaded.

    Args:
        settings: `[student]`, `[teacher]` or `[planner]`.
        count_tokens: the tokenizer by which an expert's nominal tokens are counted; None: an estimate.

    Raises:
        ConfigurationError: no such model, no key, or an adapter for a model that is not local.
        ModelFilesError: the model's files are not on this machine.
    """
    if settings.adapter is not None and settings.kind != "local":
        raise ConfigurationError("adapter is for kind = 'local'; an endpoint names its adapters as models")
    if settings.kind == "expert":
        from icd.backends.expert import ExpertBackend

        return ExpertBackend(model=settings.effective_model, count_tokens=count_tokens)
    return _MAKERS[settings.kind](settings)


def _local(settings: BackendSettings) -> Backend:
    from icd.backends.local import LocalBackend
    from icd.models import resolve

    return LocalBackend(
        resolve(settings.path or settings.model or settings.effective_model),
        model=settings.effective_model,
        adapter=settings.adapter,
        style=settings.style,
        context=settings.effective_context,
        threads=settings.threads or None,
    )


def _openai(settings: BackendSettings) -> Backend:
    from icd.backends.openai_compatible import OpenAICompatibleBackend

    return OpenAICompatibleBackend(
        settings.effective_model,
        base_url=settings.base_url,
        api_key_env=settings.api_key_env,
        context=settings.effective_context,
        deadline=settings.deadline,
        retries=settings.retries,
        guided=settings.guided,
    )


def _transformers(settings: BackendSettings) -> Backend:
    from icd.backends.transformers import TransformersBackend

    return TransformersBackend(
        settings.path or settings.effective_model,
        model=settings.effective_model,
        style=settings.style,
        context=settings.effective_context,
        threads=settings.threads or None,
    )


_MAKERS: Mapping[str, Callable[[BackendSettings], Backend]] = {
    "local": _local,
    "openai": _openai,
    "transformers": _transformers,
}
