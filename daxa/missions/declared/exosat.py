"""EXOSAT LE and ME.

Neither the columns of ``exomaster``, nor the names of its observations, nor their
directories are recorded in the sources used here.
"""

from daxa.missions.places import HEASARC
from daxa.missions.spec import Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

SPEC = MissionSpec(
    name="exosat",
    title="EXOSAT",
    table=ObservationTable(name="exomaster", columns={}, proprietary="none"),
    id_pattern="",
    id_example="",
    instruments=(
        Instrument("LE", FieldOfView("circle", 60.0), aliases=("CMA",)),
        Instrument("ME", FieldOfView("circle", 45.0)),
    ),
    default_instruments=("LE", "ME"),
    mirrors=HEASARC,
    directory="",
    credit=Credit("EXOSAT", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="The observations cannot be listed: the names of observations and the location of the data are not recorded.",
)
