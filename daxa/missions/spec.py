"""The frozen types in which a mission declares its facts.

A declaration holds values only.  What is done with them stands in the layer
that does it: `daxa.query` builds queries, `daxa.fetch` chooses files,
`daxa.backends` processes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from daxa.errors import CriteriaError

__all__ = [
    "Band",
    "FieldOfView",
    "FlareFilter",
    "InputKind",
    "Instrument",
    "MissionSpec",
    "NativeInput",
    "ObservationTable",
]

InputKind = Literal["events", "attitude", "flare-background", "exposure-map", "aspect", "bad-pixel", "mask", "fov"]

SAFE_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,62}[A-Za-z0-9])?")
"""What any ObsID must look like before it may become part of a path."""


@dataclass(frozen=True)
class FieldOfView:
    """The sky that an instrument sees.

    Parameters
    ----------
    shape
        ``circle`` (``size`` is the radius) or ``square`` (``size`` is half the side).
    size
        Arcminutes.
    """

    shape: Literal["circle", "square"]
    size: float

    @property
    def radius(self) -> float:
        """Radius of the circle that encloses the field, arcmin."""
        return self.size if self.shape == "circle" else self.size * 2**0.5


@dataclass(frozen=True)
class Instrument:
    """One camera or detector of a mission.

    Parameters
    ----------
    name, aliases
        The name that selections, products and params use, and others accepted from users.
    field_of_view
        Its field on the sky.
    exposure
        Column of the observation table with its exposure in seconds ('' when the table has none).
    label
        Column and value by which the table says that the row used this instrument, for
        missions that observe with one instrument at a time.
    """

    name: str
    field_of_view: FieldOfView
    aliases: tuple[str, ...] = ()
    exposure: str = ""
    label: tuple[str, str] | None = None


@dataclass(frozen=True)
class ObservationTable:
    """Where the list of observations stands and how its columns map to our schema.

    Parameters
    ----------
    name
        The table's name at HEASARC's TAP service.
    columns
        Our column (``obs_id``, ``target``, ``ra``, ``dec``, ``start``, ``end``,
        ``exposure``, ``public_date``) to theirs.  ``end`` may be absent: it is then
        ``start`` plus ``exposure``, an estimate.
    where
        Row cuts, ADQL conditions joined by AND.
    never_public
        Values of the public date that mean "unknown" or "never" (MJD).
    """

    name: str
    columns: Mapping[str, str]
    where: tuple[str, ...] = ()
    never_public: tuple[float, ...] = (0.0,)


@dataclass(frozen=True)
class NativeInput:
    """A file that the native chain starts from.

    Parameters
    ----------
    kind
        What the file is.
    pattern
        Regular expression of the path below the observation's directory; ``{obs_id}``
        is replaced by the ObsID (``{obs_id:>05}`` pads).
    instrument
        The instrument whose data it holds, '' when it serves all of them.
    required
        An observation without any file of a required kind fails.
    """

    kind: InputKind
    pattern: str
    instrument: str = ""
    required: bool = False

    def regex(self, obs_id: str) -> re.Pattern[str]:
        """The pattern for one observation, to be matched against the whole path."""
        return re.compile(self.pattern.replace("{obs_id}", re.escape(obs_id)).replace("{obs_id:>05}", f"{obs_id:0>5}"))


@dataclass(frozen=True)
class Band:
    """A named energy band.

    Parameters
    ----------
    lo, hi
        Nominal edges, keV.
    pi
        First and last channel, both inside the band.
    """

    lo: float
    hi: float
    pi: tuple[int, int]

    @property
    def text(self) -> str:
        """As written in a params file, such as ``0.5-2.0 keV``."""
        return f"{self.lo:g}-{self.hi:g} keV"


@dataclass(frozen=True)
class FlareFilter:
    """How the light curve for flare screening is made.

    Parameters
    ----------
    band
        Energies whose rate shows the particle background, keV.
    bin
        Length of a time bin, s.
    """

    band: tuple[float, float]
    bin: float


@dataclass(frozen=True)
class MissionSpec:
    """Everything that daxa knows about one use of one telescope.

    Parameters
    ----------
    name, title, aliases
        The short name (also in paths), the name for people, others accepted.
    table
        Its list of observations.
    id_pattern, id_example
        Regular expression that a whole ObsID matches, and one real ObsID.
    instruments, default_instruments
        All instruments, and the names taken when the user names none.
    directory
        Path of an observation's directory below the root of the file tree.  Fields:
        ``{obs_id}``, ``{first}`` and ``{last}`` digit, ``{d23}`` (second and third digit).
    listings
        Sub-directories of it that hold native inputs ('' is the directory itself).
    native_inputs
        The files that the native chain starts from.
    bands
        Energy bands of the default images.
    image_pixel
        Side of a pixel of the default image, arcsec.
    flares
        None where the archive's good time intervals are kept as they are.
    acknowledgement, bibcodes
        What a paper that uses the mission must say and cite.
    """

    name: str
    title: str
    table: ObservationTable
    id_pattern: str
    id_example: str
    instruments: tuple[Instrument, ...]
    default_instruments: tuple[str, ...]
    directory: str
    listings: tuple[str, ...]
    native_inputs: tuple[NativeInput, ...]
    bands: tuple[Band, ...]
    image_pixel: float
    aliases: tuple[str, ...] = ()
    flares: FlareFilter | None = None
    acknowledgement: str = ""
    bibcodes: tuple[str, ...] = field(default=())

    def check_obs_id(self, obs_id: str) -> str:
        """Return the ObsID if it is well formed.

        Raises
        ------
        CriteriaError
            It does not have the mission's form.

        Examples
        --------
        >>> from daxa.missions import find_mission
        >>> find_mission("xmm").check_obs_id("0404910601")
        '0404910601'
        """
        if (
            not isinstance(obs_id, str)
            or not re.fullmatch(self.id_pattern, obs_id, re.ASCII)
            or not SAFE_ID.fullmatch(obs_id)
        ):
            raise CriteriaError(
                "obs-id",
                f"{obs_id!r} is not an ObsID of {self.title}",
                remedy=f"write it as the archive does, with leading zeros, for instance {self.id_example}",
            )
        return obs_id

    def find_instrument(self, name: str) -> Instrument:
        """The instrument with this name or alias, whatever its case.

        Raises
        ------
        CriteriaError
            The mission has no such instrument.
        """
        for instrument in self.instruments:
            if name.upper() in {instrument.name.upper(), *(alias.upper() for alias in instrument.aliases)}:
                return instrument
        raise CriteriaError(
            "instrument",
            f"{self.title} has no instrument {name!r}",
            remedy=f"choose from {', '.join(instrument.name for instrument in self.instruments)}",
        )

    def directory_of(self, obs_id: str) -> str:
        """Path of the observation's directory below the root of the file tree."""
        return self.directory.format(obs_id=obs_id, first=obs_id[:1], last=obs_id[-1:], d23=obs_id[1:3])
