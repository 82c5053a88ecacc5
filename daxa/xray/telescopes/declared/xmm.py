"""XMM-Newton EPIC.

Sources: XMM-Newton Data Files Handbook; the PPS Interface document.  Fields of view: XMM-ESAS
(Snowden et al. 2008, A&A 478, 615) for MOS1 and pn; MOS2: the radius of MOS1 about the centre that
fits a map of SAS best (0404910601, 0.5-2 keV).  Scales of the detectors: XMM-Newton Users Handbook.

Vignetting: least-squares fits, axis and curve, to exposure maps that SAS 13.5 made of 0404910601; that of pn is
the same in two observations, and describes MOS1 and MOS2, each about its own axis, with a median error of 2 percent.
Fitted to one half of a MOS2 map, by tiles, it describes the other with a median error of 2.4 percent.

Expected errors of what is unproved are those that nine tenths of the pixels of our maps stay within of SAS's, each
over its own level within 3 arcmin.  MOS1 and MOS2, 0.5-2 keV: 5 percent; beyond 12 arcmin 6 to 7, which is also what
the footprint of pn, of which there is no list to place, is taken to be off by (8).  Its curve follows its own map to
4 percent out to 15 arcmin.  MOS2, 2-10 keV: 6 percent, beyond 13 arcmin 8.  The derived curves of MOS1 and pn above
2 keV describe that map of MOS2, about its axis, to 6 percent as well; that they hold for the mirrors of these cameras
no map shows, so that pn, whose mirror has no grating behind it, has the larger figure.

SAS takes vignetting at the mean energy of a map's band (description of its task eexpmap): the curves are those of
1.25 and 6 keV, and 18 percent apart at 12 arcmin, 22 at 15.  Parts of 2-10 keV lie between the two or beyond the
harder one: a fifth is what they may be off by.

Chips with high background below 1 keV: Kuntz & Snowden 2008, A&A 478, 575; limits of the SAS task
emanom (goflib-0.20.1, its description).

Pile-up: XMM-Newton Users Handbook, table of count rates that avoid deteriorated response due to
photon pile-up.  Out-of-time events: its section on them, table of fractions per mode (6.3, 2.3,
0.16 and 1.1 %).

Point spread functions on the axis: 68, 83, 89 and 92 % (M1), 69, 83, 89 and 93 % (M2), 71, 88, 93 and 95 % (PN)
within 15, 30, 45 and 60 arcsec of what lies within 5 arcmin, good to 5 % (description of the SAS task eupper);
FWHM 5 and HEW 14 arcsec (MOS), 6 and 15 arcsec (PN).  The FWHM is that of the mirrors: pixels of 40 and 150 um are
1.1 and 4.1 arcsec, and those of pn undersample it (XMM-Newton Users Handbook, EPIC imaging: angular resolution);
events are placed at random in them (epevents and emevents, randomizeposition, by default).  The FWHM and HEW are of the
handbook's tables as they are commonly quoted; the tables themselves were not at hand: unverified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, FlareFilter, Imaging
from daxa.xray.telescopes.king_functions import stretched_king
from daxa.xray.telescopes.optics import PsfFacts, Vignetting, polynomial
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Corners, Formats, Readout, Telescope

__all__ = ["TELESCOPE"]

_SAS = "XMM-Newton SAS: standard filters of evselect, as lists record them (SLCTEXPR)"
_PPS = "XMM-Newton SAS: flag word of emevents and epevents, used where the header does not declare it"

_TIMING = Refusal(
    "image", "its timing and burst modes keep one coordinate only", card="DATAMODE", values=("TIMING", "BURST")
)


def _epic(instrument: str, last_channel: int, flags: int, patterns: int, central: int) -> EventFormat:
    return EventFormat(
        mission="xmm",
        instrument=instrument,
        pi_to_kev=(0.0, 0.001),
        pi_is_energy=True,
        pi_limits=(0, last_channel),
        pixel_arcsec=0.05,
        reference_pixel=25921.0,
        sky_limits=(1, 51840),
        field_arcmin=18.5,
        rules=(
            Rule("FLAG", "bits_clear", flags, _PPS),
            Rule("PATTERN", "between", (0, patterns), _SAS),
            Rule("FLAG", "equal", 0, _SAS),
        ),
        dialect="sas",
        refusals=(_TIMING,),
        chip_column="CCDNR",
        mjdref=50814.0,
        gti_scheme="dss",
        livetime_scheme="frames",
        exposure_means="ontime",
        cell_arcsec=20.0,
        flag_card="XMMEA_EP" if instrument == "PN" else "XMMEA_EM",
        central_chip=central,
        chip_cards=(("ONTIME{:02d}", "ontime"), ("LIVETI{:02d}", "livetime")),
        adds_exposure=False,
    )


_FORMATS: Formats = {
    ("EPN",): _epic("PN", 20479, 0x0CFA0000, 4, 4),
    ("EMOS1",): _epic("M1", 15000, 0x766BA000, 12, 1),
    ("EMOS2",): _epic("M2", 15000, 0x766BA000, 12, 1),
}

_MOS = Detector(
    raw=("RAWX", "RAWY"),
    first=1,
    size=(600, 600),
    plane=("DETX", "DETY"),
    raw_scale=22.02,
    sky_scale=1.0,
    roll="PA_PNT",
    sense=1,
    dither=200.0,
    window="EXPOSU",
)

_MOS2_SOFT = polynomial(-1.11593e-2, 8.56573e-4, -2.12253e-5)
_MOS2_HARD = polynomial(-1.31493e-2, 1.01128e-3, -2.40122e-5)
_MOS1_SOFT = polynomial(-1.13646e-2, 8.8798e-4, -2.2566e-5)
_PN_SOFT = polynomial(-1.01268e-2, 6.7200e-4, -1.2892e-5)
_FITTED = "fit to a map of SAS, 0.5-2 keV"
_PARTS = 0.2
"""Share by which the curves of 2-10 keV may be off in a part of that band."""


def _harder(soft: Callable[[np.ndarray, float], np.ndarray]) -> Callable[[np.ndarray, float], np.ndarray]:
    """The curve of 2-10 keV from that of 0.5-2 keV, as the one of MOS2 goes over into the other."""

    def shape(t: np.ndarray, energy: float) -> np.ndarray:
        share: np.ndarray = soft(t, energy) * _MOS2_HARD(t, energy) / _MOS2_SOFT(t, energy)
        return share

    return shape


_PN_CURVES = (
    Vignetting((0.5, 2.0), False, 16.0, 15.0, (0.88, 1.95),
               _PN_SOFT, f"pn: {_FITTED}", "footprint of pn beyond 12 arcmin", 0.08),
    Vignetting((2.0, 10.0), False, 16.0, 0.0, (0.88, 1.95), _harder(_PN_SOFT),
               "pn below 2 keV x MOS2 above over below", "pn above 2 keV", 0.08, part_error=_PARTS),
)  # fmt: skip
_MOS1_CURVES = (
    Vignetting((0.5, 2.0), False, 16.0, 15.0, (1.27, 2.38), _MOS1_SOFT, f"MOS1: {_FITTED}"),
    Vignetting((2.0, 10.0), False, 16.0, 0.0, (1.27, 2.38), _harder(_MOS1_SOFT),
               "MOS1 below 2 keV x MOS2 above over below", "MOS1 above 2 keV", 0.06, part_error=_PARTS),
)  # fmt: skip
# MOS1's curve and pn's, about this axis, agree with MOS2's own map as its own curve does.
_MOS2_CURVES = (
    Vignetting((0.5, 2.0), False, 16.0, 15.0, (0.346, 1.933), _MOS2_SOFT, f"MOS2: {_FITTED}"),
    Vignetting((2.0, 10.0), False, 16.0, 15.0, (0.343, 1.671), _MOS2_HARD,
               "MOS2: fit to a map of SAS, 2-10 keV", "MOS2 above 2 keV, beyond its own map", 0.06, part_error=_PARTS),
)  # fmt: skip

_READOUT = Readout(
    title="EPIC pn",
    fractions={
        "PrimeFullWindow": 0.063,
        "PrimeFullWindowExtended": 0.023,
        "PrimeLargeWindow": 0.0016,
        "PrimeSmallWindow": 0.011,
    },
    whole=("PrimeFullWindow", "PrimeFullWindowExtended"),
    source="XMM-Newton Users Handbook, out-of-time events",
)


def _corners(limits: dict[int, tuple[float, float] | None]) -> Corners:
    return Corners(title="EPIC MOS", limits=limits, hard=(2500, 5000), soft=(400, 800), outside=0x10000)


_MOS_PILE_UP = {"PrimePartialW2": 4.5, "PrimePartialW3": 1.5, "": 0.5}

_GHIZZARDI = (
    "King function, Ghizzardi, EPIC-MCT-TN-011 and -012, as in HEASoft's XIMAGE, through the encircled energies of "
    "SAS's eupper and the FWHM and HEW of the XMM-Newton Users Handbook"
)


def _psf(name: str, pixel: float, *fit: tuple[float, ...]) -> PsfFacts:
    return PsfFacts(stretched_king(*fit), (0.2, 10.0), 15.0, _GHIZZARDI, name, pixel=pixel)


_PSFS = {
    "PN": _psf("PN", 4.1, (6.636, -0.305, -0.175, -0.0067), (1.525, -0.015, -0.012, -0.0010),
               (0.434, 5.52, 3.0, 12.88, 1.8)),
    "M1": _psf("M1", 1.1, (5.074, -0.236, 0.002, -0.0180), (1.472, -0.010, -0.001, -0.0016),
               (0.440, 4.70, 3.0, 10.76, 1.5)),
    "M2": _psf("M2", 1.1, (4.759, -0.203, 0.014, -0.0229), (1.411, -0.005, -0.001, -0.0002),
               (0.592, 3.82, 2.0, 16.53, 1.6)),
}  # fmt: skip
"""Core and slope of a King function, and what was measured on the axis (`stretched_king`)."""

_CAMERAS = (
    Camera(
        ("PN",),
        detector=replace(_MOS, size=(64, 200), raw_scale=82.0, circle=(-2200.0, -1110.0, 17980.0)),
        vignetting=_PN_CURVES,
        psf=_PSFS["PN"],
        pile_up={"PrimeFullWindowExtended": 1.0, "PrimeLargeWindow": 3.0, "PrimeSmallWindow": 25.0, "": 2.0},
        readout=_READOUT,
    ),
    Camera(
        ("M1",),
        detector=replace(_MOS, circle=(97.0, -172.0, 17152.0)),
        vignetting=_MOS1_CURVES,
        psf=_PSFS["M1"],
        pile_up=_MOS_PILE_UP,
        corners=_corners({4: (2.75, 3.00), 5: (2.25, 3.60)}),
    ),
    Camera(
        ("M2",),
        detector=replace(_MOS, circle=(-64.0, -291.0, 17152.0)),
        vignetting=_MOS2_CURVES,
        psf=_PSFS["M2"],
        pile_up=_MOS_PILE_UP,
        # Chip 5 is one of the four, but its limits are in no available source.
        corners=_corners({2: (2.10, 2.50), 5: None}),
    ),
)

_IMAGING = Imaging(
    bands=(Band(0.5, 2.0, (500, 2000)), Band(2.0, 10.0, (2001, 10000))),
    pixel=4.35,
    flares=FlareFilter(band=(10.0, 12.0), bin=100.0, soft=(2.5, 8.5)),
)

TELESCOPE = Telescope(
    name="xmm",
    telescop=("XMM",),
    formats=_FORMATS,
    imaging={"xmm": _IMAGING},
    cameras=_CAMERAS,
    not_native={
        "RGS": "it is a grating spectrometer: its lists need the wavelength scale that SAS makes",
        "OM": "it is an optical monitor, and records no X-ray photons",
    },
    merges=True,
)
