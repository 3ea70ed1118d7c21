"""Where a price comes from, and that none is guessed."""

from __future__ import annotations

from datetime import date

import pytest

from icd.config import BackendSettings, PriceSettings, TeacherSettings
from icd.errors import PriceUnknownError
from icd.prices import PriceTable, shipped_prices

DAY = date(2026, 1, 1)


def table(*, hosted: bool = False, **prices: PriceSettings) -> PriceTable:
    return PriceTable.from_settings(prices, today=DAY, hosted=hosted)


def test_the_papers_prices_ship_with_their_date_and_source() -> None:
    price = table().price("claude-sonnet-4.5")
    assert (price.input, price.output) == (3.0, 15.0)
    assert "2512.02543" in price.source
    assert price.as_of is not None
    mini = table().price("gpt-4.1-mini")
    assert (mini.input, mini.output) == (0.4, 1.6)


def test_cached_input_is_never_dearer_than_fresh() -> None:
    assert all(price.cached_input <= price.input for price in shipped_prices().values())


def test_an_unknown_price_is_an_error_that_names_the_setting() -> None:
    with pytest.raises(PriceUnknownError, match=r'\[prices\."my-model"\]'):
        table().price("my-model")


def test_a_price_is_not_guessed_from_a_name_that_begins_alike() -> None:
    pytest.importorskip("genai_prices")
    with pytest.raises(PriceUnknownError):
        table(hosted=True).price("gpt-4.1-mini-of-my-own")


def test_the_users_price_wins_and_cached_input_defaults_to_fresh() -> None:
    prices = PriceTable.from_settings({"gpt-4.1-mini": PriceSettings(input=1, output=2)}, today=DAY)
    price = prices.price("gpt-4.1-mini")
    assert (price.input, price.cached_input, price.output, price.source) == (1, 1, 2, "settings")


def test_other_hosted_models_are_looked_up_with_date_and_version() -> None:
    version = pytest.importorskip("genai_prices").__version__
    price = table(hosted=True).price("gpt-4o")
    assert 0 < price.cached_input < price.input < price.output
    assert version in price.source
    assert price.as_of == DAY


def test_a_hosted_model_is_not_priced_for_an_endpoint_that_nobody_knows() -> None:
    pytest.importorskip("genai_prices")
    with pytest.raises(PriceUnknownError):
        table(hosted=True).price("gpt-4o", base_url="http://127.0.0.1:1234/v1")


def test_a_price_that_rises_with_the_prompt_says_so() -> None:
    pytest.importorskip("genai_prices")
    assert table(hosted=True).price("claude-sonnet-4-5").note


def test_local_models_and_the_expert_are_priced_nominally_as_the_papers_two() -> None:
    student = table().of_backend(BackendSettings())
    teacher = table().of_backend(TeacherSettings())
    assert (student.input, teacher.input) == (0.4, 3.0)
    assert student.note == "nominal: priced as gpt-4.1-mini"


def test_an_endpoints_model_has_its_own_price() -> None:
    section = BackendSettings(kind="openai", model="mine", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(PriceUnknownError):
        table(hosted=True).of_backend(section)
    assert table(mine=PriceSettings(input=1, output=2)).of_backend(section).input == 1


def test_an_alias_and_a_price_of_its_own_win_in_that_order() -> None:
    aliased = BackendSettings(kind="openai", model="mine", priced_as="claude-sonnet-4.5")
    assert table().of_backend(aliased).input == 3.0
    free = PriceSettings.model_validate(0)
    own = BackendSettings(kind="openai", model="mine", priced_as="claude-sonnet-4.5", price=free)
    assert table().of_backend(own).input == table().of_backend(own).output == 0
