"""One small file from which anybody can make a release again: a Git bundle with a manifest, and no data."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from daxa.archive import git
from daxa.archive.bundle import MANIFEST_REF
from daxa.archive.config import load_config, steps_of
from daxa.archive.git_objects import Tag, commit_files, fetch_refs, start_repository, tag_object, write_bundle
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError, CriteriaError, DataError, StorageError
from daxa.publish.releases.release_environment import environment_at
from daxa.publish.state import MissionState, read_mission, records_at
from daxa.publish.summary import summarise
from daxa.publish.version import parse_version, release_tags

__all__ = ["MANIFEST", "Export", "export_release", "make_manifest", "read_manifest"]

MANIFEST = "manifest.json"
_KIND = "daxa export 1"
_LARGEST = 4 << 20


@dataclass(frozen=True)
class Export:
    """A bundle that was written.

    Parameters
    ----------
    path
        The file.
    tag, commit
        The release.
    size, sha256
        Those of the file.
    """

    path: str
    tag: str
    commit: str
    size: int
    sha256: str


def export_release(layout: Layout, tag: str = "", target: Path | None = None) -> Export:
    """Write a release into one file: every commit up to it, its tag, and a manifest; no data.

    Equal releases give equal files, byte for byte, with one version of Git.

    Parameters
    ----------
    layout
        The archive.
    tag
        The release; the latest by default.
    target
        The file, which must not exist; ``<archive>-<tag>.bundle`` in the current directory by default.

    Raises
    ------
    ArchiveError
        There is no such release, or its tag has another name inside.
    CriteriaError
        The file exists.
    StorageError
        It cannot be written.
    """
    known = release_tags(git.tags(layout.root))
    tag = tag or (known[-1] if known else "")
    if not tag or parse_version(tag) is None:
        raise ArchiveError(
            "no-release",
            f"{tag!r} is not a release of {layout.root}" if tag else f"{layout.root} has no release",
            remedy="list releases with `git tag`; `daxa release` makes one",
        )
    if git.ask(layout.root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        raise ArchiveError(
            "shallow",
            f"{layout.root} is a shallow clone, which lacks the commits before {tag}",
            remedy="get them, then try again: `git fetch --unshallow`",
        )
    found = tag_object(layout.root, tag)
    manifest = make_manifest(layout, found)
    target = target or Path(f"{manifest['archive']}-{tag}.bundle")
    if target.exists() or target.is_symlink():
        raise CriteriaError("file", f"{target} exists", remedy="remove it, or choose another file with -o")
    place = _scratch(target)
    try:
        start_repository(place / "export")
        fetch_refs(place / "export", str(layout.root.absolute()), {f"refs/tags/{tag}": f"refs/tags/{tag}"})
        content = (json.dumps(manifest, indent=1, sort_keys=True) + "\n").encode()
        commit_files(place / "export", MANIFEST_REF, {MANIFEST: content}, f"Manifest of {tag}", when=found.when)
        write_bundle(place / "export", place / "bundle", [f"refs/tags/{tag}", MANIFEST_REF])
        with (place / "bundle").open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        size = (place / "bundle").stat().st_size
        (place / "bundle").replace(target)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Export(str(target), tag, found.commit, size, digest)


def _scratch(target: Path) -> Path:
    try:
        return Path(mkdtemp(prefix=".daxa-", dir=target.absolute().parent))
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{target.absolute().parent} cannot be written: {error.strerror}",
            remedy="choose another file with -o",
        ) from None


def make_manifest(layout: Layout, tag: Tag) -> dict[str, Any]:
    """The description of a bundle, from the commit of the release only."""
    with records_at(layout, tag.commit) as records:
        config = load_config(records)
        steps = [step.name for step in steps_of(config)]
        missions = {name: _summary(name, read_mission(records, name, steps)) for name in config.missions}
    if tag.named != tag.name:
        raise ArchiveError(
            "moved-tag",
            f"the tag {tag.name} of {layout.root} is really the tag {tag.named!r} under another name",
            remedy="get the archive again from its author",
        )
    return {
        "kind": _KIND,
        "archive": config.name,
        "title": config.title,
        "tag": tag.name,
        "tag_object": tag.digest,
        "commit": tag.commit,
        "missions": missions,
        "environment": environment_at(layout, tag.commit),
    }


def _summary(name: str, state: MissionState) -> dict[str, int]:
    found = summarise(name, state)
    return {
        "observations": found.selected,
        "fetched_files": found.fetched,
        "fetched_bytes": found.fetched_bytes,
        "products": found.products,
        "product_bytes": found.product_bytes,
    }


def read_manifest(root: Path, tag: Tag, *, source: str) -> Mapping[str, Any]:
    """The manifest of a bundle whose refs are in a repository; it must describe the tag that came with it.

    Raises
    ------
    DataError
        It does not, or is not valid: the tag was moved or edited after the export.
    """
    entries = git.tree_entries(root, MANIFEST_REF)
    content = git.read_file(root, MANIFEST_REF, MANIFEST) if [path for path, _, _ in entries] == [MANIFEST] else None
    try:
        value = json.loads(content) if content is not None and len(content) <= _LARGEST else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("kind") != _KIND:
        raise DataError("bundle", f"the manifest in {source} cannot be read", remedy="get the file again")
    said = {"tag": tag.name, "tag_object": tag.digest, "commit": tag.commit}
    if wrong := [name for name, here in said.items() if value.get(name) != here]:
        raise DataError(
            "bundle",
            f"the release in {source} is not the one that was exported: {', '.join(wrong)} differ from its manifest",
            remedy="do not use it; get the file again from its author",
        )
    return value
