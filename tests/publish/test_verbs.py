"""Verbs of versions as scripts use them: records alone on standard output, errors as records, interrupts that count."""

from __future__ import annotations

import json
import time

import pytest

import daxa
from daxa.cli import commands, main
from daxa.cli.working import working
from tests.publish.workshop import FIRST

TAG = "v1.0.0"
VERBS = {
    ("log",): 0,
    ("history", FIRST): 0,
    ("diff", TAG): 0,
    ("cite", TAG): 0,
    ("certificate", "list"): 0,
    ("upgrade",): 0,
    ("retry",): 0,
    ("gc",): 0,
    ("compare", "dvc.lock", "dvc.yaml"): 7,
    ("export", TAG, "-o", "../a907.bundle"): 0,
    ("export", TAG, "-o", "README.md"): 3,
    ("merge", "nobody"): 5,
    ("merge", "main"): 0,
    ("checkout", "v9.9.9"): 5,
    ("pull", "v9.9.9"): 5,
    ("drop", "rosat"): 3,
    ("reprocess", "xmm", "--set", "clean.nothing=1"): 4,
    ("restore", "nowhere", "../again"): 11,
    ("recreate", "nowhere.bundle", "../again"): 3,
    ("certificate", "add", "nothing.json"): 3,
    ("publish", "v9.9.9", "-o", "../deposit"): 5,
    ("diff",): 0,
    ("history", "--no-such-option"): 2,
    ("reprocess",): 2,
    ("publish", TAG): 2,
}
"""Arguments to exit code."""


def test_records_alone_are_written_and_errors_are_records(released, monkeypatch, capsys):
    monkeypatch.chdir(released.layout.root)
    wrong = {}
    for words, expected in VERBS.items():
        code = main([*words, "--json"])
        said = capsys.readouterr()
        try:
            records = [json.loads(line) for line in said.out.splitlines()]
            error = json.loads(said.err.splitlines()[-1]) if expected else {}
        except (ValueError, IndexError):
            wrong[words] = said
            continue
        if code != expected or not all(isinstance(one, dict) for one in records) or (error and not error["remedy"]):
            wrong[words] = (code, said)
    assert wrong == {}


def test_what_dvc_says_is_no_record(released, capsys):
    archive = daxa.open(released.layout.root)
    with working(archive, {}, as_json=True):
        print("Running stage 'clean-xmm'")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Running stage 'clean-xmm'\n")


class _Interrupted:
    """What an interrupt meets in a place where Python ignores it."""

    def __del__(self) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("at", ["in the verb", "where Python ignores it"])
def test_an_interrupt_is_one_line(at, monkeypatch, capsys):
    def verb(*arguments: object, **options: object) -> int:
        if at == "in the verb":
            raise KeyboardInterrupt
        _Interrupted()
        for _ in range(1000):
            time.sleep(0.01)
        return 0

    monkeypatch.setattr(commands, "run_verb", verb)
    assert main(["log"]) == 130
    assert capsys.readouterr().err == "\ninterrupted: what was finished is kept; the same command continues\n"
