"""The event lists of each telescope, as data: one module per telescope.

A module declares ``FORMATS``: what the headers say (TELESCOP, INSTRUME and, where modes
differ, the value of one more card, all in capitals) to the `EventFormat`.  Adding an
instrument means adding an entry here, with the source of each fact, and nothing else.

Facts that several modules share come from HEASARC's mission database of xselect
(``xselect.mdb``): names of tables and columns, and which columns tell grades and chips.
"""

from __future__ import annotations

from daxa.xray.lists.telescopes import (
    asca,
    bepposax,
    chandra,
    einstein,
    erosita,
    hitomi,
    integral,
    ixpe,
    nicer,
    nustar,
    rosat,
    rxte,
    suzaku,
    swift,
    xmm,
    xrism,
)

__all__ = ["DECLARED", "NAMES", "NOT_NATIVE"]

DECLARED = {
    key: form
    for module in (
        xmm,
        chandra,
        nustar,
        swift,
        erosita,
        rosat,
        suzaku,
        asca,
        xrism,
        hitomi,
        ixpe,
        nicer,
        rxte,
        einstein,
        bepposax,
        integral,
    )
    for key, form in module.FORMATS.items()
}
"""``(TELESCOP, INSTRUME)`` or ``(TELESCOP, INSTRUME, mode)`` to the format."""

NAMES = {
    "AXAF": "CHANDRA",
    "ASTRO-D": "ASCA",
    "ASTRO-E2": "SUZAKU",
    "ASTRO-H": "HITOMI",
    "RXTE": "XTE",
    "SAX": "BEPPOSAX",
    "SRG": "EROSITA",
    "SRG/EROSITA": "EROSITA",
}
"""Other values of TELESCOP to the one used in `DECLARED`."""

NOT_NATIVE = {
    ("XMM", "RGS"): "it is a grating spectrometer: its lists need the wavelength scale that SAS makes",
    ("XMM", "OM"): "it is an optical monitor, and records no X-ray photons",
    ("SWIFT", "BAT"): "it looks through a coded mask, whose images need HEASoft",
    ("SWIFT", "UVOT"): "it records no X-ray photons; use the archive's level 2 images",
    ("SUZAKU", "HXD"): "its background comes from simulated events, which HEASoft combines",
    ("INTEGRAL", "SPI"): "it looks through a coded mask with a detector of 19 pixels, whose analysis needs OSA",
    ("MAXI", ""): "its slits scan the sky, so that good time is no exposure of a place",
    ("XTE", "HEXTE"): "its clusters rock between source and background, which HEASoft separates",
}
"""``(TELESCOP, start of INSTRUME)`` to why its lists are left to the mission's own software."""
