"""Generate an archive: its files, its selection, its first commit."""

from __future__ import annotations

import os
import shutil
import tempfile
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from daxa.archive import git
from daxa.archive.address import storage_address
from daxa.archive.chosen_backends import NO_TABLES, BackendTables, choose_backends
from daxa.archive.config import FETCH_SOFTWARE, Creator, LockedSoftware
from daxa.archive.creators import check_creators
from daxa.archive.layout import Layout, absolute_place
from daxa.archive.table_diff import set_table_diff
from daxa.archive.task_parts import fetched_inputs
from daxa.archive.template import MissionAnswers, render
from daxa.archive.upstream import write_origin
from daxa.backends import backend_names, find_backend
from daxa.backends.registry import backend_of_step, calibration_to_accept, installed_calibration
from daxa.errors import ArchiveError, ConfigError, CriteriaError, NotPossible, StorageError
from daxa.files import errors_naming
from daxa.missions import MissionSpec, NativeInput, mission_names
from daxa.missions.spec import SAFE_ID
from daxa.query.criteria.criteria import Criteria
from daxa.query.mission import Mission, Selection
from daxa.run.steps import OWN_STEPS, Step, arrange_steps
from daxa.selection.selection_file import write_selection

__all__ = [
    "check_instruments",
    "check_missions",
    "check_place",
    "create_archive",
    "mission_answers",
    "provided",
]


def create_archive(
    directory: Path,
    missions: Sequence[Mission],
    *,
    title: str = "",
    creators: Sequence[Creator] = (),
    remote: str = "",
    steps: Sequence[str] = (),
    backends: Sequence[str] = (),
) -> Layout:
    """Make an archive of these missions' observations in a new directory.

    Everything is queried and checked before anything is written; the archive is made
    beside its place and moved there at the end, so that a failure leaves nothing.

    Parameters
    ----------
    directory
        A place that is free, or an empty directory; its name becomes the archive's.
    missions
        What to select, with criteria.
    title, creators
        For citations; by default the person who commits.
    remote
        Address of the storage that the data are shared through, or a directory.
    steps
        Names of steps to carry out beside daxa's own.
    backends
        What processes, as `daxa.archive.chosen_backends.choose_backends` understands it: ``sas``, ``clean=sas``.

    Raises
    ------
    ArchiveError
        The directory is not empty, or its path cannot be used.
    ConfigError
        An ORCID is not valid, Git does not know who commits, DVC could not use the remote, or nothing that is
        installed can do a step.
    StorageError
        The directory cannot be written.
    NotPossible
        Nothing processes a mission's data.
    CriteriaError, ServiceError
        From the selection of observations.
    """
    directory = absolute_place(directory)
    check_place(directory)
    arranged = arrange_steps(dict.fromkeys([*(step.name for step in OWN_STEPS), *steps]))
    check_missions(missions, [mission.spec.name for mission in missions])
    tables = choose_backends(backends, [mission.spec for mission in missions], arranged)
    for mission in missions:
        check_instruments(
            mission.spec, mission.criteria, fetched_inputs(mission.spec, tables[mission.spec.name], arranged)
        )
    check_creators(creators)
    git.check_identity(directory.parent)
    address = storage_address(remote, directory)
    creators = creators or [Creator(name=git.author_name(directory.parent))]
    selections = [mission.select() for mission in missions]
    answers = [mission_answers(one, arranged, tables[one.spec.name]) for one in selections]
    files = render(directory.name, answers, title=title, creators=creators, remote=address, steps=arranged)
    try:
        scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
        try:
            with errors_naming({scratch / "archive": directory}):
                _make(scratch / "archive", directory, files, selections)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise _unwritable(directory, (error.strerror or str(error)).lower()) from None
    return Layout(directory)


def _unwritable(directory: Path, why: str) -> StorageError:
    return StorageError(
        "unwritable",
        f"{directory} cannot be written: {why}",
        remedy="free some space, check the permissions there, or choose another directory",
    )


def _make(made: Path, directory: Path, files: dict[str, str], selections: Sequence[Selection]) -> None:
    """Write and commit the archive aside, and move it to its place."""
    layout = Layout(made)
    _write(layout, files, selections)
    git.initialise(made)
    set_table_diff(layout)
    tables = [path for one in selections for path in (layout.selection(one.spec.name), layout.upstream(one.spec.name))]
    paths = [*files, *(path.relative_to(made).as_posix() for path in tables)]
    git.commit(made, paths, f"Choose the observations of {directory.name}\n\n{_summary(selections)}")
    for path in paths:
        _sync(made / path)
    if directory.is_dir():
        directory.rmdir()
    made.rename(directory)
    _sync(directory.parent)


def _sync(path: Path) -> None:
    """See that a file, or the names in a directory, are on disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def check_place(directory: Path) -> None:
    """Refuse a place where no archive can be made.

    Raises
    ------
    ArchiveError, StorageError
        It is not free, cannot be written, or its path cannot be used.
    """
    if not SAFE_ID.fullmatch(directory.name):
        raise ArchiveError(
            "name",
            f"{directory.name!r} cannot be the name of an archive",
            remedy="use letters, digits, dot, dash and underscore, for instance a907",
        )
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") for character in str(directory)):
        raise ArchiveError(
            "path",
            f"{str(directory.parent)!r} holds a line break, a control character or bytes that are not text, "
            "which Git and DVC cannot handle",
            remedy="make the archive in another directory, or rename this one",
        )
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ArchiveError(
            "exists", f"{directory} exists and is not empty", remedy="choose another directory, or empty this one"
        )
    if not directory.parent.is_dir():
        raise ArchiveError(
            "no-parent", f"{directory.parent} does not exist", remedy=f"make it first: mkdir -p {directory.parent}"
        )
    if not os.access(directory.parent, os.W_OK | os.X_OK):
        raise _unwritable(directory, f"{directory.parent} cannot be written by you")


def check_missions(new: Sequence[Mission], names: Sequence[str]) -> None:
    """Refuse missions that an archive cannot hold.

    Parameters
    ----------
    new
        Missions that the archive does not hold yet.
    names
        Of all that are chosen, each once.

    Raises
    ------
    CriteriaError
        None is chosen, or one twice.
    NotPossible
        Nothing processes a mission's data.
    """
    if not names:
        raise CriteriaError("no-mission", "no mission was chosen", remedy="name one, for instance --mission xmm")
    if len(set(names)) != len(names):
        raise CriteriaError(
            "mission-twice", "a mission was chosen twice", remedy="combine its criteria, and name it once"
        )
    for mission in new:
        spec = mission.spec
        if not spec.processed:
            listed = f"`daxa search --mission {spec.name}` lists its observations; " if spec.listed else ""
            raise NotPossible(
                "not-processed",
                f"the data of {spec.title} cannot be processed yet, so they cannot be in an archive"
                + (f": {spec.note[:1].lower()}{spec.note[1:].rstrip('.')}" if spec.note else ""),
                remedy=f"{listed}archives hold {', '.join(mission_names(processed=True))}",
            )


def check_instruments(spec: MissionSpec, criteria: Criteria, inputs: Sequence[NativeInput]) -> None:
    """Refuse instruments whose every observation would fail for lack of files to start from.

    Parameters
    ----------
    spec, criteria
        The mission, and what is chosen of it.
    inputs
        The files from which the chosen backends start.

    Raises
    ------
    NotPossible
        They are named, and nothing processes their data.
    """
    branches = (branch for group in criteria.any_of for branch in group)
    named = {name for part in (criteria, *branches) for name in part.instruments}
    served = _instruments_of(inputs)
    left = [one for one in spec.instruments if one.name in named and not served & {one.name, ""}]
    # If it is the only instrument, its observations have no file; others are observed together with supported ones.
    if alone := [one.name for one in left if one.labels or not named & served]:
        raise NotPossible(
            "not-processed",
            f"the data of {spec.title} {', '.join(alone)} cannot be processed yet, so they cannot be in an archive"
            + "".join(f": {one.unprocessed}" for one in left if one.name == alone[0] and one.unprocessed),
            remedy=f"choose from {', '.join(one.name for one in spec.instruments if one.name in served)}"
            f"{_able(spec, alone)}; `daxa search` lists the observations",
        )


def _instruments_of(inputs: Sequence[NativeInput]) -> set[str]:
    """Instruments whose events are among the files; '' for all of them."""
    return {one.instrument for one in inputs if one.required and (one.instrument or one.kind.endswith("events"))}


def _able(spec: MissionSpec, instruments: Sequence[str]) -> str:
    """What processes the data of instruments, as the rest of a remedy."""
    able = [name for name in backend_names() if _instruments_of(find_backend(name).inputs(spec)) >= set(instruments)]
    return (
        f', or process them with {able[0]} (`daxa init --backend {able[0]}`, or backend = "{able[0]}")' if able else ""
    )


def mission_answers(selection: Selection, steps: Sequence[Step], tables: BackendTables = NO_TABLES) -> MissionAnswers:
    """The answers of a selected mission to the templates, with the backends that are chosen for some steps."""
    spec = selection.spec
    software = tuple((step.name, provided(spec, step, steps, tables)) for step in steps)
    return MissionAnswers(spec, selection.criteria.to_plain(), software, tables)


def provided(spec: MissionSpec, step: Step, steps: Sequence[Step], tables: BackendTables = NO_TABLES) -> LockedSoftware:
    """The backend of a step, as the tables of its params file have it, at the installed version.

    Raises
    ------
    ConfigError
        It is not installed, or does not do the step for this mission.
    """
    if step.fetches:
        return FETCH_SOFTWARE
    backend = find_backend(backend_of_step(tables, step, steps))
    version = backend.version(spec.name, step.name)
    if not version:
        raise ConfigError(
            "no-backend",
            f"the backend {backend.name} cannot do {step.name} for {spec.title}",
            remedy="choose another mission, or leave the step out",
        )
    calibration = calibration_to_accept(backend, installed_calibration(backend, step.name) or "")
    return LockedSoftware(backend.name, version, calibration)


def _write(layout: Layout, files: dict[str, str], selections: Sequence[Selection]) -> None:
    for path, content in files.items():
        target = layout.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
    for selection in selections:
        write_selection(
            layout.selection(selection.spec.name),
            selection.table,
            mission=selection.spec.name,
            criteria=selection.criteria.text,
            snapshot=selection.origin.digest,
        )
        write_origin(layout.upstream(selection.spec.name), selection)


def _summary(selections: Sequence[Selection]) -> str:
    return "\n".join(f"{selection.spec.name}: {len(selection.table)} observations" for selection in selections)
