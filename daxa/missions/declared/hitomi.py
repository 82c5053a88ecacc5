"""Hitomi SXS, SXI and HXI, from HEASARC's archive.

``hitomaster`` has ``obsid``, ``name``, ``ra``, ``dec``, ``time`` and ``stop_time``; whether it
has an exposure, and under which name, the service says.  It was lost in its first weeks:
the cameras were switched on one after the other, SXS first.
"""

from daxa.missions.facts import PUBLIC_COLUMNS
from daxa.missions.places import HEASARC
from daxa.missions.spec import Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

SPEC = MissionSpec(
    name="hitomi",
    title="Hitomi",
    aliases=("astro-h",),
    table=ObservationTable(
        name="hitomaster",
        columns=PUBLIC_COLUMNS | {"end": "stop_time"},
        proprietary="none",
        usual=True,
    ),
    id_pattern=r"[0-9]{9}",
    id_example="100040010",
    instruments=(
        Instrument("SXS", FieldOfView("square", 1.5)),
        Instrument("SXI", FieldOfView("square", 19.0)),
        Instrument("HXI", FieldOfView("square", 4.5)),
    ),
    default_instruments=("SXS", "SXI", "HXI"),
    mirrors=HEASARC,
    directory="hitomi/data/obs/{first}/{obs_id}",
    credit=Credit("Hitomi", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="The table does not say which cameras were on: early observations have SXS data only.",
)
