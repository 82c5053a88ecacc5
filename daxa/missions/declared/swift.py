"""Swift XRT, BAT and UVOT, from HEASARC's archive.

A directory's path contains the month in which the observation began.  XRT lists of
photon counting and windowed timing stay apart, and so do those of different windows; windowed
timing keeps one coordinate and gives light curves.  Where they are chosen, HEASoft adds the images of UVOT, and finds
sources in the survey data of BAT.

Bands: those of the XRT point source catalogues (1SXPS, Evans et al. 2014, ApJS 210, 8).
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
    name="swift",
    title="Swift",
    table=ObservationTable(
        name="swiftmastr",
        columns={
            "obs_id": "obsid",
            "target": "name",
            "ra": "ra",
            "dec": "dec",
            "start": "start_time",
            "end": "stop_time",
            "exposure": "xrt_exposure",
            "public_date": "start_time",
        },
        where=("(xrt_exposure > 0 or uvot_exposure > 0 or bat_exposure > 0)",),
        proprietary="none",
    ),
    id_pattern=r"[0-9]{11}",
    id_example="00020153006",
    instruments=(
        Instrument("XRT", FieldOfView("square", 11.8, roll="roll_angle"), exposure="xrt_exposure"),
        Instrument("UVOT", FieldOfView("square", 8.5, roll="roll_angle"), exposure="uvot_exposure"),
        Instrument(
            "BAT",
            FieldOfView("circle", 3000.0),
            exposure="bat_exposure",
            wide=True,
        ),
    ),
    default_instruments=("XRT",),
    mirrors=HEASARC,
    directory="swift/data/obs/{yyyy_mm}/{obs_id}",
    listings=("xrt/event", "uvot/image"),
    native_inputs=(
        NativeInput("events", r"xrt/event/sw{obs_id}x(?P<exposure>pcw\d)po_cl\.evt\.gz", "XRT", required=True),
        NativeInput(
            "events", r"xrt/event/sw{obs_id}x(?P<exposure>wtw\d)po_cl\.evt\.gz", "XRT", required=True, curves=True
        ),
        NativeInput("image", r"uvot/image/sw{obs_id}u\w\w_sk\.img\.gz", "UVOT"),
    ),
    raw_inputs=(
        NativeInput("raw-events", r"xrt/event/sw{obs_id}x(?:pc|wt)w\d(?:po|sl|st)_uf\.evt\.gz", "XRT", required=True),
        NativeInput("housekeeping", r"xrt/hk/sw{obs_id}\w*\.hk\.gz", "XRT", required=True),
        NativeInput("ancillary", r"auxil/sw{obs_id}[\w.]*\.gz", required=True),
        NativeInput("image", r"uvot/image/sw{obs_id}u\w\w_sk\.img\.gz", "UVOT", required=True),
        NativeInput("exposure-map", r"uvot/image/sw{obs_id}u\w\w_ex\.img\.gz", "UVOT"),
        NativeInput("survey", r"bat/survey/sw{obs_id}b\w+\.dph\.gz", "BAT", required=True),
        NativeInput("survey-housekeeping", r"bat/hk/sw{obs_id}b(?:en|decb|gocb)\.hk\.gz", "BAT", required=True),
    ),
    processed=True,
    products=(
        ArchiveProduct("events", r"xrt/event/sw{obs_id}xpc\w*po_cl\.evt(\.gz)?", "XRT", (("", 0.01, 10.23),)),
        ArchiveProduct("image", r"xrt/products/sw{obs_id}xpc_sk\.img(\.gz)?", "XRT", (("", 0.01, 10.23),)),
        ArchiveProduct("exposure-map", r"xrt/products/sw{obs_id}xpc_ex\.img(\.gz)?", "XRT", (("", 0.01, 10.23),)),
        ArchiveProduct("image", r"uvot/products/sw{obs_id}u_sk\.img(\.gz)?", "UVOT"),
        ArchiveProduct("exposure-map", r"uvot/products/sw{obs_id}u_ex\.img(\.gz)?", "UVOT"),
    ),
    credit=Credit(
        "Swift(XRT)", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html", checked=("2004ApJ...611.1005G",)
    ),
    # The UK Swift Science Data Centre asks for a separate sentence when its services were used.
    bibcodes=("2004ApJ...611.1005G", "2005SSRv..120..165B", "2005SSRv..120..143B", "2005SSRv..120...95R"),
)
