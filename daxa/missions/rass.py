"""The ROSAT all-sky survey, fields of 6.4 by 6.4 degrees, from HEASARC's archive.

Fields overlap: an event near an edge stands in two lists.  The table names no targets.
"""

from daxa.missions.spec import (
    ArchiveProduct,
    Band,
    Credit,
    EventTimes,
    FieldOfView,
    Instrument,
    MissionSpec,
    NativeInput,
    ObservationTable,
)

_BANDS = (("1", 0.07, 2.4), ("2", 0.4, 2.4), ("3", 0.07, 0.4))

SPEC = MissionSpec(
    name="rass",
    title="ROSAT all-sky survey",
    aliases=("rosat_all_sky",),
    table=ObservationTable(
        name="rassmaster",
        columns={
            "obs_id": "seq_id",
            "target": "seq_id",
            "ra": "ra",
            "dec": "dec",
            "start": "start_date",
            "end": "end_date",
            "exposure": "exposure",
            "public_date": "start_date",
        },
        proprietary="none",
        only_category="ASK",
    ),
    id_pattern=r"RS[0-9]{6}[A-Z][0-9]{2}",
    instruments=(Instrument("PSPC", FieldOfView("square", 192.0), aliases=("PSPCC",), exposure="exposure"),),
    default_instruments=("PSPC",),
    id_example="RS931844N00",
    directory="rosat/data/pspc/processed_data/900000/{lower}",
    listings=("",),
    native_inputs=(
        NativeInput("events", r"{lower}_bas\.fits\.Z", "PSPC", required=True),
        NativeInput("ancillary", r"{lower}_anc\.fits\.Z"),
        # Exposure maps come compressed or not.
        NativeInput("exposure-map", r"{lower}_mex\.fits(\.Z)?"),
    ),
    bands=(Band(0.1, 0.4, (11, 41)), Band(0.5, 2.0, (52, 201))),
    image_pixel=15.0,
    products=(
        ArchiveProduct("events", r"{lower}_bas\.fits(\.Z)?", bands=(("", 0.07, 2.4),)),
        ArchiveProduct("image", r"{lower}_im{band}\.fits(\.Z)?", bands=_BANDS),
        ArchiveProduct("exposure-map", r"{lower}_mex\.fits(\.Z)?", "PSPC"),
        ArchiveProduct("background-map", r"{lower}_bk{band}\.fits(\.Z)?", bands=_BANDS),
    ),
    event_times=EventTimes(48043.8797453704),
    credit=Credit("ROSAT", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    bibcodes=("1982AdSpR...2d.241T", "2016A&A...588A.103B"),
)
