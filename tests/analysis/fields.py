"""A small archive whose images were written by hand: flat fields with known sources."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from astropy.io import fits

from daxa.archive.config import LockedSoftware
from daxa.archive.layout import STEPS, Layout
from daxa.archive.template import MissionAnswers, render
from daxa.missions import find_mission
from daxa.run.ledger import write_ledger
from daxa.run.product import Product
from daxa.run.task import LedgerRow, ProductFile
from daxa.selection.selection_file import write_selection

__all__ = ["SIZE", "Pointing", "made_field", "made_readout", "make_archive"]

SIZE = 240
PIXEL = 4.0
SECONDS = 10_000.0


@dataclass(frozen=True)
class Pointing:
    """One image: where, of what, and with which seed.

    ``readout`` are the out-of-time events of a pixel that are subtracted from the image; None where nothing is said
    of them.
    """

    mission: str
    obs_id: str
    instrument: str
    ra: float
    dec: float
    seed: int
    band: tuple[float, float] = (0.5, 2.0)
    exposure: str = "S001"
    readout: float | None = None


def made_field(one: Pointing) -> tuple[np.ndarray, np.ndarray, fits.Header]:
    """Counts, exposure and header: a disk of 0.02 count per pixel, and 400 counts in its middle."""
    y, x = np.indices((SIZE, SIZE)) - SIZE / 2 + 0.5
    seconds = np.where(np.hypot(x, y) < 0.45 * SIZE, SECONDS, 0.0).astype(np.float32)
    rng = np.random.default_rng(one.seed)
    counts = np.where(seconds > 0, rng.poisson(0.02, seconds.shape), 0)
    counts[SIZE // 2, SIZE // 2] += 400
    header = fits.Header(
        {
            "CTYPE1": "RA---TAN",
            "CTYPE2": "DEC--TAN",
            "CRPIX1": SIZE / 2 + 1,
            "CRPIX2": SIZE / 2 + 1,
            "CRVAL1": one.ra,
            "CRVAL2": one.dec,
            "CDELT1": -PIXEL / 3600,
            "CDELT2": PIXEL / 3600,
            "CUNIT1": "deg",
            "CUNIT2": "deg",
            "RADESYS": "ICRS",
            "OBS_ID": one.obs_id,
            "INSTRUME": one.instrument,
            "RA_PNT": one.ra,
            "DEC_PNT": one.dec,
            "ENERG_LO": one.band[0],
            "ENERG_HI": one.band[1],
            "CUTID": f"{one.seed:016d}",
            "VIGNET": False,
        }
    )
    return counts.astype(np.int32), seconds, header


def made_readout(one: Pointing) -> np.ndarray:
    """The out-of-time events that are subtracted from an image: more on its right."""
    _, seconds, _ = made_field(one)
    return np.where(seconds > 0, (one.readout or 0.0) * np.linspace(0.5, 1.5, SIZE), 0.0).astype(np.float32)


def make_archive(root: Path, pointings: Sequence[Pointing]) -> Layout:
    """The archive, with its ledgers, without Git and DVC."""
    layout = Layout(root)
    software = tuple((step, LockedSoftware("native", "1")) for step in STEPS)
    missions = list(dict.fromkeys(one.mission for one in pointings))
    answers = [MissionAnswers(find_mission(mission), {"target": ["made"]}, software) for mission in missions]
    for path, content in render(root.name, answers).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    for mission in missions:
        own = [one for one in pointings if one.mission == mission]
        ids = sorted({one.obs_id for one in own})
        chosen = pd.DataFrame([_chosen(next(one for one in own if one.obs_id == obs_id)) for obs_id in ids])
        write_selection(layout.selection(mission), chosen, mission=mission, criteria="{}", snapshot="0" * 64)
        rows = [
            LedgerRow(obs_id, "done", files=tuple(_files(layout, [one for one in own if one.obs_id == obs_id])))
            for obs_id in ids
        ]
        write_ledger(layout.ledger(mission, "images"), rows, mission=mission, step="images")
    return layout


def _files(layout: Layout, pointings: Sequence[Pointing]) -> list[ProductFile]:
    made = []
    for one in pointings:
        counts, seconds, header = made_field(one)
        images = {"image": counts, "expmap": seconds}
        if one.readout is not None:
            header["OOTCORR"] = one.readout > 0
        if one.readout:
            images |= {"image": (counts - made_readout(one)).astype(np.float32), "ootimage": made_readout(one)}
        for kind, pixels in images.items():
            energies = tuple(map(repr, one.band))
            name = Product(one.obs_id, one.instrument, one.exposure, kind, *energies).name
            path = layout.products(one.mission, "images") / one.obs_id / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fits.PrimaryHDU(pixels, header).writeto(path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            made.append(ProductFile(name, path.stat().st_size, digest, digest))
    return sorted(made, key=lambda file: file.path)


def _chosen(one: Pointing) -> dict[str, object]:
    texts = dict.fromkeys(("category", "mode", "exposures"), "")
    times = {"start": 53000.5, "end": 53000.9, "public_date": 54000.0, "roll": float("nan")}
    place = {"obs_id": one.obs_id, "target": "made", "ra": one.ra % 360, "dec": one.dec}
    return {**place, **times, "exposure": SECONDS, "instruments": one.instrument, **texts}
