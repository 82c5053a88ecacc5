"""Chandra ACIS and HRC.

Sources: ACIS and HRC level 1 and 2 data products guides; the status filters of
CIAO's ``hrc_process_events`` recipes as ciao-contrib applies them; scales of the detector: the Chandra
Proposers' Observatory Guide.  The mirrors' off-axis area is in its chapter 4
(https://cxc.harvard.edu/proposer/POG/html/chap4.html); no map of it was available for comparison, so
that no figure is claimed.  Point spread function: quadratic forms of the radii that hold 50, 95 and 99 % of
the photons, from the mirrors' library and ray traces (https://asc.harvard.edu/chandra-users/0192.html).
Pile-up: a tenth of a count per ACIS frame of 3.2 s.

Lists processed before June 2011 have ACIS events at random within their pixel of 0.492 arcsec
(https://cxc.harvard.edu/ciao/why/acispixrand.html); later ones are placed within it by the shape of the event (EDSER),
which is better by an amount that no document at hand gives: for these the spread is an upper value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, FlareFilter, Imaging
from daxa.xray.telescopes.king_functions import king_with_halo
from daxa.xray.telescopes.optics import Eef, PsfFacts
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_MJDREF = 50814.0
_CIAO = "CIAO: standard ACIS level 2 filters, as lists record them (ASCA grades 0,2,3,4,6; status 0)"
_HRC_CIAO = "CIAO: standard HRC level 2 status filter"

_STEADY = ("SIM_Z", "ROLL_NOM")
"""Where observing intervals of one list differ in the place of the detector or the roll, these are left out."""

_CHIP_CARDS: tuple[tuple[str, Literal["ontime", "livetime"]], ...] = (
    ("ONTIME{:d}", "ontime"),
    ("LIVTIME{:d}", "livetime"),
    ("EXPOSUR{:d}", "livetime"),
)

_ACIS = EventFormat(
    mission="chandra",
    instrument="ACIS",
    # PI = floor(energy / 14.6 eV) + 1
    pi_to_kev=(-0.0146, 0.0146),
    # Channel 1024 also holds everything above it.
    pi_limits=(1, 1023),
    pixel_arcsec=0.492,
    reference_pixel=4096.5,
    sky_limits=(1, 8192),
    rules=(
        Rule("grade", "in", (0, 2, 3, 4, 6), _CIAO),
        Rule("status", "bits_clear", 0xFFFFFFFF, _CIAO, bits=32),
    ),
    dialect="ciao",
    refusals=(
        Refusal("image", "continuous clocking keeps one coordinate only", card="READMODE", values=("CONTINUOUS",)),
    ),
    chip_column="ccd_id",
    time_column="time",
    mjdref=_MJDREF,
    pi_column="pi",
    energy_column="energy",
    gti_scheme="ccd_id",
    livetime_scheme="dtcor",
    steady=_STEADY,
    cell_arcsec=8.0,
    chip_cards=_CHIP_CARDS,
)


def _hrc(instrument: str, reference: float, last: int, status: str) -> EventFormat:
    # What must be 0 and what may be anything, from the first bit of the column.
    mask = int(status.replace("0", "1").replace("x", "0"), 2)
    return EventFormat(
        mission="chandra",
        instrument=instrument,
        pi_to_kev=None,
        pi_limits=(0, 1023),
        pixel_arcsec=0.1318,
        reference_pixel=reference,
        sky_limits=(1, last),
        rules=(Rule("status", "bits_clear", mask, _HRC_CIAO, bits=32),),
        dialect="ciao",
        refusals=(Refusal("energy-band", "its microchannel plates measure next to no energy"),),
        time_column="time",
        mjdref=_MJDREF,
        pi_column="pi",
        livetime_scheme="dtcor",
        steady=_STEADY,
        cell_arcsec=8.0,
        chip_cards=_CHIP_CARDS,
    )


_FORMATS: Formats = {
    ("ACIS",): _ACIS,
    ("HRC", "HRC-I"): _hrc("HRC-I", 16384.5, 32768, "xxxxxx00xxxx0xxx00000000x0000000"),
    ("HRC", "HRC-S"): _hrc("HRC-S", 32768.5, 65536, "xxxxxx00xxxx0xxx0000x000x00000xx"),
}


@lru_cache(maxsize=64)
def _hrma(_kev: float, arcmin: float) -> Eef:
    """Through the radii (arcsec) that were measured at this angle."""
    return king_with_halo(
        half=0.43 - 0.10 * arcmin + 0.050 * arcmin**2,
        most=2.05 - 0.55 * arcmin + 0.18 * arcmin**2,
        nearly=8.0 + 0.2 * arcmin,
    )


_FEIGELSON = (
    "King function and halo through the 50, 95 and 99 % radii of the mirrors at 1.49 keV of Feigelson et al. 2002 "
    "(ApJ 574, 258)"
)
_ACIS_PSF = PsfFacts(_hrma, (0.3, 10.0), 15.0, _FEIGELSON, "ACIS", starts=("ACIS",), pixel=0.492)
_HRC_PSF = PsfFacts(_hrma, (0.1, 10.0), 15.0, _FEIGELSON, "HRC", starts=("HRC",))


_CAMERAS = (
    Camera(
        ("ACIS",),
        detector=Detector(
            raw=("chipx", "chipy"),
            first=1,
            size=(1024, 1024),
            plane=("detx", "dety"),
            raw_scale=0.998,
            sky_scale=1.0,
            roll="ROLL_NOM",
            sense=-1,
            dither=64.0,
            border=1,
            window="EVENTS",
            field=12.0,
        ),
        psf=_ACIS_PSF,
        flat="no ACIS vignetting: too long off axis, share unknown",
        pile_up={"": 0.03},
    ),
    Camera(("HRC", "HRC-I", "HRC-S"), psf=_HRC_PSF),
)

_IMAGING = Imaging(
    bands=(Band(0.5, 2.0, (35, 137)), Band(2.0, 7.0, (138, 480))),
    pixel=1.968,
    # Sixteen pixels of the detector.
    pixels={"HRC": 2.1088},
    flares=FlareFilter(band=(0.5, 7.0), bin=259.28),
)

TELESCOPE = Telescope(
    name="chandra",
    telescop=("CHANDRA", "AXAF"),
    formats=_FORMATS,
    imaging={"chandra": _IMAGING},
    cameras=_CAMERAS,
)
