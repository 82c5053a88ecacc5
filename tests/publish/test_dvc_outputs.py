"""Pipeline files of a stranger are read as data, and only for digests and paths."""

from __future__ import annotations

import json

import pytest

from daxa.errors import DataError
from daxa.publish.dvc_outputs import listed_files, lock_digests, shared_digests, tracked_digest

ONE, TWO = "b026324c6904b2a9cb4b88d6d61c81d1", "26ab0db90d72e28ad0ba1e22ee510510"
PIPELINE = b"""
stages:
  clean-xmm:
    cmd: exec daxa stage clean xmm
    outs:
      - data/xmm/clean: {persist: true}
      - ledger/xmm-clean.parquet: {cache: false, persist: true}
  collect:
    cmd: exec daxa stage collect
    outs: [report]
    metrics:
      - metrics.json: {cache: false}
"""
LOCK = f"""
schema: '2.0'
stages:
  clean-xmm:
    cmd: exec daxa stage clean xmm
    deps:
    - {{path: selection/xmm.parquet, hash: md5, md5: {TWO}}}
    outs:
    - {{path: data/xmm/clean, hash: md5, md5: {ONE}.dir}}
    - {{path: ledger/xmm-clean.parquet, hash: md5, md5: {TWO}}}
  collect:
    outs:
    - {{path: metrics.json, hash: md5, md5: {TWO}}}
    - {{path: report, hash: md5, md5: {TWO}.dir}}
""".encode()


def test_what_the_remote_must_hold():
    assert shared_digests(PIPELINE, LOCK, None) == {"data/xmm/clean": f"{ONE}.dir", "report": f"{TWO}.dir"}
    logs = f"outs:\n- {{md5: {ONE}.dir, hash: md5, path: logs}}\n".encode()
    assert shared_digests(PIPELINE, LOCK, logs)["logs"] == tracked_digest(logs) == f"{ONE}.dir"
    assert lock_digests(LOCK, "deps") == {"selection/xmm.parquet": TWO}
    assert shared_digests(b"", b"", None) == {}


@pytest.mark.parametrize(
    "lock",
    [
        b"\xff\xfe",
        b"stages: [1]",
        b"- 1",
        b"stages: {a: 1}",
        b"stages: {a: {outs: {b: 1}}}",
        b"stages: {a: {outs: [{path: x}]}}",
        f"stages: {{a: {{outs: [{{path: ../x, md5: {ONE}}}]}}}}".encode(),
        f"stages: {{a: {{outs: [{{path: /x, md5: {ONE}}}]}}}}".encode(),
        b"stages: {a: {outs: [{path: x, md5: ../../x}]}}",
        b"stages: {a: {outs: [{path: x, md5: 12345678901234567890123456789012}]}}",
        b"stages: !!python/object/apply:os.system ['true']",
        b"a: &a [*a]",
        b"[" * 5000,
    ],
)
def test_hostile_locks_are_refused_or_hold_nothing(lock):
    try:
        assert lock_digests(lock) == {}
    except DataError as error:
        assert error.code == "data.pipeline-file"


@pytest.mark.parametrize("entry", [{"md5": ONE}, {"md5": ONE, "relpath": "../x"}, {"md5": "x", "relpath": "x"}, 1, []])
def test_hostile_listings_are_refused(entry):
    with pytest.raises(DataError):
        listed_files(json.dumps([entry]).encode())
    with pytest.raises(DataError):
        listed_files(b"<html>")
