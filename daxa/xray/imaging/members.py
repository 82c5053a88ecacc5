"""What goes into a mosaic: event lists with their exposure maps, and images of which no events are left."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from astropy.io import fits

from daxa.errors import DataError
from daxa.xray.cleaning.cut import Cut
from daxa.xray.eventlists.channels import realised_kev
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.imaging.image import ImageGrid, grid_cards

__all__ = ["EventMember", "ImageMember", "Member", "sized"]


@dataclass(frozen=True, eq=False)
class EventMember:
    """An event list in a mosaic.

    Parameters
    ----------
    events, cut
        The list, and which of its events count; with channels.
    grid, exposure
        Pixels of its exposure map, and the map, shape (ny, nx), s.
    weight
        Factor of its exposure relative to the others (effective area in the band).
    shared
        Name of the survey whose overlapping lists show parts of one exposure (eRASS tiles):
        members of the same name have each event once, and the greatest exposure, not the sum.
    readout
        Expected counts on its grid that no sky made (out-of-time events), shape (ny, nx); None where
        they are not asked for.
    """

    events: EventList
    cut: Cut
    grid: ImageGrid
    exposure: np.ndarray
    weight: float = 1.0
    shared: str = ""
    readout: np.ndarray | None = None

    @property
    def name(self) -> str:
        """Mission, instrument, observation and exposure."""
        form = self.events.format
        return f"{form.mission}/{form.instrument}/{self.events.obs_id}/{self.events.exposure}"

    @property
    def header(self) -> fits.Header:
        """World coordinates of the exposure map."""
        return sized(grid_cards(self.events.sky, self.grid), self.grid.nx, self.grid.ny)

    @property
    def band(self) -> tuple[float, float, float]:
        """Edges and width of a channel, keV."""
        if self.cut.pi is None:
            raise DataError("band", f"{self.name} has no channels in a mosaic", remedy="give its cut a band")
        # Where nothing is known of energies, there are no realised ones either.
        lo, hi = realised_kev(self.events.format, *self.cut.pi)
        _, width = self.events.format.pi_to_kev or (0.0, 0.0)
        return lo, hi, width


@dataclass(frozen=True, eq=False)
class ImageMember:
    """A counts image, of which no events are available, and its exposure map.

    Parameters
    ----------
    name
        Mission, instrument, observation and exposure.
    counts, exposure
        Shape (ny, nx): whole counts, and s.
    header
        World coordinates of both.
    edges
        Energies, keV.
    weight, shared, readout
        As in `EventMember`: a factor, the name of a survey, and expected counts that no sky made, shape (ny, nx).
    """

    name: str
    counts: np.ndarray
    exposure: np.ndarray
    header: fits.Header
    edges: tuple[float, float]
    weight: float = 1.0
    shared: str = ""
    readout: np.ndarray | None = None

    @property
    def band(self) -> tuple[float, float, float]:
        """Edges and width of a channel, keV."""
        return *self.edges, 0.0


Member = EventMember | ImageMember


def sized(header: fits.Header, nx: int, ny: int) -> fits.Header:
    """The header, with the size of its image in it."""
    header["NAXIS"], header["NAXIS1"], header["NAXIS2"] = 2, nx, ny
    return header
