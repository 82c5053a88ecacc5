"""The conditions that ``init``, ``add``, ``search`` and ``select`` understand, and how a command line combines them.

Conditions on a line are combined; those after ``--or`` are an alternative to them, and
those after ``--not`` are excluded from all of them.  Options that are not conditions, and
arguments, may be anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from inspect import Parameter, Signature
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from daxa.errors import CriteriaError
from daxa.query.criteria.keywords import CONDITIONS, CliOption

if TYPE_CHECKING:
    from daxa.query.tables.snapshot import Freshness

__all__ = [
    "ConditionGroup",
    "ConditionsCommand",
    "CriteriaOptions",
    "MaxAge",
    "Offline",
    "Refresh",
    "freshness",
    "split_arguments",
]

OR, NOT = "--or", "--not"
_UsageError: Any = typer.BadParameter.__base__
_AGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(min|h|d|w)\s*", re.ASCII)
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_Text = str | None

Refresh = Annotated[
    bool, typer.Option("--refresh", help="Query the services again, even if the cached tables are recent.")
]
MaxAge = Annotated[
    _Text,
    typer.Option("--max-age", metavar="AGE", help="Greatest age of a cached table, such as 12h or 3d; 7d by default."),
]
Offline = Annotated[bool, typer.Option("--offline", help="Query no service: use the cached tables.")]


@dataclass(frozen=True)
class ConditionGroup:
    """Conditions that hold together, as they were typed.

    Parameters
    ----------
    common
        Arguments of `daxa.Mission.filter` that every mission understands.
    special
        Those that a mission may not have: category and mode.
    obs_ids, instruments
        Texts with or without a mission before a colon.
    file
        TOML file of criteria, None without one.
    table
        A table of observations, None without one.
    """

    common: Mapping[str, Any] = field(default_factory=dict)
    special: Mapping[str, Any] = field(default_factory=dict)
    obs_ids: tuple[str, ...] = ()
    instruments: tuple[str, ...] = ()
    file: Path | None = None
    table: Path | None = None

    def __bool__(self) -> bool:
        return bool(self.common or self.special or self.obs_ids or self.instruments or self.file or self.table)


@dataclass(frozen=True)
class CriteriaOptions:
    """All conditions of a command line.

    Parameters
    ----------
    alternatives
        One of these must hold; () when nothing is requested.
    exclusions
        None of these may hold.
    """

    alternatives: tuple[ConditionGroup, ...] = ()
    exclusions: tuple[ConditionGroup, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.alternatives or self.exclusions)


class ConditionsCommand(TyperCommand):
    """A verb that takes conditions: its function finds them, as `CriteriaOptions`, in ``context.obj``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own, conditions = _values_of(self.get_params(ctx)), _values_of(_single().params)
        if unknown := _unknown(args, own, conditions):
            ctx.fail(unknown)
        mine, groups = split_arguments(args, own, conditions)
        left = super().parse_args(ctx, mine)
        if not ctx.resilient_parsing:
            ctx.obj = _read_groups(ctx, groups)
        return left

    def format_options(self, ctx: Any, formatter: Any) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Conditions (* may be repeated)"):
            shown = [record for param in _single().params if (record := param.get_help_record(ctx))]
            older = [option.older for declared in CONDITIONS for option in declared.options if option.older]
            for name in older:  # understood, and not shown
                shown = [(names.replace(f", {name}", ""), text) for names, text in shown]
            shown.append((OR, "Begins an alternative set of conditions. May be repeated."))
            shown.append(
                (NOT, "Begins a set of conditions; observations that meet all of it are excluded. May be repeated.")
            )
            formatter.write_dl(shown)

    def shell_complete(self, ctx: Any, incomplete: str) -> list:
        return [*super().shell_complete(ctx, incomplete), *_single().shell_complete(ctx, incomplete)]


def split_arguments(
    arguments: Iterable[str], own: Mapping[str, bool], conditions: Mapping[str, bool]
) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Separate a verb's own options and arguments from its conditions, and these from each other.

    Parameters
    ----------
    arguments
        Everything after the verb.
    own, conditions
        Names of options, and whether a value follows them.

    Returns
    -------
    own, groups
        Arguments for the verb; and for each group the option that opens it ('' for the first) and its arguments.

    Examples
    --------
    >>> typed = ["--target", "A", "--or", "--target=B", "--json", "--not", "--box", "1,2,-5,5"]
    >>> split_arguments(typed, {"--json": False}, {"--target": True, "--box": True})
    (['--json'], [('', ['--target', 'A']), ('--or', ['--target=B']), ('--not', ['--box', '1,2,-5,5'])])
    """
    mine: list[str] = []
    groups: list[tuple[str, list[str]]] = [("", [])]
    rest = iter(arguments)
    for word in rest:
        if word in (OR, NOT):
            groups.append((word, []))
            continue
        if word == "--":
            mine += [word, *rest]
            break
        name, equals, _ = word.partition("=")
        place = groups[-1][1] if name in conditions else mine
        place.append(word)
        if not equals and (own.get(name) or conditions.get(name)):
            place.extend(islice(rest, 1))
    return mine, groups


def freshness(refresh: bool, max_age: str | None, offline: bool) -> Freshness:
    """The arguments of `daxa.Mission` that say how fresh its table must be.

    Raises
    ------
    CriteriaError
        The age cannot be read, or a refresh is requested without a network.

    Examples
    --------
    >>> freshness(False, "12h", False)
    {'refresh': False, 'max_age': datetime.timedelta(seconds=43200), 'offline': False}
    """
    if refresh and offline:
        raise CriteriaError("offline", "a refresh needs the network", remedy="omit --refresh or --offline")
    found = _AGE.fullmatch(max_age) if max_age is not None else None
    if max_age is not None and (found is None or float(found[1]) > 1e5):
        raise CriteriaError("max-age", f"{max_age[:100]!r} is not an age", remedy="write it as 30min, 12h, 3d or 2w")
    age = timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else None
    return {"refresh": refresh, "max_age": age, "offline": offline}


def _read_conditions(*, criteria: Path | None, table: Path | None, **typed: Any) -> ConditionGroup:
    """Conditions of one group; those with a * may be repeated."""
    values: dict[str, Any] = {}
    for declared in CONDITIONS:
        given = [typed[option.key] or None for option in declared.options]
        if any(value is not None for value in given):
            values[declared.name] = given[0] if len(given) == 1 else tuple(given)
    obs_ids, instruments = (values.pop(name, ()) for name in ("obs_ids", "instruments"))
    of_some = {declared.name for declared in CONDITIONS if declared.of_some}
    return ConditionGroup(
        {key: value for key, value in values.items() if key not in of_some},
        {key: value for key, value in values.items() if key in of_some},
        tuple(obs_ids),
        tuple(instruments),
        criteria,
        table,
    )


_KINDS: Mapping[str, Any] = {
    "text": str | None,
    "texts": list[str] | None,
    "number": float | None,
    "flag": bool,
    "file": Path | None,
}
_FILES = (
    CliOption("--table", "FILE", "Only the observations listed in this table, in a column obsid, obs_id, ...", "file"),
    CliOption(
        "--criteria",
        "FILE",
        "Read conditions from TOML: a mission's table as in daxa.toml, or a whole daxa.toml.",
        "file",
    ),
)


def _parameter(option: CliOption) -> Parameter:
    """The parameter of `_read_conditions` that an option is read into."""
    names = [option.name, *filter(None, [option.older])]
    typer_option = typer.Option(*names, metavar=option.metavar or None, help=option.help)
    kind = _KINDS[option.kind]
    default = False if option.kind == "flag" else None
    return Parameter(option.key, Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, typer_option])


def _read_groups(ctx: Any, groups: Sequence[tuple[str, list[str]]]) -> CriteriaOptions:
    read = [(opening, _read_group(ctx, opening, arguments)) for opening, arguments in groups]
    for opening, conditions in read[1:]:
        if not conditions:
            ctx.fail(f"there is no condition after {opening}")
    alternatives = [conditions for opening, conditions in read if opening != NOT]
    exclusions = [conditions for opening, conditions in read if opening == NOT]
    if not alternatives[0]:
        if alternatives[1:]:
            ctx.fail(f"there is no condition before {OR}")
        if exclusions:
            ctx.fail(f"there is no condition before {NOT}: to start from all observations, give --everything")
        return CriteriaOptions()
    return CriteriaOptions(tuple(alternatives), tuple(exclusions))


def _read_group(ctx: Any, opening: str, arguments: list[str]) -> ConditionGroup:
    command = _single()
    try:
        with command.make_context(None, arguments, parent=ctx) as context:
            return command.invoke(context)
    except _UsageError as error:
        # The usage that is shown with it must be the verb's.
        error.ctx = ctx
        error.message = f"{error.message} (after {opening})" if opening else error.message
        raise


def _unknown(arguments: Sequence[str], own: Mapping[str, bool], conditions: Mapping[str, bool]) -> str:
    """What is wrong with the first unknown option, '' when all are known."""
    from difflib import get_close_matches

    mine, _ = split_arguments(arguments, own, conditions)
    words = iter(mine)
    for word in words:
        name, equals, _ = word.partition("=")
        if word == "--":
            return ""
        if name.startswith("-") and name != "-" and name not in own:
            close = get_close_matches(name, [*own, *conditions, OR, NOT], n=1)
            return f"there is no option {name}{f'; did you mean {close[0]}?' if close else ''}"
        if own.get(name) and not equals:
            next(words, None)
    return ""


def _values_of(params: Iterable[Any]) -> dict[str, bool]:
    options = [param for param in params if param.param_type_name == "option"]
    return {
        name: not (param.is_flag or param.count) for param in options for name in (*param.opts, *param.secondary_opts)
    }


@cache
def _single() -> Any:
    """The typer command that reads one group."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    options = [*(option for declared in CONDITIONS for option in declared.options), *_FILES]

    def read(**typed: Any) -> ConditionGroup:
        return _read_conditions(**typed)

    read.__signature__ = Signature([_parameter(option) for option in options])  # type: ignore[attr-defined]
    read.__annotations__ = {}
    app.command(add_help_option=False)(read)
    return typer.main.get_command(app)
