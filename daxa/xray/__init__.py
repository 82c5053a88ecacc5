"""The science library: arrays and FITS in, arrays and FITS out.

It knows nothing of archives.  Public names load when they are first used, so that
importing the package reads no heavy library.
"""

from __future__ import annotations

from importlib import import_module

__all__ = [
    "FORMATS",
    "STANDARD",
    "Cut",
    "EventFormat",
    "EventList",
    "ImageGrid",
    "Rule",
    "SkyGrid",
    "adjacent_ranges",
    "apply_user_gtis",
    "count_image",
    "exposure_map",
    "flare_gti",
    "grid_for",
    "image_header",
    "light_curve",
    "open_events",
    "pi_range",
    "recognise",
    "rules_cfitsio",
    "rules_mask",
    "rules_text",
    "screen_flares",
    "screening_for",
    "select",
    "standard_cut",
    "write_flare_picture",
    "write_flare_table",
    "write_quicklook",
]

_HOMES = {
    "bands": ("adjacent_ranges", "pi_range"),
    "cut": ("Cut", "select", "standard_cut"),
    "events": ("EventList", "open_events"),
    "exposure": ("exposure_map",),
    "flarereport": ("write_flare_picture", "write_flare_table"),
    "flares": ("flare_gti",),
    "flarescreen": ("screen_flares",),
    "formats": ("FORMATS", "EventFormat", "recognise"),
    "image": ("ImageGrid", "count_image", "grid_for", "image_header"),
    "lightcurve": ("light_curve",),
    "quicklook": ("write_quicklook",),
    "screening": ("STANDARD", "Rule", "rules_cfitsio", "rules_mask", "rules_text", "screening_for"),
    "sky": ("SkyGrid",),
    "usergti": ("apply_user_gtis",),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
