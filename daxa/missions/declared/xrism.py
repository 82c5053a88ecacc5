"""XRISM Resolve and Xtend, from HEASARC's archive.

Resolve lists of the open filter (px1000) only: px5000 is the calibration source and
px0000 has an undefined filter.  They give light curves; 6 x 6 pixels make no image.  Bands:
channels whose middle lies inside.  No column with a target's name is recorded in the
sources used here.
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
    name="xrism",
    title="XRISM",
    aliases=("xrism_pointed",),
    table=ObservationTable(
        name="xrismmastr",
        columns={
            "obs_id": "obsid",
            "target": "obsid",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "end": "end_time",
            "exposure": "exposure",
            "public_date": "public_date",
        },
        where=("exposure > 0",),
        mode=("rsl_datamode", "xtd_datamode1", "xtd_datamode2"),
        category="subject_category",
        categories={
            "Non-Jet-Dominated AGN": "AGN",
            "Blazars & jet-dominated": "BLZ",
            "Solar System": "SOL",
            "SNRs": "SNR",
            "Normal Galaxies": "NGS",
            "Groups and Clusters": "GCL",
            "Extragalactic Diffuse & Surveys": "EGS",
            "Extragalactic Transients": "EGS",
            "BH and NS Binaries": "NS",
            "Non-Accreting NS": "NS",
            "Galactic Diffuse & Surveys": "GS",
            "Astrophysical Processes": "MISC",
            "Stellar coronae/winds/young stars": "STR",
            "Accreting white dwarfs & novae": "STR",
        },
        never_public=(0.0, 88068.0),
    ),
    id_pattern=r"[0-9]{9}",
    id_example="300049010",
    instruments=(
        Instrument("RESOLVE", FieldOfView("square", 1.5), aliases=("RSL",), exposure="exposure"),
        Instrument("XTEND", FieldOfView("square", 19.0), aliases=("XTD",), exposure="xtd_expo"),
    ),
    default_instruments=("RESOLVE", "XTEND"),
    mirrors=HEASARC,
    directory="xrism/data/obs/{first}/{obs_id}",
    listings=("resolve/event_cl", "xtend/event_cl"),
    native_inputs=(
        NativeInput(
            "events", r"resolve/event_cl/xa{obs_id}rsl_p0px1000_cl\.evt\.gz", "RESOLVE", required=True, curves=True
        ),
        NativeInput("events", r"xtend/event_cl/xa{obs_id}xtd_(?P<exposure>p\w+)_cl\.evt\.gz", "XTEND", required=True),
    ),
    raw_inputs=(
        NativeInput("raw-events", r"resolve/event_uf/xa{obs_id}rsl_\w+_uf\.evt\.gz", "RESOLVE", required=True),
        NativeInput("raw-events", r"xtend/event_uf/xa{obs_id}xtd_\w+_uf\.evt\.gz", "XTEND", required=True),
        NativeInput("housekeeping", r"resolve/hk/xa{obs_id}[\w.]*\.gz", "RESOLVE"),
        NativeInput("housekeeping", r"xtend/hk/xa{obs_id}[\w.]*\.gz", "XTEND"),
        NativeInput("ancillary", r"auxil/xa{obs_id}[\w.]*\.gz", required=True),
    ),
    processed=True,
    products=(
        ArchiveProduct(
            "events", r"resolve/event_cl/xa{obs_id}rsl_p0px1000_cl\.evt(\.gz)?", "RESOLVE", (("", 1.7, 12.0),)
        ),
        ArchiveProduct(
            "image", r"resolve/products/xa{obs_id}rsl_p0px1000_cl\.sky\.img(\.gz)?", "RESOLVE", (("", 1.7, 12.0),)
        ),
        ArchiveProduct("events", r"xtend/event_cl/xa{obs_id}xtd_p\w+_cl\.evt(\.gz)?", "XTEND", (("", 0.4, 20.0),)),
        ArchiveProduct("image", r"xtend/products/xa{obs_id}xtd_p\w+_cl\.sky\.img(\.gz)?", "XTEND", (("", 0.4, 20.0),)),
    ),
    credit=Credit("XRISM", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    bibcodes=("2020SPIE11444E..22T",),
)
