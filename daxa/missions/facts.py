"""Smaller facts that a declaration holds beside its table: sky, files, times, credit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "CATEGORIES",
    "PUBLIC_COLUMNS",
    "USUAL_COLUMNS",
    "ArchiveProduct",
    "Bundle",
    "Credit",
    "FieldOfView",
    "expand_ids",
    "fill_pattern",
    "fill_template",
    "id_parts",
]

CATEGORIES = {
    "AGN": "active galaxies",
    "BLZ": "blazars",
    "OAGN": "obscured active galaxies",
    "NGS": "normal and starburst galaxies",
    "GCL": "groups and clusters of galaxies",
    "EGS": "extragalactic surveys",
    "EGE": "extended galactic or extragalactic objects",
    "GS": "galactic surveys and compact sources",
    "XRB": "X-ray binaries",
    "CV": "cataclysmic variables",
    "NS": "neutron stars and black holes",
    "MAG": "magnetars and rotation-powered pulsars",
    "ULX": "ultraluminous X-ray sources",
    "STR": "stars and white dwarfs",
    "SNE": "supernovae",
    "SNR": "supernova remnants and galactic diffuse emission",
    "SOL": "solar system objects",
    "ASK": "all-sky surveys",
    "CAL": "calibration",
    "TOO": "targets of opportunity",
    "MISC": "everything else",
}
"""Our codes of what an observation was made for; labels that no mission maps are ``MISC``."""

USUAL_COLUMNS = {
    "obs_id": ("obsid", "seq_id", "sequence_number"),
    "target": ("name", "target_name"),
    "ra": ("ra",),
    "dec": ("dec",),
    "start": ("time", "start_time", "start_date"),
    "end": ("end_time", "stop_time", "end_date"),
    "exposure": ("exposure",),
    "public_date": ("public_date",),
}
"""Our column to the names that it has in HEASARC's tables of observations.

They are those of the thirteen tables whose columns are recorded (``xmmmaster``,
``chanmaster``, ``numaster``, ``swiftmastr``, ``nicermastr``, ``rosmaster``, ``rassmaster``,
``suzamaster``, ``ascamaster``, ``intscwpub``, ``xrismmastr``, ``xtemaster`` and ``hitomaster``).
"""

PUBLIC_COLUMNS = {
    "obs_id": "obsid",
    "target": "name",
    "ra": "ra",
    "dec": "dec",
    "start": "time",
    "end": "end_time",
    "exposure": "exposure",
    "public_date": "time",
}
"""The commonest of `USUAL_COLUMNS`, for tables all of whose data are public."""


@dataclass(frozen=True)
class FieldOfView:
    """The sky that an instrument sees.

    Parameters
    ----------
    shape
        ``circle`` (``size`` is the radius), ``square`` (``size`` is half the side),
        ``annulus`` (``size`` is the outer radius, ``inner`` the inner one) or ``tile``: the
        cell of a survey that `daxa.missions.tiling` knows by the ObsID (``size`` is half the
        side of the tile's image, which is larger than the cell).
    size
        Arcminutes.
    roll
        Column of the observation table with the roll angle: the position angle of the
        detector's y axis, degrees from north through east.  '' when the table has none, so
        that a square is known only as the circle around it.
    inner
        Arcminutes.
    """

    shape: Literal["circle", "square", "annulus", "tile"]
    size: float
    roll: str = ""
    inner: float = 0.0

    @property
    def radius(self) -> float:
        """Radius of the circle that encloses the field, arcmin."""
        return self.size * 2**0.5 if self.shape in ("square", "tile") else self.size


@dataclass(frozen=True)
class ArchiveProduct:
    """A kind of file that the archive has made of an observation.

    Parameters
    ----------
    kind
        What it is.
    pattern
        Regular expression of its path below the observation's directory, as in
        `NativeInput`; ``{band}`` is replaced by the token of an energy band.
    instrument
        '' when it serves all of them.
    bands
        Token and edges (keV) of each band; a product of one band may have the token ''.
        Empty where the energies are not known.
    """

    kind: Literal["events", "image", "exposure-map", "background-map"]
    pattern: str
    instrument: str = ""
    bands: tuple[tuple[str, float, float], ...] = ()

    def regex(self, obs_id: str, band: str = "") -> re.Pattern[str]:
        """The pattern for one observation and the token of one band."""
        return re.compile(fill_pattern(self.pattern, obs_id).replace("{band}", re.escape(band)))


@dataclass(frozen=True)
class Bundle:
    """A file that holds several observations at once.

    Parameters
    ----------
    field
        What the archive calls the part of the sky.
    file
        Name of the file below the mission's directory.
    obs_ids
        The observations in it.
    kind
        The archive's name for fields of this kind, '' when it does not sort them.
    """

    field: str
    file: str
    obs_ids: tuple[str, ...]
    kind: str = ""


@dataclass(frozen=True)
class Credit:
    """What a paper owes a mission, beside its acknowledgement and references.

    Parameters
    ----------
    facility
        Keyword of the AAS journals, '' when the mission has none that is certain.
    source
        Where the official wording of the acknowledgement is.
    dataset
        Identifier of an observation's data with the fields of a directory template, such
        as ``10.25574/{obs_id:>05}``; '' where the mission wants ObsIDs in a table.
    read
        When the wording at `source` was read last and found to ask for the acknowledgement that
        is declared, such as ``2026-11-30``; '' when it was not: `daxa cite` then names the source alone.
    checked
        The references, and the facility, that were found in ADS, in the journal or in its list of
        keywords on that day or later.  `daxa cite` prints no others.
    """

    facility: str = ""
    source: str = ""
    dataset: str = ""
    read: str = ""
    checked: tuple[str, ...] = ()


def expand_ids(text: str) -> tuple[str, ...]:
    """ObsIDs of one length, from a text of numbers and ranges.

    Examples
    --------
    >>> expand_ids("700016 900056-900058")
    ('700016', '900056', '900057', '900058')
    """
    found: list[str] = []
    for part in text.split():
        first, _, last = part.partition("-")
        found += [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]
    return tuple(found)


def id_parts(obs_id: str) -> dict[str, str]:
    """What templates of paths and names may say about an ObsID.

    Examples
    --------
    >>> id_parts("053141")["first3"], id_parts("RP500211N00")["lower"]
    ('053', 'rp500211n00')
    """
    return {
        "obs_id": obs_id,
        "lower": obs_id.lower(),
        "first": obs_id[:1],
        "last": obs_id[-1:],
        "third": obs_id[2:3],
        "d23": obs_id[1:3],
        "first2": obs_id[:2],
        "first3": obs_id[:3],
        "first4": obs_id[:4],
        "first5": obs_id[:5],
        "last3": obs_id[-3:],
    }


def fill_pattern(pattern: str, obs_id: str) -> str:
    """Put an ObsID into a regular expression, as text and not as pattern.

    Examples
    --------
    >>> fill_pattern(r"acisf{obs_id:>05}N[0-9]+", "754"), fill_pattern(r"{lower}_bas", "RP500211N00")
    ('acisf00754N[0-9]+', 'rp500211n00_bas')
    """
    for name, value in id_parts(obs_id).items():
        pattern = pattern.replace(f"{{{name}}}", re.escape(value))
    return pattern.replace("{obs_id:>05}", re.escape(f"{obs_id:0>5}"))


def fill_template(template: str, obs_id: str) -> str:
    """Put an ObsID into a template, such as that of an identifier.

    Examples
    --------
    >>> fill_template("10.25574/{obs_id:>05}", "754")
    '10.25574/00754'
    """
    return template.format_map(id_parts(obs_id))
