"""From the table of verbs to typer commands."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from daxa.cli import VERBS
from daxa.cli.show import show_error
from daxa.errors import ArchiveError, CriteriaError

if TYPE_CHECKING:
    from typer.core import TyperCommand

__all__ = ["command_of", "examples_of", "run_completion", "run_verb"]

# typer speaks through click or through a copy of its own; either way this is what a wrong option raises.
_UsageError: Any = typer.BadParameter.__base__


def run_verb(verb: str, arguments: list[str], directory: str = "", *, quiet: bool = False) -> int:
    """Carry out one verb and give the exit code.

    Parameters
    ----------
    verb, arguments
        From the command line.
    directory
        Where to act, '' for the current directory.
    quiet
        Print only results and errors, in this process and those that it starts.

    Raises
    ------
    DaxaError
        What the verb could not do.
    """
    if directory:
        _enter(directory)
    if quiet:
        os.environ["DAXA_QUIET"] = "1"
    command = command_of(verb)
    try:
        with command.make_context(f"daxa {verb}", list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    except _UsageError as error:
        error.message = error.message.replace("Value error, ", "")  # A word of the validating library, not of daxa.
        if "--json" in arguments:
            wrong = CriteriaError("usage", error.format_message(), remedy=f"`daxa {verb} --help` explains the options")
            show_error(wrong, as_json=True)
        else:
            error.show()
        return error.exit_code
    return 0


def command_of(verb: str) -> TyperCommand:
    """The typer command of one verb; imports that verb's module alone.

    Examples
    --------
    >>> command_of("status").name
    'status'
    """
    # An application of one verb is that verb's command, which is always of typer's own class.
    return cast("TyperCommand", typer.main.get_command(_app([verb], add_completion=False)))


def examples_of(verb: str) -> tuple[str, ...]:
    """Command lines that show how to use a verb."""
    return _module(verb).EXAMPLES


def run_completion(arguments: list[str]) -> int:
    """Answer the shell's questions about completion, for all verbs."""
    app = _app(VERBS, add_completion=True)

    @app.callback()
    def options(
        directory: Annotated[str, typer.Option("-C", help="Run as if started there.")] = "",
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only results and errors.")] = False,
        version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    ) -> None:
        del quiet, version
        if directory:
            _enter(directory)

    try:
        app(arguments, prog_name="daxa")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _app(verbs: Iterable[str], *, add_completion: bool) -> typer.Typer:
    app = typer.Typer(
        add_completion=add_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    for verb in verbs:
        kind = getattr(_module(verb), "COMMAND", None)
        app.command(verb, cls=kind, help=_help(verb), hidden=not VERBS[verb][0])(_function(verb))
    return app


def _module(verb: str) -> ModuleType:
    return import_module(f"daxa.cli.{verb.replace('-', '_')}")


def _function(verb: str) -> Callable[..., None]:
    return getattr(_module(verb), verb.replace("-", "_"))


def _help(verb: str) -> str:
    text = inspect.getdoc(_function(verb)) or ""
    shown = "\n".join(f"  $ {example}" for example in examples_of(verb))
    return f"{text}\n\n\b\nExamples:\n{shown}"


def _enter(directory: str) -> None:
    try:
        os.chdir(directory)
    except OSError as error:
        raise ArchiveError(
            "no-directory", f"{directory} cannot be opened: {error.strerror}", remedy="give -C an archive's directory"
        ) from None
