"""Einstein Observatory HRI and IPC, from HEASARC's archive.

There is no master table but one for each kind of product, whose columns are not recorded
in the sources used here.  Files are named by position on the sky, not by sequence.
"""

from daxa.missions.places import HEASARC
from daxa.missions.spec import (
    ArchiveProduct,
    Credit,
    FieldOfView,
    Instrument,
    MissionSpec,
    ObservationTable,
)

SPEC = MissionSpec(
    name="einstein",
    title="Einstein Observatory",
    aliases=("heao-2", "heao2"),
    table=ObservationTable(name="ipcimage", columns={}, proprietary="none"),
    id_pattern=r"[hi][0-9]{4}[ns][0-9]{2}",
    id_example="i2030n40",
    instruments=(
        Instrument("IPC", FieldOfView("square", 37.5)),
        Instrument("HRI", FieldOfView("circle", 12.5)),
    ),
    default_instruments=("IPC", "HRI"),
    mirrors=HEASARC,
    directory="einstein/data/ipc/events",
    other_directories=((r"h.*", "einstein/data/hri/events"),),
    products=(ArchiveProduct("events", r"{obs_id}\.xpb(\.Z)?"),),
    credit=Credit("Einstein", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="The list of observations cannot be queried: which column of ipcimage names a file is not recorded; "
    "several observations share a directory.",
)
