"""The ROSAT all-sky survey, fields of 6.4 by 6.4 degrees, from HEASARC's archive.

Fields overlap: an event near an edge is in two lists.  The table names no targets.
Everything that does not depend on the survey mode is taken from the pointed observations.
"""

from daxa.missions.declared.rosat import SPEC as _POINTED
from daxa.missions.places import HEASARC
from daxa.missions.spec import FieldOfView, Instrument, MissionSpec, NativeInput, ObservationTable

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
    mirrors=HEASARC,
    directory="rosat/data/pspc/processed_data/900000/{lower}",
    listings=("",),
    native_inputs=(
        NativeInput("events", r"{lower}_bas\.fits\.Z", "PSPC", required=True),
        *(item for item in _POINTED.native_inputs if item.kind != "events"),
    ),
    processed=True,
    foreign_ids=True,
    products=_POINTED.products,
    credit=_POINTED.credit,
    bibcodes=("1982AdSpR...2d.241T", "2016A&A...588A.103B"),
)
