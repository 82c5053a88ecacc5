"""XMM-Newton EPIC, slews between pointings, from HEASARC's mirror.

A slew crosses the sky: the position in the table says little about what it saw, so no
camera is chosen by default.
"""

from dataclasses import replace

from daxa.missions.declared.xmm import SPEC as _POINTED
from daxa.missions.spec import MissionSpec

SPEC = MissionSpec(
    name="xmm_slew",
    title="XMM-Newton, slews",
    aliases=("xmm-newton_slew",),
    table=replace(
        _POINTED.table,
        where=("status in ('processed', 'archived')", "data_in_heasarc = 'Y'", "obsid like '9%'"),
    ),
    id_pattern=r"9[0-9]{9}",
    # No real slew is recorded in the sources used here.
    id_example="",
    instruments=tuple(replace(one, wide=True) for one in _POINTED.instruments),
    default_instruments=(),
    mirrors=_POINTED.mirrors,
    directory=_POINTED.directory,
    credit=_POINTED.credit,
    note="Scanning: a position finds a slew only by chance.",
    acknowledgement=_POINTED.acknowledgement,
    bibcodes=_POINTED.bibcodes,
)
