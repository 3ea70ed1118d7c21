"""`icd console`: pages about a store, for whoever may sign in."""

from __future__ import annotations

from typing import Annotated

import typer

from icd.cli import options
from icd.cli.output import results, say


def console(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8081,
    tenant: Annotated[str, typer.Option(help="Whose data the printed link shows.")] = "default",
    store: options.StorePlace = None,
    embedder: options.Embedder = None,
    config: options.Config = None,
) -> None:
    """See in a browser what a store holds, and decide about it; on this machine only, without any model.

    Sign in by the link that is printed, which is good once, or with an operator's key. `icd serve` has the same
    pages at /ui.
    """
    from importlib.util import find_spec

    from icd.cli.settings import open_store, resolve
    from icd.errors import MissingExtraError

    if not all(map(find_spec, ("fastapi", "jinja2", "uvicorn"))):
        raise MissingExtraError("`icd console`", "server")
    from icd.console.opening import site_alone
    from icd.console.rendering import BASE
    from icd.console.server import serve
    from icd.serving.keys import tenant_name
    from icd.serving.server import listen

    settings = resolve(config, memory__store=store, memory__embedder=embedder)
    with open_store(config, store) as opened:
        site = site_alone(opened, settings, tenant_name(tenant))
        listening = listen("127.0.0.1", port)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}{BASE}"

        def told() -> None:
            say(f"icd console at {url}/, store {opened.place}: sign in once by")
            assert site.link is not None
            results.print(f"{url}/sign-in?link={site.link.token}", markup=False, soft_wrap=True)

        serve(site, listening, told)
