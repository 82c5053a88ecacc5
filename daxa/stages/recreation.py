"""From an exported file, or from a tag of the archive itself, to a certificate."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daxa.archive import git
from daxa.archive.bundle import BUNDLE_LIMIT
from daxa.archive.git_objects import tag_object
from daxa.archive.layout import Layout, absolute_place
from daxa.errors import ArchiveError, ConfigError, CriteriaError, StorageError
from daxa.fetch.single import fetch_single, is_address
from daxa.files import open_plain, read_note, replace_file
from daxa.publish.releases.release_environment import DISTRIBUTION, environment_at, installed_environment
from daxa.publish.remaking.certificate import statement_bytes
from daxa.publish.remaking.certificate_page import certificate_page, certificate_text
from daxa.publish.remaking.own_wheel import write_own_wheel
from daxa.publish.remaking.unbundle import check_expected, open_bundle
from daxa.publish.remaking.workenv import make_environment, plan_environment
from daxa.settings import load_settings
from daxa.stages.recreate import Observer, remake_release

__all__ = [
    "Recreation",
    "RecreationRequest",
    "begin_recreation",
    "recompute_release",
    "recreate_archive",
    "work_environment",
    "write_certificate",
]

_SEEDS = 1 << 32
_NOTE = "recreate.json"


@dataclass(frozen=True)
class RecreationRequest:
    """How to make a release again.

    Parameters
    ----------
    sample, seed
        This many observations, drawn at random; 0 for all.  Without a seed one is drawn; a call that continues
        an interrupted one uses its seed.
    expect
        First digits of the expected commit or tag of the bundle.
    by
        Who issues the certificate; by default the user as known to Git.
    trust_services
        Accept the archive services that its ``daxa.toml`` names.
    """

    sample: int = 0
    seed: int | None = None
    expect: str = ""
    by: str = ""
    trust_services: bool = False


@dataclass(frozen=True)
class Recreation:
    """The result of making a release again.

    Parameters
    ----------
    root
        The archive; '' if it was only a scratch directory.
    tag
        The release.
    statement
        The certificate.
    files
        Where it was written.
    """

    root: str
    tag: str
    statement: dict[str, Any]
    files: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """The worst of all verdicts."""
        return self.statement["predicate"]["verdict"]

    @property
    def same(self) -> bool:
        """Whether everything is identical, in bytes or in science."""
        return self.verdict.startswith("identical")


def recreate_archive(
    source: str,
    directory: Path,
    request: RecreationRequest = RecreationRequest(),
    *,
    certificate: Path | None = None,
    observe: Observer | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Recreation:
    """Make the archive of an exported release, with its data, and a certificate of the result.

    Parameters
    ----------
    source
        A file of `daxa export`, or its address.
    directory
        Where the archive goes.  If an earlier call with the same file was interrupted, this one continues it.
    request
        How.
    certificate
        Prefix of the certificate's paths; by default next to the directory.
    observe, say
        As for `daxa.stages.recreate.remake_release`.

    Raises
    ------
    DaxaError
        As `daxa.publish.remaking.unbundle.open_bundle` and `daxa.stages.recreate.remake_release`.
    """
    layout, tag, sample, seed = begin_recreation(source, directory, request)
    directory = layout.root
    statement = remake_release(
        layout, tag, sample=sample, seed=seed, by=request.by or git.author_name(directory), observe=observe, say=say
    )
    files = write_certificate(statement, certificate or directory.with_name(f"{directory.name}.certificate"))
    return Recreation(str(directory), tag, statement, tuple(map(str, files)))


def begin_recreation(source: str, directory: Path, request: RecreationRequest) -> tuple[Layout, str, int, int]:
    """Put the archive of an exported release in place, without data, or find that of an earlier call.

    Returns
    -------
    Layout, str, int, int
        The archive, its tag, the number of observations to draw, and the seed.

    Raises
    ------
    DaxaError
        As `daxa.publish.remaking.unbundle.open_bundle`.
    """
    directory = absolute_place(directory)
    note = directory / ".git" / "daxa" / _NOTE
    with _local(source, directory.parent) as bundle:
        digest = _digest(bundle)
        begun = {} if note.is_symlink() else read_note(note)
        begun = begun if begun.get("bundle") == digest else {}
        sample, seed = _drawn(request, begun)

        def take_down(layout: Layout, tag: str) -> None:
            content = {"bundle": digest, "tag": tag, "sample": sample, "seed": seed}
            replace_file(layout.private / _NOTE, json.dumps(content).encode())

        if begun:
            layout, tag = Layout(directory), str(begun["tag"])
            check_expected(source, tag_object(directory, tag), request.expect)
            take_down(layout, tag)
        else:
            layout, tag = open_bundle(
                bundle,
                directory,
                expect=request.expect,
                trust_services=request.trust_services,
                prepare=take_down,
            )
    return layout, tag, sample, seed


def work_environment(
    layout: Layout, tag: str, daxa: str = "", say: Callable[[str], None] = lambda line: None
) -> Path | None:
    """The Python of an environment as recorded by the release, installed if needed; None if it is the current one.

    Parameters
    ----------
    layout, tag
        The archive, and its release.
    daxa
        What to install daxa itself from; by default from the files of this one if the release was made with its
        version, else from the index of packages.
    say
        Called with lines about what is done.

    Raises
    ------
    ConfigError
        The release does not record its environment, or there is no Python of its version.
    ProgramError
        Packages cannot be installed.
    """
    recorded, here = environment_at(layout, tag_object(layout.root, tag).commit), installed_environment()
    if recorded is None:
        raise ConfigError(
            "no-environment",
            f"{tag} does not record its environment",
            remedy="leave out --environment to use what is installed",
        )
    if recorded["python"] == here["python"] and recorded["packages"] == here["packages"]:
        say("the environment of the release is the installed one")
        return None
    directory = layout.private / "environment"
    if not daxa and recorded["packages"].get(DISTRIBUTION) == here["packages"].get(DISTRIBUTION):
        directory.mkdir(parents=True, exist_ok=True)
        daxa = str(write_own_wheel(directory))
        say(f"daxa {here['packages'].get(DISTRIBUTION, '')}, with which the release was made, is the one that runs")
    plan = plan_environment(recorded, here, daxa)
    # The gate lets no link stand at the first level below the private directory, and environments have some.
    return make_environment(plan, directory / "python", say)


def recompute_release(
    layout: Layout,
    tag: str,
    request: RecreationRequest = RecreationRequest(),
    *,
    observe: Observer | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Recreation:
    """Make some observations of a release again in a scratch directory, which is removed, and compare them.

    Files that differ are compared HDU by HDU with those of the archive, where they are here.

    Parameters
    ----------
    layout, tag
        The archive, and the release.
    request, observe, say
        As for `recreate_archive`.
    """
    found = tag_object(layout.root, tag)
    sample, seed = _drawn(request, {})
    base = layout.private / "recompute"
    base.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=base))
    try:
        git.clone(str(layout.root.absolute()), place / "archive", found.name)
        scratch = Layout(place / "archive")
        _copy_consent(layout, scratch)
        statement = remake_release(
            scratch,
            tag,
            sample=sample,
            seed=seed,
            by=request.by or git.author_name(layout.root),
            originals=layout,
            finish=False,
            observe=observe,
            say=say,
        )
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return Recreation("", tag, statement)


def _copy_consent(layout: Layout, scratch: Layout) -> None:
    """The user's consent for the archive also applies to a clone of it."""
    note = layout.private / "trust" / "services.json"
    if note.is_file() and not note.is_symlink():
        replace_file(scratch.private / "trust" / "services.json", note.read_bytes())


def write_certificate(statement: dict[str, Any], prefix: Path) -> list[Path]:
    """Write a certificate for machines and for people: ``PREFIX.json``, ``PREFIX.txt`` and ``PREFIX.html``.

    Raises
    ------
    StorageError
        They cannot be written.
    """
    contents = {
        "json": statement_bytes(statement),
        "txt": certificate_text(statement).encode(),
        "html": certificate_page(statement).encode(),
    }
    paths = [prefix.with_name(f"{prefix.name}.{ending}") for ending in contents]
    try:
        for path, content in zip(paths, contents.values(), strict=True):
            replace_file(path, content)
    except OSError as error:
        raise StorageError(
            "unwritable",
            f"{prefix.parent} cannot be written: {error.strerror}",
            remedy="choose another place with --certificate; what was made is kept",
        ) from None
    return paths


@contextmanager
def _local(source: str, parent: Path) -> Iterator[Path]:
    """The bundle as a file of this machine."""
    if not is_address(source):
        path = Path(source)
        if not path.exists() and "://" in source:
            raise CriteriaError(
                "address",
                f"{source} is not an address from which daxa can get a file",
                remedy="give one that begins with https:// or http://, or download the file and give its path",
            )
        if not path.exists():
            raise CriteriaError("file", f"there is no file {path}", remedy="give the file that `daxa export` wrote")
        if path.is_dir():
            raise CriteriaError(
                "file",
                f"{path} is a directory, not a file of `daxa export`",
                remedy=f"if it is a deposit of `daxa publish`: `daxa restore {path} DIR`",
            )
        yield path
        return
    if not parent.is_dir():
        raise ArchiveError("no-parent", f"{parent} does not exist", remedy=f"make it first: mkdir -p {parent}")
    with tempfile.TemporaryDirectory(prefix=".daxa-", dir=parent) as place:
        target = Path(place) / "bundle.part"
        fetch_single(source, target, load_settings(), most=BUNDLE_LIMIT)
        yield target


def _digest(bundle: Path) -> str:
    with open_plain(bundle, limit=BUNDLE_LIMIT) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _drawn(request: RecreationRequest, begun: dict[str, Any]) -> tuple[int, int]:
    """How many observations, and with which seed: those of an interrupted call, unless others are given."""
    sample = request.sample or int(begun.get("sample", 0))
    if sample < 0:
        raise CriteriaError("sample", f"{sample} observations cannot be drawn", remedy="give a number above 0")
    if request.seed is not None:
        return sample, request.seed
    known = begun.get("seed") if begun.get("sample") == sample else None
    return sample, (int(known) if known is not None else secrets.randbelow(_SEEDS)) if sample else 0
