"""RXTE PCA: science event mode.

Sources: the XTE File Format document (XFF/95-004), by which the first bit of an event
word distinguishes events from markers, and good times of the pointing and of the telemetry both
have to hold; a real list.
"""

from __future__ import annotations

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.rule import Rule
from daxa.xray.telescopes.spec import Formats, Telescope

__all__ = ["TELESCOPE"]

_XFF = "XFF/95-004: token M[1]{1} of the event word, which the list describes (TEVTB2)"

_FORMATS: Formats = {
    ("PCA",): EventFormat(
        mission="rxte",
        instrument="PCA",
        pi_to_kev=None,
        pi_limits=(0, 255),
        rules=(Rule("Event", "bits_set", 0x8000, _XFF, bits=16),),
        refusals=(
            Refusal("image", "its collimators do not image"),
            Refusal("energy-band", "the energies of its channels change with the epoch and the mode"),
        ),
        tables=("XTE_SE",),
        mjdref=49353.000696574074,
        pi_column="PHA",
        gti_scheme="every",
    )
}

TELESCOPE = Telescope(
    name="rxte",
    telescop=("XTE", "RXTE"),
    formats=_FORMATS,
    not_native={
        "HEXTE": "its clusters rock between source and background, which HEASoft separates",
    },
)
