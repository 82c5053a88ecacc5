"""Suzaku XIS, from HEASARC's archive.

The lists of the 3x3 and 5x5 editing modes of a camera are separate exposures.  HXD does not
image and is left out.  Bands: channels whose middle lies inside.
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

_XIS = FieldOfView("square", 9.5, roll="roll_angle")

SPEC = MissionSpec(
    name="suzaku",
    title="Suzaku",
    aliases=("astro-e2",),
    table=ObservationTable(
        name="suzamaster",
        columns={
            "obs_id": "obsid",
            "target": "name",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "end": "stop_time",
            "exposure": "exposure",
            "public_date": "time",
        },
        where=("(xis0_expo > 0 or xis1_expo > 0 or xis2_expo > 0 or xis3_expo > 0)",),
        proprietary="none",
        category="category_code",
        categories={"0": "MISC", "1": "CAL", "4": "GS", "5": "GS", "7": "EGS", "8": "GCL", "9": "TOO"},
    ),
    id_pattern=r"[0-9]{9}",
    id_example="704015010",
    instruments=(
        Instrument("XIS0", _XIS, aliases=("X0", "XI0"), exposure="xis0_expo"),
        Instrument("XIS1", _XIS, aliases=("X1", "XI1"), exposure="xis1_expo"),
        Instrument("XIS2", _XIS, aliases=("X2", "XI2"), exposure="xis2_expo"),
        Instrument("XIS3", _XIS, aliases=("X3", "XI3"), exposure="xis3_expo"),
    ),
    default_instruments=("XIS0", "XIS1", "XIS2", "XIS3"),
    mirrors=HEASARC,
    directory="suzaku/data/obs/{first}/{obs_id}",
    listings=("xis/event_cl",),
    native_inputs=(
        NativeInput(
            "events", r"xis/event_cl/ae{obs_id}xi0_(?P<exposure>\d_(?:3x3|5x5)\w*)_cl\.evt\.gz", "XIS0", required=True
        ),
        NativeInput(
            "events", r"xis/event_cl/ae{obs_id}xi1_(?P<exposure>\d_(?:3x3|5x5)\w*)_cl\.evt\.gz", "XIS1", required=True
        ),
        NativeInput(
            "events", r"xis/event_cl/ae{obs_id}xi2_(?P<exposure>\d_(?:3x3|5x5)\w*)_cl\.evt\.gz", "XIS2", required=True
        ),
        NativeInput(
            "events", r"xis/event_cl/ae{obs_id}xi3_(?P<exposure>\d_(?:3x3|5x5)\w*)_cl\.evt\.gz", "XIS3", required=True
        ),
    ),
    raw_inputs=(
        *(
            NativeInput("raw-events", rf"xis/event_uf/ae{{obs_id}}xi{n}_\w+_uf\.evt\.gz", f"XIS{n}", required=True)
            for n in range(4)
        ),
        NativeInput("housekeeping", r"xis/hk/ae{obs_id}[\w.]*\.gz", required=True),
        NativeInput("ancillary", r"auxil/ae{obs_id}[\w.]*\.gz", required=True),
    ),
    processed=True,
    products=(
        ArchiveProduct("events", r"xis/event_cl/ae{obs_id}xi0_\w+_cl\.evt(\.gz)?", "XIS0", (("", 0.2, 12.0),)),
        ArchiveProduct("image", r"xis/products/ae{obs_id}xi0_\w+_sk\.img(\.gz)?", "XIS0", (("", 0.2, 12.0),)),
        ArchiveProduct("events", r"xis/event_cl/ae{obs_id}xi1_\w+_cl\.evt(\.gz)?", "XIS1", (("", 0.2, 12.0),)),
        ArchiveProduct("image", r"xis/products/ae{obs_id}xi1_\w+_sk\.img(\.gz)?", "XIS1", (("", 0.2, 12.0),)),
        ArchiveProduct("events", r"xis/event_cl/ae{obs_id}xi2_\w+_cl\.evt(\.gz)?", "XIS2", (("", 0.2, 12.0),)),
        ArchiveProduct("image", r"xis/products/ae{obs_id}xi2_\w+_sk\.img(\.gz)?", "XIS2", (("", 0.2, 12.0),)),
        ArchiveProduct("events", r"xis/event_cl/ae{obs_id}xi3_\w+_cl\.evt(\.gz)?", "XIS3", (("", 0.2, 12.0),)),
        ArchiveProduct("image", r"xis/products/ae{obs_id}xi3_\w+_sk\.img(\.gz)?", "XIS3", (("", 0.2, 12.0),)),
    ),
    credit=Credit("Suzaku", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    bibcodes=("2007PASJ...59S...1M",),
)
