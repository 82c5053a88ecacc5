"""Chips that are used: those requested, and of EPIC MOS those that are not anomalous."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from daxa.errors import NotPossible
from daxa.xray.cleaning.chips import anomalous_chips, chips_for, parse_chips, state_cards
from daxa.xray.eventlists.opening import open_events
from tests.xray.reallists import LISTS


def with_corners(events, counts):
    """The list with events outside the field of view: chip to counts at 2.5-5 and at 0.4-0.8 keV."""
    parts = [events.rows]
    for chip, numbers in counts.items():
        start = float(events.gtis[chip][0, 0])
        for number, channels in zip(numbers, ((2500, 5000), (400, 800)), strict=True):
            rows = np.resize(events.rows[:1], number).copy()
            rows["TIME"], rows["CCDNR"], rows["FLAG"], rows["PATTERN"] = start + 0.5, chip, 0x10000, 0
            rows["PI"] = np.resize(channels, number)
            # Those that another flag rejects, of no photon's pattern, or between the bands, show nothing.
            extra = np.resize(rows, 3 * 40).copy()
            extra["FLAG"][:40] |= 1 << 22
            extra["PATTERN"][40:80] = 13
            extra["PI"][80:] = 1500
            parts += [rows, extra]
    return replace(events, rows=np.concatenate(parts).astype(events.rows.dtype))


@pytest.fixture(scope="module")
def cameras(real_data):
    return {name: open_events(real_data / LISTS[f"xmm-0404910601-{name.lower()}"].path) for name in ("M1", "M2")}


@pytest.mark.parametrize(
    ("camera", "counts", "states"),
    [
        ("M1", {4: (500, 100), 5: (500, 100)}, "GG"),
        ("M1", {4: (274, 100), 5: (224, 100)}, "BB"),
        ("M1", {4: (290, 100), 5: (300, 100)}, "II"),
        ("M1", {4: (300, 100), 5: (361, 100)}, "IG"),
        ("M1", {4: (10, 0)}, "UU"),
        # Few counts may be of any state, unless they are clear.
        ("M1", {4: (4, 2), 5: (7, 2)}, "UU"),
        ("M1", {4: (9, 300), 5: (40, 2)}, "BG"),
        ("M2", {2: (209, 100), 5: (50, 100)}, "BU"),
        ("M2", {2: (251, 100)}, "GU"),
        ("M2", {2: (210, 100)}, "IU"),
    ],
)
def test_hardness_of_the_corners_gives_the_state(cameras, camera, counts, states):
    found = anomalous_chips(with_corners(cameras[camera], counts))
    assert "".join(one.state for one in found) == states
    for one in found:
        if one.chip in counts and counts[one.chip][1]:
            hard, soft = counts[one.chip]
            assert one.ratio == pytest.approx(hard / soft)
            assert one.error == pytest.approx(hard / soft * math.sqrt(1 / hard + 1 / soft))
            cards = state_cards(found)
            assert cards[f"ANOMFL{one.chip}"][0] == one.state
            assert cards[f"ANOMHR{one.chip}"][0] == pytest.approx(hard / soft, abs=1e-4)


def test_a_chip_without_good_time_is_off(cameras):
    events = cameras["M1"]
    dark = replace(events, gtis={chip: own for chip, own in events.gtis.items() if chip != 5})
    assert [one.state for one in anomalous_chips(dark)] == ["U", "O"]


def test_other_instruments_have_no_such_chips(real_data):
    assert anomalous_chips(open_events(real_data / LISTS["chandra-18461"].path)) == ()


def test_chips_are_chosen_by_instrument(cameras, real_data):
    acis = open_events(real_data / LISTS["chandra-18461"].path)
    assert chips_for(cameras["M1"], "") is None
    assert chips_for(cameras["M1"], "M2:1 PN:1-12") is None
    assert chips_for(cameras["M1"], "1-2 M1:2-4") == {2, 3, 4}
    assert chips_for(cameras["M2"], "1-2 M1:2-4") == {1, 2}
    # A chip that the exposure does not have is not used.
    assert chips_for(cameras["M1"], "5-7") == {5, 7}
    assert chips_for(acis, "0-3") == {0, 1, 2, 3}
    for events, text in ((cameras["M1"], "6"), (acis, "ACIS:9"), (open_events(real_data / "rosat/rosat.evt"), "0")):
        with pytest.raises(NotPossible, match="none of the chips") as problem:
            chips_for(events, text)
        assert problem.value.remedy


@pytest.mark.parametrize("text", ["M1:", "1;2", "M1:1 M1:2", "1 2", "a-b", "M1=1", "../1"])
def test_what_are_not_chips_is_refused(text):
    with pytest.raises(ValueError, match=r"ranges|once"):
        parse_chips(text)
