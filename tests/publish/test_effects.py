"""The message of a release says what it did to each observation, from ledgers alone."""

from __future__ import annotations

import shutil
from dataclasses import replace

from daxa.publish.comparing.causes import Cause, Side
from daxa.publish.comparing.effects import effect_lines
from daxa.publish.state import ArchiveState, MissionState
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.task import LedgerRow, canonical
from tests.publish.test_refusals import state
from tests.publish.workshop import FIRST, THIRD, deceive


def cleaned(good: float, events: int) -> str:
    one = {"instrument": "PN", "good": good, "archived": 3e4, "left": {}, "anomalous": [], "flares": "GOOD"}
    return canonical({"exposures": [one | {"events": events}]})


def measure(shop, **measures: str) -> None:
    """Let the first XMM observation have been measured so: step to measures."""
    for step, text in measures.items():
        ledger = shop.layout.ledger("xmm", step)
        rows = read_ledger(ledger)
        rows[FIRST] = replace(rows[FIRST], measures=text)
        write_ledger(ledger, rows.values(), mission="xmm", step=step)
    shop.record()


def test_a_release_says_what_it_did_to_each_observation(released, monkeypatch):
    deceive(monkeypatch)
    found = {"sources": canonical([{"instrument": "PN", "sources": 12}])}
    released.process("xmm", [FIRST, THIRD], salts={FIRST: "measured"})
    measure(released, clean=cleaned(21300.0, 1200), **found)
    assert f"xmm {FIRST}: new: 21.3 ks clean, 1200 events, 12 sources" in released.release("measured").message
    released.process("xmm", [FIRST, THIRD], salts={FIRST: "anew"})
    measure(released, clean=cleaned(22100.0, 1250), **found)
    line = f"xmm {FIRST}: 21.3 -> 22.1 ks clean, 1200 -> 1250 events"
    shutil.rmtree(released.layout.root / "data" / "xmm" / "fetch")
    message = released.release("again").message
    assert f"\n{line}\n" in message
    assert f"\n- {line}\n" in released.layout.changes.read_text()
    assert THIRD not in message.partition(line)[2], "nothing of it has changed"


def test_many_observations_are_counted():
    ids = [f"{number:010d}" for number in range(101, 131)]
    sides = [
        Side(
            ArchiveState(
                state().config,
                {
                    "xmm": MissionState(
                        {}, {"clean": {one: LedgerRow(one, "done", measures=cleaned(good, 1)) for one in ids}}
                    )
                },
            ),
            {},
            {},
            {},
        )
        for good in (1e4, 2e4)
    ]
    lines = effect_lines(*sides, [Cause("xmm", one, "parameters", "clean") for one in ids])
    assert lines[0] == f"xmm {ids[0]}: 10.0 -> 20.0 ks clean"
    assert len(lines) == 21
    assert lines[-1] == "and 10 more observations: see `daxa diff`"


def test_what_failed_before_or_was_dropped_is_said():
    one, causes = state(), [Cause("xmm", "0404910600", "removed")]
    measured = LedgerRow("0404910600", "done", measures=cleaned(1e4, 7))
    before = Side(ArchiveState(one.config, {"xmm": MissionState({}, {"clean": {"0404910600": measured}})}), {}, {}, {})
    assert effect_lines(before, Side(ArchiveState(one.config, {}), {}, {}, {}), causes) == [
        "xmm 0404910600: before: 10.0 ks clean, 7 events"
    ]
