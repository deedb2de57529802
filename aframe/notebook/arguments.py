"""Checks of the arguments that users give to objects of a run: numbers, columns, populations."""

import math
import reprlib
from collections.abc import Collection
from numbers import Real

import numpy as np

from aframe.errors import DataError, UnknownNameError
from aframe.sensitivity.populations import population_name
from aframe.sensitivity.volume import mass_pair
from aframe.settings.keys import nearest
from aframe.tables import Table
from aframe.types import Array

Population = str | tuple[float | int, float | int]
"""A population by name, or a pair of source-frame masses, M☉."""


def numbers(argument: object, what: str) -> Array:
    """Convert an argument to an array of numbers.

    Args:
        argument: A number, or numbers of any shape.
        what: Name of the quantity, for the error.

    Returns:
        Array of the argument's shape.

    Raises:
        DataError: If the argument is no number, or holds a NaN.
    """
    try:
        values = np.asarray(argument)
    except ValueError:  # rows of unequal lengths
        values = np.asarray(None)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{what} is {shortened(argument)}, which is no number: give a number, or an array of numbers")
    unknown = int(np.isnan(values).sum())
    if unknown:
        several = f" in {unknown} of {values.size} places: leave those out" if values.ndim else ": give a number"
        raise DataError(f"{what} is not a number (NaN){several}")
    return values


def one_number(argument: object, what: str) -> float:
    """Convert an argument to one number.

    Args:
        argument: A number.
        what: Name of the quantity, for the error.

    Raises:
        DataError: If the argument is no number, a NaN, or several numbers.
    """
    value = numbers(argument, what)
    if value.ndim:
        raise DataError(f"{what} is {shortened(argument)}, which is no single number: give one at a time")
    return float(value)


def column_of(table: Table, name: object) -> Array:
    """Column of a table.

    Args:
        table: A table of a run.
        name: Name of the column.

    Raises:
        UnknownNameError: If the table has no such column. The message lists its columns.
        DataError: If ``name`` is no string.
    """
    if not isinstance(name, str):
        raise DataError(
            f"{shortened(name)} is no column's name: give one, such as 'detection_statistic', or take rows, or several "
            "columns, of `.to_astropy()`, as in `.to_astropy()[:3]`"
        )
    return table[existing_name("column", name, table.parameters)]


def existing_name(what: str, name: object, names: Collection[str]) -> str:
    """Check that a name exists, and return it.

    Args:
        what: Kind of thing that the name stands for, for the error.
        name: The name to check.
        names: All existing names.

    Raises:
        UnknownNameError: If the name does not exist. The message lists those that do.
    """
    if isinstance(name, str) and name in names:
        return name
    suggestion = nearest(name, names) if isinstance(name, str) else ""
    raise UnknownNameError(f"there is no {what} {shortened(name)}{suggestion}; there are {', '.join(names) or 'none'}")


def by_name(populations: object) -> dict[str, Population]:
    """Populations by their names in files and figures.

    Args:
        populations: Names and pairs of masses (source frame, M☉), or one of either.

    Raises:
        DataError: If one is neither a name nor a pair of masses.
    """
    several = [populations] if isinstance(populations, str) or _is_pair(populations) else populations
    try:
        return {_name(each): each for each in several}  # type: ignore[attr-defined] # TypeError if it is not iterable
    except TypeError:
        raise _no_population(populations) from None


def shortened(argument: object) -> str:
    """Representation of an argument, shortened to a part of a line."""
    return " ".join(reprlib.repr(argument).split())


def _name(population: object) -> str:
    """Name of a population in files and figures."""
    if not isinstance(population, str) and not _is_pair(population):
        raise _no_population(population)
    pair = mass_pair(population) if isinstance(population, str) else population
    if pair is None:
        return population_name(str(population))
    if not all(0 < mass < math.inf for mass in pair):  # type: ignore[attr-defined] # it is a pair of numbers by now
        raise DataError(f"the masses of the population {population!r} must be positive: give solar masses, as (35, 20)")
    return f"{max(pair):g}-{min(pair):g}"  # type: ignore[call-overload]


def _is_pair(argument: object) -> bool:
    """Whether an argument is two numbers."""
    return (
        isinstance(argument, tuple | list | np.ndarray)
        and len(argument) == 2
        and all(isinstance(mass, Real) for mass in argument)
    )


def _no_population(argument: object) -> DataError:
    text = shortened(argument)
    return DataError(f'{text} is no population: give names and pairs of masses, as in ["35-20", (40, 30)]')
