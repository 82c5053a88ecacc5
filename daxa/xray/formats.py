"""Facts about event lists, one record per instrument, as data.

What differs between missions when an event list is read stands here: column names,
the meaning of a PI channel, where good time intervals and live times come from.
The functions only look up.

Sources: XMM-Newton Data Files Handbook and the PPS Interface document (EPIC); the ACIS
level 1 and 2 data products guide (Chandra); the NuSTAR data analysis software guide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from astropy.io import fits

from daxa.errors import DataError, NotPossible

__all__ = ["FORMATS", "EventFormat", "card_number", "card_text", "recognise"]


@dataclass(frozen=True)
class EventFormat:
    """How the event lists of one instrument are to be read.

    Parameters
    ----------
    mission, instrument
        Names as in `daxa.missions`.
    chip_column
        Column that says which chip an event fell on; '' when one list of good time
        intervals holds for all chips (they are then chip 0).
    time_column, pi_column
        Columns with the time (s) and the energy channel.
    pi_to_kev
        ``(zero, gain)``: keV at which channel 0 starts, and keV per channel.
    pi_is_energy
        True where a channel number is an energy (XMM: eV): channel n is the energy
        ``zero + gain n``.  False where channel n covers energies from ``zero + gain n``
        up to, without, ``zero + gain (n + 1)``.
    pi_limits
        First and last channel with an energy.
    energy_column
        Column with energies in eV, '' where there is none.
    gti_scheme
        ``dss``: one table per chip, named by the data subspace cards, else ``STDGTInn``;
        ``ccd_id``: one table per chip, told by its CCD_ID card;  ``single``: one table.
    livetime_scheme
        ``frames``: FRACEXP of each frame (``EXPOSUnn`` tables); ``dtcor``, ``deadc``: the
        good time times this card of the events header.
    exposure_means
        What EXPOSURE says in the headers of the mission's images: ``ontime`` or ``livetime``.
    pixel_arcsec, reference_pixel, sky_limits
        Side of an event pixel; its reference pixel and legal range on both axes, used
        where the columns' own cards are absent.
    field_arcmin
        Half of the side of the square about the reference pixel that an image always
        covers; 0 leaves the extent of an image to the events.
    """

    mission: str
    instrument: str
    chip_column: str
    pi_to_kev: tuple[float, float]
    pi_is_energy: bool
    pi_limits: tuple[int, int]
    gti_scheme: Literal["dss", "ccd_id", "single"]
    livetime_scheme: Literal["frames", "dtcor", "deadc"]
    exposure_means: Literal["ontime", "livetime"]
    pixel_arcsec: float
    reference_pixel: float
    sky_limits: tuple[int, int]
    field_arcmin: float
    time_column: str = "TIME"
    pi_column: str = "PI"
    energy_column: str = ""


def _epic(instrument: str, last_channel: int) -> EventFormat:
    return EventFormat(
        mission="xmm",
        instrument=instrument,
        chip_column="CCDNR",
        pi_to_kev=(0.0, 0.001),
        pi_is_energy=True,
        pi_limits=(0, last_channel),
        gti_scheme="dss",
        livetime_scheme="frames",
        exposure_means="ontime",
        pixel_arcsec=0.05,
        reference_pixel=25921.0,
        sky_limits=(1, 51840),
        field_arcmin=18.5,
    )


def _nustar(instrument: str) -> EventFormat:
    return EventFormat(
        mission="nustar",
        instrument=instrument,
        chip_column="",
        pi_to_kev=(1.6, 0.04),
        pi_is_energy=False,
        pi_limits=(0, 4095),
        gti_scheme="single",
        livetime_scheme="deadc",
        exposure_means="livetime",
        pixel_arcsec=2.4581,
        reference_pixel=500.5,
        sky_limits=(1, 1000),
        field_arcmin=9.5,
    )


_ACIS = EventFormat(
    mission="chandra",
    instrument="ACIS",
    chip_column="ccd_id",
    # PI = floor(energy / 14.6 eV) + 1
    pi_to_kev=(-0.0146, 0.0146),
    pi_is_energy=False,
    # Channel 1024 also holds everything above it.
    pi_limits=(1, 1023),
    gti_scheme="ccd_id",
    livetime_scheme="dtcor",
    exposure_means="livetime",
    pixel_arcsec=0.492,
    reference_pixel=4096.5,
    sky_limits=(1, 8192),
    field_arcmin=0.0,
    time_column="time",
    pi_column="pi",
    energy_column="energy",
)

FORMATS = MappingProxyType(
    {
        ("XMM", "EPN"): _epic("PN", 20479),
        ("XMM", "EMOS1"): _epic("M1", 15000),
        ("XMM", "EMOS2"): _epic("M2", 15000),
        ("CHANDRA", "ACIS"): _ACIS,
        ("AXAF", "ACIS"): _ACIS,
        ("NUSTAR", "FPMA"): _nustar("FPMA"),
        ("NUSTAR", "FPMB"): _nustar("FPMB"),
    }
)
"""``(TELESCOP, INSTRUME)`` in capitals to the format of that instrument's event lists."""


def card_text(header: fits.Header, keyword: str, default: str = "") -> str:
    """The value of a card as text without blanks around it; `default` when absent or undefined.

    Raises
    ------
    DataError
        The card cannot be parsed, or holds other than printable ASCII characters.
    """
    try:
        value = header.get(keyword)
    except fits.VerifyError:
        raise _bad_card(header, keyword) from None
    if value is None or isinstance(value, fits.card.Undefined):
        return default
    text = str(value).strip()
    if not (text.isascii() and text.isprintable()):
        raise _bad_card(header, keyword)
    return text


def card_number(header: fits.Header, keyword: str, default: float | None = None) -> float:
    """The value of a card as a finite number, also where it was written as a string.

    Raises
    ------
    DataError
        It is no finite number, or it is absent and there is no `default`.

    Examples
    --------
    >>> card_number(fits.Header({"TCRVL1": "0.0"}), "TCRVL1")
    0.0
    """
    text = card_text(header, keyword)
    if not text and default is not None:
        return default
    try:
        value = float(text)
    except ValueError:
        raise _bad_card(header, keyword) from None
    if not math.isfinite(value):
        raise _bad_card(header, keyword)
    return value


def _bad_card(header: fits.Header, keyword: str) -> DataError:
    table = "TFIELDS" in header
    return DataError(
        "card",
        f"card {keyword} of the {'table' if table else 'primary'} header is absent or unusable",
        remedy="fetch the file again; if the archive's own copy is like this, leave the observation out",
    )


def recognise(primary: fits.Header, events: fits.Header) -> EventFormat:
    """The format of an event list.

    Parameters
    ----------
    primary, events
        Headers of the primary HDU and of the events table.

    Raises
    ------
    DataError
        The headers name no telescope and instrument.
    NotPossible
        They name one whose event lists are not processed natively.

    Examples
    --------
    >>> header = fits.Header({"TELESCOP": "NuSTAR", "INSTRUME": "FPMB"})
    >>> recognise(header, header).pi_to_kev
    (1.6, 0.04)
    """
    telescope, instrument = (
        (card_text(events, keyword) or card_text(primary, keyword)).upper() for keyword in ("TELESCOP", "INSTRUME")
    )
    if not telescope or not instrument:
        raise DataError(
            "unrecognised",
            "the event list does not say which telescope and instrument made it (TELESCOP, INSTRUME)",
            remedy="check that the file is an event list as the archive distributes it",
        )
    found = FORMATS.get((telescope, instrument))
    if found is None:
        known = ", ".join(sorted({f"{entry.mission} {entry.instrument}" for entry in FORMATS.values()}))
        raise NotPossible(
            "instrument",
            f"event lists of {telescope} {instrument} are not processed natively",
            remedy=f"choose one of {known}",
        )
    return found
