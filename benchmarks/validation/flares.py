"""What flares leave behind: where the truth is known, and on the real lists as daxa's own measurement says it."""

from __future__ import annotations

import gzip
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.validation.checks import Check, Figure, at_most, real_data, told
from benchmarks.validation.epiclist import FLARE, PARTICLE, SKY, Field, Flare, write_field
from daxa.errors import DaxaError
from tests.backends.native.observations import Fetched, run_step

__all__ = ["CHECKS", "left_behind"]

BANDS = {"0.5-2 keV": (500, 2000), "2-10 keV": (2001, 10_000)}
MOST = 0.05

_CASES = {
    "one hard flare": (Flare(20_000, 0.3, 0.45, 6.0),),
    "one soft flare": (Flare(12_000, 0.6, 0.75, 1.5),),
    "many small soft flares": tuple(Flare(1500, at, at + 0.05, 2.0) for at in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8)),
    "slow rise": (Flare(9000, 0.5, 1.0, 3.0),),
    "none": (),
}


def left_behind(field: Field) -> tuple[str, dict[str, float], float]:
    """Status; flare events kept over the other background kept, by band; share of the quiet background kept."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_field(root, field)
        fetched = Fetched("xmm", field.obs_id, (field.camera,), {})
        for step in ("events", "clean"):
            run_step(fetched, step, root)
        [clean] = (root / "clean").glob("*-finalevents.fits")
        [before] = (root / "events").glob("*-events.fits")
        shares, quiet = {}, []
        with fits.open(clean) as after, fits.open(before) as all_of_it:
            status = str(after["EVENTS"].header.get("FLARESTA", "?"))
            for name, (low, high) in BANDS.items():
                kept, whole = (_counts(units["EVENTS"].data, low, high) for units in (after, all_of_it))
                shares[name] = kept[0] / max(kept[1], 1)
                quiet.append(kept[1] / whole[1])
    return status, shares, float(np.mean(quiet))


def _counts(rows, low: int, high: int) -> tuple[int, int]:
    here = (rows["PI"] >= low) & (rows["PI"] <= high) & (rows["FLAG"] == 0)
    origin = rows["PHOTSRC"][here]
    return int((origin == FLARE).sum()), int(((origin == SKY) | (origin == PARTICLE)).sum())


def check_flares(scale: float) -> list[Figure]:
    """Flares whose protons are known, in MOS1."""
    figures = []
    for kind, (name, flares) in enumerate(_CASES.items()):
        worst, others = dict.fromkeys(BANDS, 0.0), dict.fromkeys(BANDS, 0.0)
        good, kept, fields = 0, [], max(1, round(4 * scale))
        for seed in range(fields):
            print(f"  {name} {seed}", file=sys.stderr, flush=True)
            field = Field(f"0906{kind:02d}{seed:02d}01", 6000 + 100 * kind + seed, flares=flares, seconds=30_000.0)
            status, shares, quiet = left_behind(field)
            kept.append(quiet)
            good += status == "GOOD"
            group = worst if status == "GOOD" else others
            group |= {band: max(group[band], shares[band]) for band in BANDS}
        told_by = f"{good} of {fields} are GOOD; {100 * np.mean(kept):.0f} % of the quiet background kept"
        if good < fields:
            left = ", ".join(f"{share:.3f} at {band}" for band, share in others.items())
            figures.append(told(f"{name}: worst of those that are not GOOD", f"{left}; {told_by}"))
        if not good:
            continue
        figures += [
            at_most(f"{name}: left at {band}, worst of those that are GOOD", worst[band], MOST, note=f"; {told_by}")
            for band in BANDS
        ]
    return figures


_REAL = {
    "0404910601 MOS1": ("xmm", "0404910601", "M1", "PPS/P0404910601M1S001MIEVLI0000.FTZ",
                        "xmm/0404910601/eclean/mos1_exp1_clean_evts.fits"),
    "0404910601 MOS2": ("xmm", "0404910601", "M2", "PPS/P0404910601M2S002MIEVLI0000.FTZ",
                        "xmm/0404910601/eclean/mos2_exp1_clean_evts.fits"),
    "0201901401 MOS1": ("xmm", "0201901401", "M1", "PPS/P0201901401M1U002MIEVLI0000.FTZ",
                        "xmm/0201901401/eclean/mos1_exp1_clean_evts.fits"),
    "0201901401 MOS2": ("xmm", "0201901401", "M2", "PPS/P0201901401M2U002MIEVLI0000.FTZ",
                        "xmm/0201901401/eclean/mos2_exp1_clean_evts.fits"),
    "Chandra 18461": ("chandra", "18461", "ACIS", "primary/acisf18461N001_evt2.fits.gz",
                      "chandra/acis_18461_cena_evt2.fits"),
    "Chandra 242": ("chandra", "242", "ACIS", "primary/acisf00242N001_evt2.fits.gz",
                    "chandra/acis_00242_sgra_evt2.fits.gz"),
    "Chandra 13839": ("chandra", "13839", "ACIS", "primary/acisf13839N001_evt2.fits.gz",
                      "chandra/acis_13839_sgra_evt2.fits.gz"),
}  # fmt: skip


def check_generator(_scale: float) -> list[Figure]:
    """Light curves of a generator that knows what of them is flare."""
    from daxa.xray.cleaning.flare_filter import flare_gti
    from tests.xray.flarecases import CASES

    figures = []
    for name, case in CASES.items():
        left, kept, curves = [], [], 0
        for drawn in case.all():
            found, curves = flare_gti(drawn.curve), curves + 1
            if found.status == "Good":
                left.append(drawn.residual(found.kept))
                kept.append(drawn.quiet_kept(found.kept))
        text = f"{len(left)} of {curves} are Good"
        if not left:
            figures.append(told(name, text))
            continue
        note = f" on average, {max(left):+.3f} at most; {text}; {100 * np.mean(kept):.1f} % of the quiet time kept"
        figures.append(
            at_most(f"{name}: left of those that are Good", float(np.mean(left)), MOST, form="{:+.3f}", note=note)
        )
    return figures


def check_flares_real(_scale: float) -> list[Figure]:
    """The residual that daxa itself measures and writes into the product."""
    data, figures = real_data(), []
    for name, (mission, obs_id, instrument, path, real) in _REAL.items():
        print(f"  {name}", file=sys.stderr, flush=True)
        fetched = Fetched(mission, obs_id, (instrument,), {})
        with tempfile.TemporaryDirectory() as place:
            root = Path(place)
            target = root / "fetch" / path
            target.parent.mkdir(parents=True)
            content = (data / real).read_bytes()
            target.write_bytes(content if real.endswith(".gz") else gzip.compress(content, 1, mtime=0))
            try:
                for step in ("events", "clean"):
                    run_step(fetched, step, root)
            except DaxaError as refused:
                figures.append(told(name, f"refused: {refused.code}"))
                continue
            figures += _residuals(name, root)
    return figures


def _residuals(name: str, root: Path) -> Sequence[Figure]:
    [clean] = (root / "clean").glob("*-finalevents.fits")
    header = fits.getheader(clean, "EVENTS")
    status = str(header.get("FLARESTA", "none"))
    bands = [n for n in range(1, 10) if f"FLREX{n}" in header]
    if not bands:
        return [told(name, f"{status}; too few counts to measure a residual")]
    figures = []
    for n in bands:
        band = f"{header[f'FLRLO{n}']:g}-{header[f'FLRHI{n}']:g} keV"
        text = f"{100 * header[f'FLREX{n}']:+.1f} +- {100 * header[f'FLRER{n}']:.1f} %; {status}"
        met = None if status != "GOOD" else bool(header[f"FLREX{n}"] <= MOST)
        figures.append(Figure(f"{name}: above quiescence at {band}", text, "at most 5 % where GOOD", met))
    return figures


CHECKS = (
    Check("flares", "Flares left behind", "the simulation, whose protons are marked",
          "simulated MOS1 lists with hard, soft, small and slow flares", check_flares),
    Check("flares-generator", "Flares left behind in light curves", "the generator, which knows the quiescent rate",
          "sixty light curves of each kind", check_generator),
    Check("flares-real", "Flares left behind in real lists", "daxa's own measurement against the quiescent rate "
          "(no independent one is at hand)", "XMM-Newton and Chandra lists", check_flares_real),
)  # fmt: skip
