"""Answers that are not HTTP, or only almost: a typed error or the right bytes, never anything else."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daxa.errors import DaxaError
from daxa.fetch.connection import read_text
from daxa.fetch.directories import list_directory
from daxa.fetch.parts import discard_part, part_of
from daxa.fetch.transfer import download
from daxa.missions import find_mission
from daxa.query.tables.name_resolution import resolve_name
from daxa.query.tables.services import fetch_table
from daxa.settings import Settings
from tests.fetch.conftest import HASTE, connected

BODY = b'<html><title>Index of /x</title><pre><a href="a.gz">a.gz</a> 2020-03-21 12:16 1.5K\n</pre></html>\n'
ANSWER = (
    b"HTTP/1.1 206 Partial Content\r\nContent-Type: text/html\r\nETag: \"1-2\"\r\nContent-Range: bytes 0-99/100\r\n"
    b"Last-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\nRetry-After: 1\r\nLocation: /x/a.gz\r\n"
    b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)  # fmt: skip
LINES = [b"Content-Range: bytes 0-99/100\r\n", b"Retry-After: 1\r\n", b"Location: /x/a.gz\r\n",
         b"Transfer-Encoding: chunked\r\n", b"Content-Length: %d\r\n" % len(BODY)]  # fmt: skip
STATUSES = [b"200 OK", b"206 Partial Content", b"301 Moved", b"302 Found", b"304 Not Modified", b"404 Not Found",
            b"416 Range Not Satisfiable", b"429 Too Many", b"503 Busy", b"100 Continue", b"999 What",
            b"-1 x"]  # fmt: skip


@st.composite
def answers(draw) -> bytes:
    """An answer with another status, lines left out, and bytes changed."""
    raw = ANSWER.replace(b"206 Partial Content", draw(st.sampled_from(STATUSES)), 1)
    for line in draw(st.lists(st.sampled_from(LINES), max_size=4, unique=True)):
        raw = raw.replace(line, b"")
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=4)) + raw[at + draw(st.integers(0, 4)) :]
    return raw[: draw(st.integers(0, len(raw)))] if draw(st.booleans()) else raw


class Mouth:
    """A port that sends the same bytes to every client, and hangs up."""

    def __init__(self) -> None:
        self.words = b""
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                with caller, contextlib.suppress(OSError):
                    caller.settimeout(2.0)
                    caller.recv(65536)
                    caller.sendall(self.words)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture(scope="module")
def mouth():
    speaking = Mouth()
    yield speaking
    speaking.close()


@pytest.fixture
def ours(mouth, tmp_path, monkeypatch) -> Settings:
    monkeypatch.setattr("daxa.query.tables.exchange._TRIES", 1)
    return Settings(
        **dict.fromkeys(("heasarc_tap", "heasarc_datalink", "heasarc_tree", "sesame", "xsa_tap"), mouth.url + "/x"),
        store=tmp_path / "store",
        connect_timeout=1.0,
        read_timeout=0.5,
        answer_timeout=1.0,
    )


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(answers())
def test_whatever_is_answered_ends_in_a_typed_error_or_in_what_was_sent(mouth, ours, tmp_path, words):
    mouth.words = words
    connection = connected(ours, replace(HASTE, tries=2, longest=0.001))
    part = part_of(tmp_path / "parts", mouth.url)
    for ask in (
        lambda: download(connection, f"{mouth.url}/x/a.gz", part),
        lambda: list_directory(connection, f"{mouth.url}/x"),
        lambda: read_text(connection, f"{mouth.url}/x/text"),
        lambda: fetch_table(find_mission("xmm"), ours),
        lambda: resolve_name("Abell 907", ours),
    ):
        with contextlib.suppress(DaxaError):
            ask()
    if part.exists():
        discard_part(part)
