"""ROSAT PSPC and HRI, pointed and survey.

Sources: the ROSAT Users' Handbook; Snowden et al. 1994, ApJ 424, 714 (PSPC channels of
10 eV); xselect.mdb; the header of a real PROS list (XS- cards).  The accepted events
(STDEVT) of the archive are screened.
"""

from __future__ import annotations

from dataclasses import replace

from daxa.xray.lists.eventformat import EventFormat, Refusal
from daxa.xray.lists.rules import Rule

__all__ = ["FORMATS"]

_PSPC = EventFormat(
    mission="rosat",
    instrument="PSPC",
    pi_to_kev=(0.0, 0.01),
    # 0.07 to 2.4 keV
    pi_limits=(7, 239),
    pixel_arcsec=0.5,
    reference_pixel=7680.0,
    sky_limits=(1, 15360),
    tables=("STDEVT", "EVENTS"),
    mjdref=48043.8797453704,
    gti_tables=("STDGTI", "GTI"),
    live_cards=("DTCOR", "XS-DTCOR", "DEADC", "LIVETIME/ONTIME"),
    obs_id_cards=("OBS_ID", "XS-OBSID"),
    named=False,
)

_HRI = replace(
    _PSPC,
    instrument="HRI",
    pi_to_kev=None,
    pi_limits=(0, 15),
    pi_column="PHA",
    reference_pixel=4096.0,
    sky_limits=(1, 8192),
    unverified=(Rule("PHA", "between", (2, 10), "custom: HRI channels with few background events"),),
    refusals=(Refusal("energy-band", "its microchannel plates measure next to no energy"),),
)

_PSPCS = ("PSPC", "PSPCB", "PSPCC")

FORMATS = {
    **{("ROSAT", name): replace(_PSPC, instrument=name) for name in _PSPCS},
    **{("ROSAT", name, "SCAN"): replace(_PSPC, mission="rass") for name in _PSPCS},
    ("ROSAT", "HRI"): _HRI,
}
