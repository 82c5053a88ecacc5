"""The state of an archive: configuration, selections and ledgers, on disk or at a commit."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from daxa.archive import git
from daxa.archive.config import ArchiveConfig, load_config, parse_config, steps_of
from daxa.archive.layout import Layout
from daxa.errors import ArchiveError
from daxa.run.ledger import read_ledger
from daxa.run.task import LedgerRow
from daxa.selection.selection_file import read_selection

__all__ = [
    "ArchiveState",
    "MissionState",
    "ObservationState",
    "read_mission",
    "read_observations",
    "read_state",
    "records_at",
]


@dataclass(frozen=True)
class ObservationState:
    """What a release must know about a chosen observation.

    Parameters
    ----------
    obs_id
        The observation.
    exposure
        Seconds, according to the mission's archive; nan if unknown.
    public_date
        When the data become public, MJD; nan if unknown.
    """

    obs_id: str
    exposure: float
    public_date: float


@dataclass(frozen=True)
class MissionState:
    """One mission of an archive.

    Parameters
    ----------
    observations
        ObsID to the chosen observation, sorted.
    ledgers
        Step to its ledger, each after those of the steps that it needs.
    """

    observations: Mapping[str, ObservationState]
    ledgers: Mapping[str, Mapping[str, LedgerRow]]


@dataclass(frozen=True)
class ArchiveState:
    """An archive at one time.

    Parameters
    ----------
    config
        Its configuration.
    missions
        Mission to what was chosen and done.
    """

    config: ArchiveConfig
    missions: Mapping[str, MissionState]


def read_state(layout: Layout) -> ArchiveState:
    """Read the files on disk.

    Raises
    ------
    ArchiveError, ConfigError, DataError
        One of them is absent or damaged.
    """
    config = load_config(layout)
    steps = [step.name for step in steps_of(config)]
    return ArchiveState(config, {mission: read_mission(layout, mission, steps) for mission in config.missions})


def read_mission(layout: Layout, mission: str, steps: Sequence[str]) -> MissionState:
    """Read the selection and the ledgers of one mission, those of the steps that are named."""
    ledgers = {step: read_ledger(layout.ledger(mission, step)) for step in steps}
    return MissionState(read_observations(layout, mission), ledgers)


def read_observations(layout: Layout, mission: str) -> dict[str, ObservationState]:
    """Read the selection of one mission: ObsID to observation, sorted."""
    table = read_selection(layout.selection(mission))
    rows = zip(table["obs_id"], table["exposure"], table["public_date"], strict=True)
    return {obs_id: ObservationState(obs_id, float(exposure), float(date)) for obs_id, exposure, date in sorted(rows)}


@contextmanager
def records_at(layout: Layout, commit: str, *, without: Collection[str] = ()) -> Iterator[Layout]:
    """Write the small files of a commit into a temporary directory, as an archive without data.

    Parameters
    ----------
    layout
        The archive.
    commit
        Digest of the commit, as `daxa.archive.git.commit_of` gives it.
    without
        Paths of files that are not needed.

    Raises
    ------
    ArchiveError
        The commit does not contain an archive.
    """
    with TemporaryDirectory(prefix="daxa-") as place:
        records = Layout(Path(place))
        content = git.read_file(layout.root, commit, layout.config.name)
        if content is None:
            raise ArchiveError(
                "not-an-archive",
                f"the commit {commit[:12]} of {layout.root} has no {layout.config.name}",
                remedy="name a release; `git tag` lists them",
            )
        config = parse_config(content, layout.config)
        records.config.write_bytes(content)
        wanted = [records.pipeline, records.lock, records.software]
        wanted += [records.params(mission) for mission in config.missions]
        wanted += [records.selection(mission) for mission in config.missions]
        wanted += [records.ledger(mission, step) for mission in config.missions for step in config.steps]
        names = [records.name_of(path) for path in wanted]
        git.copy_files(layout.root, commit, [name for name in names if name not in without], records.root)
        yield records
