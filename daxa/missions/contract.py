"""What every declaration of a mission must satisfy, as checks for its author's tests.

Each function raises `AssertionError` with words that say what is wrong, and returns
nothing.  They need neither network nor data::

    from daxa.missions.contract import check_declaration, check_obs_ids, check_paths

    def test_the_declaration():
        check_declaration(SPEC)
        check_obs_ids(SPEC, ["00123"], malformed=["123"])
        check_paths(SPEC, "00123", "lobster/data/00123", ["event_cl/lo00123_cl.evt.gz"])
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import get_args

from daxa.addresses import Listing, check_address
from daxa.errors import CriteriaError
from daxa.missions.facts import CATEGORIES, FieldOfView, id_parts
from daxa.missions.spec import Instrument, MissionSpec

__all__ = ["HOSTILE_IDS", "check_declaration", "check_obs_ids", "check_paths", "check_query"]

HOSTILE_IDS = (
    "", " ", "..", "../0404910601", "0404910601/..", "0404910601\n", "-rf", "~", "$(id)", "0404910601;ls",
    "\u0660\u0664\u0660\u0664\u0669\u0661\u0660\u0666\u0660\u0661", "0404910601\x00", "NaN", "%2e%2e", "a b",
)  # fmt: skip
"""Texts that no mission may take for an ObsID."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_COLUMN = re.compile(r"[a-z_][a-z0-9_]*")
_TABLE = re.compile(rf"(?:{_COLUMN.pattern}\.)?{_COLUMN.pattern}")
_BIBCODE = re.compile(r"\d{4}[A-Za-z&.0-9]{14}[A-Z]")
_RESERVED = re.compile(r"\b(time|date|year|start|end|position|value)\b", re.IGNORECASE)
_SHAPES = ("circle", "square", "annulus", "tile")
_SCHEMA = ("obs_id", "target", "ra", "dec", "start", "end", "exposure", "public_date")
_PLANE = 180.0 * 60.0
_WIDEST = 5.0 * 60.0


def check_declaration(spec: MissionSpec) -> None:
    """Check a declaration for itself: complete, consistent, harmless.

    Parameters
    ----------
    spec
        The declaration.

    Raises
    ------
    AssertionError
        What is wrong with it: the first problem of its names, instruments, table, directories, files, credit and
        ObsIDs, one per line.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> check_declaration(find_mission("swift"))
    """
    facts = (_check_names, _check_instruments, _check_table, _check_directories, _check_files)
    wrong = [words for check in (*facts, _check_credit, _check_ids) if (words := _words_of(check, spec))]
    if wrong:
        raise AssertionError("\n".join(wrong))


def check_obs_ids(spec: MissionSpec, real: Iterable[str], *, malformed: Iterable[object] = ()) -> None:
    """Check that real ObsIDs are accepted and others refused.

    Parameters
    ----------
    spec
        The declaration.
    real
        As the archive writes them.
    malformed
        Texts, or values of other types, that are not ObsIDs.

    Raises
    ------
    AssertionError
        Which one is judged wrongly.
    """
    for obs_id in real:
        _require(spec, _accepts(spec, obs_id), f"refuses the ObsID {obs_id!r}")
    for value in malformed:
        _require(spec, not _accepts(spec, value), f"takes {value!r} for an ObsID")


def check_paths(
    spec: MissionSpec,
    obs_id: str,
    directory: str,
    files: Iterable[str] = (),
    *,
    row: Mapping[str, object] | None = None,
) -> None:
    """Check where an observation lies, and that its files are known.

    Parameters
    ----------
    spec
        The declaration.
    obs_id
        One observation.
    directory
        Where the archive keeps it, below the root of the file tree.
    files
        Paths below that directory, of native inputs or ready-made products.
    row
        Its row of the observation table, as for `MissionSpec.directory_of`.

    Raises
    ------
    AssertionError
        What lies elsewhere, or is not known.
    """
    found = spec.directory_of(spec.check_obs_id(obs_id), row)
    _require(spec, found == directory, f"looks for {obs_id} in {found}, and it lies in {directory}")
    patterns = [item.regex(obs_id) for item in (*spec.native_inputs, *spec.raw_inputs)]
    for product in spec.products:
        patterns += [product.regex(obs_id, token) for token, _, _ in product.bands or (("", 0, 0),)]
    for path in files:
        _require(spec, any(pattern.fullmatch(path) for pattern in patterns), f"does not know the file {path}")


def check_query(spec: MissionSpec, query: str) -> None:
    """Check that a query asks for every column that the declaration names.

    Parameters
    ----------
    spec
        The declaration.
    query
        ADQL with its columns in quotation marks, from ``daxa.query.tables.services.build_query``.

    Raises
    ------
    AssertionError
        Which column is not queried, or that another table is.
    """
    chosen, _, rest = query.partition(" FROM ")
    queried = re.findall(r'"([^"]+)"', chosen)
    _require(spec, len(set(queried)) == len(queried), "asks for a column twice")
    _require(spec, rest.split()[:1] == [spec.table.name], f"asks for the table {rest[:40]}")
    named = {*spec.table.columns.values(), *spec.table.mode, spec.table.category}
    named |= {spec.table.second_category[0]} if spec.table.second_category else set()
    named |= {column for one in spec.instruments for column in _columns_of(one)}
    missing = sorted(named - {*queried, ""})
    _require(spec, not missing, f"does not ask for {', '.join(missing)}")


def _require(spec: MissionSpec, right: bool, words: str) -> None:
    if not right:
        raise AssertionError(f"mission {spec.name!r} {words}")


def _accepts(spec: MissionSpec, obs_id: object) -> bool:
    try:
        return spec.check_obs_id(obs_id) == obs_id
    except CriteriaError:
        return False


def _words_of(check: Callable[[MissionSpec], None], spec: MissionSpec) -> str:
    try:
        check(spec)
    except AssertionError as error:
        return str(error)
    return ""


def _check_ids(spec: MissionSpec) -> None:
    if spec.id_example:
        check_obs_ids(spec, [spec.id_example])
    for text in HOSTILE_IDS:
        _require(spec, not _accepts(spec, text), f"takes {text!r} for an ObsID")


def _check_names(spec: MissionSpec) -> None:
    _require(spec, bool(_NAME.fullmatch(spec.name)), "has a name that is not a short lower-case word")
    _require(spec, bool(spec.title.strip()), "has no title")
    names = [spec.name, *(alias.lower() for alias in spec.aliases)]
    _require(spec, len(set(names)) == len(names), "has an alias twice")


def _check_instruments(spec: MissionSpec) -> None:
    _require(spec, bool(spec.instruments), "has no instrument")
    names = [name.upper() for one in spec.instruments for name in (one.name, *one.aliases)]
    _require(spec, len(set(names)) == len(names), "calls two instruments by one name")
    for one in spec.instruments:
        _check_field(spec, one.name, one.field_of_view, wide=one.wide)
        for column in _columns_of(one):
            _require(spec, bool(_COLUMN.fullmatch(column)), f"{one.name}: no column is called {column!r}")
    rolls = {one.field_of_view.roll for one in spec.instruments} - {""}
    _require(spec, len(rolls) < 2, "has instruments with different columns of the roll angle")
    tiles = {one.field_of_view.shape == "tile" for one in spec.instruments}
    _require(spec, tiles == {spec.table.service == "tiling"}, "has tiles that its table does not compute, or no tiles")
    known = {one.name: one for one in spec.instruments}
    for name in spec.default_instruments:
        _require(spec, name in known, f"chooses {name!r} by default, which it does not have")
        _require(spec, not known[name].wide, f"chooses {name!r} by default, which sees nearly everything")
    narrow = any(not one.wide for one in spec.instruments)
    _require(spec, bool(spec.default_instruments) == narrow, "must choose some of its narrow instruments by default")


def _check_field(spec: MissionSpec, name: str, field: FieldOfView, *, wide: bool) -> None:
    _require(spec, field.shape in _SHAPES, f"{name}: no such shape {field.shape!r}")
    _require(spec, 0 < field.size <= field.radius <= _PLANE, f"{name}: field of view of {field.size} arcmin")
    ring = 0 < field.inner < field.size if field.shape == "annulus" else field.inner == 0
    _require(spec, ring, f"{name}: inner radius of {field.inner} arcmin")
    _require(spec, field.radius <= _WIDEST or wide, f"{name}: sees {field.radius:.0f} arcmin, and is not wide")
    turned = field.shape == "square" or not field.roll
    _require(spec, turned, f"{name}: a {field.shape} looks the same whatever the roll")


def _check_table(spec: MissionSpec) -> None:
    table = spec.table
    _require(spec, bool(_TABLE.fullmatch(table.name)), f"has no usable table name: {table.name!r}")
    _require(spec, set(table.columns) <= set(_SCHEMA), "maps columns that our schema does not have")
    columns = [
        *table.columns.values(),
        *table.mode,
        *spec.directory_columns,
        *([table.category] * bool(table.category)),
        *([table.second_category[0]] if table.second_category else []),
    ]
    for column in columns:
        _require(spec, bool(_COLUMN.fullmatch(column)), f"names a column {column!r}")
    for text in table.where:
        bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
        _require(spec, not _RESERVED.search(bare), f"uses a reserved word unquoted: {text}")
        _require(spec, not re.search(r";|--|/\*", bare), f"has a row cut that is not a condition: {text}")
    further = table.second_category[1] if table.second_category else {}
    codes = {*table.categories.values(), *further.values(), *([table.only_category] * bool(table.only_category))}
    _require(spec, codes <= set(CATEGORIES), "maps to an unknown category")
    _require(spec, bool(table.category) == bool(table.categories), "maps categories without a column, or not at all")
    _require(spec, bool(table.category) or not table.second_category, "has a second category without a first")
    _require(spec, not (table.category and table.only_category), "has one category, and a column of them")
    _require(spec, 0.0 in table.never_public, "takes 0 for a date on which data become public")
    public = table.columns.get("public_date")
    always = public is None or public == table.columns.get("start")
    _require(spec, always or table.proprietary == "date", "has a column of public dates, and says all is public")
    _require(
        spec,
        not spec.listed or not always or table.proprietary == "none",
        "does not say when data are public: map its column of public dates, or set proprietary='none'",
    )
    _require(spec, not spec.listed or bool(spec.id_pattern), "can be listed, and has no pattern of ObsIDs")
    for one in (table, *spec.other_tables):
        known = one.service in ("heasarc", "xsa", "tiling")
        proper = not one.tap if known else bool(_NAME.fullmatch(one.service)) and one.tap.startswith("https://")
        _require(
            spec, proper and (known or _is_address(one.tap)), f"has a table at {one.service!r}, of no plain address"
        )
    modes = [*table.mode, *([table.category] * bool(table.category))]
    _require(spec, len(set(modes)) == len(modes), "names a column of modes or categories twice")
    if table.usual:
        named = {name for one in spec.instruments for name in _columns_of(one)} | {*modes, *spec.directory_columns}
        _require(spec, not named, f"names the columns {sorted(named)} of a table whose columns are not recorded")


def _columns_of(one: Instrument) -> set[str]:
    return {one.exposure, one.field_of_view.roll, *(column for column, _ in one.labels)} - {""}


def _check_directories(spec: MissionSpec) -> None:
    allowed = {*id_parts(""), "yyyy_mm", *spec.directory_columns}
    for pattern, _ in spec.other_directories:
        re.compile(pattern)
    for template in (spec.directory, *(other for _, other in spec.other_directories), *_layouts(spec)):
        used = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
        _require(spec, used <= allowed, f"has a directory with unknown fields: {template}")
        parts = template.split("/")
        _require(
            spec, not template or all(part not in ("", ".", "..") for part in parts), f"leaves the tree: {template}"
        )
    _check_mirrors(spec)


def _layouts(spec: MissionSpec) -> list[str]:
    return [mirror.layout.replace("{directory}", "x") for mirror in spec.mirrors if mirror.layout]


def _check_mirrors(spec: MissionSpec) -> None:
    _require(spec, bool(spec.mirrors), "has no mirror")
    _require(spec, len({mirror.root for mirror in spec.mirrors}) == len(spec.mirrors), "has a mirror twice")
    for mirror in spec.mirrors:
        _require(spec, mirror.listing in get_args(Listing), f"has a mirror that lists as {mirror.listing!r}")
        # A directory of this machine is a user's to name, and nobody else's.
        for address in (mirror.root, *([mirror.datalink] if mirror.datalink else [])):
            secure = address.startswith("https://") and _is_address(address) and not address.endswith("/")
            _require(spec, secure, f"has a mirror that is not https, or no plain address: {address}")


def _is_address(text: str) -> bool:
    try:
        return bool(check_address(text))
    except ValueError:
        return False


def _check_files(spec: MissionSpec) -> None:
    names = {"", *(one.name for one in spec.instruments)}
    for item in (*spec.native_inputs, *spec.raw_inputs):
        _require(spec, item.instrument in names, f"has an input of {item.instrument!r}, which it does not have")
        item.regex(spec.id_example)
        groups = set(item.regex(spec.id_example).groupindex)
        _require(
            spec,
            groups <= {"exposure", "version", "default", "before", "after"},
            f"has a pattern with the groups {sorted(groups)}: {item.pattern}",
        )
        places = (spec if item in spec.native_inputs else spec.starting_from(spec.raw_inputs)).listings
        inside = any(not place or item.pattern.startswith(f"{place}/") for place in places)
        _require(spec, inside, f"has an input outside of its listings: {item.pattern}")
    for product in spec.products:
        _require(spec, product.instrument in names, f"has a product of {product.instrument!r}")
        product.regex(spec.id_example, "x")
        tokens = [token for token, _, _ in product.bands]
        _require(spec, len(set(tokens)) == len(tokens), f"has a band twice: {product.pattern}")
        _require(spec, all(0 < lo < hi for _, lo, hi in product.bands), f"has an empty band: {product.pattern}")
        _require(spec, "{band}" in product.pattern or len(tokens) < 2, f"does not distinguish bands: {product.pattern}")
    events = {item.instrument for item in spec.native_inputs if item.kind == "events" and item.required}
    served = "" in events or set(spec.default_instruments) <= events
    _require(spec, not spec.processed or (served and spec.listed), "is processed, and lacks what that needs")
    held = [obs_id for bundle in spec.bundles for obs_id in bundle.obs_ids]
    _require(spec, len(set(held)) == len(held), "has an observation in two bundles")
    tars = all(bundle.file.endswith((".tar", ".tar.gz")) for bundle in spec.bundles)
    _require(spec, tars or not spec.native_inputs, "has files to fetch from bundles that are not tar files")
    check_obs_ids(spec, held)
    _require(spec, len({bool(bundle.kind) for bundle in spec.bundles}) < 2, "sorts some of its bundles only")
    _check_other_fields(spec)
    _check_active(spec)


def _check_other_fields(spec: MissionSpec) -> None:
    said = [obs_id for _, obs_ids in spec.other_fields for obs_id in obs_ids]
    _require(spec, len(set(said)) == len(said), "says twice which field an observation had")
    check_obs_ids(spec, said)
    for field, obs_ids in spec.other_fields:
        _check_field(spec, "a scan", field, wide=False)
        plain = field.shape != "tile" and not field.roll and bool(obs_ids)
        _require(spec, plain, "has another field that needs more than the observations it names")


def _check_active(spec: MissionSpec) -> None:
    names = [one.name for one in spec.instruments]
    said = [obs_id for _, obs_ids in spec.active for obs_id in obs_ids]
    _require(spec, len(set(said)) == len(said), "says twice which instruments an observation had")
    check_obs_ids(spec, said)
    for some, _ in spec.active:
        proper = bool(some) and set(some) < set(names) and list(some) == [name for name in names if name in some]
        _require(spec, proper, f"says that {', '.join(some) or 'nothing'} was on, which is not some of its instruments")


def _check_credit(spec: MissionSpec) -> None:
    source = spec.credit.source
    _require(spec, bool(spec.acknowledgement or source), "has neither an acknowledgement nor a link to one")
    _require(spec, not source or source.startswith("https://"), f"has a source that is not an address: {source}")
    for bibcode in spec.bibcodes:
        _require(spec, bool(_BIBCODE.fullmatch(bibcode)), f"has a reference that is not a bibcode: {bibcode}")
    spec.credit.dataset.format(**id_parts("1"))
    known = {*spec.bibcodes, spec.credit.facility} - {""}
    _require(spec, set(spec.credit.checked) <= known, "has checked references or keywords that it does not have")
    _require(spec, not spec.credit.read or _is_day(spec.credit.read), f"has no day of reading: {spec.credit.read}")


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
