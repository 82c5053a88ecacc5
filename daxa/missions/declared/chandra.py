"""Chandra ACIS and HRC, from HEASARC's mirror of the Chandra Data Archive.

Table ``chanmaster`` has no end time and no roll.  The fields of view are circles about the aim
point that hold the whole arrays: those of ACIS, the square of HRC-I, the strip of HRC-S.  HRC has no
energies: one image of everything.  With a grating in the beam an image holds its spectrum as well:
such observations are HETG or LETG whatever the camera; they are found when named, and not processed.
ACIS may alternate long and short frames: there are then two lists, ``e1`` and ``e2``, which stay apart.
"""

from daxa.addresses import Mirror
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

_INTERVAL = r"((?P<default>_000)|_\d{3})?"
"""The observing interval; some names leave the only one out, and are names of the same file."""

_DELIVERY = r"(?P<default>_000)?(?P<before>(_e[12])?_?)N(?P<version>\d{3})(?P<after>(_e[12])?)"
"""The part of any name that says of which interval, exposure and delivery a file is."""

_ACIS = r"acisf{obs_id:>05}" + _INTERVAL + r"(?P<before>(_e[12])?_?)N(?P<version>\d{3})(?P<after>(_e[12])?)"
"""Names of files of ACIS; alternating exposures, ``e1`` and ``e2``, have separate files, named in either order."""

# The Chandra Data Archive itself; what CIAO's download_chandra_obsid walks (ahelp download_chandra_obsid).
_CXC = Mirror("https://cxc.cfa.harvard.edu/cdaftp", "apache", "byobsid/{last}/{obs_id}")

_HRC = r"hrcf{obs_id:>05}" + _INTERVAL + r"N(?P<version>\d{3})"
_STEM = r"{obs_id:>05}(_\d{3})?N\d{3}"
"""Of products, after the camera."""

SPEC = MissionSpec(
    name="chandra",
    title="Chandra",
    aliases=("cxo", "axaf"),
    table=ObservationTable(
        name="chanmaster",
        columns={
            "obs_id": "obsid",
            "target": "name",
            "ra": "ra",
            "dec": "dec",
            "start": "time",
            "exposure": "exposure",
            "public_date": "public_date",
        },
        where=("status in ('processed', 'archived')",),
        mode=("data_mode",),
        category="class",
        categories={
            "AGN UNCLASSIFIED": "AGN",
            "EXTENDED GALACTIC OR EXTRAGALACTIC": "EGE",
            "X-RAY BINARY": "GS",
            "CV": "GS",
            "Calibration Observations": "CAL",
            "SNR": "SNR",
            "NON-ACTIVE GALAXY": "NGS",
            "CLUSTER OF GALAXIES": "GCL",
            "Non-Pointing data": "MISC",
        },
        second_category=("type", {"TOO": "TOO", "DDT": "TOO", "CAL": "CAL"}),
    ),
    id_pattern=r"[1-9][0-9]{0,4}",
    id_example="18461",
    instruments=(
        Instrument(
            "ACIS",
            FieldOfView("circle", 27.8),
            aliases=("ACIS-I", "ACIS-S"),
            exposure="exposure",
            labels=(("detector", "ACIS"), ("grating", "NONE")),
        ),
        Instrument(
            "HRC",
            FieldOfView("circle", 49.5),
            aliases=("HRC-I", "HRC-S"),
            exposure="exposure",
            labels=(("detector", "HRC"), ("grating", "NONE")),
        ),
        Instrument("HETG", FieldOfView("circle", 27.8), exposure="exposure", labels=(("grating", "HETG"),)),
        Instrument("LETG", FieldOfView("circle", 49.5), exposure="exposure", labels=(("grating", "LETG"),)),
    ),
    default_instruments=("ACIS", "HRC"),
    mirrors=(*HEASARC, _CXC),
    directory="chandra/data/byobsid/{last}/{obs_id}",
    listings=("primary", "secondary"),
    native_inputs=(
        NativeInput(
            "events",
            # The name of the exposure is '' where there is one list.
            r"primary/(?=\w*?(?P<exposure>(?<=_)e[12](?=_|N)|(?=N\d{3}_evt2)))" + _ACIS + r"_evt2\.fits\.gz",
            "ACIS",
            required=True,
        ),
        NativeInput("events", "primary/" + _HRC + r"_evt2\.fits\.gz", "HRC", required=True),
        NativeInput("aspect", r"primary/pcadf{obs_id:>05}" + _INTERVAL + r"N(?P<version>\d{3})_asol1\.fits\.gz"),
        NativeInput("bad-pixel", "primary/" + _ACIS + r"_bpix1\.fits\.gz", "ACIS"),
        NativeInput("fov", "primary/" + _ACIS + r"_fov1\.fits\.gz", "ACIS"),
        NativeInput("mask", "secondary/" + _ACIS + r"_msk1\.fits\.gz", "ACIS"),
        NativeInput("bad-pixel", "primary/" + _HRC + r"_bpix1\.fits\.gz", "HRC"),
        NativeInput("fov", "primary/" + _HRC + r"_fov1\.fits\.gz", "HRC"),
        NativeInput("mask", "secondary/" + _HRC + r"_msk1\.fits\.gz", "HRC"),
    ),
    # What chandra_repro reads: level 1 events and times, mask, parameter blocks, aspect, bad pixels; evt2 for gratings.
    raw_inputs=(
        NativeInput(
            "raw-events",
            r"secondary/(?=\w*?(?P<exposure>(?<=_)e[12](?=_|N)|(?=N\d{3}_evt1)))" + _ACIS + r"_evt1\.fits\.gz",
            "ACIS",
            required=True,
        ),
        NativeInput(
            "raw-events",
            r"secondary/hrcf{obs_id:>05}(?P<exposure>_\d{3})?N(?P<version>\d{3})_evt1\.fits\.gz",
            "HRC",
            required=True,
        ),
        NativeInput(
            "ancillary",
            r"secondary/(?:acis|hrc|axaf|ephin|orbit|pcad)\w*?" + _DELIVERY + r"\w*?_(?:flt1|msk1|mtl1|stat1|pbk0|"
            r"bias0|obs0a|std_flt1|dtf1|std_dtfstat1|eph1|lunar|osol1|aqual1|adat\d\d)\.(?:fits|par)\.gz",
        ),
        # Names of older deliveries have the time in place of the ObsID.
        NativeInput("aspect", r"primary/pcadf\d{5,9}(_\d{3})?N(?P<version>\d{3})_asol1\.fits\.gz", required=True),
        NativeInput("ancillary", r"primary/\w+?" + _DELIVERY + r"\w*?_(?:bpix1|fov1|evt2|dtf1|eph1)\.fits\.gz"),
    ),
    processed=True,
    products=(
        ArchiveProduct("events", "primary/acisf" + _STEM + r"_evt2\.fits(\.gz)?", "ACIS", (("", 0.5, 7.0),)),
        ArchiveProduct("image", "primary/acisf" + _STEM + r"_full_img2\.fits(\.gz)?", "ACIS", (("", 0.5, 7.0),)),
        ArchiveProduct("events", "primary/hrcf" + _STEM + r"_evt2\.fits(\.gz)?", "HRC", (("", 0.06, 10.0),)),
        ArchiveProduct("image", "primary/hrcf" + _STEM + r"_full_img2\.fits(\.gz)?", "HRC", (("", 0.06, 10.0),)),
    ),
    # The keyword DS_IDENT of event lists has five digits: 10.25574/00242 (https://cxc.cfa.harvard.edu/cda/cda_doi.html).
    credit=Credit(
        "CXO",
        "https://cxc.cfa.harvard.edu/cda/acknowledgment.html",
        "10.25574/{obs_id:>05}",
        read="2026-11-30",
        checked=("2002PASP..114....1W",),
    ),
    acknowledgement=(
        "This research has made use of data obtained from the Chandra Data Archive provided by the "
        "Chandra X-ray Center (CXC)"
    ),
    bibcodes=("2000SPIE.4012....2W", "2002PASP..114....1W"),
)
