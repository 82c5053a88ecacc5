"""Parameters of a step as data: values are read, checked and described from one table."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

from daxa.naming import did_you_mean
from daxa.quantities import band_text, read_quantity, read_range

__all__ = ["Kind", "Parameter", "ParameterProblem", "Shown", "read_parameters"]

Kind = Literal["flag", "choice", "number", "numbers", "quantity", "band", "bands", "text", "patterns", "words", "table"]

Shown = Literal["line", "comment", "hidden"]
"""How a parameter appears in a new params file."""

_HUGE = 1e9


@dataclass(frozen=True)
class Parameter:
    """One key of a step's table, and the values that it can have.

    Parameters
    ----------
    name
        The key.
    kind
        ``flag`` (true or false), ``choice`` (one of `choices`), ``number`` or ``numbers`` without a unit,
        ``quantity`` (a number with a unit), ``band`` or ``bands`` (energies from and to), ``text``, ``patterns``
        (regular expressions), ``words`` (some of `choices`), ``table`` (keys that the backend itself judges).
    default
        The value if the key is absent, as `read` gives it; None if there is none.
    help
        What it is for: its comment in params files.
    unit
        Of a quantity or band, as named in `daxa.quantities.UNITS`; `read` gives values in this unit.
    least, most
        The smallest and the largest number, in that unit.
    above
        Whether the smallest number is itself excluded.
    choices
        Of a ``choice``; of a ``band``, words that may replace it and mean None.
    example
        An example of a value.
    shown
        How it appears in a new params file: as a ``line`` with its default, as a ``comment`` that shows how it is
        written, or not at all (``hidden``).
    refine
        Called with a value of the right form; returns the value to use, or raises a ValueError with what
        to write instead.
    """

    name: str
    kind: Kind
    default: object
    help: str
    unit: str = ""
    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    choices: tuple[str, ...] = ()
    example: str = ""
    shown: Shown = "line"
    refine: Callable[[Any], Any] | None = None

    def read(self, value: object) -> Any:
        """The value, in the form and the unit that steps use.

        Raises
        ------
        ValueError
            It cannot be used; the message says what to write instead.

        Examples
        --------
        >>> Parameter("min_ontime", "quantity", 0.0, "", unit="s", least=0.0).read("1.5 ks")
        1500.0
        """
        read = _READERS[self.kind](self, value)
        return self.refine(read) if self.refine else read

    def _number(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, Real) or not self._fits(float(value)):
            raise ValueError(f"write a number {self._limits}")
        return float(value)

    def _numbers(self, value: object) -> tuple[float, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError(f"give a list of numbers such as {self.example}")
        return tuple(map(self._number, value))

    def _quantity(self, value: object) -> float:
        try:
            if self._fits(number := read_quantity(value, self.unit)):
                return number
        except ValueError:
            pass
        raise ValueError(f'write a number {self._limits} and a unit, such as "{self._shown}"')

    def _band(self, value: object) -> tuple[float, float] | None:
        if value in self.choices:
            return None
        try:
            return read_range(value, self.unit)
        except ValueError:
            others = "".join(f'"{one}", or ' for one in self.choices)
            raise ValueError(f'write {others}a band such as "0.5-2.0 keV", the lower energy first') from None

    def _bands(self, value: object) -> tuple[tuple[float, float] | None, ...]:
        if not isinstance(value, list) or not value:
            raise ValueError('give a list such as ["0.5-2.0 keV"]')
        bands = tuple(map(self._band, value))
        if twice := [band for at, band in enumerate(bands) if band in bands[:at]]:
            raise ValueError(f"name each band once ({band_text(twice[0])} occurs twice)")
        return bands

    def _flag(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise ValueError("write true or false")
        return value

    def _choice(self, value: object) -> str:
        if not isinstance(value, str) or value not in self.choices:
            raise ValueError(f"write {_one_of(self.choices)}{did_you_mean(value, self.choices)}")
        return value

    def _text(self, value: object) -> str:
        if self.refine and isinstance(value, Real) and not isinstance(value, bool) and float(value).is_integer():
            # A list of one number, such as patterns = 0, reads as that number.
            return str(math.trunc(value))
        if not isinstance(value, str):
            raise ValueError(f"write a text in quotation marks{f', such as {self.example}' if self.example else ''}")
        return value

    def _patterns(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise ValueError(f"give a list of regular expressions, such as {self.example}")
        for pattern in value:
            try:
                re.compile(pattern)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"{pattern[:60]!r} is not a regular expression: {error}") from None
        return tuple(value)

    def _words(self, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise ValueError(f"give a list, such as {self.example}")
        return tuple(map(self._choice, value))

    def _table(self, value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise ValueError(f"write a table, such as {self.example}")
        return value

    def _fits(self, number: float) -> bool:
        return (self.least < number if self.above else self.least <= number) and number <= self.most

    @property
    def _limits(self) -> str:
        least = f"{'above' if self.above else 'of at least'} {self.least:g}"
        # A limit that only keeps nonsense out is not worth a word.
        return f"{least} and at most {self.most:g}" if self.most < _HUGE else least

    @property
    def _shown(self) -> str:
        return self.example or f"{self.default:g} {self.unit}"


_READERS: Mapping[Kind, Callable[[Parameter, object], object]] = {
    kind: getattr(Parameter, f"_{kind}") for kind in get_args(Kind)
}


@dataclass(frozen=True)
class ParameterProblem:
    """A problem of the parameters.

    Parameters
    ----------
    step, key
        Where it is.
    message
        What is wrong, without saying where.
    remedy
        What to write instead.
    name
        The word of the error's code.
    """

    step: str
    key: str
    message: str
    remedy: str
    name: str = "bad-parameter"


def read_parameters(
    step: str, known: Sequence[Parameter], table: Mapping[str, object]
) -> tuple[dict[str, Any], list[ParameterProblem]]:
    """The values of a step: those of its table, and defaults for keys that it lacks.

    Parameters
    ----------
    step
        Its name, for the problems.
    known
        The parameters that the table may have.
    table
        Key to value, as `daxa.quantities.normalise` gives it.

    Returns
    -------
    values
        Those of all parameters; the default if the value in the table cannot be used.
    faults
        Unknown keys, and values that cannot be used.

    Examples
    --------
    >>> known = [Parameter("sigma", "number", 3.0, "width", least=0.5, most=100.0)]
    >>> values, faults = read_parameters("clean", known, {"sgima": 2.5})
    >>> values, faults[0].message, faults[0].remedy
    ({'sigma': 3.0}, "there is no parameter 'sgima'; did you mean sigma?", '[clean] has sigma')
    """
    names = [parameter.name for parameter in known]
    values, faults = {parameter.name: parameter.default for parameter in known}, []
    for key in table:
        if key not in names:
            message = f"there is no parameter {key[:100]!r}{did_you_mean(key, names)}"
            faults.append(ParameterProblem(step, key, message, f"[{step}] has {', '.join(names)}", "unknown-parameter"))
    for parameter in known:
        if parameter.name in table:
            value = table[parameter.name]
            try:
                values[parameter.name] = parameter.read(value)
            except ValueError as problem:
                faults.append(ParameterProblem(step, parameter.name, f"{_short(value)} cannot be used", str(problem)))
    return values, faults


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _one_of(choices: Sequence[str]) -> str:
    *first, last = (f'"{one}"' for one in choices)
    return f"{', '.join(first)} or {last}" if first else last
