"""The interface for Python: an archive as an object, with the same calls as from the shell."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from daxa.api.archive import Archive
from daxa.archive.gate import check_archive, enter_archive
from daxa.archive.layout import Layout, absolute_place

__all__ = ["Archive", "open"]


def open(directory: str | PathLike[str] = ".", *, acting: bool = False) -> Archive:  # noqa: A001 - daxa.open reads as intended
    """Open the archive in a directory.

    Reading an archive writes nothing into it.  The methods that act (`Archive.run`, `Archive.accept`,
    `Archive.release`, `Archive.push`) first check that nothing in it is foreign, and finish a change of its
    selection that was interrupted.

    Parameters
    ----------
    directory
        The archive's.
    acting
        Do now what the methods that act do first.

    Returns
    -------
    Archive
        Its directory is absolute.

    Raises
    ------
    ArchiveError
        There is none, it is in use by another process (`acting`), or it contains something harmful
        (`daxa.errors.UntrustedArchive`).
    ConfigError
        Its ``daxa.toml`` cannot be used.
    """
    layout = Layout(absolute_place(Path(directory)))
    if acting:
        enter_archive(layout)
    else:
        check_archive(layout)
    return Archive(layout.root)
