"""Products of mission software, rewritten in the form of the native steps, so that later steps can use them.

Each function takes the directory in which the tools ran and the product's path; paths are relative to that
directory.  Tools write dates and history into their files, and keep good times in tables of their own; the native form
has neither, so that equal data are equal bytes.
"""

from daxa.backends.adopting.images import adopt_curve, adopt_image, adopt_map, adopt_picture, adopt_rates
from daxa.backends.adopting.lists import Band, adopt_events, adopt_good_times, adopt_measures, identify
from daxa.backends.adopting.sources import COVERAGE, adopt_search, adopt_sources, band_parameter

__all__ = [
    "COVERAGE",
    "Band",
    "adopt_curve",
    "adopt_events",
    "adopt_good_times",
    "adopt_image",
    "adopt_map",
    "adopt_measures",
    "adopt_picture",
    "adopt_rates",
    "adopt_search",
    "adopt_sources",
    "band_parameter",
    "identify",
]
