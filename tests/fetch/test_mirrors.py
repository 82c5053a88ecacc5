"""Which servers are used for a mission's files: those that it declares or the user names, and no others."""

from __future__ import annotations

import contextlib
import re
import string
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from daxa.addresses import SERVICES, Mirror, read_mirrors
from daxa.errors import ConfigError, DataError, DaxaError, ServiceError
from daxa.fetch import connection as connections
from daxa.fetch import mirrors as module
from daxa.fetch.locations import ObservationRef
from daxa.fetch.mirrors import mirrors_of
from daxa.fetch.observation import fetch_observation, restore_observation
from daxa.missions import find_mission, mission_names
from daxa.run.task import ProductFile
from daxa.settings import Settings, load_settings
from tests.fetch.buckets import Bucket, running
from tests.fetch.conftest import HASTE, Served, events_file, status, tree

NUSTAR = find_mission("nustar")
OBS = "30101031002"
A = f"event_cl/nu{OBS}A01_cl.evt.gz"
PLACE = NUSTAR.directory_of(OBS)
EVENTS = events_file(3)


@pytest.fixture(autouse=True)
def nobody_is_down(monkeypatch):
    monkeypatch.setattr(module, "_DOWN", {})


def listing(*names: str) -> Served:
    links = "".join(f'<a href="{name}">{name}</a>' for name in names)
    return Served(f"<html><title>Index of x</title>{links}</html>".encode())


def serve_all(server) -> None:
    server.files[f"/FTP/{PLACE}/event_cl/"] = listing(A.rpartition("/")[2])
    server.files[f"/FTP/{PLACE}/{A}"] = Served(EVENTS)


def own(settings: Settings, text: str, mission: str = "nustar") -> Settings:
    return replace(settings, mirrors=((mission, text),), read_timeout=1.0, connect_timeout=1.0)


def fetch(settings: Settings, tmp_path, spec=NUSTAR, log=None, **keywords):
    target = tmp_path / "out"
    return fetch_observation(
        ObservationRef(spec, OBS, **keywords), ["FPMA"], (), target=target, parts=tmp_path / "parts", settings=settings,
        patience=replace(HASTE, tries=2), say=(log if log is not None else []).append,
    )  # fmt: skip


NOWHERE = "http://127.0.0.1:9/x"


def test_the_next_mirror_is_tried_when_one_is_not_reachable(server, settings, tmp_path):
    serve_all(server)
    log: list[str] = []
    (arrival,) = fetch(own(settings, f"{NOWHERE} {server.url}/FTP"), tmp_path, log=log)
    assert arrival.url == f"{server.url}/FTP/{PLACE}/{A}"
    assert tree(tmp_path / "out") == {A: EVENTS}
    assert any(f"asking {server.url}/FTP" in line for line in log)
    assert module.is_down(NOWHERE)
    again: list[str] = []
    fetch(own(settings, f"{NOWHERE} {server.url}/FTP"), tmp_path, log=again)
    assert not any("asking" in line for line in again)  # it is asked last for some minutes


@pytest.mark.parametrize(
    "first",
    [
        {},
        {"/first/": status(503, {"Retry-After": "0"})},
        {f"/first/{PLACE}/event_cl/": status(200, body=b"<html>we are down for maintenance</html>")},
        {f"/first/{PLACE}/event_cl/": status(302, {"Location": "https://elsewhere.example/"})},
    ],
)
def test_a_mirror_that_does_not_have_it_is_skipped(server, settings, tmp_path, first):
    serve_all(server)
    for path, answer in first.items():
        server.files[path] = Served(b"", script=[answer] * 20)
    (arrival,) = fetch(own(settings, f"{server.url}/first {server.url}/FTP"), tmp_path)
    assert arrival.url.startswith(f"{server.url}/FTP/")


def test_a_damaged_copy_does_not_hide_a_whole_one(server, settings, tmp_path):
    serve_all(server)
    server.files[f"/first/{PLACE}/event_cl/"] = listing(A.rpartition("/")[2])
    server.files[f"/first/{PLACE}/{A}"] = Served(EVENTS[:-500])
    (arrival,) = fetch(own(settings, f"{server.url}/first {server.url}/FTP"), tmp_path)
    assert tree(tmp_path / "out") == {A: EVENTS}
    assert arrival.url.startswith(f"{server.url}/FTP/")


def test_what_no_mirror_has_is_reported_as_by_the_first(server, settings, tmp_path):
    with pytest.raises(DataError) as caught:
        fetch(own(settings, f"{server.url}/one {NOWHERE}"), tmp_path)
    assert (caught.value.code, "/one/" in caught.value.message) == ("data.absent", True)
    with pytest.raises(ServiceError) as caught:
        fetch(own(settings, f"{NOWHERE} {server.url}/one"), tmp_path)
    assert caught.value.code == "service.unreachable"


def test_what_a_user_may_not_see_is_not_requested_from_others(server, settings, tmp_path):
    serve_all(server)
    server.files[f"/first/{PLACE}/event_cl/"] = Served(b"", script=[status(403)] * 9)
    with pytest.raises(DataError) as caught:
        fetch(own(settings, f"{server.url}/first {server.url}/FTP"), tmp_path)
    assert caught.value.code == "data.proprietary"


def test_a_bucket_a_disk_and_another_layout_serve_as_well(server, settings, tmp_path):
    disk = tmp_path / "disk" / OBS / "event_cl"
    disk.mkdir(parents=True)
    (disk / A.rpartition("/")[2]).write_bytes(EVENTS)
    with running(Bucket({f"copy/{PLACE}/{A}": EVENTS})) as bucket:
        for text, begins in (
            (f"s3+{bucket.url}/copy/{{directory}}", None),
            (f"s3+{bucket.url}", None),
            (f"{(tmp_path / 'disk').as_uri()}/{{obs_id}}", "file:///"),
        ):
            if begins is None and "copy" not in text:
                bucket.objects[f"{PLACE}/{A}"] = EVENTS
            if "copy" in text:
                # A bucket has one root; what precedes the keys belongs to the layout.
                mirror = Mirror(bucket.url, "s3", "copy/{directory}")
                spec = replace(NUSTAR, mirrors=(mirror,))
                (arrival,) = fetch(replace(settings, store=tmp_path / "s1"), tmp_path, spec)
            else:
                (arrival,) = fetch(own(replace(settings, store=tmp_path / f"s{len(text)}"), text), tmp_path)
            assert tree(tmp_path / "out") == {A: EVENTS}
            assert begins is None or arrival.url.startswith(begins)


def test_a_file_that_a_ledger_names_may_come_from_a_mirror_that_still_has_it(server, settings, tmp_path):
    serve_all(server)
    (arrival,) = fetch(own(settings, f"{server.url}/FTP"), tmp_path)
    file = ProductFile(arrival.path, arrival.size, arrival.sha256, arrival.sha256)
    server.files[f"/first/{PLACE}/event_cl/"] = listing(A.rpartition("/")[2])
    server.files[f"/first/{PLACE}/{A}"] = Served(events_file(4))
    (brought,) = restore_observation(
        ObservationRef(NUSTAR, OBS), [file], target=tmp_path / "again", parts=tmp_path / "parts", patience=HASTE,
        settings=replace(own(settings, f"{server.url}/first {server.url}/FTP"), store=tmp_path / "fresh"),
    )  # fmt: skip
    assert brought.url.startswith(f"{server.url}/FTP/")
    assert tree(tmp_path / "again") == {A: EVENTS}


def test_the_users_mirrors_replace_or_precede():
    declared = NUSTAR.mirrors
    assert mirrors_of(NUSTAR, Settings()) == declared
    mine = Settings(mirrors=(("nustar", "nginx+https://m.example/x declared"), ("", "https://all.example")))
    assert mirrors_of(NUSTAR, mine) == (Mirror("https://m.example/x", "nginx"), *declared)
    assert mirrors_of(find_mission("xmm"), mine) == (Mirror("https://all.example"),)
    moved = Settings(heasarc_tree="https://copy.example/FTP", heasarc_datalink="https://copy.example/datalink")
    assert mirrors_of(find_mission("chandra"), moved) == (
        Mirror("https://copy.example/FTP", datalink="https://copy.example/datalink"),
    )
    assert mirrors_of(find_mission("erosita_calpv"), moved) == find_mission("erosita_calpv").mirrors
    with pytest.raises(ConfigError, match="unknown fields"):
        mirrors_of(NUSTAR, Settings(mirrors=(("nustar", "https://m.example/{proposal}/{obs_id}"),)))


def test_settings_of_mirrors_come_from_every_source(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text('mirrors_xmm = "nginx+https://file.example/xmm"\nmirrors = "https://every.example declared"\n')
    given = load_settings(
        {"mirrors_swift": "https://archive.example"},
        environ={
            "DAXA_MIRRORS_XMM": "s3+https://environ.example declared",
            "DAXA_TAP_LOBSTER": "https://t.example/tap/",
        },
        user_file=file,
    )
    assert dict(given.mirrors) == {
        "": "https://every.example declared",
        "swift": "https://archive.example",
        "xmm": "s3+https://environ.example declared",
    }
    assert dict(given.taps) == {"lobster": "https://t.example/tap"}
    assert given.address("mirrors_xmm") == "s3+https://environ.example declared"
    assert given.address("tap_lobster") == "https://t.example/tap"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ftp://m.example",
        "gopher+https://m.example",
        "https://me:secret@m.example/x",
        "https://m.example/x?y=1",
        "https://m.example/x#y",
        "https://",
        "file://host/data",
        "file:data",
        "nginx+file:///data",
        "local+https://m.example",
        "https://m.example/{obs_id!r}",
        "https://m.example/{obs_id:>99999999999}",
        "https://m.example/{obs_id:{obs_id}}",
        "https://m.example/{obs_id.__class__}",
        "https://m.example/{0}",
        "https://m.example/{obs_id}/../x",
        "https://m.example/{obs_id",
        "https://m.example:0/x",
        "https://m.example:99999/x",
    ],
)
def test_what_is_not_a_mirror_is_refused(text):
    with pytest.raises(ValueError):
        read_mirrors(text)
    if text:
        with pytest.raises(ConfigError):
            load_settings(environ={"DAXA_MIRRORS": text, "DAXA_STORE": "/s"}, user_file=None)


def test_no_archive_leads_to_files_of_this_machine():
    with pytest.raises(ConfigError):
        load_settings({"mirrors_xmm": "file:///etc"}, environ={"DAXA_STORE": "/s"}, user_file=None)
    own_disk = load_settings(environ={"DAXA_MIRRORS_XMM": "file:///data", "DAXA_STORE": "/s"}, user_file=None)
    assert mirrors_of(find_mission("xmm"), own_disk) == (Mirror("file:///data", "local"),)


def a_match(pattern: str) -> str:
    """Some text that an expression matches as a whole."""
    from re import _parser

    def one(op, value) -> str:
        if str(op) in ("ASSERT", "ASSERT_NOT"):
            return ""
        match str(op):
            case "LITERAL":
                return chr(value)
            case "IN":
                letters = string.ascii_letters + string.digits
                return next(one for one in letters if re.match(pattern_of(value), one))
            case "MAX_REPEAT" | "MIN_REPEAT":
                return "".join(map_parts(value[2])) * value[0]
            case "SUBPATTERN":
                return "".join(map_parts(value[3]))
            case "BRANCH":
                return "".join(map_parts(value[1][0]))
        raise NotImplementedError(op)

    def pattern_of(members) -> str:
        kinds = {"CATEGORY_DIGIT": r"\d", "CATEGORY_WORD": r"\w"}
        inside = (
            re.escape(chr(value)) if str(op) == "LITERAL"
            else f"{chr(value[0])}-{chr(value[1])}" if str(op) == "RANGE" else kinds[str(value)]
            for op, value in members
        )  # fmt: skip
        return f"[{''.join(inside)}]"

    def map_parts(parsed):
        return [one(op, value) for op, value in parsed]

    text = "".join(map_parts(_parser.parse(pattern)))
    assert re.fullmatch(pattern, text)
    return text


class World(httpx.BaseTransport):
    """Every server there is: each lists the files of one observation as its style asks, and keeps them to itself."""

    def __init__(self, paths: list[str]) -> None:
        self.paths, self.hosts, self.kinds = paths, [], []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.hosts.append(request.url.host)
        asked = parse_qs(urlsplit(str(request.url)).query)
        path = request.url.path
        if "datalink" in path:
            return httpx.Response(404)
        if asked.get("list-type"):
            prefix = asked["prefix"][0]
            keys = "".join(
                f"<Contents><Key>{prefix}{name}</Key><Size>9</Size></Contents>" for name in self.below(prefix)
            )
            text = (
                f"<ListBucketResult><Prefix>{prefix}</Prefix><IsTruncated>false</IsTruncated>{keys}</ListBucketResult>"
            )
            self.kinds.append("list")
            return _answer(text)
        if path.endswith("/"):
            self.kinds.append("list")
            links = "".join(f'<a href="{name}">x</a>' for name in self.below(path))
            return _answer(f"<html><title>Index of x</title>{links}</html>")
        self.kinds.append("file")
        return httpx.Response(404)

    def below(self, directory: str) -> list[str]:
        folder = directory.rstrip("/").rpartition("/")[2]
        names = [path.rpartition("/") for path in self.paths]
        return [name for place, _, name in names if not place or place.rpartition("/")[2] == folder]


def _answer(text: str) -> httpx.Response:
    return httpx.Response(200, stream=httpx.ByteStream(text.encode()))


FETCHED = [name for name in mission_names() if find_mission(name).native_inputs]


@pytest.mark.parametrize("mission", mission_names())
def test_hosts_are_those_that_the_mission_declares(mission, monkeypatch, tmp_path):
    spec = find_mission(mission)
    obs_id = spec.id_example or {"xmm_slew": "9081400004", "bepposax": "20166001"}.get(mission, "")
    if not obs_id:
        pytest.skip("no ObsID of it is known")
    world = World([a_match(item.pattern) for item in _filled(spec, obs_id)])
    client = httpx.Client(transport=world)
    monkeypatch.setattr(connections, "open_client", lambda *_: client)
    row = {"start": 55544.2} | dict.fromkeys(spec.directory_columns, "001")
    with contextlib.suppress(DaxaError):
        fetch_observation(
            ObservationRef(spec, obs_id, "7", row), spec.default_instruments or [spec.instruments[0].name], (),
            target=tmp_path / "out", parts=tmp_path / "parts", settings=Settings(store=tmp_path / "store"),
            patience=replace(HASTE, tries=1),
        )  # fmt: skip
    # Of a mission without files to fetch, only the directory is requested from the first mirror.
    asked = spec.mirrors if mission in FETCHED else spec.mirrors[:1]
    declared = {urlsplit(address).hostname for mirror in asked for address in (mirror.root, mirror.datalink)}
    assert set(world.hosts) == declared - {None, ""}
    assert ("file" in world.kinds) == (mission in FETCHED)
    assert urlsplit(spec.mirrors[0].root).hostname in world.hosts


def _filled(spec, obs_id):
    return [replace(item, pattern=item.regex(obs_id).pattern) for item in spec.native_inputs]


def test_a_plug_ins_own_server_is_the_only_one_that_is_used(monkeypatch, tmp_path):
    spec = replace(NUSTAR, name="lobster", mirrors=(Mirror("https://lobster.example/data", "nginx"),))
    world = World([a_match(item.pattern) for item in _filled(spec, OBS)])
    monkeypatch.setattr(connections, "open_client", lambda *_: httpx.Client(transport=world))
    with pytest.raises(DaxaError):
        fetch(Settings(store=tmp_path / "store"), tmp_path, spec, row_id="7")
    assert set(world.hosts) == {"lobster.example"}
    assert SERVICES["heasarc_tree"] not in {mirror.root for mirror in spec.mirrors}
