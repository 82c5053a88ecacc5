"""NICER XTI: 56 concentrators without images.

Sources: what real cleaned lists record of nicerclean in their headers (HISTORY), and their
comments on the bits of EVENT_FLAGS; the help of nicerclean (events of the slow chain, PI of 20
and more).  That program also compares PI with PI_FAST (PI_RATIO), which is left to it.
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.imaging import Band, Imaging
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Formats, Telescope

__all__ = ["TELESCOPE"]

_NICERCLEAN = "NICERDAS nicerclean, as cleaned lists record it: EVENT_FLAGS == bx1x000, PI 20 to 1500"

_FORMATS: Formats = {
    ("XTI",): EventFormat(
        mission="nicer",
        instrument="XTI",
        pi_to_kev=(0.0, 0.01),
        pi_limits=(0, 1500),
        rules=(
            # The slow chain triggered; neither forced, nor overshoot, nor undershoot.
            Rule("EVENT_FLAGS", "bits_set", 0b00010000, _NICERCLEAN, bits=8),
            Rule("EVENT_FLAGS", "bits_clear", 0b00000111, _NICERCLEAN, bits=8),
            Rule("PI", "between", (20, 1500), _NICERCLEAN),
        ),
        refusals=(Refusal("image", "its concentrators do not image"),),
        mjdref=56658.000777592593,
    )
}

TELESCOPE = Telescope(
    name="nicer",
    telescop=("NICER",),
    formats=_FORMATS,
    imaging={"nicer": Imaging(bands=(Band(0.4, 2.0, (40, 199)), Band(2.0, 10.0, (200, 999))))},
)
