"""The environment that mission software needs, as its set-up script makes it in a clean shell.

Only here does daxa run a shell, and only what the user's own configuration names, a script or environment modules,
never anything from an archive.  The variables that the script changes are cached by the digests of its text and of
every file that it read, and are given only to the programs of that software.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path

from daxa.backends.tools.container import Container, digest_file, find_container, run_installed
from daxa.backends.tools.environment import Installation, search_path
from daxa.backends.tools.installed import find_release
from daxa.backends.tools.reading import read_suite, tool_names
from daxa.backends.tools.setup import SoftwareSetup, read_setup, split_container
from daxa.backends.tools.tables import Suite
from daxa.errors import ProgramError
from daxa.files import read_note, replace_file
from daxa.run.process import Limited
from daxa.settings import load_settings
from daxa.text import plain

__all__ = ["find_installation"]

_FORM = 1
"""Version of the cache; raised when what is captured, or how, changes."""

_SECONDS = 120.0
"""Time limit of a set-up script; the slowest, on a network file system, take half a minute."""

_MOST_SAID = 1 << 20
_MOST_FILE = 16 << 20
_CLEAN_PATH = "/usr/local/bin:/usr/bin:/bin"
_KEPT = re.compile(r"HOME|USER|LOGNAME|TMPDIR")
_OF_MODULES = re.compile(r"MODULE(?:PATH|SHOME|RCFILE)|LMOD_\w+|MODULES_\w+|SYSTEM_NAME")
_OF_THE_SHELL = re.compile(r"_|SHLVL|PWD|OLDPWD|PS4|BASH_\w*|SHELLOPTS|BASHOPTS|_daxa_\w+|.*[^\w].*", re.DOTALL)
"""Variables that are unrelated to the software; exported functions have a name that no program could set."""

_SOURCED = re.compile(rb"^\++\x1f([^\x1f\n]+)\x1f(\d*)\x1f", re.MULTILINE)
"""File and line of what the shell did."""

_SHOWN_LINES = 3
"""Lines of what a set-up script said last that its failure shows."""

_LAUNCH = (
    'command -v bash > /dev/null 2>&1 && exec bash --noprofile --norc "$0" bash; '
    'command -v sh > /dev/null 2>&1 && exec sh "$0" sh; exit 127'
)

_SCRIPT = r"""command -p env -0 > {before} || exit 120
if [ -n "${{BASH_VERSION-}}" ]; then
  exec 9> {trace}
  BASH_XTRACEFD=9
  PS4="+$(printf '\037')\${{BASH_SOURCE-}}$(printf '\037')\${{LINENO-}}$(printf '\037')"
  set -x
fi
. {setup}
_daxa_status=$?
{{ set +x; }} 2> /dev/null
[ "$_daxa_status" = 0 ] && command -p env -0 > {after}
exit "$_daxa_status"
"""

_MODULES = """if ! command -v module > /dev/null 2>&1; then
  for _daxa_init in "${{MODULESHOME:-/none}}/init/bash" /usr/share/modules/init/bash /usr/share/Modules/init/bash \\
    /usr/share/lmod/lmod/init/bash /etc/profile.d/modules.sh /etc/profile.d/lmod.sh; do
    if [ -r "$_daxa_init" ]; then . "$_daxa_init"; break; fi
  done
fi
command -v module > /dev/null 2>&1 || {{ echo "this machine has no command module" >&2; return 1; }}
module load {names}
"""


def find_installation(
    suite: str, *, environ: Mapping[str, str] | None = None, user_file: Path | str = ""
) -> Installation:
    """Find mission software through the user's configuration or the environment of this process.

    The table ``[backends.<suite>]`` of the configuration has ``init``, ``modules`` or ``container``
    (`daxa.backends.tools.setup`).  Without it, the software in the environment is used.

    Parameters
    ----------
    suite
        Name of its tables, such as ``sas``.
    environ, user_file
        As for `daxa.settings.load_settings`.

    Raises
    ------
    ConfigError
        The configuration cannot be used.
    ProgramError
        The software is missing, or its set-up script fails, hangs, or does not set it up.
    """
    known = read_suite(suite)
    given = dict(os.environ if environ is None else environ)
    setup = read_setup(known, environ=given, user_file=user_file)
    if not setup.is_given:
        return Installation(known, _release(known, given, None), given)
    cache = load_settings(environ=given, user_file=user_file).cache
    container = None
    if setup.container:
        engine, image = split_container(setup.container)
        search = given.get("PATH", _CLEAN_PATH)
        container = find_container(engine, image, setup.mounts, search, partial(_digest_image, cache))
    found = _environment(known, setup, given, container, cache)
    # The user's variables may refer to those of the script.
    found |= dict(setup.variables)
    if container:
        path = search_path(Installation(known, "", found))
        container = replace(container, programs=_programs(suite, path, _keyed(container)))
    return Installation(known, _release(known, found, container), found, container)


def _release(suite: Suite, environ: Mapping[str, str], container: Container | None) -> str:
    """The release, looked up once as long as the program that reports it does not change."""
    first = suite.version_command[0] if suite.version_command else tool_names(suite.name)[0]
    stamp: object = None
    if container is None and (program := shutil.which(first, path=search_path(Installation(suite, "", environ)))):
        found = Path(program).resolve().stat()
        stamp = (program, found.st_ino, found.st_size, found.st_mtime_ns)
    return _cached_release(suite.name, stamp, tuple(sorted(environ.items())), _keyed(container))


@dataclass(frozen=True)
class _Keyed:
    """A container as part of a key: its digest identifies it."""

    digest: str
    container: Container | None = field(compare=False)


def _keyed(container: Container | None) -> _Keyed:
    return _Keyed(container.digest if container else "", container)


@lru_cache(maxsize=16)
def _cached_release(suite: str, stamp: object, environ: tuple[tuple[str, str], ...], container: _Keyed) -> str:
    return find_release(read_suite(suite), dict(environ), container.container)


def _environment(
    suite: Suite, setup: SoftwareSetup, given: Mapping[str, str], container: Container | None, cache: Path
) -> dict[str, str]:
    base = _clean(setup, given)
    text = _MODULES.format(names=" ".join(map(shlex.quote, setup.modules))) if setup.modules else setup.init
    if not text and container is None:
        return dict(given)
    what = [_FORM, text, sorted(base.items()), container.digest if container else ""]
    key = hashlib.sha256(json.dumps(what).encode("utf-8", "surrogateescape")).hexdigest()
    path = cache / "environments" / f"{suite.name}-{key[:32]}.json" if cache != Path() else None
    if path and (kept := _read_kept(path)) is not None:
        return base | kept if container is None else kept
    changed, read = _capture(suite, text, base, container)
    if setup.modules:
        _check_modules(suite, setup, changed)
    if path:
        files = (
            _digests([*map(str, [*read, *_files_named(text)]), *_module_files(changed)]) if container is None else {}
        )
        note = {"files": files, "environ": changed}
        # Files in a group-writable directory, as some systems create them, would not be trusted.
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(path, (json.dumps(note, indent=1) + "\n").encode("ascii"))
        path.chmod(0o600)
    return base | changed if container is None else changed


def _clean(setup: SoftwareSetup, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of a shell before any set-up."""
    kept = {
        name: value
        for name, value in given.items()
        if _KEPT.fullmatch(name) or (setup.modules and _OF_MODULES.fullmatch(name))
    }
    return {"PATH": _CLEAN_PATH, "LANG": "C.UTF-8", "TERM": "dumb", **kept}


def _read_kept(path: Path) -> dict[str, str] | None:
    """The cached variables, if no file that was read has changed, and nobody else can have written the cache."""
    try:
        found, folder = path.lstat(), path.parent.lstat()
    except OSError:
        return None
    if any(one.st_uid != os.getuid() or one.st_mode & 0o022 for one in (found, folder)) or path.is_symlink():
        return None
    note = read_note(path)
    files, environ = note.get("files"), note.get("environ")
    if not isinstance(files, dict) or not isinstance(environ, dict) or _digests(files) != files:
        return None
    return {str(name): str(value) for name, value in environ.items()}


def _capture(
    suite: Suite, text: str, base: Mapping[str, str], container: Container | None
) -> tuple[dict[str, str], list[Path]]:
    """The variables that a set-up text changes, and the files that the shell read for it."""
    with tempfile.TemporaryDirectory(prefix="daxa-setup-") as name:
        place = Path(name).resolve()
        paths = {one: place / one for one in ("before", "after", "setup", "trace", "script")}
        paths["setup"].write_text(text + "\n", encoding="utf-8", errors="surrogateescape")
        quoted = {one: shlex.quote(str(path)) for one, path in paths.items()}
        paths["script"].write_text(_SCRIPT.format_map(quoted), encoding="utf-8")
        argv = ["/bin/sh", "-c", _LAUNCH, str(paths["script"])]
        ended = _run(argv, place, {} if container else base, container)
        trace = paths["trace"].read_bytes() if paths["trace"].is_file() else b""
        places = _SOURCED.findall(trace)
        if ended.limit or ended.code or not paths["after"].is_file():
            said = _last_lines(place / "stderr") or _last_lines(place / "stdout")
            raise _failed(suite, ended.code, ended.limit, said, _where(places, paths))
        before, after = (_read_environ(paths[one]) for one in ("before", "after"))
    own = {os.fsencode(paths["setup"]), os.fsencode(paths["script"])}
    read = [Path(os.fsdecode(one)) for one in sorted({file for file, _ in places} - own) if one.startswith(b"/")]
    # In a container, its initial variables count as well.
    former = before if container is None else {}
    changed = {key: value for key, value in after.items() if former.get(key) != value}
    return {key: value for key, value in changed.items() if not _OF_THE_SHELL.fullmatch(key)}, read


def _run(argv: Sequence[str], place: Path, environ: Mapping[str, str], container: Container | None) -> Limited:
    return run_installed(
        container,
        argv,
        cwd=place,
        environ=environ,
        stdout=place / "stdout",
        stderr=place / "stderr",
        seconds=_SECONDS,
        most_bytes=_MOST_SAID,
    )


def _read_environ(path: Path) -> dict[str, str]:
    pairs = (os.fsdecode(one).partition("=") for one in path.read_bytes().split(b"\0"))
    return {name: value for name, _, value in pairs if name}


def _last_lines(path: Path) -> str:
    lines = [one for one in plain(path.read_text(encoding="utf-8", errors="replace")).splitlines() if one.strip()]
    return " / ".join(line.strip()[:300] for line in lines[-_SHOWN_LINES:])


def _where(places: Sequence[tuple[bytes, bytes]], paths: Mapping[str, Path]) -> str:
    """The last line that the shell came to in a set-up text or a script, '' where the shell does not say.

    What stands in that line is not shown: it may hold a password.
    """
    setup, script = (os.fsencode(paths[one]) for one in ("setup", "script"))
    for file, line in reversed(places):
        if file != script and line:
            name = "its text" if file == setup else plain(os.fsdecode(file))
            return f"line {line.decode()} of {name}"
    return ""


def _failed(suite: Suite, code: int | None, limit: str, said: str, where: str) -> ProgramError:
    place = f"[backends.{suite.name}]"
    if limit == "time":
        why, remedy = f"did not end within {_SECONDS:g} s", "make it run without questions and waiting"
    elif limit:
        why, remedy = "writes too much output", "run it by hand in a new shell, and see what it prints"
    elif code == 127 and not said:
        why, remedy = "cannot run: there is neither bash nor sh", "install bash"
    elif not code:
        why, remedy = "ended the shell itself", "take `exit` and `exec` out of it"
    else:
        words = said or f"it printed nothing{f', and came to {where}' if where else ''}"
        why = f"failed with status {code}: {words}"
        remedy = (
            f"run it in a new shell, `env -i HOME=$HOME PATH={_CLEAN_PATH} bash --noprofile --norc`, "
            f"with `set -x` before it{f' (the shell last came to {where})' if said and where else ''}, correct it, and "
            "append `|| true` if this status means nothing"
        )
    return ProgramError("setup", f"the set-up of {suite.title} in {place} of your configuration {why}", remedy=remedy)


def _check_modules(suite: Suite, setup: SoftwareSetup, changed: Mapping[str, str]) -> None:
    """Older versions of ``module`` end with status 0 whatever happened."""
    loaded = changed.get("LOADEDMODULES", "").split(":")
    for name in setup.modules:
        if not any(one == name or one.startswith(f"{name}/") for one in loaded):
            raise ProgramError(
                "modules",
                f"the module {name} of {suite.title} was not loaded",
                remedy="see `module avail`, and correct modules in your configuration",
            )


def _files_named(text: str) -> list[Path]:
    """Files whose full path is in a text, for shells that do not report what they read."""
    words = re.split(r"[\s;&|()<>\"'`]+", text)
    return [Path(word).expanduser() for word in words if word.startswith(("/", "~/"))]


def _module_files(changed: Mapping[str, str]) -> list[str]:
    """Files of modules, and what says which of several versions is loaded: those that there are, and a default."""
    files = [one for one in changed.get("_LMFILES_", "").split(":") if one.startswith("/")]
    beside = ("", ".version", ".modulerc", ".modulerc.lua")
    return [*files, *(f"{Path(one).parent}/{name}" for one in files for name in beside)]


def _digests(paths: Iterable[str]) -> dict[str, str]:
    """Path to digest of the files that exist, and of where links to them lead.

    Of a directory, whose path ends with a stroke, it is that of its names.  A large file is a program, not a script.
    """
    found = {}
    for name in sorted(set(paths)):
        path = Path(name)
        try:
            if name.endswith("/"):
                content = "\0".join(sorted(os.listdir(path))).encode("utf-8", "surrogateescape")  # noqa: PTH208 - names
            elif path.is_file() and path.stat().st_size <= _MOST_FILE:
                content = path.read_bytes()
            else:
                continue
            # A script may set what it finds beside itself, by its own path.
            found[name] = hashlib.sha256(os.fsencode(path.resolve()) + b"\0" + content).hexdigest()
        except OSError:
            continue
    return found


@lru_cache(maxsize=16)
def _programs(suite: str, path: str, keyed: _Keyed) -> dict[str, str]:
    """Name to path of the suite's programs inside of a container."""
    names = (*tool_names(suite), *read_suite(suite).version_command[:1])
    script = 'for name in "$@"; do path=$(command -v "$name") && printf "%s\\t%s\\n" "$name" "$path"; done; exit 0'
    with tempfile.TemporaryDirectory(prefix="daxa-setup-") as name:
        place = Path(name).resolve()
        _run(["/bin/sh", "-c", script, "sh", *names], place, {"PATH": path}, keyed.container)
        lines = (place / "stdout").read_text(encoding="utf-8", errors="replace").splitlines()
    pairs = (line.partition("\t") for line in lines)
    return {name: path for name, _, path in pairs if name in names and path.startswith("/")}


def _digest_image(cache: Path, path: Path) -> str:
    """The digest of an image file, computed once as long as it is unchanged: it may have gigabytes."""
    if cache == Path() or not path.is_file():
        return digest_file(path)
    stat = path.stat()
    key = hashlib.sha256(repr((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)).encode()).hexdigest()
    note = cache / "environments" / f"image-{key[:32]}.json"
    if isinstance(known := read_note(note).get("digest"), str):
        return known
    digest = digest_file(path)
    replace_file(note, json.dumps({"digest": digest}).encode("ascii"))
    return digest
