"""What a user asks an object of a run for, checked: numbers, columns, populations."""

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


def numbers(given: object, what: str) -> Array:
    """What was given as one number or several, as an array.

    Args:
        given: A number, or numbers of any shape.
        what: Its name, for the error.

    Raises:
        DataError: If it is text or anything else that is no number, or holds a NaN.
    """
    try:
        values = np.asarray(given)
    except ValueError:  # rows of unequal lengths
        values = np.asarray(None)
    if values.dtype.kind not in "iuf":
        raise DataError(f"{what} is {shortly(given)}, which is no number: give a number, or an array of numbers")
    unknown = int(np.isnan(values).sum())
    if unknown:
        several = f" in {unknown} of {values.size} places: leave those out" if values.ndim else ": give a number"
        raise DataError(f"{what} is not a number (NaN){several}")
    return values


def one_number(given: object, what: str) -> float:
    """What was given as one number.

    Raises:
        DataError: If it is none, a NaN, or several.
    """
    value = numbers(given, what)
    if value.ndim:
        raise DataError(f"{what} is {shortly(given)}, which is no single number: give one at a time")
    return float(value)


def column_of(table: Table, name: object) -> Array:
    """A column of a table.

    Raises:
        UnknownNameError: If it has none of that name; says which it has.
        DataError: If it is not asked for by a name.
    """
    if not isinstance(name, str):
        raise DataError(
            f"{shortly(name)} is no column's name: give one, such as 'detection_statistic', or take rows, or several "
            "columns, of `.to_astropy()`, as in `.to_astropy()[:3]`"
        )
    return table[known("column", name, table.parameters)]


def known(what: str, name: object, there: Collection[str]) -> str:
    """A name, if there is something of that name.

    Args:
        what: What it names.
        name: The name.
        there: All names.

    Raises:
        UnknownNameError: If it is none of them; says which there are.
    """
    if isinstance(name, str) and name in there:
        return name
    meant = nearest(name, there) if isinstance(name, str) else ""
    raise UnknownNameError(f"there is no {what} {shortly(name)}{meant}; there are {', '.join(there) or 'none'}")


def named(populations: object) -> dict[str, Population]:
    """Populations by what they are called in files and figures.

    Args:
        populations: Names and pairs of masses, or one of either.

    Raises:
        DataError: If one is neither.
    """
    words = [populations] if isinstance(populations, str) or _is_pair(populations) else populations
    try:
        return {_name(word): word for word in words}  # type: ignore[attr-defined] # what cannot be gone through is told
    except TypeError:
        raise _no_population(populations) from None


def shortly(given: object) -> str:
    """What was given, on a part of a line."""
    return " ".join(reprlib.repr(given).split())


def _name(population: object) -> str:
    """What a population is called in files and figures."""
    if not isinstance(population, str) and not _is_pair(population):
        raise _no_population(population)
    pair = mass_pair(population) if isinstance(population, str) else population
    if pair is None:
        return population_name(str(population))
    if not all(0 < mass < math.inf for mass in pair):  # type: ignore[attr-defined] # it is a pair of numbers by now
        raise DataError(f"the masses of the population {population!r} must be positive: give solar masses, as (35, 20)")
    return f"{max(pair):g}-{min(pair):g}"  # type: ignore[call-overload]


def _is_pair(given: object) -> bool:
    """Whether it is two numbers."""
    return (
        isinstance(given, tuple | list | np.ndarray)
        and len(given) == 2
        and all(isinstance(mass, Real) for mass in given)
    )


def _no_population(given: object) -> DataError:
    return DataError(f'{shortly(given)} is no population: give names and pairs of masses, as in ["35-20", (40, 30)]')
