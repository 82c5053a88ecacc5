"""ROSAT, pointed observations, from HEASARC's archive.

Directories sort by camera and by the third character of the sequence.  Sequences of
processing revision 0 lack the files that the native chain starts from.  The HRI has no
energies: its images have one band only.  The name of an observation in headers is not its sequence
(``WG500211P.N1``).
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

_BANDS = (("1", 0.07, 2.4), ("2", 0.4, 2.4), ("3", 0.07, 0.4))
_PSPC = FieldOfView("circle", 60.0)

SPEC = MissionSpec(
    name="rosat",
    title="ROSAT, pointed",
    aliases=("rosat_pointed",),
    table=ObservationTable(
        name="rosmaster",
        columns={
            "obs_id": "seq_id",
            "target": "name",
            "ra": "ra",
            "dec": "dec",
            "start": "start_time",
            "end": "end_time",
            "exposure": "exposure",
            "public_date": "start_time",
        },
        where=("exposure > 0",),
        proprietary="none",
        mode=("filter", "fits_type", "proc_rev"),
        category="subj_cat",
        categories={
            "1": "STR",
            "2": "STR",
            "3": "CV",
            "4": "NS",
            "5": "SNR",
            "6": "NGS",
            "7": "AGN",
            "8": "GCL",
            "9": "EGE",
            "10": "MISC",
            "0": "MISC",
        },
    ),
    id_pattern=r"[RW][PHF][0-9]{6}([A-Z][0-9]{2})?",
    id_example="RP500211N00",
    instruments=(
        Instrument("PSPCB", _PSPC, ("PSPC-B", "PSPC B"), exposure="exposure", labels=(("instrument", "PSPCB"),)),
        Instrument("PSPCC", _PSPC, ("PSPC-C", "PSPC C"), exposure="exposure", labels=(("instrument", "PSPCC"),)),
        # Some rows do not say which of the two it was.
        Instrument("PSPC", _PSPC, exposure="exposure", labels=(("instrument", "PSPC"),)),
        Instrument("HRI", FieldOfView("circle", 19.0), exposure="exposure", labels=(("instrument", "HRI"),)),
    ),
    default_instruments=("PSPCB", "PSPCC", "PSPC", "HRI"),
    mirrors=HEASARC,
    directory="rosat/data/pspc/processed_data/{third}00000/{lower}",
    other_directories=((r"[RW]H.*", "rosat/data/hri/processed_data/{third}00000/{lower}"),),
    listings=("",),
    native_inputs=(
        NativeInput("events", r"{lower}_bas\.fits\.Z", required=True),
        NativeInput("ancillary", r"{lower}_anc\.fits\.Z"),
        # Exposure maps come compressed or not.
        NativeInput("exposure-map", r"{lower}_mex\.fits(\.Z)?"),
    ),
    processed=True,
    foreign_ids=True,
    products=(
        ArchiveProduct("events", r"{lower}_bas\.fits(\.Z)?", bands=(("", 0.07, 2.4),)),
        ArchiveProduct("image", r"{lower}_im{band}\.fits(\.Z)?", bands=_BANDS),
        ArchiveProduct("exposure-map", r"{lower}_mex\.fits(\.Z)?", ""),
        ArchiveProduct("background-map", r"{lower}_bk{band}\.fits(\.Z)?", bands=_BANDS),
    ),
    credit=Credit("ROSAT", "https://heasarc.gsfc.nasa.gov/docs/heasarc/datasetid.html"),
    bibcodes=("1982AdSpR...2d.241T",),
)
