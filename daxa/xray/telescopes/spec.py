"""A telescope as one value: its event lists, its cameras, and what it cannot give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.eventformat import EventFormat
from daxa.xray.telescopes.imaging import Imaging
from daxa.xray.telescopes.optics import PsfFacts, Vignetting

__all__ = ["Camera", "Corners", "Formats", "Readout", "Telescope"]

Formats = Mapping[tuple[str, ...], EventFormat]
"""``(INSTRUME,)``, or with the mode where modes differ, to the format of the event lists."""


@dataclass(frozen=True, eq=False)
class Corners:
    """How a camera's chips show high background at low energies: in corners that see no photon.

    Parameters
    ----------
    title
        The camera of the corners, for people.
    limits
        Chip to the ratios of hard to soft counts below which it is anomalous and above which it is
        not; None where its limits are not known.
    hard, soft
        First and last channel of the counts.
    outside
        Bit of the flag column that marks events outside the field of view.
    """

    title: str
    limits: Mapping[int, tuple[float, float] | None]
    hard: tuple[int, int]
    soft: tuple[int, int]
    outside: int


@dataclass(frozen=True, eq=False)
class Readout:
    """Events that come while a camera is read out, and are recorded in a wrong row.

    Parameters
    ----------
    title
        The camera of the events, for people.
    fractions
        SUBMODE to the share of all events that they are.
    whole
        Modes in which all rows of a chip are read: no charge is recorded in the first of them, but all pass them.
    source
        Where the shares come from.
    """

    title: str
    fractions: Mapping[str, float]
    whole: tuple[str, ...]
    source: str


@dataclass(frozen=True, eq=False)
class Camera:
    """What is known of an instrument beyond the form of its event lists.

    Parameters
    ----------
    instruments
        Its names, in event formats and in `daxa.missions`, and those of others of its kind.
    missions
        Those for which it holds; empty for all of the telescope's.
    detector
        Its chips; None where nothing places them on the sky.
    vignetting
        Its curves, that of the lowest energies first.
    flat
        The remark on a map without a curve; '' for the usual one.
    psf
        Its point spread function; None where none is known: its images are then not searched for sources.
    pile_up
        SUBMODE, '' for all others, to the rate (count/s of a point source at all energies) above which
        photons pile up.
    corners, readout
        Where it has them.
    """

    instruments: tuple[str, ...]
    missions: tuple[str, ...] = ()
    detector: Detector | None = None
    vignetting: tuple[Vignetting, ...] = ()
    flat: str = ""
    psf: PsfFacts | None = None
    pile_up: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    corners: Corners | None = None
    readout: Readout | None = None


@dataclass(frozen=True, eq=False)
class Telescope:
    """All that is known of a telescope, with the source of each fact in the module that declares it.

    Parameters
    ----------
    name
        A short lower-case word.
    telescop
        What its headers say in TELESCOP, in capitals.
    formats
        ``(INSTRUME,)``, or with the mode where modes differ (a value of DATAMODE, DETNAM or OBS_MODE), in
        capitals, to the format of the event lists.
    imaging
        Mission to how its events are usually imaged; a mission without it cannot be processed natively.
    cameras
        What else is known of its instruments.
    not_native
        Beginning of INSTRUME to why its lists are left to the mission's own software.
    merges
        Whether exposures of one camera are separate pointings, which may be in one list, not parts
        that must be kept apart.
    """

    name: str
    telescop: tuple[str, ...]
    formats: Formats
    imaging: Mapping[str, Imaging] = field(default_factory=lambda: MappingProxyType({}))
    cameras: tuple[Camera, ...] = ()
    not_native: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    merges: bool = False

    @property
    def missions(self) -> tuple[str, ...]:
        """The missions whose event lists it has, as in `daxa.missions`."""
        return tuple(dict.fromkeys(form.mission for form in self.formats.values()))
