"""``daxa remote``: the storage that an archive shares its data through."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from daxa.cli.show import say, show_json, show_text
from daxa.errors import CriteriaError

__all__ = ["remote"]

EXAMPLES = (
    "daxa remote add storage /data/a907-storage",
    "daxa remote add group ssh://host/data/a907 --default",
    "daxa remote add public s3://bucket/a907 --no-try",
    "daxa remote try public",
)


def remote(
    action: Annotated[Literal["add", "try"], typer.Argument(metavar="ACTION", help="add or try.")],
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the remote; for try, by default the default remote.")
    ] = "",
    url: Annotated[
        str, typer.Argument(metavar="URL", help="For add: a directory, ssh://, s3://, webdavs://, https://, ...")
    ] = "",
    *,
    default: Annotated[
        bool, typer.Option("--default", "-d", help="Push to and pull from this remote from now on.")
    ] = False,
    attempt: Annotated[
        bool, typer.Option("--try/--no-try", help="Write and read a small object first; the default.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Add a remote after trying it, or try one that is there.

    A small object is written, read back and, where the storage may be public, read without an account. If that
    succeeds, .dvc/config is committed; otherwise nothing is kept. Accounts and passwords belong in .dvc/config.local:
    add the remote with --no-try, then `dvc remote modify --local NAME ...`, then `daxa remote try NAME`.

    Some kinds of storage need another package: `pip install "daxa-archive[ssh,s3,webdav]"`. Remotes over plain HTTP
    can only be read.
    """
    import daxa
    from daxa.publish.sharing.remotes import add_remote, try_remote

    if (action == "add") != bool(url) or (action == "add" and not name):
        raise CriteriaError(
            "remote",
            f"`daxa remote {action}` takes other arguments",
            remedy=f"such as `{EXAMPLES[0 if action == 'add' else 3]}`",
        )
    layout = daxa.open(acting=True).layout
    if action == "add":
        trial = add_remote(layout, name, url, default=default, attempt=attempt)
    else:
        trial = try_remote(layout, name)
    if as_json:
        show_json([trial.as_dict()])
        return
    words = {None: "not tried", True: "yes", False: "no"}
    show_text(
        f"{trial.name} ({trial.url}): writing {words[trial.written]}, reading {words[trial.read]}, "
        f"reading without an account {words[trial.anonymous]}"
    )
    if action == "add":
        say("committed .dvc/config")
        if attempt and trial.written is None:
            say("next: copy the files of another remote there (DVC only reads over HTTP)")
        else:
            say("next: `daxa push`")
