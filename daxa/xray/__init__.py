"""The science library: arrays and FITS in, arrays and FITS out.

It knows nothing of archives.  Five rooms, each of which uses those before it: `telescopes`
(what is known of each instrument), `eventlists` (event lists and what they say of themselves),
`cleaning` (which events and times count), `imaging` (images, exposure, mosaics, values at
positions), `detection` (sources).

Public names load when they are first used, so that importing the package reads no heavy
library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # The same homes, for those who read types.
    from daxa.xray.cleaning.cleaned import write_clean_events
    from daxa.xray.cleaning.cut import Cut, select, standard_cut
    from daxa.xray.cleaning.flare_filter import flare_gti
    from daxa.xray.cleaning.flarereport import write_flare_picture, write_flare_table
    from daxa.xray.cleaning.flarescreen import screen_flares
    from daxa.xray.cleaning.lightcurve import light_curve
    from daxa.xray.cleaning.merged import check_mergeable, identity_of, merge_events
    from daxa.xray.cleaning.screening import (
        STANDARD,
        Either,
        Rule,
        rules_cfitsio,
        rules_expression,
        rules_mask,
        rules_text,
        screening_for,
    )
    from daxa.xray.cleaning.subspace import read_subspace, subspace_mask
    from daxa.xray.cleaning.usergti import apply_user_gtis
    from daxa.xray.detection.background import estimate_background
    from daxa.xray.detection.detect import find_sources, sensitivity_map
    from daxa.xray.detection.psf import Psf, gaussian_psf, psf_for
    from daxa.xray.detection.psffit import Scene
    from daxa.xray.detection.source_list import SourceList, write_sources
    from daxa.xray.eventlists.channels import adjacent_ranges, energy_cards, pi_range
    from daxa.xray.eventlists.clock import Clock
    from daxa.xray.eventlists.event_list import EventList
    from daxa.xray.eventlists.formats import FORMATS, EventFormat, Refusal, recognise, why_not
    from daxa.xray.eventlists.opening import open_events
    from daxa.xray.eventlists.regions import read_regions, region_mask
    from daxa.xray.eventlists.sky_grid import SkyGrid
    from daxa.xray.imaging.attitude import Attitude, read_attitude
    from daxa.xray.imaging.exposed_field import Field, read_field
    from daxa.xray.imaging.exposure_map import exposure_map
    from daxa.xray.imaging.image import ImageGrid, count_image, grid_for, image_header
    from daxa.xray.imaging.members import EventMember, ImageMember
    from daxa.xray.imaging.mosaicking import make_mosaic, mosaic_grid, write_mosaic
    from daxa.xray.imaging.pairing import MapFacts, check_pair, choose_map, rate_map
    from daxa.xray.imaging.positions import Aperture, Quality, cover_fields, coverage_at
    from daxa.xray.imaging.quicklook import write_quicklook
    from daxa.xray.imaging.skymaps import coverage_moc, healpix_map, write_healpix
    from daxa.xray.imaging.upper_limits import upper_limit
    from daxa.xray.imaging.vignetting import vignetting_for

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
    "eventlists.channels": ("adjacent_ranges", "energy_cards", "pi_range"),
    "eventlists.clock": ("Clock",),
    "eventlists.event_list": ("EventList",),
    "eventlists.opening": ("open_events",),
    "eventlists.formats": ("FORMATS", "EventFormat", "Refusal", "recognise", "why_not"),
    "eventlists.regions": ("read_regions", "region_mask"),
    "eventlists.sky_grid": ("SkyGrid",),
    "cleaning.cleaned": ("write_clean_events",),
    "cleaning.cut": ("Cut", "select", "standard_cut"),
    "cleaning.flarereport": ("write_flare_picture", "write_flare_table"),
    "cleaning.flare_filter": ("flare_gti",),
    "cleaning.flarescreen": ("screen_flares",),
    "cleaning.lightcurve": ("light_curve",),
    "cleaning.merged": ("check_mergeable", "identity_of", "merge_events"),
    "cleaning.screening": (
        "STANDARD",
        "Either",
        "Rule",
        "rules_cfitsio",
        "rules_expression",
        "rules_mask",
        "rules_text",
        "screening_for",
    ),
    "cleaning.subspace": ("read_subspace", "subspace_mask"),
    "cleaning.usergti": ("apply_user_gtis",),
    "imaging.attitude": ("Attitude", "read_attitude"),
    "imaging.exposed_field": ("Field", "read_field"),
    "imaging.exposure_map": ("exposure_map",),
    "imaging.image": ("ImageGrid", "count_image", "grid_for", "image_header"),
    "imaging.upper_limits": ("upper_limit",),
    "imaging.members": ("EventMember", "ImageMember"),
    "imaging.mosaicking": ("make_mosaic", "mosaic_grid", "write_mosaic"),
    "imaging.pairing": ("MapFacts", "check_pair", "choose_map", "rate_map"),
    "imaging.positions": ("Aperture", "Quality", "cover_fields", "coverage_at"),
    "imaging.quicklook": ("write_quicklook",),
    "imaging.skymaps": ("coverage_moc", "healpix_map", "write_healpix"),
    "imaging.vignetting": ("vignetting_for",),
    "detection.background": ("estimate_background",),
    "detection.detect": ("find_sources", "sensitivity_map"),
    "detection.psf": ("Psf", "gaussian_psf", "psf_for"),
    "detection.psffit": ("Scene",),
    "detection.source_list": ("SourceList", "write_sources"),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
