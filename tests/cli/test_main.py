"""Help, version, misuse, errors and interrupts: what every verb has in common."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time

import pytest

from daxa import __version__
from daxa.cli import GROUPS, VERBS, main
from daxa.cli.commands import command_of, examples_of
from daxa.errors import ServiceError
from tests.cli.commandline import daxa

PEOPLES = [verb for verb, (group, _) in VERBS.items() if group]


def test_help_lists_every_verb_but_those_for_the_pipeline(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {verb} " in shown for verb in PEOPLES)
    assert "\n  stage" not in shown
    assert all(f"\n{group}:\n" in shown for group in GROUPS)


def test_no_arguments_give_the_help_and_options_without_a_verb_are_misuse(capsys):
    assert main([]) == 0
    everything = capsys.readouterr().out
    assert main(["-q"]) == 2
    assert capsys.readouterr().err == everything


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"daxa {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["statsu"], "did you mean 'status'?"),
        (["stge"], "no verb 'stge'\n"),
        (["--jsno"], "no option --jsno"),
        (["-C"], "-C needs a directory"),
    ],
)
def test_misuse_names_what_was_wrong_and_ends_with_two(arguments, said, capsys):
    assert main(arguments) == 2
    shown = capsys.readouterr()
    assert said in shown.err
    assert not shown.out


@pytest.mark.parametrize("arguments", [["statsu"], ["--jsno"]])
def test_misuse_is_json_where_json_is_wanted(arguments, capsys):
    assert main([*arguments, "--json"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["code"] == "criteria.usage"


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_shows_examples_that_parse(verb, capsys):
    assert main([verb, "--help"]) == 0
    shown = capsys.readouterr().out
    assert len(examples_of(verb)) >= 1
    for example in examples_of(verb):
        assert example in shown
        program, name, *arguments = shlex.split(example)
        assert (program, name) == ("daxa", verb)
        command_of(verb).make_context(f"daxa {verb}", arguments)


def test_a_wrong_option_of_a_verb_is_misuse(capsys):
    assert main(["status", "--jsno"]) == 2
    assert "--jsno" in capsys.readouterr().err


def test_outside_an_archive_the_error_has_a_remedy_and_its_own_exit_code(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 5
    shown = capsys.readouterr()
    assert not shown.out
    first, second = shown.err.splitlines()
    assert first.startswith("error: ")
    assert str(tmp_path) in first
    assert second.startswith("  -> ")
    assert "daxa init" in second


def test_with_json_an_error_is_one_object(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["ls", "--json"]) == 5
    shown = capsys.readouterr()
    assert json.loads(shown.err).keys() == {"code", "message", "remedy"}
    assert json.loads(shown.err)["code"] == "archive.not-an-archive"
    assert not shown.out


def test_a_directory_may_be_given_as_for_git(tmp_path, monkeypatch, capsys):
    (tmp_path / "one" / "two").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert main(["-C", "one", "-C", "two", "status"]) == 5
    assert str(tmp_path / "one" / "two") in capsys.readouterr().err
    assert main(["-C", str(tmp_path / "none"), "status"]) == 5
    assert "cannot be opened" in capsys.readouterr().err


def test_bugs_keep_their_traceback(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daxa.cli.status.show_json", None)
    monkeypatch.setattr("daxa.api.open", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["status"])


def test_an_interrupt_says_one_line_and_ends_as_shells_expect(tmp_path, monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daxa.api.open", interrupted)
    assert main(["status"]) == 130
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_what_a_service_said_cannot_steer_the_terminal(monkeypatch, tmp_path, capsys):
    def hostile():
        raise ServiceError("refused", "said \x1b]0;title\x07 and \x9b2J", remedy="\x1b[31mask again")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("daxa.api.open", hostile)
    assert main(["status"]) == 10
    shown = capsys.readouterr().err
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)
    assert "ask again" in shown


def test_a_reader_that_stops_reading_is_not_an_error(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "daxa", "--help"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 0


def test_colours_stay_away_from_pipes_and_from_who_wants_none(tmp_path):
    for environ in ({}, {"NO_COLOR": "1"}):
        assert "\x1b" not in daxa("status", cwd=tmp_path, environ=environ).stderr


def test_the_module_is_the_command(tmp_path):
    assert daxa("--version", cwd=tmp_path).stdout == f"daxa {__version__}\n"


def test_completion_offers_verbs(tmp_path):
    ended = daxa(cwd=tmp_path, environ={"_DAXA_COMPLETE": "complete_bash", "COMP_WORDS": "daxa st", "COMP_CWORD": "1"})
    assert ended.stdout.split() == ["status"]
    assert "Traceback" not in ended.stderr


def test_completion_offers_missions_and_nothing_where_there_is_no_archive(tmp_path):
    for words, offered in (
        ("daxa init x --mission i", ["ixpe"]),
        ("daxa missions i", ["integral", "ixpe"]),
        ("daxa logs 0", []),
    ):
        ended = daxa(
            cwd=tmp_path,
            environ={
                "_DAXA_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
        )
        assert ended.stdout.split() == offered
        assert "Traceback" not in ended.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="needs POSIX signals")
def test_a_real_interrupt_of_a_waiting_command(tmp_path):
    code = "import daxa.api, time; daxa.api.open = lambda: (print('ready', flush=True), time.sleep(60))\n"
    code += "from daxa.cli import main; raise SystemExit(main(['status']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        assert "Traceback" not in process.stderr.read()
