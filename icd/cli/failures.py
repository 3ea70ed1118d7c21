"""What a command's errors mean for the person and for the shell.

Exit codes: 0 done; 1 a check failed, or not everything that was asked for was reached; 2 wrong usage or
configuration; 3 a model or the cluster could not answer; 4 the store, the embedder or the disk; 70 a bug; 130
interrupted.
"""

from __future__ import annotations

from typer import Abort, TyperException

from icd.cli.output import messages, write_json
from icd.errors import (
    BackendError,
    BudgetError,
    ClusterError,
    ContextOverflowError,
    EnvsError,
    IcdError,
    IcdMemoryError,
    ModelFilesError,
)

CHECK_FAILED, USAGE, BACKEND, STORE, BUG, INTERRUPTED = 1, 2, 3, 4, 70, 130


def tell(error: Exception, *, as_json: bool = False) -> int:
    """Write an error as one line that says what to do, and return the exit code."""
    code, text = _read(error)
    if type(error).__name__ == "NoArgsIsHelpError":  # The help has been shown: there is nothing to add.
        return code
    if as_json:
        name = getattr(error, "code", type(error).__name__)
        write_json({"error": {"code": name, "message": text}})
    messages.print(f"[bold red]error[/]: {_escaped(text)}", soft_wrap=True)
    return code


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _read(error: Exception) -> tuple[int, str]:
    match error:
        case Abort():
            return INTERRUPTED, "interrupted"
        case TyperException():
            return USAGE, _usage(error)
        case BackendError() | ClusterError() | ContextOverflowError() | ModelFilesError():
            return BACKEND, str(error)
        case BudgetError():
            return CHECK_FAILED, str(error)
        case IcdMemoryError():
            return STORE, str(error)
        case IcdError() | EnvsError():
            return USAGE, str(error)
        case OSError():
            return STORE, str(error)
    return BUG, f"{type(error).__name__}: {error} (a bug: --debug shows where)"


def _usage(error: TyperException) -> str:
    """Return what is wrong with a command line, and where its help is."""
    context = getattr(error, "ctx", None)
    where = f" (see `{context.command_path} --help`)" if context is not None else ""
    return f"{error.format_message()}{where}"
