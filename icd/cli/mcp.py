"""`icd mcp`: the memory as tools of the Model Context Protocol."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from icd.cli import options
from icd.cli.output import say


def mcp(
    http: Annotated[
        bool, typer.Option("--http", help="Serve HTTP on this machine instead of standard input and output.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http; 0: any free one.")] = 8791,
    embedder: options.Embedder = None,
    store: options.StorePlace = None,
    config: options.Config = None,
) -> None:
    """Offer the memory to an agent as MCP tools. Over stdio the key is in ICD_MCP_KEY; over HTTP it is a bearer token."""
    from icd.assembly import open_memory, strategy_library
    from icd.cli.settings import open_store, resolve
    from icd.errors import MissingExtraError

    try:
        from icd.mcp.server import http_app, serve_stdio
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("mcp", "mcp_types", "starlette"):
            raise
        raise MissingExtraError("the MCP server", "mcp") from error
    from icd.mcp.answers import Answers
    from icd.mcp.callers import KEY_VARIABLE, Callers
    from icd_envs.table import SUITES, suite

    settings = resolve(config, memory__store=store, memory__embedder=embedder)
    kept_out = {split for name in SUITES for split in suite(name).test_splits}
    with (
        open_store(config, store) as opened,
        open_memory(settings, opened, test_splits=kept_out, keep_queries=False) as memory,
    ):
        answers = Answers(memory, strategy_library(memory))
        if http:
            _serve_http(http_app(answers, Callers(opened.accounts, None)), port)
        else:
            asyncio.run(serve_stdio(answers, Callers(opened.accounts, os.environ.get(KEY_VARIABLE))))


def _serve_http(app: object, port: int) -> None:
    import socket

    import uvicorn

    with socket.create_server(("127.0.0.1", port)) as listener:
        say(f"MCP at http://127.0.0.1:{listener.getsockname()[1]}/mcp")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])  # type: ignore[arg-type]
