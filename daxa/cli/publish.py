"""``daxa publish``: write a release as files for a repository of data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daxa.cli.completion import complete_tag
from daxa.cli.show import counted, note, progress, say, show_json, show_table, show_text, size_text
from daxa.errors import CriteriaError
from daxa.naming import number_of

__all__ = ["publish"]

EXAMPLES = (
    "daxa publish v1.0.0 -o ../a907-v1.0.0",
    "daxa publish v1.0.0 -o ../a907-v1.0.0.tar",
    "daxa publish -o /media/disk/a907 --part-size 4.5",
)


def publish(
    tag: Annotated[
        str, typer.Argument(metavar="TAG", help="A release; by default the latest.", autocompletion=complete_tag)
    ] = "",
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="PLACE", help="A new directory, or a new file ending in .tar.")
    ],
    part_size: Annotated[float, typer.Option("--part-size", metavar="GB", help="Size of one tar file of data.")] = 10.0,
    private: Annotated[
        bool,
        typer.Option(
            "--private", help="Include data that are not known to be public; such a deposit is not for upload."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object: tag, commit, files, objects.")
    ] = False,
) -> None:
    """Write a release with all its data as files that can be uploaded to Zenodo or any other repository.

    These are a Git bundle, tar files that together are a DVC remote, a list of everything with sizes and SHA-256, and a
    README that explains how to get the archive back with `daxa restore`, or with Git and DVC alone.

    The same release gives the same data files. After an interruption, the same command continues.
    """
    import daxa

    if not part_size > 0:
        raise CriteriaError("part-size", f"--part-size {part_size} is not a size", remedy="give GB, such as 10")
    archive = daxa.open(acting=True)
    with progress("publish", "objects") as observe:
        made = archive.publish(output, tag, part_size=round(part_size * 1e9), private=private, observe=counted(observe))
    if as_json:
        show_json([made.as_dict()])
        return
    show_table(["file", "size", "SHA-256"], [[name, size_text(one[0]), one[1]] for name, one in made.files.items()])
    show_text(f"{made.tag} ({made.commit[:10]}) is in {made.place}: {made.objects} objects, {size_text(made.size)}")
    if made.kept:
        note(f"{number_of(made.kept, 'tar file')} of the release {'was' if made.kept == 1 else 'were'} there already")
    say(f"next: upload these files; `daxa restore {output} DIR` brings the archive back")
