"""What is compared: our server and the peers, each in an environment of its own, all in front of the same mock.

A peer's settings are those that its documentation recommends for production, without what needs a database server;
they are written out here so that anybody can judge them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from backend_process import Launch, free_port
from peer_environment import environment_python

from icd.models import models_folder

KEY = "none"


@dataclass(frozen=True, slots=True)
class Contestant:
    """One server."""

    name: str
    does: str
    """What it does for a request, so that nobody compares unlike things unknowingly."""
    launch: Callable[[Path, int], Launch]
    """From a folder of its own and the mock's port."""
    ready: str
    """The path that answers 200 when it is ready; empty: it has none, and is ready when it answers at all."""
    path: str = "/v1/chat/completions"
    model: str = "mock"
    package: str = ""
    """What is installed for it, with its version; empty: nothing."""
    receipts: str = ""
    """The SQLite file in its folder whose table ``decisions`` has a row for each answer; empty: none of ours."""


def installed(contestant: Contestant, folder: Path, install: bool) -> None:
    """Make the environment of a peer in `folder`, unless it is there.

    Raises:
        PeerMissingError: it is not there and cannot be made.
    """
    if contestant.package:
        environment_python(folder / contestant.name, [contestant.package], install)


def ours(name: str, does: str, config: str, store: Callable[[], Path] | None = None) -> Contestant:
    """Our server with this `icd.toml`, in which ``UPSTREAM`` stands for the mock's address, over a copy of a store."""

    def launch(folder: Path, upstream: int) -> Launch:
        if store is not None:
            subprocess.run(["cp", "-r", f"{store()}/.", str(folder)], check=True)
        port = free_port()
        file = _write(folder / "icd.toml", config.replace("UPSTREAM", _url(upstream)))
        start = "from icd.cli import main; main()"
        command = [sys.executable, "-c", start, "serve", "--config", str(file), "--port", str(port)]
        return Launch(command, _environment(folder, ICD_MODELS_DIR=str(models_folder())), folder, port)

    return Contestant(name, does, launch, ready="/readyz", model="icd/cascade", receipts="icd.db")


def peers(folder: Path) -> list[Contestant]:
    """The peers, whose environments are in `folder`."""
    return [
        Contestant(
            "litellm",
            "plain proxy, 1 worker",
            lambda place, upstream: _litellm(folder, place, upstream),
            ready="/health/readiness",
            # Not the newest: 1.107.0 is reported as compromised and withdrawn; this one was out well before it.
            package="litellm[proxy]==1.102.4",
        ),
        Contestant(
            "firstpass",
            # Its built-in gates judge texts: they refuse every answer that only calls tools.
            "ladder of two models without a gate; receipt in SQLite",
            lambda place, upstream: _firstpass(folder, place, upstream),
            ready="/healthz",
            package="firstpass==0.9.0",
        ),
        Contestant(
            "tensorzero",
            "plain gateway, embedded in a Python process; observability off (it needs ClickHouse)",
            lambda place, upstream: _tensorzero(folder, place, upstream),
            ready="",
            path="/openai/v1/chat/completions",
            model="tensorzero::model_name::mock",
            package="tensorzero==2026.6.0",
        ),
        Contestant(
            "cascadeflow",
            "gateway: drafter, then verifier model if its quality check fails",
            lambda place, upstream: _cascadeflow(folder, place, upstream),
            ready="/health",
            package="cascadeflow==1.2.0",
        ),
    ]


def _litellm(peers_folder: Path, folder: Path, upstream: int) -> Launch:
    config = {
        "model_list": [
            {
                "model_name": "mock",
                "litellm_params": {"model": "openai/mock", "api_key": KEY, "api_base": _url(upstream)},
            }
        ],
        "litellm_settings": {"set_verbose": False, "telemetry": False, "request_timeout": 600},
        "general_settings": {"disable_error_logs": True},
    }
    file = _write(folder / "litellm.yaml", json.dumps(config))
    port = free_port()
    arguments = ["--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    environment = _environment(folder, **quiet, DISABLE_ADMIN_UI="True", NO_DOCS="True")
    # Its server writes a line for every request, at level INFO, unless told otherwise.
    logs = _write(folder / "logs.json", json.dumps({"version": 1, "disable_existing_loggers": False}))
    command = [str(peers_folder / "litellm" / "bin" / "litellm"), *arguments, "--log_config", str(logs)]
    return Launch(command, environment, folder, port)


def _firstpass(peers_folder: Path, folder: Path, upstream: int) -> Launch:
    config = """
[[route]]
match = {}
mode = "enforce"
ladder = ["openai/mock", "openai/mock-large"]
gates = []
[escalation]
enforce_structured = true
[[price]]
model = "openai/mock"
input_per_mtok = 0.0
output_per_mtok = 0.0
[[price]]
model = "openai/mock-large"
input_per_mtok = 0.0
output_per_mtok = 0.0
"""
    port = free_port()
    environment = _environment(
        folder,
        OPENAI_API_KEY=KEY,
        FIRSTPASS_MODE="enforce",
        FIRSTPASS_CONFIG=str(_write(folder / "firstpass.toml", config)),
        FIRSTPASS_DB=str(folder / "firstpass.db"),
        FIRSTPASS_BIND=f"127.0.0.1:{port}",
        FIRSTPASS_PROMPT_SALT="benchmark",
        FIRSTPASS_UPSTREAM_OPENAI=f"http://127.0.0.1:{upstream}",
        RUST_LOG="error",
    )
    return Launch([str(peers_folder / "firstpass" / "bin" / "firstpass-proxy")], environment, folder, port)


def _tensorzero(peers_folder: Path, folder: Path, upstream: int) -> Launch:
    config = f"""
[gateway.observability]
enabled = false
[models.mock]
routing = ["mock"]
[models.mock.providers.mock]
type = "openai"
model_name = "mock"
api_base = "{_url(upstream)}/"
api_key_location = "none"
"""
    program = """
import sys, threading
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print(gateway.base_url, flush=True)
threading.Event().wait()
"""
    file = _write(folder / "tensorzero.toml", config)
    command = [str(peers_folder / "tensorzero" / "bin" / "python"), "-c", program, str(file)]
    return Launch(command, _environment(folder, RUST_LOG="error"), folder, 0)


def _cascadeflow(peers_folder: Path, folder: Path, upstream: int) -> Launch:
    models = [
        {"name": name, "provider": "openai", "cost": cost, "supports_tools": True}
        for name, cost in (("mock", 0.0001), ("mock-large", 0.001))
    ]
    config = _write(folder / "config.json", json.dumps({"models": models}))
    # Its command takes no base URL for OpenAI, and its provider that does take one cannot call tools. Its handler
    # writes a line for every request.
    program = """
import sys, threading
from cascadeflow.config_loader import load_agent
from cascadeflow.proxy.server import ProxyConfig, ProxyRequestHandler, RoutingProxy
ProxyRequestHandler.log_message = lambda *arguments: None
agent = load_agent(sys.argv[1])
for provider in [*agent.providers.values(), *agent.model_providers.values()]:
    provider.base_url = sys.argv[2]
RoutingProxy(agent=agent, config=ProxyConfig(port=int(sys.argv[3]))).start()
threading.Event().wait()
"""
    port = free_port()
    python = str(peers_folder / "cascadeflow" / "bin" / "python")
    command = [python, "-c", program, str(config), _url(upstream), str(port)]
    return Launch(command, _environment(folder, OPENAI_API_KEY=KEY), folder, port)


def _url(upstream: int) -> str:
    return f"http://127.0.0.1:{upstream}/v1"


def _environment(folder: Path, **more: str) -> Mapping[str, str]:
    """Nothing of the caller's: no keys, no proxies, no settings of theirs."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "", **more}


def _write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file
