"""NuSTAR, science observations, from HEASARC's archive.

Table ``numaster`` also lists planned targets (negative exposures) and slews.
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

_FPM = FieldOfView("square", 6.5, roll="roll_angle")

SPEC = MissionSpec(
    name="nustar",
    title="NuSTAR",
    aliases=("nustar_pointed",),
    table=ObservationTable(
        name="numaster",
        columns={
            "obs_id": "obsid",
            "target": "name",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "end": "end_time",
            "exposure": "exposure_a",
            "public_date": "public_date",
        },
        where=(
            "status in ('processed', 'archived')",
            "observation_mode = 'SCIENCE'",
            "spacecraft_mode = 'INERTIAL'",
            "(ontime_a > 0 or ontime_b > 0)",
        ),
        mode=("instrument_mode",),
        category="subject_category",
        categories={
            "Active galaxies and Quasars": "AGN",
            "Non-Proposal ToOs": "TOO",
            "Proposed ToOs and Directors Discretionary Time": "TOO",
            "Galactic Compact Sources": "GS",
            "Solar System Objects": "SOL",
            "Calibration Observations": "CAL",
            "Non-ToO Supernovae, SNRs and Galactic diffuse": "SNR",
            "Normal galaxies": "NGS",
            "Galaxy clusters and extragalactic diffuse objects": "GCL",
            "Non-Pointing data": "MISC",
        },
    ),
    id_pattern=r"[0-9]{11}",
    id_example="30101031002",
    instruments=(
        Instrument("FPMA", _FPM, aliases=("FA", "A"), exposure="exposure_a"),
        Instrument("FPMB", _FPM, aliases=("FB", "B"), exposure="exposure_b"),
    ),
    default_instruments=("FPMA", "FPMB"),
    mirrors=HEASARC,
    directory="nustar/data/obs/{d23}/{first}/{obs_id}",
    listings=("event_cl",),
    event_tables=("EVENTS", "GTI", *["BADPIX"] * 4),  # one for each detector
    catalogue=r"(nu)?{obs_id}[._]cat(\.fits)?(\.gz)?",
    native_inputs=(
        NativeInput("events", r"event_cl/nu{obs_id}A01_cl\.evt\.gz", "FPMA", required=True),
        NativeInput("events", r"event_cl/nu{obs_id}B01_cl\.evt\.gz", "FPMB", required=True),
    ),
    # nupipeline finds the other files beside the lists by their names (NuSTAR data analysis software guide, chapter 3).
    raw_inputs=(
        NativeInput("raw-events", r"event_uf/nu{obs_id}A_uf\.evt\.gz", "FPMA", required=True),
        NativeInput("raw-events", r"event_uf/nu{obs_id}B_uf\.evt\.gz", "FPMB", required=True),
        NativeInput("housekeeping", r"hk/nu{obs_id}[\w.]*\.(?:hk|fits)\.gz", required=True),
        NativeInput("ancillary", r"auxil/[\w.]+", required=True),
    ),
    processed=True,
    products=(
        ArchiveProduct("events", r"event_cl/nu{obs_id}A01_cl\.evt(\.gz)?", "FPMA", (("", 3.0, 78.0),)),
        ArchiveProduct("events", r"event_cl/nu{obs_id}B01_cl\.evt(\.gz)?", "FPMB", (("", 3.0, 78.0),)),
        ArchiveProduct("image", r"event_cl/nu{obs_id}A01_sk\.img(\.gz)?", "FPMA", (("", 3.0, 78.0),)),
        ArchiveProduct("image", r"event_cl/nu{obs_id}B01_sk\.img(\.gz)?", "FPMB", (("", 3.0, 78.0),)),
    ),
    credit=Credit(
        "NuSTAR", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html", checked=("2013ApJ...770..103H",)
    ),
    acknowledgement=(
        "This research has made use of data from the NuSTAR mission, led by the California Institute of Technology, "
        "managed by the Jet Propulsion Laboratory, and funded by NASA"
    ),
    bibcodes=("2013ApJ...770..103H",),
)
