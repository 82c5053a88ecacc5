"""The science library: arrays and FITS in, arrays and FITS out.

It knows nothing of archives.  Public names load when they are first used, so that
importing the package reads no heavy library.
"""

from __future__ import annotations

from importlib import import_module

__all__ = [
    "FORMATS",
    "STANDARD",
    "Aperture",
    "Attitude",
    "Clock",
    "Cut",
    "Either",
    "EventFormat",
    "EventList",
    "EventMember",
    "Field",
    "ImageGrid",
    "ImageMember",
    "MapFacts",
    "Psf",
    "Quality",
    "Refusal",
    "Rule",
    "Scene",
    "SkyGrid",
    "SourceList",
    "adjacent_ranges",
    "apply_user_gtis",
    "check_mergeable",
    "check_pair",
    "choose_map",
    "count_image",
    "cover_fields",
    "coverage_at",
    "coverage_moc",
    "energy_cards",
    "estimate_background",
    "exposure_map",
    "find_sources",
    "flare_gti",
    "gaussian_psf",
    "grid_for",
    "healpix_map",
    "identity_of",
    "image_header",
    "light_curve",
    "make_mosaic",
    "merge_events",
    "mosaic_grid",
    "open_events",
    "pi_range",
    "psf_for",
    "rate_map",
    "read_attitude",
    "read_field",
    "read_regions",
    "read_subspace",
    "recognise",
    "region_mask",
    "rules_cfitsio",
    "rules_expression",
    "rules_mask",
    "rules_text",
    "screen_flares",
    "screening_for",
    "select",
    "sensitivity_map",
    "standard_cut",
    "subspace_mask",
    "upper_limit",
    "vignetting_for",
    "why_not",
    "write_clean_events",
    "write_flare_picture",
    "write_flare_table",
    "write_healpix",
    "write_mosaic",
    "write_quicklook",
    "write_sources",
]

_HOMES = {
    "bands": ("adjacent_ranges", "energy_cards", "pi_range"),
    "cut": ("Cut", "select", "standard_cut"),
    "events": ("EventList", "open_events"),
    "exposure": ("exposure_map",),
    "flarereport": ("write_flare_picture", "write_flare_table"),
    "flares": ("flare_gti",),
    "flarescreen": ("screen_flares",),
    "formats": ("FORMATS", "EventFormat", "Refusal", "recognise", "why_not"),
    "clock": ("Clock",),
    "image": ("ImageGrid", "count_image", "grid_for", "image_header"),
    "lightcurve": ("light_curve",),
    "quicklook": ("write_quicklook",),
    "screening": (
        "STANDARD",
        "Either",
        "Rule",
        "rules_cfitsio",
        "rules_expression",
        "rules_mask",
        "rules_text",
        "screening_for",
    ),
    "sky": ("SkyGrid",),
    "usergti": ("apply_user_gtis",),
    "attitude": (
        "Attitude",
        "read_attitude",
    ),
    "merged": (
        "check_mergeable",
        "identity_of",
        "merge_events",
    ),
    "mosaic": (
        "EventMember",
        "ImageMember",
        "make_mosaic",
        "mosaic_grid",
        "write_mosaic",
    ),
    "pairing": (
        "MapFacts",
        "check_pair",
        "choose_map",
        "rate_map",
    ),
    "positions": (
        "Aperture",
        "Field",
        "Quality",
        "cover_fields",
        "coverage_at",
        "read_field",
    ),
    "skymaps": (
        "coverage_moc",
        "healpix_map",
        "write_healpix",
    ),
    "subspace": (
        "read_subspace",
        "subspace_mask",
    ),
    "cleaned": ("write_clean_events",),
    "limits": ("upper_limit",),
    "vignetting": ("vignetting_for",),
    "background": ("estimate_background",),
    "detect": ("find_sources", "sensitivity_map"),
    "psf": ("Psf", "gaussian_psf", "psf_for"),
    "psffit": ("Scene",),
    "sources": ("SourceList", "read_regions", "region_mask", "write_sources"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
