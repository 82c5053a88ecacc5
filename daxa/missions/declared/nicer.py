"""NICER, from HEASARC's archive.

A directory's path contains the month in which the observation began.  NICER does not
image: light curves and good time intervals only.
"""

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

SPEC = MissionSpec(
    name="nicer",
    title="NICER",
    table=ObservationTable(
        name="nicermastr",
        columns={
            "obs_id": "obsid",
            "target": "name",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "end": "end_time",
            "exposure": "exposure",
            "public_date": "public_date",
        },
        where=("exposure > 0",),
        mode=("num_fpm",),
        # How its subject categories are written is not recorded in the sources used here.
        never_public=(0.0, 88068.0),
    ),
    id_pattern=r"[0-9]{10}",
    id_example="6060040431",
    # A concentrator of about 30 square arcminutes.
    instruments=(Instrument("XTI", FieldOfView("circle", 3.1), exposure="exposure"),),
    default_instruments=("XTI",),
    mirrors=HEASARC,
    directory="nicer/data/obs/{yyyy_mm}/{obs_id}",
    listings=("xti/event_cl",),
    native_inputs=(
        NativeInput("events", r"xti/event_cl/ni{obs_id}_0mpu7_cl\.evt\.gz", "XTI", required=True, curves=True),
    ),
    raw_inputs=(
        NativeInput("raw-events", r"xti/event_uf/ni{obs_id}_0mpu\d_uf\.evt\.gz", "XTI", required=True),
        NativeInput("housekeeping", r"xti/hk/ni{obs_id}_0mpu\d\.hk\.gz", "XTI", required=True),
        NativeInput("ancillary", r"auxil/ni{obs_id}[\w.]*\.gz", required=True),
    ),
    processed=True,
    products=(ArchiveProduct("events", r"xti/event_cl/ni{obs_id}_0mpu7_cl\.evt(\.gz)?", "XTI"),),
    credit=Credit("NICER", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="No imaging: light curves and good time intervals only.",
    bibcodes=("2016SPIE.9905E..1HG",),
)
