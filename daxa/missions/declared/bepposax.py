"""BeppoSAX narrow-field instruments, from HEASARC's archive.

Of the columns of ``saxnfilog`` only ``archive_status`` (``public`` where data are in the
archive: https://heasarc.gsfc.nasa.gov/W3Browse/all/saxnfilog.html) is recorded in the
sources used here, nor is a real observation code; the service says which columns it has.  The
wide-field cameras look at right angles to the others, and have a separate table
(``saxwfclog``).
"""

from daxa.missions.facts import PUBLIC_COLUMNS
from daxa.missions.places import HEASARC
from daxa.missions.spec import ArchiveProduct, Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

SPEC = MissionSpec(
    name="bepposax",
    title="BeppoSAX",
    aliases=("sax",),
    table=ObservationTable(
        name="saxnfilog",
        columns=PUBLIC_COLUMNS | {"obs_id": "obs_code"},
        where=("archive_status = 'public'",),
        proprietary="none",
        usual=True,
    ),
    id_pattern=r"[0-9]{8}",
    id_example="",
    instruments=(
        Instrument("LECS", FieldOfView("circle", 18.5)),
        Instrument("MECS", FieldOfView("circle", 28.0)),
    ),
    default_instruments=("LECS", "MECS"),
    mirrors=HEASARC,
    directory="sax/data/events/{obs_id}",
    # Units of the MECS alone and together: https://heasarc.gsfc.nasa.gov/docs/sax/archive/table1_data.html
    products=(
        ArchiveProduct("events", r"event_files/LECS_{obs_id}\.evt(\.gz)?", "LECS"),
        ArchiveProduct("events", r"event_files/MECS(1|2|3|23)?_{obs_id}\.evt(\.gz)?", "MECS"),
    ),
    credit=Credit("BeppoSAX", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="The wide-field cameras, which looked elsewhere, are not in this list.",
)
