"""A release as values: the single source of all its metadata files."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from daxa.archive.config import ArchiveConfig, steps_of
from daxa.archive.layout import Layout
from daxa.missions import find_mission
from daxa.missions.facts import fill_template
from daxa.missions.spec import MissionSpec
from daxa.publish.citing.software_credit import used_software
from daxa.publish.state import ArchiveState
from daxa.publish.summary import StepSummary, summarise

__all__ = ["ReleaseDescription", "StageDescription", "describe_release"]

_MOST_RELATED = 100
"""Most datasets that a repository's record names one by one; more are in the selection."""

_OF_THE_PLACE = ("upstream/", ".dvc/", "logs.dvc")
"""Files that depend on time and place: named without digests, so that equal releases are described equally."""


@dataclass(frozen=True)
class StageDescription:
    """A step of one mission: what it read and wrote, and which backend did it.

    Parameters
    ----------
    mission, step
        The stage.
    backend, version
        What ``software.toml`` locks.
    used, made
        Paths in the archive.
    data
        Directory of its products.
    counts
        How many observations were done, failed and were skipped.
    """

    mission: str
    step: str
    backend: str
    version: str
    used: tuple[str, ...]
    made: tuple[str, ...]
    data: str
    counts: StepSummary

    @property
    def name(self) -> str:
        """Its name in ``dvc.yaml``."""
        return f"{self.step}-{self.mission}"


@dataclass(frozen=True)
class ReleaseDescription:
    """A release.

    Parameters
    ----------
    config
        Of the archive.
    tag, day
        Its name, and the day on which it was made (UTC).
    previous
        Tag of the release before, '' for the first.
    missions
        Declarations.
    stages
        In the order of the missions and steps.
    files
        Path of each file that Git tracks to size and SHA-256; None for files that depend on time and place.
    datasets
        DOIs of the data that it was made from; empty if there are too many to name.
    """

    config: ArchiveConfig
    tag: str
    day: str
    previous: str
    missions: tuple[MissionSpec, ...]
    stages: tuple[StageDescription, ...]
    files: Mapping[str, tuple[int, str] | None]
    datasets: tuple[str, ...]

    @property
    def title(self) -> str:
        """Of the archive, or its name."""
        return self.config.title or self.config.name

    @property
    def description(self) -> str:
        """One sentence."""
        named = ", ".join(mission.title for mission in self.missions)
        return f"Release {self.tag} of X-ray observations of {named}, selected and processed reproducibly with daxa."

    @property
    def keywords(self) -> list[str]:
        """Titles of the missions, and keywords common to all archives."""
        return [*(mission.title for mission in self.missions), "X-ray astronomy"]

    @property
    def licence_address(self) -> str:
        """Address of the licence in the SPDX list."""
        return f"https://spdx.org/licenses/{self.config.licence}"


def describe_release(
    layout: Layout, state: ArchiveState, paths: Collection[str], *, tag: str, previous: str = ""
) -> ReleaseDescription:
    """Describe the release that is about to be made.

    Parameters
    ----------
    layout, state
        The archive, and its state.
    paths
        What the commit will contain.
    tag, previous
        The release, and the previous one.

    Raises
    ------
    DataError
        ``software.toml`` is not what daxa writes.
    """
    used = used_software(layout.software.read_bytes(), layout.software)
    specs = tuple(find_mission(name) for name in state.missions)
    identifiers = [
        fill_template(spec.credit.dataset, obs_id)
        for spec in specs
        if spec.credit.dataset
        for obs_id in state.missions[spec.name].observations
    ]
    return ReleaseDescription(
        config=state.config,
        tag=tag,
        day=datetime.now(UTC).date().isoformat(),
        previous=previous,
        missions=specs,
        stages=tuple(stage for spec in specs for stage in _stages(layout, state, spec.name, used)),
        files={path: _size_and_digest(layout, path) for path in sorted(paths)},
        datasets=tuple(identifiers) if len(identifiers) <= _MOST_RELATED else (),
    )


def _stages(
    layout: Layout, state: ArchiveState, mission: str, used: Mapping[tuple[str, str], tuple[str, str]]
) -> list[StageDescription]:
    counts = summarise(mission, state.missions[mission]).steps
    found = []
    for step in steps_of(state.config):
        backend, version = used.get((mission, step.name), ("unknown", "unknown"))
        read = [layout.ledger(mission, need) for need in step.needs] or [layout.selection(mission)]
        made = [layout.ledger(mission, step.name)] + ([layout.upstream(mission)] if step.fetches else [])
        found.append(
            StageDescription(
                mission=mission,
                step=step.name,
                backend=backend,
                version=version,
                used=tuple(map(layout.name_of, [*read, layout.params(mission)])),
                made=tuple(layout.name_of(path) for path in made if path.exists()),
                data=f"{layout.name_of(layout.products(mission, step.name))}/",
                counts=counts[step.name],
            )
        )
    return found


def _size_and_digest(layout: Layout, path: str) -> tuple[int, str] | None:
    if path.startswith(_OF_THE_PLACE):
        return None
    content = (layout.root / path).read_bytes()
    return len(content), hashlib.sha256(content).hexdigest()
