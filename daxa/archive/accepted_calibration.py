"""The calibration that an archive accepts: ``software.toml`` names it, and only the user changes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daxa.archive.config import ArchiveConfig, load_parameters, steps_of
from daxa.archive.layout import Layout
from daxa.archive.software import load_software
from daxa.backends import find_backend
from daxa.backends.registry import (
    backend_of_step,
    calibration_to_accept,
    installed_calibration,
    same_calibration,
)
from daxa.errors import ConfigError
from daxa.files import replace_file

__all__ = ["OtherCalibration", "accept_calibration", "other_calibration"]


@dataclass(frozen=True)
class OtherCalibration:
    """A step whose installed calibration is not the one that the archive has accepted.

    Parameters
    ----------
    mission, step, backend
        The step, and its backend.
    accepted, installed
        What ``software.toml`` names ('' for nothing yet), and what is on this machine.
    """

    mission: str
    step: str
    backend: str
    accepted: str
    installed: str


def other_calibration(layout: Layout, config: ArchiveConfig, missions: Sequence[str] = ()) -> list[OtherCalibration]:
    """The steps of these missions, or of all, for which the installed calibration is not the accepted one.

    Raises
    ------
    ConfigError
        A file of the archive cannot be used, or a backend that needs calibration is not on this machine.
    """
    steps, locked = steps_of(config), load_software(layout)
    found = []
    for mission in missions or config.missions:
        tables = load_parameters(layout, mission, [step.name for step in steps])
        for step in (step for step in steps if not step.fetches and (mission, step.name) in locked):
            backend = find_backend(backend_of_step(tables, step, steps))
            installed = installed_calibration(backend, step.name)
            if installed is None:
                raise ConfigError(
                    "backend-missing",
                    f"{backend.name}, whose calibration {step.name} of {mission} uses, is not on this machine",
                    remedy=f"{backend.locate().remedy}; `daxa doctor` checks it again",
                )
            accepted = locked[mission, step.name].calibration
            if not same_calibration(accepted, installed) and step.name in backend.calibrated:
                found.append(OtherCalibration(mission, step.name, backend.name, accepted, installed))
    return found


def accept_calibration(layout: Layout, others: Iterable[OtherCalibration]) -> None:
    """Write the installed calibration into ``software.toml``; comments and all else stay as they are.

    Where the software chooses calibration files by a date, that of today is written with it, and holds until the next
    time.  The next run makes again exactly what was made with other calibration.
    """
    import tomlkit

    document = tomlkit.parse(layout.software.read_text(encoding="utf-8"))
    for one in others:
        accepted = calibration_to_accept(find_backend(one.backend), one.installed)
        document[one.mission][one.step]["calibration"] = accepted
    replace_file(layout.software, tomlkit.dumps(document).encode())
