"""What differs between missions when an event list is read, as one record per instrument.

The records themselves are in `daxa.xray.telescopes.declared`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from daxa.xray.telescopes.rule import Dialect, Either, Rule

__all__ = ["EventFormat", "Product", "Refusal"]

Product = Literal["image", "energy-band"]


@dataclass(frozen=True)
class Refusal:
    """Something that an instrument cannot give.

    Parameters
    ----------
    product
        ``image``, or ``energy-band``: any statement about energies.
    reason
        Why, as the end of a sentence.
    card, values
        Where it holds in some modes only: a card of the events header, and the beginnings
        of its values, in capitals.
    """

    product: Product
    reason: str
    card: str = ""
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class EventFormat:
    """How the event lists of one instrument are to be read.

    Parameters
    ----------
    mission, instrument
        Names as in `daxa.missions`.
    mode
        The mode where modes differ in what follows, such as ``WINDOWED``; else ''.
    rules
        Standard screening of events; none where the archive's lists are final.  Each rule has
        its source in a recorded header, a mission's script or a document.
    unverified
        Customary screening for which no such source is available: it is off.
    dialect
        The syntax of expressions for the mission's own tools.
    refusals
        What the instrument cannot give.
    tables
        Names of the events table.
    chip_column
        Column that says which chip an event fell on; '' when one list of good time
        intervals holds for all chips (they are then chip 0).
    time_column, pi_column
        Columns with the time and the energy channel; real-valued channels count by their
        integer part.
    mjdref
        Where times count from, MJD, for lists that do not say it.
    pi_to_kev
        ``(zero, gain)``: keV at which channel 0 starts, and keV per channel.  None where
        channels are not energies.
    pi_is_energy
        True where a channel number is an energy (XMM: eV): channel n is the energy
        ``zero + gain n``.  False where channel n covers energies from ``zero + gain n``
        up to, without, ``zero + gain (n + 1)``.
    pi_limits
        First and last channel with an energy, or legal channel where they are not energies.
    energy_column
        Column with energies in eV, '' where there is none.
    gti_scheme
        ``dss``: one table per chip, named by the data subspace cards, else ``STDGTInn``;
        ``ccd_id``: one table per chip, named by its CCD_ID card;  ``single``: one table;
        ``every``: times that are in every one of the tables;  ``modules``: ``GTIn`` for
        chip n.
    gti_tables
        Names of the tables, the first that the file has, where they hold for all chips.
    livetime_scheme
        ``frames``: FRACEXP of each frame (``EXPOSUnn`` tables); ``dtcor``, ``deadc``: the
        good time times this card of the events header, which must be there; ``cards``:
        times the first of `live_cards` that is there; ``modules``: DEADC of ``DEADCORn``.
    live_cards
        Cards of the events header, or quotients of two, with the live fraction.  Where a
        list has none of them, all of the good time is live, and the products say so.
    exposure_means
        What EXPOSURE says in the headers of the mission's images: ``ontime`` or ``livetime``.
    pixel_arcsec, reference_pixel, sky_limits
        Side of an event pixel, arcsec; its reference pixel and legal range on both axes, used
        where the columns' own cards are absent.  0 and None: the header must say them.
    field_arcmin
        Half of the side, arcmin, of the square about the reference pixel that an image always
        covers; 0 leaves the extent of an image to the events.
    obs_id_cards
        Cards with the name of the observation.
    steady
        Cards that lists of one observing interval have: they leave the header of a list in
        which several intervals differ in them.
    named
        False where lists may come without the name of their observation.
    cell_arcsec
        Side of the cells, arcsec, in which a light curve of the background looks for sources: about the
        half-power diameter of the mirrors away from the axis.
    flag_card
        Card in which a list says itself which bits of its flag column must be clear; '' where there is none.
        What it says replaces the first of the rules.
    central_chip
        Chip whose times are those of the list; 0 takes the one that CCD_ID names, else the longest.
    chip_cards
        Cards with the times of each chip, each with ``ontime`` or ``livetime``, as format strings.
    adds_exposure
        Whether a cleaned list has EXPOSURE where the archive's has none.
    """

    mission: str
    instrument: str
    pi_to_kev: tuple[float, float] | None
    pi_limits: tuple[int, int]
    pixel_arcsec: float = 0.0
    reference_pixel: float | None = None
    sky_limits: tuple[int, int] | None = None
    field_arcmin: float = 0.0
    mode: str = ""
    rules: tuple[Rule | Either, ...] = ()
    unverified: tuple[Rule | Either, ...] = ()
    dialect: Dialect = "heasoft"
    refusals: tuple[Refusal, ...] = ()
    tables: tuple[str, ...] = ("EVENTS",)
    chip_column: str = ""
    time_column: str = "TIME"
    mjdref: float | None = None
    pi_column: str = "PI"
    pi_is_energy: bool = False
    energy_column: str = ""
    gti_scheme: Literal["dss", "ccd_id", "single", "every", "modules"] = "single"
    gti_tables: tuple[str, ...] = ("GTI", "STDGTI")
    livetime_scheme: Literal["frames", "dtcor", "deadc", "cards", "modules"] = "cards"
    live_cards: tuple[str, ...] = ("DEADC", "LIVETIME/ONTIME")
    exposure_means: Literal["ontime", "livetime"] = "livetime"
    obs_id_cards: tuple[str, ...] = ("OBS_ID",)
    steady: tuple[str, ...] = ()
    named: bool = True
    cell_arcsec: float = 30.0
    flag_card: str = ""
    central_chip: int = 0
    chip_cards: tuple[tuple[str, Literal["ontime", "livetime"]], ...] = ()
    adds_exposure: bool = True

    @property
    def title(self) -> str:
        """Mission, instrument and mode, for messages."""
        return " ".join(part for part in (self.mission, self.instrument, self.mode) if part)

    @property
    def channel_type(self) -> str:
        """The kind of channel, as OGIP's CHANTYPE: ``PHA`` where pulse heights are all there is."""
        return "PHA" if "PHA" in self.pi_column.upper() else "PI"
