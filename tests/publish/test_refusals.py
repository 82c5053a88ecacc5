"""What makes a release dishonest, decided from facts alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from daxa.archive.config import ArchiveConfig, FailurePolicy
from daxa.archive.trust import ForeignItem
from daxa.publish.releases.refusals import ReleaseFacts, refusals
from daxa.publish.releases.release_logs import LogPlan
from daxa.publish.remote import Remote
from daxa.publish.state import ArchiveState, MissionState, ObservationState
from daxa.run.task import LedgerRow

IDS = [f"040491060{digit}" for digit in range(4)]
NOW = 61000.0


def state(public_date=53000.0, max_failed=0.0, **outcomes):
    """Four observations, done at both steps except as said: events="failed" concerns the first one."""
    rows = {step: {obs_id: LedgerRow(obs_id, "done") for obs_id in IDS} for step in ("events", "clean")}
    for step, outcome in outcomes.items():
        if outcome == "absent":
            del rows[step][IDS[0]]
        else:
            rows[step][IDS[0]] = LedgerRow(IDS[0], outcome, "data.no-events")
    config = ArchiveConfig(
        format=1, name="a907", missions={"xmm": {}}, policy=FailurePolicy(max_failed_release=max_failed)
    )
    observations = {obs_id: ObservationState(obs_id, 1e4, public_date) for obs_id in IDS}
    return ArchiveState(config, {"xmm": MissionState(observations, rows)})


HONEST = ReleaseFacts(
    state=state(),
    changes=("ledger/xmm-events.parquet", "dvc.lock", "params/xmm.toml", "upstream/xmm.parquet", "metrics.json"),
    included=(),
    foreign=(),
    stale=(),
    uncached=(),
    unlocked=(),
    logs=LogPlan(),
    remote=Remote("storage", "/data/remote"),
    now=NOW,
    last="v1.0.0",
    changed=True,
)


WRITTEN_BY_PEOPLE = ("README.md", "LICENSE", "CITATION.cff", "daxa.toml", "dvc.yaml", ".gitattributes", ".dvc/config")


def names(facts):
    return [refusal.name for refusal in refusals(facts)]


def test_an_honest_release_is_not_refused():
    assert names(HONEST) == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"changes": ("notes.txt",)}, ["dirty"]),
        ({"changes": ("ledgers/x.parquet",)}, ["dirty"]),
        ({"changes": ("data/xmm/events/x.fits",)}, ["dirty"]),
        *(({"changes": (path,)}, ["dirty"]) for path in WRITTEN_BY_PEOPLE),
        *(({"changes": (path,), "included": (path,)}, []) for path in WRITTEN_BY_PEOPLE),
        ({"changes": ("paper/a.tex", "paper/b/c.pdf"), "included": ("paper",)}, []),
        ({"changes": ("paper/a.tex", "papers/b.tex"), "included": ("paper",)}, ["dirty"]),
        ({"changes": ("a", "b/c"), "included": (".",)}, []),
        ({"included": ("README.md",)}, ["include"]),
        ({"foreign": (ForeignItem("more/dvc.yaml", "is a separate pipeline", "remove it"),)}, ["foreign"]),
        ({"stale": ("events-xmm",)}, ["stale"]),
        ({"uncached": ("data/xmm/events/",)}, ["not-in-cache"]),
        ({"unlocked": ("ledger/xmm-clean.parquet",)}, ["not-locked"]),
        ({"logs": LogPlan(unreachable=True)}, ["logs"]),
        ({"changed": False}, ["nothing-new"]),
        ({"changed": False, "last": ""}, []),
        ({"state": state(events="absent")}, ["unfinished"]),
        ({"hidden_changes": ("README.md",)}, ["hidden_changes"]),
        ({"merging": True}, ["merging"]),
        ({"state": state(clean="failed")}, ["failed"]),
        ({"state": state(events="failed", clean="skipped")}, ["failed", "failed"]),
        ({"state": state(events="failed", clean="skipped", max_failed=0.25)}, []),
        ({"state": state(events="failed", clean="skipped", max_failed=0.2)}, ["failed", "failed"]),
    ],
)
def test_reason(facts, expected):
    assert names(replace(HONEST, **facts)) == expected


@pytest.mark.parametrize(
    ("url", "public_date", "refused"),
    [
        ("s3://bucket/a907", NOW + 1, True),
        ("s3://bucket/a907", math.nan, True),
        ("https://example.org/a907", math.nan, True),
        ("gs://bucket", NOW + 1, True),
        ("s3://bucket/a907", NOW - 1, False),
        ("ssh://host/place", NOW + 1, False),
        ("/place", math.nan, False),
        ("file:///place", NOW + 1, False),
    ],
)
def test_proprietary_data_stay_private(url, public_date, refused):
    facts = replace(HONEST, remote=Remote("storage", url), state=state(public_date))
    assert names(facts) == (["proprietary"] if refused else [])


def test_without_a_remote_nothing_is_shared():
    assert names(replace(HONEST, remote=None, state=state(math.nan))) == []


def test_all_reasons_are_given_with_remedies():
    facts = replace(HONEST, changes=("notes.txt",), stale=("clean-xmm",), state=state(clean="failed"))
    given = list(refusals(facts))
    assert [refusal.name for refusal in given] == ["dirty", "stale", "failed"]
    assert "notes.txt" in given[0].message
    assert "clean-xmm" in given[1].message
    assert IDS[0] in given[2].message
    assert all(refusal.remedy for refusal in given)
