"""IXPE, from HEASARC's archive.

The columns of ``ixmaster`` beside ``obsid`` are not recorded in the sources used here:
the service says which it has.
"""

from daxa.missions.facts import PUBLIC_COLUMNS
from daxa.missions.places import HEASARC
from daxa.missions.spec import (
    ArchiveProduct,
    Credit,
    FieldOfView,
    Instrument,
    MissionSpec,
    NativeInput,
    ObservationTable,
)

_DU = FieldOfView("square", 6.45)

SPEC = MissionSpec(
    name="ixpe",
    title="IXPE",
    table=ObservationTable(
        name="ixmaster",
        columns=PUBLIC_COLUMNS | {"public_date": "public_date"},
        usual=True,
    ),
    id_pattern=r"[0-9]{8}",
    id_example="01903701",
    instruments=(
        Instrument("DU1", _DU, aliases=("DET1",)),
        Instrument("DU2", _DU, aliases=("DET2",)),
        Instrument("DU3", _DU, aliases=("DET3",)),
    ),
    default_instruments=("DU1", "DU2", "DU3"),
    mirrors=HEASARC,
    directory="ixpe/data/obs/{first2}/{obs_id}",
    listings=("event_l2",),
    native_inputs=(
        NativeInput("events", r"event_l2/ixpe{obs_id}_det1_evt2_v(?P<version>\d+)\.fits\.gz", "DU1", required=True),
        NativeInput("events", r"event_l2/ixpe{obs_id}_det2_evt2_v(?P<version>\d+)\.fits\.gz", "DU2", required=True),
        NativeInput("events", r"event_l2/ixpe{obs_id}_det3_evt2_v(?P<version>\d+)\.fits\.gz", "DU3", required=True),
    ),
    processed=True,
    products=(ArchiveProduct("events", r"event_l2/ixpe{obs_id}_det[123]_evt2_v\d+\.fits(\.gz)?"),),
    credit=Credit("IXPE", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    bibcodes=("2022JATIS...8b6002W",),
)
