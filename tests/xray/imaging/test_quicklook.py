"""The quicklook picture: drawn at all, drawn alike, drawn right."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from daxa.xray.cleaning.lightcurve import LightCurve
from daxa.xray.imaging.quicklook import smoothed_rate, write_quicklook


def scene(seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    exposure = np.zeros((200, 240))
    exposure[30:170, 40:200] = 1000.0
    source = np.zeros_like(exposure)
    source[100, 120] = 400.0
    return np.random.default_rng(seed).poisson(0.2 * (exposure > 0) + source), exposure


def curve(n: int = 100) -> LightCurve:
    counts = np.random.default_rng(2).poisson(30.0, n)
    exposure = np.full(n, 100.0)
    exposure[n // 3 : n // 2] = 0.0
    return LightCurve(0.0, 100.0, counts, exposure)


def chunks(path) -> set[bytes]:
    content, at, names = path.read_bytes(), 8, set()
    while at < len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        names.add(content[at + 4 : at + 8])
        at += length + 12
    return names


def test_equal_data_give_equal_bytes(tmp_path):
    image, exposure = scene()
    for name in ("a.png", "b.png"):
        write_quicklook(tmp_path / name, image, exposure, curve(), title="XMM 0404910601", pixel_arcsec=4.35)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    write_quicklook(tmp_path / "c.png", scene(7)[0], exposure, curve(), title="XMM 0404910601", pixel_arcsec=4.35)
    assert (tmp_path / "c.png").read_bytes() != (tmp_path / "a.png").read_bytes()


def test_what_there_is_is_shown(tmp_path):
    from matplotlib.image import imread

    image, exposure = scene()
    for name, shown in {"all": (image, exposure), "counts": (image, None), "curve": (None, None)}.items():
        write_quicklook(tmp_path / f"{name}.png", *shown, curve(), title="NICER 1034200101")
    sizes = {path.stem: imread(path).shape[:2] for path in tmp_path.iterdir()}
    assert sizes == {"all": (960, 800), "counts": (960, 800), "curve": (335, 800)}
    assert (tmp_path / "all.png").read_bytes() != (tmp_path / "counts.png").read_bytes()


def test_nothing_shows_time_or_version(tmp_path):
    write_quicklook(tmp_path / "a.png", *scene(), curve(), title="t")
    assert not {b"tEXt", b"iTXt", b"tIME"} & chunks(tmp_path / "a.png")


def test_the_source_is_the_brightest_part(tmp_path):
    from matplotlib.image import imread

    image, exposure = scene()
    write_quicklook(tmp_path / "a.png", image, exposure, None, title="t")
    picture = imread(tmp_path / "a.png")[90:690, 50:750, :3].sum(axis=2)
    picture[picture > 2.999] = 0.0
    y, x = np.unravel_index(np.argmax(picture), picture.shape)
    # The picture shows columns 38-202 and rows 28-172 of the image; the source is at (120, 100).
    assert 0.4 < x / picture.shape[1] < 0.6
    assert 0.35 < y / picture.shape[0] < 0.65


@pytest.mark.parametrize("title", ["$x^{2$ _ \\frac", "日本 ★", "", "\u03b1 Cen\x07\n", "a" * 40])
def test_any_name_can_be_a_title(tmp_path, title):
    write_quicklook(tmp_path / "a.png", *scene(), curve(), title=title, subtitle=title)
    assert (tmp_path / "a.png").stat().st_size > 10_000


@pytest.mark.parametrize("exposed", [True, False])
def test_an_empty_image_is_drawn(tmp_path, exposed):
    exposure = scene()[1] * exposed
    write_quicklook(tmp_path / "a.png", np.zeros(exposure.shape, int), exposure, curve(1), title="t", pixel_arcsec=4.0)
    assert (tmp_path / "a.png").stat().st_size > 5_000


def test_a_long_light_curve_keeps_its_mean(tmp_path):
    from daxa.xray.imaging.quicklook import _coarser

    fine = curve(10_001)
    coarse = _coarser(fine, 7)
    assert coarse.counts.sum() == fine.counts.sum()
    assert coarse.exposure.sum() == pytest.approx(fine.exposure.sum())
    write_quicklook(tmp_path / "a.png", *scene(), fine, title="t")


def test_smoothing_keeps_a_flat_rate_up_to_the_edge():
    _, exposure = scene()
    rate = smoothed_rate(0.001 * exposure, exposure, sigma=2.0)
    assert np.allclose(rate[exposure > 0], 0.001)
    assert np.isnan(rate[exposure == 0]).all()
