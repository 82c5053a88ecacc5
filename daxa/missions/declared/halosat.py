"""HaloSat, from HEASARC's archive.

Three collimated detectors that see ten degrees of sky.  An observation gathers all data of
one field, which may lie months apart.  The columns of ``halomaster`` are not recorded in
the sources used here: the service says which it has.
"""

from daxa.missions.facts import PUBLIC_COLUMNS
from daxa.missions.places import HEASARC
from daxa.missions.spec import ArchiveProduct, Credit, FieldOfView, Instrument, MissionSpec, ObservationTable

_COLLIMATOR = FieldOfView("circle", 300.0)

SPEC = MissionSpec(
    name="halosat",
    title="HaloSat",
    table=ObservationTable(
        name="halomaster",
        columns=PUBLIC_COLUMNS,
        proprietary="none",
        usual=True,
    ),
    id_pattern=r"[0-9]{6}",
    id_example="101601",
    instruments=(
        Instrument("SDD14", _COLLIMATOR, aliases=("S14",), wide=True),
        Instrument("SDD38", _COLLIMATOR, aliases=("S38",), wide=True),
        Instrument("SDD54", _COLLIMATOR, aliases=("S54",), wide=True),
    ),
    default_instruments=(),
    mirrors=HEASARC,
    directory="halosat/data/obs/{obs_id}",
    products=(
        ArchiveProduct("events", r"products/hs{obs_id}_s14_cl\.evt(\.gz)?", "SDD14", (("", 0.4, 7.0),)),
        ArchiveProduct("events", r"products/hs{obs_id}_s38_cl\.evt(\.gz)?", "SDD38", (("", 0.4, 7.0),)),
        ArchiveProduct("events", r"products/hs{obs_id}_s54_cl\.evt(\.gz)?", "SDD54", (("", 0.4, 7.0),)),
    ),
    credit=Credit("", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    note="No imaging; the parts of an observation may lie months apart.",
)
