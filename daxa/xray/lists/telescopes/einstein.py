"""Einstein IPC and HRI.

Sources: xselect.mdb; the header of a real IPC list (8 arcsec pixels, DTCOR).
"""

from __future__ import annotations

from dataclasses import replace

from daxa.xray.lists.eventformat import EventFormat, Refusal

__all__ = ["FORMATS"]

_IPC = EventFormat(
    mission="einstein",
    instrument="IPC",
    pi_to_kev=None,
    pi_limits=(0, 15),
    pixel_arcsec=8.0,
    reference_pixel=512.0,
    sky_limits=(1, 1024),
    refusals=(Refusal("energy-band", "the energies of its 16 channels change with the gain"),),
    mjdref=43508.0,
    live_cards=("DTCOR", "LIVETIME/ONTIME"),
    named=False,
)

_HRI = replace(
    _IPC,
    instrument="HRI",
    pi_column="PHA",
    # Its pixels must stand in the header: no source at hand says them.
    pixel_arcsec=0.0,
    reference_pixel=None,
    sky_limits=None,
    refusals=(Refusal("energy-band", "its microchannel plates measure next to no energy"),),
)

FORMATS = {("EINSTEIN", "IPC"): _IPC, ("EINSTEIN", "HRI"): _HRI}
