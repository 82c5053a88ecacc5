"""eROSITA-DE all-sky survey 1, data release 1: sky tiles of 3.6 by 3.6 degrees.

A tile's ObsID is RRRDDD, right ascension and distance from the north pole in degrees; its
files are under DDD/RRR.  Tiles overlap: an event near an edge is in two lists.
``daxa.missions.tiling`` computes cells and owners, and so the list of tiles.  The columns of
``erassmastr`` are not recorded in the sources used here: the service says which it has.
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

_TILE = FieldOfView("tile", 108.0)
_BANDS = (
    ("1", 0.2, 0.6),
    ("2", 0.6, 2.3),
    ("3", 2.3, 5.0),
    ("4", 0.2, 2.3),
    ("5", 0.2, 0.5),
    ("6", 0.5, 1.0),
    ("7", 1.0, 2.0),
)

SPEC = MissionSpec(
    name="erass1",
    title="eROSITA-DE eRASS1",
    aliases=("erass1-de", "erosita_all_sky_de_dr1"),
    table=ObservationTable(
        name="erassmastr",
        columns=PUBLIC_COLUMNS,
        proprietary="none",
        only_category="ASK",
        service="tiling",
        usual=True,
    ),
    id_pattern=r"(?:[0-2][0-9]{2}|3[0-5][0-9]|360)(?:0[0-9]{2}|1[0-7][0-9]|180)",
    id_example="053141",
    instruments=tuple(Instrument(f"TM{number}", _TILE, chip=number) for number in range(1, 8)),
    default_instruments=("TM1", "TM2", "TM3", "TM4", "TM5", "TM6", "TM7"),
    mirrors=HEASARC,
    directory="srg/data/erosita/erass1/obs/{last3}/{first3}",
    listings=("EXP_010", "DET_010"),
    native_inputs=(
        NativeInput("events", r"EXP_010/e[mbc]01_{obs_id}_020_EventList_c010\.fits\.gz", required=True),
        NativeInput("exposure-map", r"DET_010/e[mbc]01_{obs_id}_024_ExposureMap_c010\.fits\.gz", band=(0.2, 2.3)),
        NativeInput("exposure-map", r"DET_010/e[mbc]01_{obs_id}_023_ExposureMap_c010\.fits\.gz", band=(2.3, 5.0)),
    ),
    processed=True,
    foreign_ids=True,
    products=(
        ArchiveProduct("events", r"EXP_010/e[mbc]01_{obs_id}_020_EventList_c010\.fits(\.gz)?", "", (("0", 0.2, 10.0),)),
        ArchiveProduct("image", r"EXP_010/e[mbc]01_{obs_id}_02{band}_Image_c010\.fits(\.gz)?", "", _BANDS),
        ArchiveProduct("exposure-map", r"DET_010/e[mbc]01_{obs_id}_02{band}_ExposureMap_c010\.fits(\.gz)?", "", _BANDS),
        ArchiveProduct(
            "background-map", r"DET_010/e[mbc]01_{obs_id}_02{band}_BackgrImage_c010\.fits(\.gz)?", "", _BANDS
        ),
    ),
    credit=Credit("eROSITA", "https://erosita.mpe.mpg.de/dr1/", checked=("2024A&A...682A..34M",)),
    note="The tiles are computed; when each was scanned is known only from HEASARC.",
    bibcodes=("2021A&A...647A...1P", "2024A&A...682A..34M", "2022A&A...661A...1B", "2021A&A...656A.132S"),
)
