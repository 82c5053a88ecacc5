"""Values of a tool's parameters: from Python to the text that the tool reads, and back."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Integral, Real
from pathlib import PurePath

from daxa.backends.tools.tables import Parameter, Suite
from daxa.naming import did_you_mean

__all__ = ["check_given", "check_value", "read_value", "split_value", "write_value"]

_FLAGS = {"yes": True, "y": True, "true": True, "t": True, "no": False, "n": False, "false": False, "f": False}
_INTEGER = re.compile(r"[+-]?\d{1,18}|0[xX][0-9a-fA-F]{1,16}", re.ASCII)
_REAL = re.compile(r"[+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_SHELL = re.compile(r"[`$;|&<>\"'\\]")
_QUOTING = re.compile(r"[`$\"'\\]")
_OPERATORS = frozenset(";&|<>")
_OWN_SYNTAX = {"expr": frozenset("&|<>"), "region": _OPERATORS}
"""Parts of names of parameters whose texts have operators, and these; scripts of the suites quote them."""

_ABSOLUTE = re.compile(r"(?:^|[^\w.)\]}])(?:/|~)")
_ABSOLUTE_IN_TEXT = re.compile(r"(?:^|[^\w.)\]}])(?:/[A-Za-z_.]|~\w*/)")
"""In a text, a stroke before a number divides."""

_CLIMBING = re.compile(r"(?:^|[^\w.])\.\.(?=/|$)|://")
_LONGEST = 100_000
"""Most characters of a value: Linux refuses arguments of 128 KiB."""


def write_value(parameter: Parameter, value: object) -> str:
    """The text of a Python value; a text stays as it is.

    Raises
    ------
    ValueError
        A value of this type cannot be written; the message says what to give.

    Examples
    --------
    >>> from daxa.backends.tools.tables import Parameter
    >>> write_value(Parameter("withoot", "flag"), True)
    'yes'
    >>> write_value(Parameter("limits", "real", several=True), (0.1, 6.5))
    '0.1 6.5'
    """
    if isinstance(value, list | tuple):
        if not parameter.several:
            raise ValueError("give a single value")
        return parameter.separator.join(_write_one(parameter, one) for one in value)
    return _write_one(parameter, value)


def _write_one(parameter: Parameter, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        if parameter.kind != "flag":
            raise ValueError(f"give {_expected(parameter)}")
        return "yes" if value else "no"
    if isinstance(value, PurePath) and parameter.kind in ("file", "text"):
        return str(value)
    if isinstance(value, Integral) and parameter.kind in ("integer", "real", "text", "choice"):
        return str(int(value))
    if isinstance(value, Real) and parameter.kind in ("real", "text") and math.isfinite(value):
        return repr(float(value))
    raise ValueError(f"give {_expected(parameter)}")


def split_value(parameter: Parameter, text: str) -> list[str]:
    """The values of a list, or the only one."""
    if not parameter.several:
        return [text]
    return text.split() if parameter.separator == " " else [one.strip() for one in text.split(parameter.separator)]


def check_value(suite: Suite, parameter: Parameter, text: str) -> str:
    """What to write instead of a text that the tool would not take; '' for one that it would.

    Examples
    --------
    >>> from daxa.backends.tools.reading import read_suite
    >>> check_value(read_suite("sas"), Parameter("method", "choice", choices=("histogram", "ratio")), "histogramm")
    'write histogram or ratio; did you mean histogram?'
    """
    if not text.isprintable() or len(text) > _LONGEST:
        return "write one line of printable characters"
    if parameter.kind == "file":
        return _check_file(suite, parameter, text)
    if text == parameter.default:  # What the tool assumes by itself cannot be wrong, such as no number at all.
        return ""
    if text.startswith(")") and suite.grammar == "parfile":
        return "write the value itself: a reference to another parameter file would depend on what was run before"
    for one in split_value(parameter, text):
        if problem := _check_one(suite, parameter, one):
            return problem
    return ""


def check_given(parameter: Parameter, text: str) -> str:
    """What to write instead of a text of a params file, which may be a stranger's; '' where it can do no harm.

    Tools write whatever file a parameter names, and scripts of the suites paste texts into commands of a shell.

    Examples
    --------
    >>> check_given(Parameter("expression", "text"), "PI > 300 && RATE/2 < 5")
    ''
    >>> check_given(Parameter("imageset", "file"), "/home/ada/.bashrc")
    'write a name without / or ~ before it, without .. and without ://: a call sees its own directory alone'
    """
    if parameter.kind not in ("file", "text") or text == parameter.default:
        return ""
    if (_ABSOLUTE if parameter.kind == "file" else _ABSOLUTE_IN_TEXT).search(text) or _CLIMBING.search(text):
        return "write a name without / or ~ before it, without .. and without ://: a call sees its own directory alone"
    if _QUOTING.search(text):
        return "write it without quotation marks and without any of ` $ \\"
    own = (operators for word, operators in _OWN_SYNTAX.items() if word in parameter.name)
    if others := _OPERATORS.intersection(text).difference(parameter.default or "", *own):
        return f"write it without any of {' '.join(sorted(others))}"
    return ""


def _check_one(suite: Suite, parameter: Parameter, text: str) -> str:
    if parameter.kind == "flag":
        return "" if text.lower() in _FLAGS else "write yes or no"
    if parameter.kind == "choice":
        fold = str.lower if suite.ignores_case else str
        if fold(text) in map(fold, parameter.choices):
            return ""
        return f"write {_one_of(parameter.choices)}{did_you_mean(text, parameter.choices)}"
    if parameter.kind not in ("integer", "real") or text in suite.any_number:
        return ""
    if not (_INTEGER if parameter.kind == "integer" else _REAL).fullmatch(text):
        return f"write {_expected(parameter)}"
    number = _number(parameter, text)
    return "" if parameter.least <= number <= parameter.most else f"write {_expected(parameter)}"


def _check_file(suite: Suite, parameter: Parameter, text: str) -> str:
    # Chains of SAS paste names into commands of a shell; in the others, filters stand behind the name.
    name = text if suite.grammar == "sas" else text.partition("[")[0]
    if suite.grammar == "sas" and not parameter.several and re.search(r"\s", name):
        return "write a path without blanks"
    if _SHELL.search(name) and text != parameter.default:
        return "write a path without quotation marks and without any of ` $ ; | & < > \\"
    return ""


def read_value(parameter: Parameter, text: str) -> object:
    """The Python value of a checked text: bool, int, float, text, or a tuple of them.

    Examples
    --------
    >>> read_value(Parameter("emin", "real", several=True), "0.2 0.5"), read_value(Parameter("events", "flag"), "Y")
    ((0.2, 0.5), True)
    """
    values = [_read_one(parameter, one) for one in split_value(parameter, text)]
    return tuple(values) if parameter.several else values[0]


def _read_one(parameter: Parameter, text: str) -> object:
    if parameter.kind == "flag":
        return _FLAGS.get(text.lower(), text)
    if parameter.kind in ("integer", "real") and _REAL.fullmatch(text):
        return _number(parameter, text)
    if parameter.kind == "integer" and _INTEGER.fullmatch(text):
        return int(text, 0)
    return text


def _number(parameter: Parameter, text: str) -> float:
    if parameter.kind == "real":
        return float(text)
    return int(text, 16) if text[:2].lower() == "0x" else int(text)


def _expected(parameter: Parameter) -> str:
    article = {
        "flag": "yes or no",
        "integer": "a whole number",
        "real": "a number",
        "choice": _one_of(parameter.choices),
        "text": "a text",
        "file": "the name of a file",
    }[parameter.kind]
    if parameter.several:
        article = f"values such as {article}"
    if parameter.kind in ("integer", "real") and math.isfinite(parameter.least):
        article += f" of at least {parameter.least:g}"
    if parameter.kind in ("integer", "real") and math.isfinite(parameter.most):
        article += f"{' and' if math.isfinite(parameter.least) else ' of'} at most {parameter.most:g}"
    return article + (f" ({parameter.unit})" if parameter.unit else "")


def _one_of(choices: Sequence[str]) -> str:
    *first, last = choices or ("something",)
    return f"{', '.join(first)} or {last}" if first else last
