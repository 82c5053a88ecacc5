"""The sky that observations cover, as a coverage map (MOC), from the true shape of each field of view."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from daxa.missions import FieldOfView, MissionSpec, find_mission

if TYPE_CHECKING:
    import pandas as pd
    from mocpy import MOC

__all__ = ["coverage"]

_CELLS_ACROSS = 40
_COARSEST, _FINEST = 4, 13


def coverage(tables: Mapping[str, pd.DataFrame]) -> MOC:
    """The union of the fields of view of all chosen instruments of all observations.

    A square whose roll is not known is the circle around it, so that nothing seen is left out.

    Parameters
    ----------
    tables
        Mission to observations in the schema's columns.

    Returns
    -------
    mocpy.MOC
        Cells are at most a fortieth of the smallest field across (HEALPix orders 4 to 13).

    Examples
    --------
    >>> import astropy.units as u, pandas as pd
    >>> one = pd.DataFrame({"obs_id": ["0404910601"], "ra": [149.59], "dec": [-11.06], "instruments": ["M1"]})
    >>> sky = coverage({"xmm": one})
    >>> sky.contains_lonlat([149.59, 149.59] * u.deg, [-11.06, -10.5] * u.deg)
    array([ True, False])
    """
    from mocpy import MOC

    parts = [part for mission, table in tables.items() for part in _mission_parts(find_mission(mission), table)]
    return parts[0].union(*parts[1:]) if len(parts) > 1 else parts[0] if parts else MOC.new_empty(_COARSEST)


def _mission_parts(spec: MissionSpec, table: pd.DataFrame) -> Iterator[MOC]:
    fields = {name: spec.find_instrument(name).field_of_view for name in _instruments(table)}
    for field in dict.fromkeys(fields.values()):
        seen = [any(fields[name] == field for name in names.split(",") if name) for names in table["instruments"]]
        if any(seen):
            yield from _field_parts(field, table[seen])


def _instruments(table: pd.DataFrame) -> list[str]:
    return sorted({name for names in table["instruments"] for name in names.split(",") if name})


def _field_parts(field: FieldOfView, table: pd.DataFrame) -> Iterator[MOC]:
    """Maps of one field of view at every pointing of a table."""
    import astropy.units as u
    import numpy as np
    from mocpy import MOC

    depth = _depth(field)
    if field.shape == "tile":
        yield from _tile_parts(table, depth)
        return
    turned = np.zeros(len(table), dtype=bool)
    if field.shape == "square" and "roll" in table:
        roll = table["roll"].to_numpy(dtype=float)
        turned = np.isfinite(roll)
        if turned.any():
            places = table[turned]
            size = np.full(len(places), field.size) * u.arcmin
            yield MOC.from_boxes(
                lon=places["ra"].to_numpy() * u.deg,
                lat=places["dec"].to_numpy() * u.deg,
                a=size,
                b=size,
                # mocpy takes angles from 0 to 180 degrees; a square looks the same after a quarter turn.
                angle=np.mod(roll[turned], 90.0) * u.deg,
                max_depth=depth,
                union_strategy="small_boxes",
            )
    places = table[~turned]
    if len(places) and field.shape == "annulus" and field.inner:
        inner, outer = field.inner * u.arcmin, field.size * u.arcmin
        for ra, dec in zip(places["ra"], places["dec"], strict=True):
            yield MOC.from_ring(
                lon=ra * u.deg, lat=dec * u.deg, internal_radius=inner, external_radius=outer, max_depth=depth
            )
    elif len(places):
        yield MOC.from_cones(
            lon=places["ra"].to_numpy() * u.deg,
            lat=places["dec"].to_numpy() * u.deg,
            radius=np.full(len(places), field.radius) * u.arcmin,
            max_depth=depth,
            union_strategy="small_cones" if field.radius < 300 else "large_cones",
        )


def _tile_parts(table: pd.DataFrame, depth: int) -> Iterator[MOC]:
    from astropy.coordinates import SkyCoord
    from mocpy import MOC

    from daxa.missions.tiling import find_tile

    for tile in map(find_tile, table["obs_id"]):
        if tile.ra_max - tile.ra_min >= 360:
            # A cap: a zone from 0 to 360 degrees would be empty.
            import astropy.units as u

            pole = 90.0 if tile.dec_max == 90 else -90.0
            yield MOC.from_cone(
                lon=0 * u.deg, lat=pole * u.deg, radius=(tile.dec_max - tile.dec_min) * u.deg, max_depth=depth
            )
        else:
            corners = [tile.ra_min, tile.ra_max % 360], [tile.dec_min, tile.dec_max]
            yield MOC.from_zone(SkyCoord(*corners, unit="deg"), max_depth=depth)


def _depth(field: FieldOfView) -> int:
    """The coarsest order whose cells are small against the field: a cell of order n is 3518 arcmin / 2**n wide."""
    wide = math.degrees(math.sqrt(math.pi / 3)) * 60
    return min(max(math.ceil(math.log2(wide * _CELLS_ACROSS / (2 * field.size))), _COARSEST), _FINEST)
