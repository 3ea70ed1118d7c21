"""The commented configuration that `icd init` writes, generated from the settings model so that it cannot
drift."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import wrap
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from icd.config import Settings
from icd.config_errors import section_of

__all__ = ["commented_toml"]

_HEADER = """\
# Settings of icd-runtime. Every setting is shown with its default; remove the # before one to change it.
# Environment variables win over this file (ICD_STUDENT__TEMPERATURE=0.7), arguments over both.
# `icd config show` prints what is in force and checks this file.
"""
_WIDTH = 100
_Told: TypeAlias = set[tuple[str, str | None]]
"""Which settings were explained already: the teacher's are those of the student."""


def commented_toml() -> str:
    """Return `icd.toml` with every setting commented out at its default; it parses back to the defaults.

    A setting without a default is shown with an example, marked as such.
    """
    sections = {name: field for name, field in Settings.model_fields.items() if _is_table(field)}
    lines = [_HEADER]
    told: _Told = set()
    for name, field in Settings.model_fields.items():
        if name not in sections:
            lines += _setting(name, field, told)
    # A section that is itself commented out comes last: its keys, uncommented, must not join another one.
    for name, field in sorted(sections.items(), key=lambda item: _default(item[1]) is None):
        lines += _section(name, field, told)
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def _is_table(field: FieldInfo) -> bool:
    return section_of(field.annotation) is not None or _default(field) == {}


def _section(name: str, field: FieldInfo, told: _Told) -> Iterator[str]:
    yield ""
    yield from _comment(field.description)
    model = section_of(field.annotation)
    default = _default(field)
    # An optional section may not stand there empty: that would switch it on.
    yield f"#[{name}]  # not set by default" if default is None else f"[{name}]"
    if model is None:
        for key, example in (field.examples or [{}])[0].items():
            yield f"#{json.dumps(key)} = {_value(example)}  # example"
    elif default is not None:
        for key, inner in model.model_fields.items():
            yield from _setting(key, inner, told)
    else:
        yield f"#model = {_value('smollm2-135m')}  # example; settings as in [student]"


def _setting(name: str, field: FieldInfo, told: _Told) -> Iterator[str]:
    if (name, field.description) not in told:
        yield from _comment(field.description)
    told.add((name, field.description))
    default = _default(field)
    if default is None or default is PydanticUndefined:
        yield f"#{name} = {_value((field.examples or [''])[0])}  # example; not set by default"
    else:
        yield f"#{name} = {_value(default)}"


def _comment(text: str | None) -> Iterator[str]:
    yield from wrap(
        " ".join((text or "").split()),
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_on_hyphens=False,
    )


def _value(value: Any) -> str:
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(inner)}" for key, inner in value.items()) + " }"
    # JSON's strings, numbers, booleans and lists are written the same way in TOML.
    return json.dumps(value, ensure_ascii=False)
