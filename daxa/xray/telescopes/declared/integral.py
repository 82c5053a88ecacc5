"""INTEGRAL ISGRI and JEM-X: light curves and good times; times are in days.

Sources: the ISDC data structures as xselect.mdb names them; a real header (MJDREF 51544,
TIMEUNIT d, DEADC).
"""

from __future__ import annotations

from typing import Any

from daxa.xray.telescopes.eventformat import EventFormat, Refusal
from daxa.xray.telescopes.spec import Formats, Telescope

__all__ = ["TELESCOPE"]

_MASK = Refusal("image", "it looks through a coded mask, whose images need OSA")


def _camera(instrument: str, **facts: Any) -> EventFormat:
    return EventFormat(mission="integral", instrument=instrument, mjdref=51544.0, named=False, **facts)


_FORMATS: Formats = {
    ("IBIS",): _camera(
        "ISGRI",
        pi_to_kev=None,
        pi_limits=(0, 2047),
        refusals=(_MASK, Refusal("energy-band", "the energies of its channels depend on the rise time")),
        tables=("ISGR-EVTS-ALL",),
        pi_column="ISGRI_PHA",
        gti_tables=("IBIS-GNRL-GTI",),
    ),
    **{
        (name,): _camera(
            name.replace("JMX", "JEMX"),
            pi_to_kev=None,
            pi_limits=(0, 255),
            refusals=(_MASK, Refusal("energy-band", "the energies of its channels change with the gain")),
            tables=(f"{name}-FULL-ALL",),
            gti_tables=(f"{name}-GNRL-GTI",),
        )
        for name in ("JMX1", "JMX2")
    },
}

TELESCOPE = Telescope(
    name="integral",
    telescop=("INTEGRAL",),
    formats=_FORMATS,
    not_native={
        "SPI": "it looks through a coded mask with a detector of 19 pixels, whose analysis needs OSA",
    },
)
