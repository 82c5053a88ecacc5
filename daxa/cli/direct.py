"""Plain command lines of the verbs that only look, without typer: starting it takes longer than looking.

What is not plain (help, a misspelt or abbreviated option, a value that begins with a dash) is left to typer,
which declares the same options; a test compares the two.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module

from daxa.errors import ArchiveError

__all__ = ["DIRECT", "enter", "read_plainly", "run_directly"]

DIRECT = {
    "ls": (
        "listing.list_products",
        {
            "--mission": "mission",
            "--step": "step",
            "--obs": "obs_id",
            "--kind": "kind",
            "--instrument": "instrument",
            "--band": "band",
        },
        {"--json": "as_json"},
    ),
}
"""Verb to the function that carries it out, its options that may be repeated, and its switches: option to parameter."""


def run_directly(verb: str, arguments: Sequence[str]) -> bool:
    """Carry out a verb if its command line is plain; whether it was.

    Raises
    ------
    DaxaError
        What the verb could not do.
    """
    if verb not in DIRECT or (given := read_plainly(verb, arguments)) is None:
        return False
    module, _, name = DIRECT[verb][0].partition(".")
    getattr(import_module(f"daxa.cli.{module}"), name)(**given)
    return True


def read_plainly(verb: str, arguments: Sequence[str]) -> dict[str, list[str] | bool] | None:
    """The parameters that a command line gives, None where only typer can tell.

    Examples
    --------
    >>> read_plainly("ls", ["--obs", "0404910601", "--kind=image", "--json"])
    {'obs_id': ['0404910601'], 'kind': ['image'], 'as_json': True}
    >>> read_plainly("ls", ["--obs"]), read_plainly("ls", ["0404910601"])
    (None, None)
    """
    _, repeated, switches = DIRECT[verb]
    given: dict[str, list[str] | bool] = {}
    waiting = iter(arguments)
    for argument in waiting:
        if argument in switches:
            given[switches[argument]] = True
            continue
        option, equals, value = argument.partition("=")
        if not equals:
            value = next(waiting, "-")
        if option not in repeated or (not equals and value.startswith("-")):
            return None
        given.setdefault(repeated[option], []).append(value)
    return given


def enter(directory: str) -> None:
    """Act as if started in a directory, '' for the current one.

    Raises
    ------
    ArchiveError
        It cannot be entered.
    """
    if not directory:
        return
    try:
        os.chdir(directory)
    except OSError as error:
        raise ArchiveError(
            "no-directory", f"{directory} cannot be entered: {error.strerror}", remedy="give -C an archive's directory"
        ) from None
