"""NICER XTI: 56 concentrators without images.

Sources: the nimaketime and nicerclean defaults of HEASoft; a real cleaned list.
"""

from __future__ import annotations

from daxa.xray.lists.eventformat import EventFormat, Refusal
from daxa.xray.lists.rules import Rule

__all__ = ["FORMATS"]

_NICERCLEAN = "NICERDAS nicerclean: defaults"

FORMATS = {
    ("NICER", "XTI"): EventFormat(
        mission="nicer",
        instrument="XTI",
        pi_to_kev=(0.0, 0.01),
        pi_limits=(0, 1500),
        rules=(
            # bxxxxxx00: undershoots and overshoots, last bits of the column
            Rule("EVENT_FLAGS", "bits_clear", 0b00000011, _NICERCLEAN, bits=8),
            Rule("PI", "between", (25, 1500), _NICERCLEAN),
        ),
        refusals=(Refusal("image", "its concentrators do not image"),),
        mjdref=56658.000777592593,
    )
}
