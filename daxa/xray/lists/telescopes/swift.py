"""Swift XRT.

Sources: xrtscreen and xrtpipeline of the XRT data analysis software (grades, status);
real headers of spectra in both modes (grades 0:12 and 0:2, STATUS==b0, pixel 6.548089e-4 deg,
1024 channels, DEADC).
"""

from __future__ import annotations

from daxa.xray.lists.eventformat import EventFormat, Refusal
from daxa.xray.lists.rules import Rule

__all__ = ["FORMATS"]

_XRTSCREEN = "XRTDAS xrtscreen: default grades and status"


def _xrt(mode: str, grades: int, refusals: tuple[Refusal, ...] = ()) -> EventFormat:
    return EventFormat(
        mission="swift",
        instrument="XRT",
        mode=mode,
        pi_to_kev=(0.0, 0.01),
        pi_limits=(0, 1023),
        pixel_arcsec=2.35731,
        reference_pixel=500.5,
        sky_limits=(1, 1000),
        field_arcmin=11.8,
        rules=(
            Rule("GRADE", "between", (0, grades), _XRTSCREEN),
            Rule("STATUS", "bits_clear", 0xFFFF, _XRTSCREEN, bits=16),
        ),
        refusals=refusals,
        mjdref=51910.00074287037,
    )


_ONE_COORDINATE = Refusal("image", "windowed timing keeps one coordinate only")
_NO_COORDINATE = Refusal("image", "its photodiode mode keeps no coordinates")

FORMATS = {
    ("SWIFT", "XRT", "PHOTON"): _xrt("", 12),
    ("SWIFT", "XRT", "WINDOWED"): _xrt("WT", 2, (_ONE_COORDINATE,)),
    ("SWIFT", "XRT", "LOWRATE"): _xrt("PD", 5, (_NO_COORDINATE,)),
    ("SWIFT", "XRT", "PILEDUP"): _xrt("PD", 5, (_NO_COORDINATE,)),
}
