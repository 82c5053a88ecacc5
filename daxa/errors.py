"""Every error that daxa raises on purpose, in one tree.

::

    DaxaError
    +-- UserError                 the user can correct it
    |   +-- CriteriaError         criteria.*   what was requested        exit 3
    |   +-- ConfigError           config.*     settings and parameters   exit 4
    |   |   +-- ToolError         tool.*       a tool's parameters       exit 15
    |   +-- ArchiveError          archive.*    the archive as it stands  exit 5
    |   |   +-- UntrustedArchive  untrusted.*  its files could do harm   exit 14
    |   +-- ReleaseError          release.*    would not be honest       exit 6
    |   +-- VerifyError           verify.*     data differ from ledger   exit 7
    |   +-- NotPossible           impossible.* physics or format forbid  exit 8
    +-- WorldError                the world broke it
        +-- ServiceError          service.*    an archive service        exit 10
        +-- DataError             data.*       a file is not what it says exit 11
        +-- StorageError          storage.*    disk, permissions         exit 12
        +-- ProgramError          program.*    Git, DVC, a mission tool  exit 13

An error carries a stable ``code`` for machines, a message that names the ObsID
or the file (with its whole path), and a ``remedy`` that says what to do next; its
``str`` holds both, as tracebacks and notebooks show it.  Whatever is raised
outside this tree is a bug, and keeps its traceback.

``environmental`` errors mean that no observation can go on: they stop a stage.
The others concern one observation and become a row of its ledger.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

__all__ = [
    "ArchiveError",
    "CallError",
    "ConfigError",
    "CriteriaError",
    "DataError",
    "DaxaError",
    "NotPossible",
    "ProgramError",
    "ReleaseError",
    "ServiceError",
    "StorageError",
    "ToolError",
    "UntrustedArchive",
    "UserError",
    "VerifyError",
    "WorldError",
]


class DaxaError(Exception):
    """Base of the tree; raise one of the leaves.

    Parameters
    ----------
    name
        What happened, as one word with dashes.  ``code`` is the family of the
        class, a dot, and this name; codes never change their meaning.
    message
        One sentence that names the ObsID, the file or the value.
    remedy
        What the reader should do next, with the command to run where one exists.

    Examples
    --------
    >>> error = CriteriaError("position", "'12h' is not a valid position", remedy="give RA,DEC in degrees")
    >>> error.code, error.exit_code
    ('criteria.position', 3)
    >>> print(error)
    '12h' is not a valid position
      -> give RA,DEC in degrees
    """

    family = "daxa"
    exit_code = 1
    environmental = False

    def __init__(self, name: str, message: str, *, remedy: str) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.remedy = remedy

    @property
    def code(self) -> str:
        """The stable code, such as ``criteria.empty``."""
        return f"{self.family}.{self.name}"

    def __str__(self) -> str:
        return f"{self.message}\n  -> {self.remedy}" if self.remedy else self.message

    def reworded(self, message: str, remedy: str | None = None) -> Self:
        """The same error in other words, such as with the file's name before them.

        Examples
        --------
        >>> error = DataError("unreadable", "column PI is absent", remedy="fetch the list again")
        >>> error.reworded(f"a.fits: {error.message}").message
        'a.fits: column PI is absent'
        """
        return type(self)(self.name, message, remedy=self.remedy if remedy is None else remedy)

    def __reduce__(self) -> tuple[Callable[..., DaxaError], tuple[type[DaxaError], str, str, str]]:
        return (_rebuild, (type(self), self.name, self.message, self.remedy))


def _rebuild(kind: type[DaxaError], name: str, message: str, remedy: str) -> DaxaError:
    return kind(name, message, remedy=remedy)


class UserError(DaxaError):
    """The user can correct it."""

    exit_code = 2


class CriteriaError(UserError, ValueError):
    """What was requested is malformed, unknown or matches nothing."""

    family = "criteria"
    exit_code = 3


class ConfigError(UserError, ValueError):
    """Settings, ``daxa.toml`` or a params file cannot be used as written."""

    family = "config"
    exit_code = 4
    environmental = True


class ToolError(ConfigError):
    """A call of mission software that the tool, in that version, would not accept."""

    family = "tool"
    exit_code = 15


class ArchiveError(UserError):
    """The directory is not an archive, or not in the state that the verb needs."""

    family = "archive"
    exit_code = 5
    environmental = True


class UntrustedArchive(ArchiveError):
    """The archive holds something that daxa never puts there and that could harm its users."""

    family = "untrusted"
    exit_code = 14


class ReleaseError(UserError):
    """A release made now would claim something that is not so."""

    family = "release"
    exit_code = 6


class VerifyError(UserError):
    """Files on disk are not what the selection and the ledgers say."""

    family = "verify"
    exit_code = 7


class NotPossible(UserError):
    """The instrument or the file format forbids the request."""

    family = "impossible"
    exit_code = 8


class WorldError(DaxaError):
    """Something outside daxa and outside the user's command failed."""

    exit_code = 9


class ServiceError(WorldError):
    """An archive service cannot be reached or answers nonsense."""

    family = "service"
    exit_code = 10
    environmental = True


class DataError(WorldError):
    """A file is absent, damaged, or not what it claims to be."""

    family = "data"
    exit_code = 11


class CallError(DataError):
    """A call of mission software failed for one observation.

    Examples
    --------
    >>> CallError("sas.espfilt.noCounts", "there are no counts", remedy="leave this exposure out").code
    'sas.espfilt.noCounts'
    """

    family = "call"
    exit_code = 16

    @property
    def code(self) -> str:
        """The code of the verdict: suite, link, and what happened."""
        return self.name


class StorageError(WorldError):
    """The disk is full, or a place cannot be read or written."""

    family = "storage"
    exit_code = 12
    environmental = True


class ProgramError(WorldError):
    """A program that daxa runs failed."""

    family = "program"
    exit_code = 13
    environmental = True
