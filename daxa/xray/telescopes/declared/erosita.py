"""eROSITA: seven telescope modules in one list.

Sources: eROSITA-DE DR1 file descriptions; Brunner et al. 2022, A&A 661, A1 (flags);
Predehl et al. 2021, A&A 647, A1.  A field scan says SCAN, the survey SURVEY in OBS_MODE.
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat
from daxa.xray.telescopes.imaging import Band, FlareFilter, Imaging
from daxa.xray.telescopes.optics import PsfFacts, half_power
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Camera, Formats, Telescope

__all__ = ["TELESCOPE"]

_EVTOOL = "eSASS evtool: flag=0xc00fff30 pattern=15, as the eFEDS and DR1 recipes give it"

_INSTRUMENTS = ("MERGED", *(f"TM{number}" for number in range(1, 8)))


def _tiles(mission: str, instrument: str) -> EventFormat:
    return EventFormat(
        mission=mission,
        instrument=instrument,
        # Real-valued eV.
        pi_to_kev=(0.0, 0.001),
        pi_limits=(0, 16383),
        pixel_arcsec=0.05,
        rules=(
            Rule("FLAG", "bits_clear", 0xC00FFF30, _EVTOOL),
            Rule("PAT_TYP", "between", (1, 4), _EVTOOL),
        ),
        dialect="esass",
        chip_column="TM_NR",
        mjdref=51543.875,
        gti_scheme="modules",
        livetime_scheme="modules",
        named=False,
    )


_FORMATS: Formats = {
    (name, *mode): _tiles(mission, name)
    for name in _INSTRUMENTS
    for mode, mission in (((), "erosita_calpv"), (("SURVEY",), "erass1"))
}

_SURVEY_PSF = PsfFacts(
    half_power(28.0),
    (0.2, 10.0),
    30.0,
    "Gaussian, mean HEW of the survey 28 arcsec (26 to 30)",
    "EROSITA",
    starts=("TM",),
)
_POINTED_PSF = PsfFacts(half_power(16.0), (0.2, 10.0), 30.0, "Gaussian, HEW on the axis 16 arcsec", "EROSITA-POINTED")


_USUAL = Imaging(
    bands=(Band(0.2, 2.3, (200, 2299)), Band(2.3, 5.0, (2300, 4999))),
    pixel=4.0,
    flares=FlareFilter(band=(5.0, 10.0), bin=20.0),
)

TELESCOPE = Telescope(
    name="erosita",
    telescop=("EROSITA", "SRG", "SRG/EROSITA"),
    formats=_FORMATS,
    imaging={"erass1": _USUAL, "erosita_calpv": _USUAL},
    cameras=(
        Camera(_INSTRUMENTS, missions=("erass1",), psf=_SURVEY_PSF),
        Camera(_INSTRUMENTS, missions=("erosita_calpv",), psf=_POINTED_PSF),
    ),
)
