"""What an error means for an HTTP client: one table from our types to a status, a code and a message.

The message says what to change. Nothing that happened inside (a trace, a path, a row) is ever in it: such errors get an
id under which the log has the rest.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from icd.errors import (
    BackendError,
    BackendOverloadedError,
    BackendTimeoutError,
    BudgetError,
    ConfigurationError,
    ContextOverflowError,
    IcdError,
    IcdMemoryError,
    UnknownEpisodeError,
)
from icd.serving.keys import RevokedKeyError, UnknownKeyError

__all__ = ["ApiError", "api_error", "bad_request", "encoded", "not_found", "openai_body", "validation_error"]

_log = logging.getLogger(__name__)

_OVERLOADED_RETRY = "2"
"""Seconds after which a client may try again what the models or the store had no room for."""
_LONGEST_MESSAGE, _LONGEST_PLACE = 2000, 200


class ApiError(IcdError):
    """A request that is answered with an error."""

    code = "api"

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.error_code = code
        self.param = param
        self.headers = dict(headers or {})


def openai_body(error: ApiError) -> dict[str, Any]:
    """Return the error as OpenAI writes it."""
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.error_code,
        }
    }


def bad_request(message: str, *, param: str | None = None, code: str | None = None) -> ApiError:
    """Return a 400 that names the field at fault."""
    return ApiError(400, message, param=param, code=code)


def not_found(message: str, *, param: str | None = None, code: str = "not_found") -> ApiError:
    """Return a 404."""
    return ApiError(404, message, param=param, code=code)


def api_error(error: BaseException) -> ApiError:
    """Return what a client is told of an error; what is not one of ours is logged with its trace, and told by an id."""
    match error:
        case ApiError():
            return error
        case ValidationError():
            return validation_error(error)
        case UnknownKeyError() | RevokedKeyError():
            return ApiError(401, str(error), code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        case BudgetError():
            # The client cannot mend it by asking again, though 429 makes its library try.
            return ApiError(
                429,
                str(error),
                type="insufficient_quota",
                code="insufficient_quota",
                headers={"x-should-retry": "false"},
            )
        case ContextOverflowError():
            return ApiError(400, str(error), code="context_length_exceeded", param="messages")
        case ConfigurationError():
            return ApiError(400, str(error), code=error.code)
        case UnknownEpisodeError():
            return ApiError(404, str(error), code=error.code)
        case BackendError():
            return _of_backend(error)
        case IcdMemoryError():
            return _of_memory(error)
    return _unexpected(error)


def _of_backend(error: BackendError) -> ApiError:
    match error:
        case BackendTimeoutError():
            return ApiError(504, str(error), type="server_error", code=error.code)
        case BackendOverloadedError():
            headers = {"Retry-After": _OVERLOADED_RETRY}
            return ApiError(503, str(error), type="server_error", code=error.code, headers=headers)
    return ApiError(502, str(error), type="server_error", code=error.code)


def _of_memory(error: IcdMemoryError) -> ApiError:
    """The message may name files and hosts of the operator: clients get an id. It needs no trace: a full disk would
    fill the log as well."""
    name = _logged(error, trace=False)
    return ApiError(
        503,
        f"what this server keeps cannot be read or written now (error {name}): try again, or ask its operator",
        type="server_error",
        code=error.code,
        headers={"Retry-After": _OVERLOADED_RETRY},
    )


def _unexpected(error: BaseException) -> ApiError:
    name = _logged(error, trace=True)
    message = f"something went wrong in this server (error {name}): its log says what"
    return ApiError(500, message, type="server_error", code="internal_error")


def _logged(error: BaseException, *, trace: bool) -> str:
    name = secrets.token_hex(6)
    _log.error("error %s: %s", name, error, exc_info=error if trace else None)
    return name


_TYPES = frozenset({"str", "list", "dict", "int", "bool"})
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_PARTS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def validation_error(error: ValidationError) -> ApiError:
    """Return the 400 that names the first field that is wrong and how many others are."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    first = found[0]
    if first["type"] == "json_invalid":
        return bad_request(f"the body cannot be read as JSON: {first['msg']}", code="invalid_json")
    where = _path(first["loc"])[:_LONGEST_PLACE]
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    what = first["msg"].removeprefix("Value error, ")
    what = what[0].lower() + what[1:] if what.startswith(("Input", "Field")) else what
    message = f"`{where}`: {what}{more}" if where else f"{what}{more}"
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    return bad_request(message[:_LONGEST_MESSAGE], param=where or None, code=code)


def _path(location: tuple[int | str, ...]) -> str:
    """Write a place as ``messages[0].role``; the names that pydantic gives to members of a union are left out."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PARTS.fullmatch(part) and part not in _TYPES and not (part in _ROLES and text.endswith("]")):
            text += f".{part}" if text else part
    return text


_JSON = json.JSONEncoder(separators=(",", ":"), allow_nan=False)


def encoded(body: Mapping[str, Any]) -> bytes:
    """Write JSON. Halves of surrogate pairs that a model wrote are escaped; numbers that JSON has not become null."""
    try:
        return _JSON.encode(body).encode()
    except ValueError:
        return _JSON.encode(_finite(body)).encode()


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
