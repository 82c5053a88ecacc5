"""What this user and this machine say: service addresses, the store, the cache, workers.

Precedence: the environment, then the ``[services]`` table of an archive's
``daxa.toml``, then the user's own file, then the defaults below.  None of it
may influence what a product contains.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from daxa.addresses import SERVICES, check_address, read_mirrors
from daxa.errors import ConfigError, DataError
from daxa.files import parse_toml

__all__ = ["Settings", "has_home", "is_address", "load_settings", "provide_home", "user_table"]


@dataclass(frozen=True)
class Settings:
    """Addresses of services and places on this machine.

    Parameters
    ----------
    heasarc_tap, heasarc_datalink, heasarc_tree
        HEASARC's TAP service, its DataLink service (the table's name is
        appended) and the root of its file tree.
    xsa_tap
        TAP service of ESA's XMM-Newton Science Archive.
    sesame, simbad_tap, ned
        The resolvers of names: CDS Sesame, Simbad's TAP service and NED.
    prefer_service
        Which service is queried first (``heasarc`` or ``xsa``) for a table that several hold.
    store
        Where fetched files live once, by digest.
    cache
        Where observation tables and the positions of names are kept; ``Path()`` keeps none.
    offline
        Query no service: use the cached observation tables, whatever their age.
    workers
        How many observations are processed at once.
    executor
        Where they are processed: ``local``, or ``dask`` for the cluster of the user's table ``[cluster]``.
    downloads
        How many observations are fetched at once (HEASARC tolerates 4-6 connections).
    connect_timeout, read_timeout
        Seconds that a connection may take to open and may stay silent.
    answer_timeout, minimum_rate
        Seconds that a whole answer may take (unless given, five times `read_timeout`, but no more
        than the larger of twice it and two minutes), and the bytes per second that it must
        bring on average to take longer.
    mirrors
        A mission, or '' for every mission, and the mirrors of its files as `daxa.addresses.read_mirrors`
        takes them; set as ``mirrors_<mission>`` or ``mirrors``.
    taps
        The name of a service that a mission declares, and the address of its TAP service; set as
        ``tap_<service>``.

    Examples
    --------
    >>> load_settings(environ={"DAXA_WORKERS": "3"}, user_file=None).workers
    3
    """

    heasarc_tap: str = SERVICES["heasarc_tap"]
    heasarc_datalink: str = SERVICES["heasarc_datalink"]
    heasarc_tree: str = SERVICES["heasarc_tree"]
    xsa_tap: str = SERVICES["xsa_tap"]
    sesame: str = SERVICES["sesame"]
    simbad_tap: str = SERVICES["simbad_tap"]
    ned: str = SERVICES["ned"]
    prefer_service: str = "heasarc"
    store: Path = Path()
    cache: Path = Path()
    offline: bool = False
    workers: int = 0
    executor: str = "local"
    downloads: int = 4
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    answer_timeout: float = 0.0
    minimum_rate: float = 10_000.0
    mirrors: tuple[tuple[str, str], ...] = ()
    taps: tuple[tuple[str, str], ...] = ()

    def address(self, name: str) -> str:
        """What the setting of an address is, as text; '' where it is not set.

        Examples
        --------
        >>> Settings(mirrors=(("xmm", "https://m.example"),)).address("mirrors_xmm")
        'https://m.example'
        """
        if found := _family(name):
            addresses: tuple[tuple[str, str], ...] = getattr(self, found[0])
            return dict(addresses).get(found[1], "")
        return str(getattr(self, name, "")) if name in SERVICES else ""

    @property
    def answer_seconds(self) -> float:
        """Seconds that a whole answer may take, however short it is.

        Examples
        --------
        >>> Settings().answer_seconds, Settings(read_timeout=2.0).answer_seconds
        (120.0, 10.0)
        """
        return self.answer_timeout or min(5 * self.read_timeout, max(120.0, 2 * self.read_timeout))


_STAND_IN = "_DAXA_HOME"
_FAMILIES = {
    "mirrors": re.compile(r"mirrors(?:_([a-z][a-z0-9_]{0,30}))?"),
    "taps": re.compile(r"tap_([a-z][a-z0-9_]{0,30})"),
}
_CHOICES = {"prefer_service": ("heasarc", "xsa"), "executor": ("local", "dask")}
_TABLES = ("backends", "cluster")
"""Tables of the user's file that are read by those whom they concern (`user_table`)."""

_SWITCH = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


def load_settings(
    archive: Mapping[str, object] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    user_file: Path | str | None = "",
) -> Settings:
    """Merge the sources of settings.

    Parameters
    ----------
    archive
        The ``[services]`` table of ``daxa.toml``: addresses only.
    environ
        The environment; ``DAXA_<NAME>`` sets the field of that name.
    user_file
        The user's TOML file; None reads none, the default is ``DAXA_CONFIG`` or
        the platform's configuration directory.

    Raises
    ------
    ConfigError
        A source names a field that does not exist, or a value cannot be used.
    """
    environ = os.environ if environ is None else environ
    merged: dict[str, object] = {}
    if user_file is not None:
        content = _read_user_file(_find_user_file(environ, user_file))
        merged |= {name: value for name, value in content.items() if name not in _TABLES}
    own = {name: value for name, value in (archive or {}).items() if is_address(name)}
    for name, value in own.items():
        _convert(name, value, files=False)  # no archive leads to files of this machine
    merged |= own
    known = {field.name for field in fields(Settings)} - set(_FAMILIES)
    given = {key.removeprefix("DAXA_").lower(): value for key, value in environ.items() if key.startswith("DAXA_")}
    merged |= {name: value for name, value in given.items() if value and (name in known or _family(name))}
    checked: dict[str, Any] = {name: _convert(name, value) for name, value in merged.items() if not _family(name)}
    for kind in _FAMILIES:
        named = (
            (found[1], _convert(name, value))
            for name, value in merged.items()
            if (found := _family(name)) and found[0] == kind
        )
        checked[kind] = tuple(sorted(named))
    if "store" not in checked:
        checked["store"] = _default_store()
    if "cache" not in checked:
        checked["cache"] = _default_cache()
    # The cores that a batch system leaves us; other systems do not say.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    checked.setdefault("workers", cores)
    return Settings(**checked)


def user_table(name: str, *, environ: Mapping[str, str] | None = None, user_file: Path | str = "") -> dict[str, object]:
    """A table of the user's own file, such as ``[cluster]``; empty where there is none.

    It says what runs on this machine, so that no archive and no variable of the environment can give one.

    Parameters
    ----------
    name
        Of the table.
    environ, user_file
        As for `load_settings`.

    Raises
    ------
    ConfigError
        The file cannot be read, or has something else under this name.

    Examples
    --------
    >>> user_table("cluster", user_file="/nowhere/config.toml")
    {}
    """
    path = _find_user_file(os.environ if environ is None else environ, user_file)
    table = _read_user_file(path).get(name, {})
    if not isinstance(table, dict):
        raise ConfigError("bad-setting", f"{name} in {path} is not a table", remedy=f"write it below a line [{name}]")
    return table


def is_address(name: str) -> bool:
    """Whether a setting is an address, which an archive may set as well.

    Examples
    --------
    >>> [is_address(name) for name in ("heasarc_tree", "mirrors_xmm", "tap_lobster", "workers")]
    [True, True, True, False]
    """
    return name in SERVICES or _family(name) is not None


def _family(name: str) -> tuple[str, str] | None:
    """The field that holds a setting of which there is one for each mission or service, and for which it is."""
    for field, pattern in _FAMILIES.items():
        if found := pattern.fullmatch(name):
            return field, found[1] or ""
    return None


def _convert(name: str, value: object, *, files: bool = True) -> Any:
    kinds = {field.name: field.type for field in fields(Settings) if field.name not in _FAMILIES}
    if name not in kinds and not _family(name):
        raise ConfigError(
            "unknown-setting",
            f"there is no setting called {name!r}",
            remedy=f"use one of {', '.join(sorted(kinds))}, mirrors, mirrors_<mission> or tap_<service>",
        )
    try:
        if family := _family(name):
            return _mirrors(str(value), files=files) if family[0] == "mirrors" else check_address(str(value))
        if name in SERVICES:
            return check_address(str(value))
        if kinds[name] == "Path":
            return _directory(name, str(value))
        if kinds[name] == "bool":
            return _switch(str(value))
        if choices := _CHOICES.get(name):
            return choices[choices.index(str(value).lower())]
        number = float(str(value)) if kinds[name] == "float" else int(str(value))
    except ValueError:
        raise ConfigError(
            "bad-setting", f"{value!r} cannot be used for the setting {name}", remedy="correct the value"
        ) from None
    if not 0 < number < 1e6:
        raise ConfigError("bad-setting", f"{name} = {value} is out of range", remedy="give a positive number")
    return number


def _directory(name: str, value: str) -> Path:
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(
            "bad-setting", f"{name} = {value}: there is no such home directory", remedy="give an absolute path"
        ) from None


def _switch(value: str) -> bool:
    if (word := value.strip().lower()) not in _SWITCH:
        raise ValueError(value)
    return _SWITCH[word]


def _mirrors(value: str, *, files: bool) -> str:
    read_mirrors(value, files=files)
    return " ".join(value.split())


def _find_user_file(environ: Mapping[str, str], user_file: Path | str) -> Path:
    return Path(user_file or environ.get("DAXA_CONFIG") or _default_user_file())


def _read_user_file(path: Path) -> dict[str, object]:
    if not path.is_file():
        return {}
    try:
        return parse_toml(path.read_bytes(), path)
    except DataError as error:
        why = error.message
    except (OSError, ValueError) as error:
        why = f"{path} cannot be read: {error}"
    raise ConfigError("unreadable", why, remedy="correct the file or remove it")


def has_home() -> bool:
    """Whether this user has a home directory: neither HOME nor the system's list of users need name one."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib raises where there is none
    return Path(home).is_absolute() and os.environ.get(_STAND_IN) != home


def provide_home() -> None:
    """Name a directory below the temporary one as HOME where there is none: libraries, Git and DVC need some.

    Nothing of value is put there: without a home, the store must be named (``DAXA_STORE``).
    """
    if has_home() or not hasattr(os, "getuid"):
        return
    import tempfile

    place = Path(tempfile.gettempdir(), f"daxa-home-{os.getuid()}")
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        found = place.lstat()
        if place.is_symlink() or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise PermissionError
    except OSError:
        place = Path(tempfile.mkdtemp(prefix="daxa-home-"))
    os.environ |= {"HOME": str(place), _STAND_IN: str(place)}


def _default_user_file() -> Path:
    import platformdirs

    return platformdirs.user_config_path("daxa") / "config.toml" if _has_place("XDG_CONFIG_HOME") else Path(os.devnull)


def _default_store() -> Path:
    import platformdirs

    if not _has_place("XDG_DATA_HOME"):
        raise ConfigError(
            "no-home",
            "you have no home directory, so there is no place for the store of fetched files",
            remedy="set DAXA_STORE (and DAXA_CACHE) to directories, or HOME",
        )
    return platformdirs.user_data_path("daxa") / "store"


def _default_cache() -> Path:
    import platformdirs

    # Without a home nothing is kept.
    return platformdirs.user_cache_path("daxa") if _has_place("XDG_CACHE_HOME") else Path()


def _has_place(variable: str) -> bool:
    return bool(os.environ.get(variable)) or has_home()
