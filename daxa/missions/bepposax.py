"""BeppoSAX narrow-field instruments and wide-field cameras, from HEASARC's archive.

The columns of ``saxnfilog`` are not recorded where these facts come from, nor is a real
observation code.  The wide-field cameras look at right angles to the others, and have a
table of their own (``saxwfclog``).
"""

from daxa.missions.spec import ArchiveProduct, Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

SPEC = MissionSpec(
    name="bepposax",
    title="BeppoSAX",
    aliases=("sax",),
    table=ObservationTable(name="saxnfilog", columns={}, proprietary="none"),
    id_pattern=r"[0-9]{8}",
    id_example="",
    instruments=(
        Instrument("LECS", FieldOfView("circle", 18.5)),
        Instrument("MECS", FieldOfView("circle", 28.0)),
        Instrument("WFC", FieldOfView("square", 1200.0), wide=True),
    ),
    default_instruments=("LECS", "MECS"),
    directory="sax/data/events/{obs_id}",
    products=(ArchiveProduct("events", r"event_files/MECS2_{obs_id}\.evt(\.gz)?", "MECS"),),
    credit=Credit("BeppoSAX", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="The list of observations cannot be asked for yet.",
)
