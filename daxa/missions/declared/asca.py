"""ASCA SIS and GIS, second processing, from HEASARC's archive.

Lists of high and medium bit rate are separate exposures.  The two cameras of a kind
share one image in the archive.  No column
with a target's name is recorded in the sources used here.
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

_SIS, _GIS = FieldOfView("square", 11.0), FieldOfView("circle", 25.0)
_SIS_BANDS = (("lo", 0.4, 2.0), ("hi", 2.0, 10.0), ("all", 0.4, 10.0))
_GIS_BANDS = (("lo", 0.7, 2.0), ("hi", 2.0, 10.0), ("all", 0.7, 10.0))

SPEC = MissionSpec(
    name="asca",
    title="ASCA",
    aliases=("astro-d",),
    table=ObservationTable(
        name="ascamaster",
        columns={
            "obs_id": "sequence_number",
            "target": "sequence_number",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "end": "end_time",
            "exposure": "gis_exposure",
            "public_date": "time",
        },
        where=("(gis_exposure > 0 or sis_exposure > 0)",),
        proprietary="none",
        category="subject_category",
        categories={
            "AGN": "AGN",
            "SNR & galactic diffuse": "SNR",
            "clusters & superclusters": "GCL",
            "STARS": "GS",
            "NORMAL STARS": "GS",
            "X RAY BINARIES": "XRB",
            "cosmic background/deep surveys/other": "EGS",
            "NORMAL GALAXIES": "NGS",
            "CATACLYSMIC VARIABLES": "CV",
        },
    ),
    id_pattern=r"[0-9]{8}",
    id_example="87036000",
    instruments=(
        Instrument("SIS0", _SIS, aliases=("S0",), exposure="sis_exposure"),
        Instrument("SIS1", _SIS, aliases=("S1",), exposure="sis_exposure"),
        Instrument("GIS2", _GIS, aliases=("G2",), exposure="gis_exposure"),
        Instrument("GIS3", _GIS, aliases=("G3",), exposure="gis_exposure"),
    ),
    default_instruments=("SIS0", "SIS1", "GIS2", "GIS3"),
    mirrors=HEASARC,
    directory="asca/data/rev2/{obs_id}",
    listings=("screened",),
    native_inputs=(
        NativeInput("events", r"screened/ad{obs_id}s0(?P<exposure>\d+[hm])\.evt\.gz", "SIS0", required=True),
        NativeInput("events", r"screened/ad{obs_id}s1(?P<exposure>\d+[hm])\.evt\.gz", "SIS1", required=True),
        NativeInput("events", r"screened/ad{obs_id}g2(?P<exposure>\d+[hm])\.evt\.gz", "GIS2", required=True),
        NativeInput("events", r"screened/ad{obs_id}g3(?P<exposure>\d+[hm])\.evt\.gz", "GIS3", required=True),
    ),
    processed=True,
    products=(
        ArchiveProduct("events", r"screened/ad{obs_id}s0\d+[hm]\.evt(\.gz)?", "SIS0"),
        ArchiveProduct("events", r"screened/ad{obs_id}s1\d+[hm]\.evt(\.gz)?", "SIS1"),
        ArchiveProduct("events", r"screened/ad{obs_id}g2\d+[hm]\.evt(\.gz)?", "GIS2"),
        ArchiveProduct("events", r"screened/ad{obs_id}g3\d+[hm]\.evt(\.gz)?", "GIS3"),
        ArchiveProduct("image", r"images/ad{obs_id}sis\w*_{band}\.totsky(\.gz)?", bands=_SIS_BANDS),
        ArchiveProduct("exposure-map", r"images/ad{obs_id}sis\w*\.totexpo(\.gz)?"),
        ArchiveProduct("image", r"images/ad{obs_id}gis\w*_{band}\.totsky(\.gz)?", bands=_GIS_BANDS),
        ArchiveProduct("exposure-map", r"images/ad{obs_id}gis\w*\.totexpo(\.gz)?"),
    ),
    credit=Credit("ASCA", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    bibcodes=("1994PASJ...46L..37T",),
)
