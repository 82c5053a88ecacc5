"""Process public observations with real mission software, and write a report of each to send to daxa's authors.

::

    python -m tests.acceptance.check_suite PLACE sas [MISSION [OBSID]]

Without a mission, those that `PUBLIC` names for the suite are tried; of each, all instruments that the suite processes,
also those that must be chosen by name.  A directory for each mission in `PLACE` receives the files, the logs, and
``report.txt``: release and calibration, what every tool says of its own parameters, the verdict on every call, the
products.  Nothing of it is judged here but by the backend itself.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from daxa.backends import find_backend
from daxa.backends.chains import Chain, ChainBackend
from daxa.backends.registry import calibration_to_accept
from daxa.backends.tools.environment import Installation, call_environment, search_path
from daxa.errors import DaxaError
from daxa.missions import find_mission
from daxa.missions.spec import MissionSpec
from daxa.query.mission import Mission
from daxa.run.hashes import find_files
from daxa.run.process import run_limited
from daxa.run.steps import OWN_STEPS
from daxa.run.task import Input, ProductFile, Task, canonical
from daxa.settings import Settings, load_settings
from daxa.stages.work import FetchWork

PUBLIC = {
    "sas": {"xmm": "0404910601"},
    "esass": {"erass1": "053141", "erosita_calpv": "700177"},
    "ciao": {"chandra": "18461"},
    "heasoft": {"nustar": "30101031002", "swift": "00092220001"},
}
"""Suite to the missions that show what it can do, with an observation of each."""

_SECONDS = 60.0
_MOST = 1 << 20
_ALL_SHOWN = 200


def check_suite(
    suite: str,
    mission: str,
    obs_id: str,
    place: Path,
    *,
    settings: Settings | None = None,
    instruments: Sequence[str] = (),
) -> list[str]:
    """The lines of the report, which also stand in ``report.txt`` below `place`.

    Parameters
    ----------
    suite, mission, obs_id
        What to process with what.
    place
        An empty directory.
    settings
        Of the network; those of the user by default.
    instruments
        By default `kinds_of`.
    """
    backend = find_backend(suite)
    if not isinstance(backend, ChainBackend):
        raise SystemExit(f"{suite} is not mission software")
    lines: list[str] = []
    with (place / "report.txt").open("w", encoding="utf-8") as report:
        told = settings or load_settings()
        for line in _report(backend, mission, obs_id, place, settings=told, instruments=instruments):
            print(line, file=report, flush=True)
            lines.append(line)
    return lines


def _report(
    backend: ChainBackend, mission: str, obs_id: str, place: Path, *, settings: Settings, instruments: Sequence[str]
) -> Iterator[str]:
    located = backend.locate()
    yield f"{mission} {obs_id} with {backend.name} on {platform.platform()}, Python {platform.python_version()}"
    if not located.found:
        yield f"FAILED: there is no {', no '.join(located.missing)}; {located.remedy}"
        return
    yield f"{located.version}; calibration {located.calibration}"
    chains = [chain for one in OWN_STEPS if (chain := backend.chain(mission, one.name))]
    yield from _parameters(backend, chains, place)
    spec = find_mission(mission)
    try:
        chosen, origin = _located(spec, obs_id, list(instruments) or kinds_of(backend, spec), settings)
    except DaxaError as error:
        yield f"FAILED {error.code}: {error.message}; {error.remedy}"
        return
    yield f"instruments: {', '.join(chosen)}"
    facts = canonical({"instruments": chosen})
    (place / "archive" / ".git").mkdir(parents=True)
    work = FetchWork(place / "archive", settings, backend.inputs(spec))
    before, failed = (
        "fetch",
        not (yield from _step(work, Task(mission, "fetch", obs_id, "daxa", "1", facts=facts, origin=origin), place)),
    )
    for chain in chains:
        if failed:
            yield f"{chain.step}: left out"
            continue
        accepted = calibration_to_accept(backend, located.calibration)
        inputs = tuple(Input(before, one) for one in _files(place / before))
        values = ("{}", facts, inputs, located.calibration)
        task = Task(mission, chain.step, obs_id, backend.name, chain.version, *values, accepted=accepted)

        def carry_out(task: Task, target: Path, log: object, before: str = before) -> None:
            backend.resume(task, {before: place / before}, target, log, place / f"work-{task.step}")  # type: ignore[arg-type]

        failed = not (yield from _step(carry_out, task, place))
        before = chain.step
    yield "FAILED" if failed else "all steps ended"


def kinds_of(backend: ChainBackend, spec: MissionSpec) -> list[str]:
    """The instruments of a mission that are usually chosen, and all others whose files the backend starts from."""
    named = {one.instrument for one in backend.inputs(spec)} | set(spec.default_instruments)
    return [one.name for one in spec.instruments if one.name in named]


def _located(spec: MissionSpec, obs_id: str, instruments: list[str], settings: Settings) -> tuple[list[str], str]:
    """The instruments that were on, and what locates the observation: the path of some contains a month."""
    if "{yyyy_mm}" not in spec.directory:
        return instruments, canonical({})
    row = Mission(spec.name, settings).filter(obs_ids=[obs_id], instruments=instruments).observations.iloc[0]
    return row["instruments"].split(","), canonical({"row": {"start": float(row["start"])}})


def _step(work: object, task: Task, place: Path) -> Iterator[str]:
    """Lines on one step; whether it ended well."""
    target = place / task.step
    target.mkdir()
    with (place / f"{task.step}.log").open("w", encoding="utf-8") as log:
        try:
            work(task, target, log)  # type: ignore[operator]
            outcome = ""
        except DaxaError as error:
            outcome = f"FAILED {error.code}: {error.message}; {error.remedy}"
    text = (place / f"{task.step}.log").read_text(encoding="utf-8", errors="replace")
    yield f"\n{task.step}:"
    yield from (line for line in text.splitlines() if line.startswith(("== ", "$ ", "  ", "left out")))
    files = _files(target)
    yield from (f"  {one.size:>12} {one.path}" for one in files[:_ALL_SHOWN])
    yield outcome or f"{task.step}: {len(files)} files"
    return not outcome


def _files(directory: Path) -> list[ProductFile]:
    found = []
    for path, status in sorted(find_files(directory).items()):
        with (directory / path).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        found.append(ProductFile(path, status.st_size, digest, digest))
    return found


def _parameters(backend: ChainBackend, chains: Sequence[Chain], place: Path) -> Iterator[str]:
    """What every tool prints of its parameters: tables that are not complete can be completed from it."""
    installed = backend._installed()
    ask = {"sas": ["{tool}", "-p"]}.get(backend.name, ["plist", "{tool}"])
    scratch = place / "asked"
    for tool in dict.fromkeys(link.tool for chain in chains for link in chain.links):
        scratch.mkdir(exist_ok=True)
        argv = [one.format(tool=tool) for one in ask]
        yield f"\n$ {' '.join(argv)}"
        yield from _said(installed, argv, scratch)


def _said(installed: Installation, argv: Sequence[str], scratch: Path) -> Iterator[str]:
    program = next(
        (path for one in search_path(installed).split(":") if os.access(path := Path(one, argv[0]), os.X_OK)), None
    )
    if program is None:
        yield "it is not there"
        return
    environ: Mapping[str, str] = call_environment(installed, scratch / "private")
    streams = [scratch / f"{argv[-2]}-{argv[-1]}.{end}" for end in ("out", "err")]
    ended = run_limited(
        [str(program), *argv[1:]], cwd=scratch, environ=environ, stdout=streams[0], stderr=streams[1],
        seconds=_SECONDS, most_bytes=_MOST,
    )  # fmt: skip
    for stream in streams:
        yield from stream.read_text(encoding="utf-8", errors="replace").splitlines()
    yield f"status {ended.code}"


def main(arguments: Sequence[str]) -> None:
    """Check a suite, and print the reports."""
    place, suite, *rest = arguments
    mission, obs_id = (*rest, "", "")[:2]
    missions = PUBLIC[suite]
    if mission or obs_id:
        mission = mission or next(iter(missions))
        missions = {mission: obs_id or missions.get(mission, "") or find_mission(mission).id_example}
    for mission, obs_id in missions.items():
        if (own := Path(place) / mission).exists():
            raise SystemExit(f"{own} is there already: remove it, or name another place with PLACE=...")
        own.mkdir(parents=True)
        for line in check_suite(suite, mission, obs_id, own):
            print(line, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
