"""The frozen types in which a mission declares its facts.

A declaration holds values only.  What is done with them is in the layer
that does it: `daxa.query` builds queries, `daxa.fetch` chooses files,
`daxa.backends` processes them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from daxa.addresses import Mirror
from daxa.errors import CriteriaError, DataError, NotPossible
from daxa.missions.facts import ArchiveProduct, Bundle, Credit, FieldOfView, fill_pattern, id_parts
from daxa.missions.table import ObservationTable
from daxa.naming import did_you_mean

__all__ = [
    "ArchiveProduct",
    "Bundle",
    "Credit",
    "FieldOfView",
    "InputKind",
    "Instrument",
    "Mirror",
    "MissionSpec",
    "NativeInput",
    "ObservationTable",
]

InputKind = Literal[
    "events",
    "attitude",
    "flare-background",
    "exposure-map",
    "aspect",
    "bad-pixel",
    "mask",
    "fov",
    "image",
    "ancillary",
    "raw",
    "raw-events",
    "housekeeping",
    "survey",
    "survey-housekeeping",
]

_FOLDERS = re.compile(r"(?:[\w-]+/)+", re.ASCII)

SAFE_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.+-]{0,62}[A-Za-z0-9])?")
"""What any ObsID must look like before it may become part of a path."""


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
    labels
        Columns and values, all of which say that the row used this instrument, for missions
        that observe with one instrument at a time.
    wide
        A wide-field, coded-mask or scanning instrument: it sees nearly everything, so it is
        used only when the user names it.
    chip
        Its number in lists that hold several instruments.
    unprocessed
        What is missing for its data to be processed, as a clause; '' where they are, or where nothing more is known.
    """

    name: str
    field_of_view: FieldOfView
    aliases: tuple[str, ...] = ()
    exposure: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    wide: bool = False
    chip: int = 0
    unprocessed: str = ""


@dataclass(frozen=True)
class NativeInput:
    """A file that a chain starts from: the native one, or that of the mission's own software.

    Parameters
    ----------
    kind
        What the file is.
    pattern
        Regular expression of the path below the observation's directory; ``{obs_id}``
        is replaced by the ObsID (``{obs_id:>05}`` pads), as are the fields of a directory.
        What its group ``exposure`` matches distinguishes the lists of one instrument, where
        their headers do not; what ``version`` matches distinguishes deliveries of one file, of
        which the highest is taken; what ``default`` matches may be left out of the name of the same file,
        and what ``before`` matches may stand where ``after`` does, without underscores.
    instrument
        The instrument whose data it holds, '' when it serves all of them: its header then
        says which it was.
    required
        An observation without any file of a required kind fails.
    curves
        Its events have no place on the sky: they give light curves and good times only.
    band
        Energies (keV) of an exposure map that may be beside images of the same energies.
    """

    kind: InputKind
    pattern: str
    instrument: str = ""
    required: bool = False
    curves: bool = False
    band: tuple[float, float] | None = None

    def regex(self, obs_id: str) -> re.Pattern[str]:
        """The pattern for one observation, to be matched against the whole path."""
        return re.compile(fill_pattern(self.pattern, obs_id))


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
        Regular expression that a whole ObsID matches, and one real ObsID.  Empty where
        they are not known.
    instruments, default_instruments
        All instruments, and the names taken when the user names none.  There is no default
        where all instruments are `Instrument.wide`.
    mirrors
        Servers that hold its files, the best first; each of the others is tried when those before it cannot
        be reached or do not have the observation.
    directory
        Path of an observation's directory below the root of a mirror that has no layout of its own.  Fields: those of
        `id_parts`, such as ``{obs_id}``, ``{first}`` and ``{last}`` digit, ``{d23}`` (second
        and third digit); ``{yyyy_mm}`` of the start; those of `directory_columns`.
    listings
        Sub-directories of it that hold native inputs ('' is the directory itself).
    native_inputs
        The files that the native chain starts from; empty where it cannot start.
    raw_inputs
        The files that the mission's own software starts from, where these are others.
    processed
        Whether the native backend processes the mission's data today.
    foreign_ids
        The headers of its event lists name observations differently from the archive, or
        not at all: a list belongs to the observation in whose directory it lies.
    event_tables
        Regular expressions of the names of extensions, each of which an event list has of its
        own (a name given twice must occur twice); a list without them is incomplete.
    catalogue
        Regular expression of the name of the file, in the observation's directory, that holds
        the checksums of the others; '' where none is known.
    other_directories
        Regular expression of an ObsID and the template that takes the place of `directory`
        for it; the first that matches counts.
    directory_columns
        Columns of the observation table that the templates need.
    products
        Files that the archive offers ready made.
    bundles
        Files that hold several observations, for archives that offer no others: tar files in `directory`, in whose
        folders the native inputs are.
    credit
        Facility keyword, source of the wording, dataset identifiers.
    note
        One sentence on what is special or not known.
    acknowledgement, bibcodes
        What a paper that uses the mission must say and cite.
    other_tables
        Tables at other services that list the same observations, for when the first fails.
        They need not say which instruments observed.
    other_fields
        A field of view, and the observations in which all instruments had it in place of
        their own: scans.
    active
        Names of instruments, and the observations in which only they were switched on, where
        the table does not say.
    """

    name: str
    title: str
    table: ObservationTable
    id_pattern: str
    id_example: str
    instruments: tuple[Instrument, ...]
    default_instruments: tuple[str, ...]
    mirrors: tuple[Mirror, ...]
    directory: str
    listings: tuple[str, ...] = ()
    native_inputs: tuple[NativeInput, ...] = ()
    raw_inputs: tuple[NativeInput, ...] = ()
    aliases: tuple[str, ...] = ()
    processed: bool = False
    foreign_ids: bool = False
    event_tables: tuple[str, ...] = ("EVENTS", r"(STD)?GTI.*")
    catalogue: str = ""
    other_directories: tuple[tuple[str, str], ...] = ()
    directory_columns: tuple[str, ...] = ()
    products: tuple[ArchiveProduct, ...] = ()
    bundles: tuple[Bundle, ...] = ()
    credit: Credit = field(default_factory=Credit)
    note: str = ""
    acknowledgement: str = ""
    bibcodes: tuple[str, ...] = field(default=())
    other_tables: tuple[ObservationTable, ...] = ()
    other_fields: tuple[tuple[FieldOfView, tuple[str, ...]], ...] = ()
    active: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()

    def check_obs_id(self, obs_id: object) -> str:
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
                f"{obs_id!r:.80} is not an ObsID of {self.title}",
                remedy="write it as the archive does, with leading zeros"
                + (f", for instance {self.id_example}" if self.id_example else ""),
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
            f"{self.title} has no instrument {name!r:.80}{did_you_mean(name, [one.name for one in self.instruments])}",
            remedy=f"choose from {', '.join(instrument.name for instrument in self.instruments)}",
        )

    def choose_instruments(self, names: Collection[str]) -> tuple[str, ...]:
        """The instruments with these names, or the default ones, in the mission's order.

        Raises
        ------
        CriteriaError
            No name is given, and the mission has no instrument that is used by default.
        """
        chosen = names or self.default_instruments
        if not chosen:
            raise CriteriaError(
                "instrument",
                f"the instruments of {self.title} see so much of the sky that none is chosen by default",
                remedy=f"name those that you want: {', '.join(instrument.name for instrument in self.instruments)}",
            )
        return tuple(instrument.name for instrument in self.instruments if instrument.name in chosen)

    def starting_from(self, inputs: tuple[NativeInput, ...]) -> MissionSpec:
        """The mission as a chain sees it that starts from other files than the native one.

        Parameters
        ----------
        inputs
            Those files; they are in directories that their patterns begin with.

        Returns
        -------
        MissionSpec
            With these inputs, and the directories that hold them.

        Examples
        --------
        >>> from daxa.missions import find_mission
        >>> spec = find_mission("nustar")
        >>> spec.starting_from(spec.raw_inputs).listings
        ('event_uf', 'hk', 'auxil')
        """
        if inputs == self.native_inputs:
            return self
        places = (_FOLDERS.match(one.pattern) for one in inputs)
        named = dict.fromkeys(found[0].rstrip("/") if found else "" for found in places)
        return replace(self, native_inputs=inputs, listings=tuple(named))

    @property
    def roll(self) -> str:
        """Column with the roll angle that the instruments' fields need, '' for none."""
        return next((one.field_of_view.roll for one in self.instruments if one.field_of_view.roll), "")

    @property
    def listed(self) -> bool:
        """Whether the mission's observations can be listed."""
        return {"obs_id", "target", "ra", "dec", "start", "exposure", "public_date"} <= set(self.table.columns)

    def check_listed(self) -> None:
        """Refuse a mission whose observations cannot be listed.

        Raises
        ------
        NotPossible
            The columns of its table are not declared.
        """
        if not self.listed:
            raise NotPossible(
                "not-listed",
                f"the observations of {self.title} cannot be listed: the columns of {self.table.name} are not declared",
                remedy="`daxa missions` says which missions can be listed",
            )

    def directory_of(self, obs_id: str, row: Mapping[str, object] | None = None, *, layout: str = "") -> str:
        """Path of the observation's directory below the root of a mirror.

        Parameters
        ----------
        obs_id
            Well formed.
        row
            What the template needs beside the ObsID: ``start`` (MJD UTC) and the columns
            that `directory_columns` names.
        layout
            The mirror's own template, '' where it has none.

        Raises
        ------
        DataError
            ``no-directory``: the row lacks a value, or holds one that cannot be part of a path.

        Examples
        --------
        >>> from daxa.missions import find_mission
        >>> find_mission("swift").directory_of("00020153006", {"start": 55541.2})
        'swift/data/obs/2010_12/00020153006'
        """
        other = (template for pattern, template in self.other_directories if re.fullmatch(pattern, obs_id, re.ASCII))
        template = next(other, self.directory)
        template = layout.replace("{directory}", template) or template
        fields, known = id_parts(obs_id), row or {}
        for name in [one for one in self.directory_columns if f"{{{one}}}" in template]:
            value = known.get(name)
            fields[name] = self._path_part(obs_id, name, "" if value is None else str(value).strip())
        if "{yyyy_mm}" in template:
            fields["yyyy_mm"] = self._path_part(obs_id, "start", _year_and_month(known.get("start")))
        return template.format_map(fields)

    def _path_part(self, obs_id: str, name: str, text: str) -> str:
        if SAFE_ID.fullmatch(text):
            return text
        raise DataError(
            "no-directory",
            f"{self.title} {obs_id} has no usable {name!r}, which the path of its data contains",
            remedy="leave the observation out, or ask the archive for it",
        )


def _year_and_month(mjd: object) -> str:
    # 1858-11-17, the zero of MJD, is day 678576 of Python's calendar.
    if not isinstance(mjd, int | float) or not math.isfinite(mjd) or not 1 <= mjd < 100_000:
        return ""
    return date.fromordinal(678576 + int(mjd)).strftime("%Y_%m")
