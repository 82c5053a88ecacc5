"""Sky images and exposure maps of the UVOT in the archive's tree, small and with a source."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
from astropy.io import fits

SIDE, SECONDS = 16, 100.0


def add_images(place: Path, obs_id: str, name: str, corrected: tuple[str, ...] = ("DIRECT",), **cards: object) -> None:
    """One image for each value of ASPCORR, of a source in pixel (5, 9), and a map for each of them."""
    for what in ("sk", "ex"):
        parts = fits.HDUList([fits.PrimaryHDU()])
        for at, aspect in enumerate(corrected):
            pixels = np.full((SIDE, SIDE), 1.0 if what == "sk" else SECONDS, np.float32)
            if what == "sk":
                pixels[8, 4] = 400.0
            header = fits.Header({"FILTER": name.upper(), "ASPCORR": aspect, "EXPOSURE": SECONDS, "FRAMTIME": 0.011032})
            header.update({"CRPIX1": 5.0, "CRPIX2": 9.0, "CRVAL1": 150.0, "CRVAL2": -11.0, "EXPID": at, **cards})
            parts.append(fits.ImageHDU(pixels, header, name=f"{name}{at}I"))
        content = io.BytesIO()
        parts.writeto(content)
        path = place / f"uvot/image/sw{obs_id}{name}_{what}.img.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content.getvalue(), 1, mtime=0))
