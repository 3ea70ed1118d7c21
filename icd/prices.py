"""What a million tokens of a model cost, and who says so.

A price comes from the user's settings, from the small dated table that ships with the package, or from the
installed `genai-prices`; in that order. It is never guessed: a model that none of them knows is an error.
This module knows nothing of calls or usage (`icd.ledger`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from icd.errors import PriceUnknownError

if TYPE_CHECKING:
    from icd.config import BackendSettings, PriceSettings

__all__ = ["Price", "PriceTable", "shipped_prices"]


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens of one model."""

    input: float
    """Fresh prompt tokens."""
    output: float
    cached_input: float
    """Prompt tokens that the provider read from its cache."""
    source: str
    """Who says so: ``settings``, or a table with its version."""
    as_of: date | None = None
    """The day for which the price holds; None for the user's own."""
    note: str = ""

    def __post_init__(self) -> None:
        if min(self.input, self.output, self.cached_input) < 0:
            raise ValueError("a price cannot be negative")

    @classmethod
    def free(cls, source: str = "settings") -> Price:
        """Return the price of a model that costs nothing."""
        return cls(0.0, 0.0, 0.0, source)


@dataclass(frozen=True)
class PriceTable:
    """Prices by model name."""

    own: Mapping[str, Price] = field(default_factory=dict)
    """The user's prices: they win over every table."""
    today: date = field(default_factory=lambda: datetime.now(UTC).date())
    """The day whose prices are looked up."""
    hosted: bool = True
    """Also look in `genai-prices`."""

    @classmethod
    def from_settings(
        cls, prices: Mapping[str, PriceSettings], *, today: date | None = None, hosted: bool = True
    ) -> PriceTable:
        """Return the table with the user's `[prices]` on top."""
        own = {name: _own_price(setting) for name, setting in prices.items()}
        return cls(own, today or datetime.now(UTC).date(), hosted)

    def price(self, model: str, *, base_url: str | None = None) -> Price:
        """Return the price of `model`; `base_url` tells hosted providers of the same model apart.

        Raises:
            PriceUnknownError: nobody knows it; the message names the setting to add.
        """
        found = self.own.get(model) or shipped_prices().get(model)
        if found is None and self.hosted:
            found = _hosted_price(model, base_url, self.today)
        if found is None:
            raise PriceUnknownError(
                f"no price is known for model {model!r}, and costs are never guessed: add to icd.toml\n"
                f'  [prices."{model}"]\n  input = ...   # US dollars per million tokens\n  output = ...\n'
                f'or say that it is free ([prices] "{model}" = 0), or price it as a known model (priced_as).'
            )
        return found

    def of_backend(self, settings: BackendSettings) -> Price:
        """Return the price of a configured backend: its `price`, else that of `priced_as`, else of its model.

        Raises:
            PriceUnknownError: as `price`.
        """
        if settings.price is not None:
            return _own_price(settings.price)
        alias = settings.effective_priced_as
        if alias is None:
            return self.price(settings.effective_model, base_url=settings.base_url)
        found = self.price(alias)
        return replace(found, note=f"nominal: priced as {alias}")


@cache
def shipped_prices() -> Mapping[str, Price]:
    """Return the dated table that ships with the package."""
    table = tomllib.loads(resources.files("icd").joinpath("data/prices.toml").read_text("utf-8"))
    return {
        name: Price(
            input=row["input"],
            output=row["output"],
            cached_input=row["cached_input"],
            source=table["source"],
            as_of=table["as_of"],
        )
        for name, row in table["models"].items()
    }


def _own_price(setting: PriceSettings) -> Price:
    cached = setting.input if setting.cached_input is None else setting.cached_input
    return Price(setting.input, setting.output, cached, "settings")


def _hosted_price(model: str, base_url: str | None, today: date) -> Price | None:
    """Look the model up in `genai-prices`; None where that package does not know it or is not installed."""
    try:
        import genai_prices
    except ImportError:
        return None
    moment = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
    probe = genai_prices.Usage(input_tokens=1, output_tokens=1)
    try:
        if base_url is None:
            found = genai_prices.calc_price(probe, model, genai_request_timestamp=moment)
        else:
            found = genai_prices.calc_price(
                probe, model, provider_api_url=base_url, genai_request_timestamp=moment
            )
    except (LookupError, ValueError):
        return None
    rates = vars(found.model_price)
    fresh, output = _base_rate(rates.get("input_mtok")), _base_rate(rates.get("output_mtok"))
    if fresh is None or output is None:
        return None
    cached = _base_rate(rates.get("cache_read_mtok"))
    tiered = any(hasattr(rates.get(name), "tiers") for name in ("input_mtok", "output_mtok"))
    return Price(
        input=fresh,
        output=output,
        cached_input=fresh if cached is None else cached,
        source=f"genai-prices {genai_prices.__version__} ({found.provider.id}/{found.model.id})",
        as_of=today,
        note="very long prompts cost more than this" if tiered else "",
    )


def _base_rate(rate: object) -> float | None:
    """Return the rate of the first tier: prompts of agents stay far below the next one."""
    if rate is None:
        return None
    base: Any = getattr(rate, "base", rate)
    return float(base)
