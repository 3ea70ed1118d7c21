"""What a run was made with, in words: everything that somebody needs to make it again, or to doubt it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from icd.benchmark.played import Result
from icd_memory.rows import JsonObject
from icd_memory.store import Store

__all__ = ["facts", "price_text"]


def facts(store: Store, run_id: str, results: Iterable[Sequence[Result]]) -> dict[str, str]:
    """Return the facts by name; those that are not known are left out."""
    row = store.run(run_id)
    config = row.config if row else {}
    about: JsonObject = config.get("about", {})
    conditions: JsonObject = config["conditions"]
    command = store.note(f"command {run_id}") or about.get("command", "")
    found = {
        "command": command,
        "run": run_id,
        "started": about.get("started", ""),
        "environment": conditions["environment"],
        "split": conditions["split"],
        "engine": conditions["options"].get("engine", "icd"),
        "step cap": str(conditions["max_steps"]),
        "seeds": _seeds(conditions, results),
        **_deciding(conditions),
        **_models(conditions, about),
        **_memory(conditions),
        "versions": ", ".join(_versions(about, conditions)),
        "commit": about.get("commit", ""),
        "machine": about.get("machine", ""),
    }
    return {name: value for name, value in found.items() if value}


def _seeds(conditions: JsonObject, results: Iterable[Sequence[Result]]) -> str:
    played = sorted({result.seed for group in results for result in group})
    text = f"order of tasks {conditions['seed']}"
    return f"{text}; episodes {', '.join(map(str, played))}" if played else text


def _deciding(conditions: JsonObject) -> dict[str, str]:
    defaults, runtime = conditions["defaults"], conditions["runtime"]
    prompt = runtime.get("student_prompt", {})
    guards = ", ".join(name for name, value in defaults["guards"].items() if value not in (False, None))
    return {
        "cascade": f"{defaults['cascade']}, guards {guards or 'none'}",
        "temperature": f"{runtime['temperature']:g}",
        "demonstrations at a step": f"{defaults['k']}, placed {prompt.get('placement', '?').replace('_', ' ')}",
    }


def _models(conditions: JsonObject, about: JsonObject) -> dict[str, str]:
    found: dict[str, str] = {}
    files: Mapping[str, Mapping[str, str]] = about.get("model_files", {})
    for name in ("student", "teacher", "verifier"):
        seat = conditions.get(name)
        if not seat:
            continue
        found[name] = f"{seat['model']} ({seat['kind']})"
        for key, told in ((name, f"{name}'s file"), (f"{name}'s adapter", f"{name}'s adapter")):
            if key in files:
                found[told] = f"{files[key]['file']}, sha256 {files[key]['sha256']}"
        found[f"{name}'s price"] = price_text(seat["price"])
    if not files and about.get("model_file"):
        found["student's file"] = about["model_file"]
    return found


def price_text(price: JsonObject) -> str:
    """Return a price with who says so, and for which day; empty for an unknown one."""
    if not price:
        return ""
    source = f"{price['source']}, {price['as_of']}".rstrip(", ")
    note = f"; {price['note']}" if price["note"] else ""
    return (
        f"${price['input']:g} in / ${price['cached_input']:g} cached / ${price['output']:g} out "
        f"per million tokens ({source}{note})"
    )


def _memory(conditions: JsonObject) -> dict[str, str]:
    if not conditions["demonstrations"]:
        return {"demonstrations": "none"}
    return {
        "demonstrations": (
            f"{conditions['demonstrations']}, fingerprint {conditions['memory']}, from {', '.join(conditions['sources'])}"
        ),
        "embedder": conditions["embedder"],
    }


def _versions(about: JsonObject, conditions: JsonObject) -> list[str]:
    found = [f"{name} {version}" for name, version in about.get("versions", {}).items()]
    if not found and conditions.get("version"):
        found = [f"icd-runtime {conditions['version']}"]
    return found + [f"Python {about['python']}"] * bool(about.get("python"))
