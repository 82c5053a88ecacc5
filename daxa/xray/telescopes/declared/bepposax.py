"""BeppoSAX LECS and MECS: what xselect.mdb says of their lists, and nothing more.

Neither the energies of their channels nor the size of their pixels is in a source at
hand: bands are refused, and the pixels must be in the header.
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.spec import Formats, Telescope

__all__ = ["TELESCOPE"]

_FORMATS: Formats = {
    (name,): EventFormat(
        mission="bepposax",
        instrument=name,
        pi_to_kev=None,
        pi_limits=(0, 1023),
        refusals=(Refusal("energy-band", "the energies of its channels are not declared"),),
        gti_tables=("ALLGTI", "GTI"),
        named=False,
    )
    for name in ("LECS", "MECS", "MECS1", "MECS2", "MECS3")
}

TELESCOPE = Telescope(
    name="bepposax",
    telescop=("BEPPOSAX", "SAX"),
    formats=_FORMATS,
)
