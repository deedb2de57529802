"""Load populations from their names in a configuration: a python path, a call, a bilby prior file, or a mixture."""

import ast
import copy
import importlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from bilby.gw.prior import Cosmological

from aframe import storage
from aframe.errors import AframeError, ConfigurationError
from aframe.settings.mixture import weighted_names
from aframe.waveforms.mixtures import AnyPopulation, mixture
from aframe.waveforms.parametrisations import SOURCE, check_limits
from aframe.waveforms.population import Population, draw
from aframe.waveforms.prior_files import one_line, read_prior_file

DISTANCES = ("redshift", "luminosity_distance", "comoving_distance")
"""Parameters of bilby's cosmological priors."""

TRIAL_DRAWS = 100
"""Number of draws that show whether a population can be drawn from."""

EXAMPLES = (
    "give the python path of a function, as aframe.waveforms.priors.rates_and_populations_bbh, a call of one with "
    "numbers, as aframe.waveforms.priors.log_normal_bbh(35, 30, 0.1), or a bilby .prior file"
)


def load_population(prior: str, resolve: Callable[[str], str] = str) -> AnyPopulation:
    """Load the population of a configuration.

    Args:
        prior: One of four forms: the python path of a function that returns a ``Population``; a call of such a
            function with numbers or texts; the path of a bilby prior file (or the name of one in bilby's collection);
            or several of these with weights, as ``0.3 * one, 0.7 * another``. Masses of a file are source-frame if
            their names end in ``_source``, and detector-frame otherwise.
        resolve: Function that converts the relative path of a file to one that can be opened.

    Raises:
        ConfigurationError: If the function or file does not exist, or does not describe a population.
    """
    weights, names = zip(*weighted_names(prior), strict=True)
    components = [_plain(name, resolve) for name in names]
    try:
        return mixture(components, weights)
    except ConfigurationError as error:
        raise ConfigurationError(f"prior = {prior}: {error}") from None


def _plain(prior: str, resolve: Callable[[str], str]) -> Population:
    """Load a population that is no mixture."""
    if storage.has_suffix(prior, ".prior"):
        return _read(prior, resolve(prior))
    population = _call_function(prior)
    return _checked(prior, lambda: population)


def _checked(prior: str, make: Callable[[], Population]) -> Population:
    """A population that can be drawn from, with limits that its parameters have.

    Args:
        prior: Name of the population, for error messages.
        make: Returns the population.

    Raises:
        ConfigurationError: With the reason, if not.
    """
    try:
        population = make()
        check_limits(population.prior)
        with np.errstate(all="ignore"):
            draw(copy.deepcopy(population), TRIAL_DRAWS, np.random.default_rng(0))  # conditional priors keep draws
    except AframeError as error:
        raise ConfigurationError(f"prior = {prior}: {error}") from None
    except Exception as error:
        raise ConfigurationError(f"prior = {prior} cannot be drawn from ({one_line(error)}): mend it") from error
    return population


def _call_function(prior: str) -> Population:
    """Population of a function, or of its call."""
    path, arguments, keywords = _call(prior)
    module, _, name = path.rpartition(".")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"prior = {prior} cannot be imported ({error}): {EXAMPLES}") from None
    try:
        population = function(*arguments, **keywords) if callable(function) else function
    except Exception as error:
        raise ConfigurationError(
            f"prior = {prior} fails ({one_line(error)}): mend the function or its arguments"
        ) from error
    if not isinstance(population, Population):
        raise ConfigurationError(
            f"prior = {prior} gives a {type(population).__name__}: it must be a function that returns an "
            "aframe.waveforms.priors.Population, which says in which frame a bilby prior's masses are"
        )
    return population


def _call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Path, arguments and keywords of a call. Only literals are evaluated."""
    try:
        tree = ast.parse(text, mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(tree, [], [])
        arguments = [ast.literal_eval(argument) for argument in call.args]
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"prior = {text} cannot be read ({error}): {EXAMPLES}") from None
    path = ast.unparse(call.func)
    if not re.fullmatch(r"[\w.]+", path):
        raise ConfigurationError(f"prior = {text} cannot be read: {EXAMPLES}")
    return path, arguments, keywords


def _read(prior: str, path: str) -> Population:
    """Read the population of a bilby prior file."""
    priors = read_prior_file(prior, path)
    distance = next((name for name in DISTANCES[1:] if name in priors), None)
    if distance is not None and "redshift" in priors:
        raise ConfigurationError(f"prior = {prior}: it has both redshift and {distance}: give one of them")
    for name in DISTANCES:
        kind = getattr(priors.get(name), "name", None)
        if isinstance(priors.get(name), Cosmological) and kind != name:
            raise ConfigurationError(f"prior = {prior}: its {name} has name={kind!r}, of another quantity: mend it")
    if distance is not None:
        if not isinstance(priors[distance], Cosmological):
            raise ConfigurationError(
                f"prior = {prior}: its {distance} is no cosmological prior, so redshift is unknown: make it one "
                "of bilby.gw.prior's, such as UniformSourceFrame, or give redshift"
            )
        priors["redshift"] = priors.pop(distance).get_corresponding_prior("redshift")
    return _checked(prior, lambda: Population(priors, not any(name.endswith(SOURCE) for name in priors)))
