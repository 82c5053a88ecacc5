"""From the file of `daxa export` to an archive without data: checked before anything of it is put in place.

The order follows what each reader could be made to do: the size of the bundle is checked before Git reads it, its
objects are checked by Git as they are read, its tree is checked before any of its files is written, and the gate
runs before the archive gets its name.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from daxa.archive import git
from daxa.archive.bundle import MANIFEST_REF, judge_bundle, judge_tree
from daxa.archive.create import check_place
from daxa.archive.gate import check_archive
from daxa.archive.git_objects import Tag, fetch_refs, start_branch, start_repository, tag_object, tree_of
from daxa.archive.layout import Layout
from daxa.archive.trust import accept_services, harmful_attributes
from daxa.errors import StorageError, UntrustedArchive, VerifyError
from daxa.files import errors_naming
from daxa.publish.remaking.export import read_manifest

__all__ = ["check_expected", "open_bundle"]

_TAGS = "refs/tags/"
_ATTRIBUTES = ".gitattributes"


def open_bundle(
    bundle: Path,
    directory: Path,
    *,
    expect: str = "",
    trust_services: bool = False,
    prepare: Callable[[Layout, str], None] = lambda layout, tag: None,
) -> tuple[Layout, str]:
    """Make the archive of a bundle in a new directory, without data.

    It is made next to its place and moved there at the end, so that a failure leaves nothing behind.

    Parameters
    ----------
    bundle
        The file.
    directory
        A path that does not exist.
    expect
        The first digits (12 at least) of the commit or tag that it must contain, such as a paper gives them.
    trust_services
        Accept the archive services that its ``daxa.toml`` names.
    prepare
        Called with the archive and the tag just before the archive gets its name.

    Returns
    -------
    Layout, str
        The archive, and the tag of its release.

    Raises
    ------
    UntrustedArchive, ArchiveError, DataError
        Something in it could run, or it is not what `daxa export` writes.
    VerifyError
        It does not contain the expected release.
    StorageError
        The directory cannot be made.
    """
    check_place(directory)
    refs = judge_bundle(bundle)
    tag = next(name for name in refs if name.startswith(_TAGS)).removeprefix(_TAGS)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{directory} cannot be created: {(error.strerror or str(error)).lower()}",
            remedy="free some space, check the permissions there, or choose another directory",
        ) from None
    made = scratch / "archive"
    try:
        with errors_naming({made: directory}):
            _unpack(bundle, made, tag, expect)
            layout = Layout(made)
            if trust_services:
                accept_services(layout)
            check_archive(layout, acting=True)
            prepare(layout, tag)
            if directory.is_dir():
                directory.rmdir()
            made.rename(directory)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Layout(directory), tag


def _unpack(bundle: Path, made: Path, tag: str, expect: str) -> None:
    start_repository(made)
    fetch_refs(made, str(bundle.absolute()), {name: name for name in (f"{_TAGS}{tag}", MANIFEST_REF)})
    found = tag_object(made, tag)
    read_manifest(made, found, source=str(bundle))
    check_expected(str(bundle), found, expect)
    entries = tree_of(made, found.commit)
    judge_tree(entries)
    for entry in entries:
        if entry.path.rpartition("/")[2].casefold() == _ATTRIBUTES:
            _check_attributes(made, found.commit, entry.path)
    start_branch(made, "main", found.commit)
    git.plumb(made, "update-ref", "-d", MANIFEST_REF)


def _check_attributes(made: Path, commit: str, path: str) -> None:
    """Git obeys attributes when it writes files: one of the user's own filters would run on untrusted files."""
    for what in harmful_attributes(git.read_file(made, commit, path)):
        raise UntrustedArchive(
            "bundle",
            f"the release in this bundle was not unpacked: {path} changes how Git treats files ({what[:100]})",
            remedy="do not use it; its author should export a release without that line",
        )


def check_expected(place: str, found: Tag, expect: str) -> None:
    """Refuse another release than the expected one.

    Parameters
    ----------
    place
        What contains it, for messages.
    found
        The tag of the release that is there.
    expect
        As for `open_bundle`; '' if any release will do.

    Raises
    ------
    VerifyError
        It is another one, or too few digits are given.
    """
    if not expect:
        return
    wanted = expect.lower()
    if len(wanted) < 12 or not any(digest.startswith(wanted) for digest in (found.commit, found.digest)):
        raise VerifyError(
            "other-release",
            f"{place} contains commit {found.commit} (tag {found.digest}), not {expect}",
            remedy="give at least 12 digits of the commit or the tag; if they are right, this is another release",
        )
