"""`icd serve`: the runtime behind anybody's agent, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from icd.cli import options
from icd.cli.output import say

if TYPE_CHECKING:
    import socket

    from icd.config import Settings
    from icd.console.sessions import SignInLink
    from icd.serving.service import Service
    from icd_memory.store import Store

_SERVER = "Server"
LogFormat = Literal["plain", "json"]


def serve(
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on; another than this machine's own needs a key.", rich_help_panel=_SERVER
        ),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="0: any free one.", rich_help_panel=_SERVER)
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option(
            help="observe, shadow or cascade, for tenants without their own.", rich_help_panel=_SERVER
        ),
    ] = None,
    log_level: Annotated[
        str, typer.Option(help="debug, info, warning or error.", rich_help_panel=_SERVER)
    ] = "warning",
    log_format: Annotated[
        LogFormat, typer.Option(help="Lines for people, or of JSON for machines.", rich_help_panel=_SERVER)
    ] = "plain",
    policy: Annotated[
        str | None,
        typer.Option(
            help="student, teacher, random(p), unanimity(n), majority(n, share), sequential(n, confidence) "
            "or cascade."
        ),
    ] = None,
    student: options.Student = None,
    student_model: options.StudentModel = None,
    teacher: options.Teacher = None,
    teacher_model: options.TeacherModel = None,
    budget: options.Budget = None,
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
) -> None:
    """Answer the model calls of your agent: OpenAI's chat and responses, Anthropic's messages."""
    from icd.cli.settings import model_arguments, resolve
    from icd_memory.store import Store

    _log(log_level, log_format)
    settings = resolve(
        config,
        student=model_arguments(student, student_model),
        teacher=model_arguments(teacher, teacher_model),
        policy=policy,
        run__budget=budget,
        serve__host=host,
        serve__port=port,
        serve__mode=mode,
        memory__store=store,
        memory__embedder=embedder,
    )
    with Store.open(settings.memory.store) as opened:
        _serve(settings, opened)


def _log(level: str, format: LogFormat) -> None:
    from icd.serving.logs import configure

    levels = ("debug", "info", "warning", "error")
    if level not in levels:
        raise typer.BadParameter(f"use one of {', '.join(levels)}", param_hint="--log-level")
    configure(level, as_json=format == "json")


def _serve(settings: Settings, store: Store) -> None:
    from importlib.util import find_spec

    from icd.errors import ConfigurationError, MissingExtraError

    if not all(map(find_spec, ("fastapi", "jinja2", "prometheus_client", "uvicorn"))):
        raise MissingExtraError("`icd serve`", "server")
    import asyncio

    from icd.serving.server import listen, loop_factory

    host = settings.serve.host
    needs_key = any(row.revoked_at is None for row in store.accounts.keys(tenant=None))
    local = _is_loopback(host)
    if not needs_key and not local:
        raise ConfigurationError(
            f"anybody who reaches {host} could use this server: make a key first (`icd keys create`), or listen on "
            "127.0.0.1"
        )
    listening = listen(host, settings.serve.port)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_run(settings, store, listening, local=local))


def _is_loopback(host: str) -> bool:
    import ipaddress

    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _run(settings: Settings, store: Store, listening: socket.socket, *, local: bool) -> None:
    import asyncio

    from icd.assembly import open_chat
    from icd.backends.openai_compatible import OpenAICompatibleBackend
    from icd.console.app import create_console
    from icd.console.sessions import SignInLink
    from icd.console.site import Site
    from icd.serving.keys import Keyring
    from icd.serving.served_models import ServedModels
    from icd.serving.server import Server
    from icd.serving.service import Service

    keys = Keyring(store.accounts)
    # An answer, and a shadow after it; what held money for longer is dead.
    store.reservations.longest_call = 2 * settings.serve.timeout + 60
    async with open_chat(settings, store) as runtime:
        service = Service(
            runtime,
            ServedModels(
                runtime.student.backend.model if runtime.student else None,
                runtime.teacher.backend.model if runtime.teacher else None,
                runtime.settings.policy,
            ),
            settings.serve,
            keys=keys,
            local=local,
            store=store,
            tenants=runtime.tenants,
        )
        for model in (runtime.student, runtime.teacher):
            if model is not None and isinstance(model.backend, OpenAICompatibleBackend):
                service.metrics.watch(model.backend.model, model.backend.circuit)
        if runtime.commit is not None:
            service.metrics.watch_commits(runtime.commit)
        if (budgets := runtime.budgets) is not None:
            service.metrics.watch_budgets(lambda: sum(budget.reserved for budget in budgets.all()))
        host, port = listening.getsockname()[:2]
        shown = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        key = "anything: no key is needed" if await service.is_open() else "your key (`icd keys create`)"
        # Without keys nobody could sign in otherwise.
        link = SignInLink("default") if await service.is_open() else None
        site = Site(store, keys, link, lambda: runtime.memory)
        server = Server(
            service, console=create_console(site), started=lambda: _tell(service, store, shown, key, link)
        )
        try:
            await server.serve(sockets=[listening])
        finally:
            await asyncio.to_thread(site.close)


def _tell(service: Service, store: Store, url: str, key: str, link: SignInLink | None) -> None:
    """Say what runs, and the one line that changes in a client."""
    models = service.models
    say(
        f"icd serve at {url}: mode {service.settings.mode}, policy {models.default_policy}, student {models.student}, "
        f"teacher {models.teacher}, store {store.place}"
    )
    say(f"in your client: base_url={url}/v1, model=icd/cascade, api_key={key}")
    say(
        f"console: {url}/ui/"
        + (f"sign-in?link={link.token} (good once)" if link else ", with an operator's key")
    )
