"""XMM-Newton EPIC.

Sources: XMM-Newton Data Files Handbook; the PPS Interface document.
"""

from __future__ import annotations

from daxa.xray.lists.eventformat import EventFormat, Refusal
from daxa.xray.lists.rules import Rule

__all__ = ["FORMATS"]

_SAS = "XMM-Newton SAS: standard filters of evselect, as lists record them (SLCTEXPR)"
_PPS = "XMM-Newton SAS: flag word of emevents and epevents, used where the header does not declare it"

_TIMING = Refusal(
    "image", "its timing and burst modes keep one coordinate only", card="DATAMODE", values=("TIMING", "BURST")
)


def _epic(instrument: str, last_channel: int, flags: int, patterns: int) -> EventFormat:
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
    )


FORMATS = {
    ("XMM", "EPN"): _epic("PN", 20479, 0x0CFA0000, 4),
    ("XMM", "EMOS1"): _epic("M1", 15000, 0x766BA000, 12),
    ("XMM", "EMOS2"): _epic("M2", 15000, 0x766BA000, 12),
}
