"""Fields of requests that come from outside: unknown ones are refused by name, known but unsupported ones with a reason.

Knows pydantic and what a `ChatCall` needs, no wire format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field
from pydantic_core import PydanticCustomError, from_json

from icd.backends.base import Tool
from icd.serving.errors import bad_request

__all__ = [
    "Identifier",
    "RequestModel",
    "TokenLimit",
    "ToolName",
    "check_choice",
    "read_json",
    "refused",
    "tagged",
]

Identifier = Annotated[str, Field(min_length=1, max_length=256)]
ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]
TokenLimit = Annotated[int, Field(ge=1, lt=2**63)]

_Body = TypeVar("_Body", bound=BaseModel)
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_NUMBER = b"0" * 300


class RequestModel(BaseModel):
    """A JSON object of a request: types as written, no further fields."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def refused(reason: str, *accepted: object) -> BeforeValidator:
    """Refuse every value of a field but null and `accepted`, saying why."""

    def check(value: object) -> object:
        if value is None or any(type(value) is type(one) and value == one for one in accepted):
            return value
        given = f" (this is {value[:100]!r})" if isinstance(value, str) else ""
        raise PydanticCustomError("unsupported", "{reason}", {"reason": reason + given})

    return BeforeValidator(check)


def tagged(
    kinds: Mapping[str, str], what: str, kind_of: Callable[[Any], object] = lambda value: value.get("type")
) -> Discriminator:
    """Choose among a union's members, whose tags stand in angle brackets so that no field is taken for one.

    `kinds` maps what `kind_of` finds in the object to the tag of its member.
    """

    def choose(value: object) -> str | None:
        kind = kind_of(value) if isinstance(value, Mapping) else None
        return kinds.get(kind) if isinstance(kind, str) else None

    return Discriminator(
        choose,
        custom_error_type="unsupported",
        custom_error_message=f"{what} must be one of: {', '.join(kinds)}",
    )


def read_json(body: type[_Body], raw: bytes) -> _Body:
    """Read a body.

    Raises:
        pydantic.ValidationError: it is not what `body` describes.
        ApiError: 400, a number in it is no JSON.
    """
    read = body.model_validate_json(raw)
    if _maybe_not_finite(raw):
        _check_finite(from_json(raw))
    return read


def _maybe_not_finite(raw: bytes) -> bool:
    """Say whether a body could hold a number that JSON does not have; quicker than a regular expression."""
    if (b"N" in raw and b"NaN" in raw) or (b"I" in raw and b"Infinity" in raw):
        return True
    plain = raw.translate(_DIGITS_AS_ZEROS, b"+")
    return b"0e000" in plain or _LONG_NUMBER in plain


def _check_finite(value: Any) -> None:
    """Refuse what would be passed on as numbers that JSON does not have."""
    if isinstance(value, float) and value - value != 0:
        raise bad_request("NaN, Infinity and numbers beyond 1e308 are not JSON", code="invalid_json")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_finite(one)


def check_choice(tools: Iterable[Tool], chosen: str, *, named: bool) -> str:
    """Return a call's ``tool_choice``, empty where there is nothing to choose from.

    Args:
        tools: what may be called.
        chosen: ``auto``, ``none``, ``required``, or the name of a tool.
        named: it is a name.

    Raises:
        ApiError: 400, there is no such tool, or none at all.
    """
    names = [tool.name for tool in tools]
    if len(set(names)) < len(names):
        raise bad_request("`tools`: two tools have the same name", param="tools")
    if named and chosen not in names:
        raise bad_request(
            f"`tool_choice.name`: `tools` has none named {chosen[:100]!r}", param="tool_choice.name"
        )
    if named and chosen in ("auto", "none", "required"):
        raise bad_request(f"a tool named {chosen!r} cannot be chosen: rename it", param="tool_choice.name")
    if not names and chosen == "required":
        raise bad_request("`tool_choice` wants a tool called, and `tools` has none", param="tool_choice")
    return chosen if names else ""
