"""Read bilby's prior files, and find the line that bilby cannot read.

bilby reads a file line by line. Here Python's parser finds the values, so they may have comments behind them and take
several lines. Forms that bilby's files do not have are rewritten: arguments without names, no arguments at all, priors
of ``bilby.gw.prior`` without that path, cosmological priors without their own name, the call of a cosmology, which is a
dictionary for bilby, numbers such as ``np.pi / 2``, and tables beside the file.
"""

import ast
import inspect
import math
import os
import warnings
from importlib import import_module
from typing import Any

import numpy as np
from astropy import units
from bilby.core.prior import Prior, PriorDict
from bilby.gw.prior import DEFAULT_PRIOR_DIR, BBHPriorDict, Cosmological

from aframe import storage
from aframe.errors import ConfigurationError, StorageError
from aframe.waveforms.parametrisations import with_all_masses

HOME = "bilby.gw.prior"
"""Module of the priors that may stand without their path."""

NUMERIC = (ast.BinOp, ast.UnaryOp, ast.Constant, ast.Name, ast.Attribute, ast.operator, ast.unaryop, ast.expr_context)
"""Parts of expressions of numbers."""

COSMOLOGIES = ("dict", "FlatLambdaCDM", "LambdaCDM")
"""Calls that become a dictionary, from which bilby makes the cosmology."""


def read_prior_file(prior: str, path: str) -> BBHPriorDict:
    """Read a prior file.

    Args:
        prior: Name of the file, for error messages, or its name in bilby's collection.
        path: Path of the file.

    Raises:
        ConfigurationError: If the file does not exist, or with the line that cannot be read.
    """
    file = path if os.path.exists(path) else os.path.join(DEFAULT_PRIOR_DIR, prior)
    if not os.path.exists(file):
        raise ConfigurationError(f"prior = {prior}: neither {path} nor a file of bilby's collection exists")
    try:
        text = storage.read_text(file)
    except StorageError as error:
        raise ConfigurationError(f"prior = {prior}: {error}") from None
    lines = _values(prior, text, os.path.dirname(file))
    values = {name: value for name, (_, value) in lines.items()}
    try:
        priors = BBHPriorDict(dictionary=dict(values), conversion_function=with_all_masses)
        if all(isinstance(each, Prior) for each in priors.values()):
            return priors
        reason = "it has values that are neither numbers nor priors"
    except Exception as error:
        reason = one_line(error)
    for name, (line, value) in lines.items():
        problem = _problem(name, value)
        if problem:
            place = f"prior = {prior}, line {line}: {name} = {shortened(value, 120)}"
            raise ConfigurationError(f"{place} cannot be read by bilby ({problem}): mend the line, see docs/priors.md")
    raise ConfigurationError(f"prior = {prior} cannot be read by bilby ({reason}): mend the file")


def one_line(error: Exception) -> str:
    """Class and message of an exception in one line."""
    return f"{type(error).__name__}: {shortened(' '.join(str(error).split()), 300)}"


def shortened(text: str, length: int) -> str:
    """Shorten a text to ``length`` characters and an ellipsis."""
    return text if len(text) <= length else f"{text[:length]}…"


def _problem(name: str, value: str) -> str:
    """Why bilby cannot read a value. Empty if it can."""
    try:
        value = PriorDict({name: value}).get(name)
    except Exception as error:
        return one_line(error)
    return "it is neither a number nor a prior" if isinstance(value, str) else ""


def _values(prior: str, text: str, directory: str) -> dict[str, tuple[int, str]]:
    """Line and value of each parameter, the value in bilby's form.

    Args:
        prior: Name of the file, for error messages.
        text: Content of the file.
        directory: Directory of the file, in which its tables are.
    """
    lines = text.splitlines()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of backslashes in labels
            statements = ast.parse("\n".join(map(str.strip, lines))).body
    except SyntaxError as error:
        raise ConfigurationError(f"prior = {prior}, line {error.lineno}: {error.msg}: mend the line") from None
    values: dict[str, tuple[int, str]] = {}
    for statement in statements:
        if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name)):
            written = shortened(lines[statement.lineno - 1].partition("=")[0].strip(), 40)
            raise ConfigurationError(
                f"prior = {prior} is no prior file: {written!r} is no name; give lines such as "
                "mass_1 = Uniform(minimum=5, maximum=100), see docs/priors.md"
            )
        name = statement.targets[0].id
        if name in values:
            raise ConfigurationError(
                f"prior = {prior}: {name} is in lines {values[name][0]} and {statement.lineno}: leave one of them out"
            )
        calls = [node for node in ast.walk(statement.value) if isinstance(node, ast.Call)]
        for call in reversed(calls):  # the innermost first
            try:
                _rewrite(name, call)
            except ConfigurationError as error:
                raise ConfigurationError(f"prior = {prior}, line {call.lineno}: {error}") from None
            missing = _table_of(call, directory)
            if missing:
                raise ConfigurationError(f"prior = {prior}, line {call.lineno}: {name}'s {missing}: mend its path")
        values[name] = statement.lineno, _number(statement.value) or ast.unparse(statement.value)
    return values


def _number(value: ast.expr) -> str:
    """Number that an expression of numbers and ``np.pi`` gives. Empty for other expressions."""
    if not all(isinstance(node, NUMERIC) for node in ast.walk(value)):
        return ""
    try:
        names = {"np": np, "math": math, "pi": np.pi, "inf": np.inf}
        return repr(float(eval(ast.unparse(value), {"__builtins__": {}}, names)))
    except (ArithmeticError, AttributeError, NameError, TypeError, ValueError):
        return ""


def _table_of(call: ast.Call, directory: str) -> str:
    """Set the path of a prior's table. Returns what is wrong with the table; empty if nothing is."""
    for word in call.keywords:
        if word.arg == "file_name" and isinstance(word.value, ast.Constant):
            path = os.path.join(directory, str(word.value.value))
            if not os.path.isfile(path):
                return f"table {path} does not exist"
            word.value = ast.Constant(path)
    return ""


def _rewrite(name: str, call: ast.Call) -> None:
    """Change the call of a prior to the form that bilby reads."""
    path = ast.unparse(call.func)
    if _class_of(path) is None and _class_of(f"{HOME}.{path}") is not None:
        call.func = ast.parse(f"{HOME}.{path}", mode="eval").body
    kind = _class_of(ast.unparse(call.func))
    if kind is not None and call.args:
        names = list(inspect.signature(kind).parameters)
        call.keywords = [ast.keyword(n, v) for n, v in zip(names, call.args, strict=False)] + call.keywords
        call.args = []
    is_nameless = all(word.arg != "name" for word in call.keywords)
    if kind is not None and is_nameless and (issubclass(kind, Cosmological) or not call.keywords):
        call.keywords.append(ast.keyword("name", ast.Constant(name)))
    if kind is not None and issubclass(kind, Cosmological):
        _in_mpc(name, call)
    for word in call.keywords:
        value = word.value
        if word.arg != "cosmology" or not isinstance(value, ast.Call) or value.args:
            continue
        if ast.unparse(value.func).rpartition(".")[2] in COSMOLOGIES:
            keys: list[ast.expr | None] = [ast.Constant(each.arg) for each in value.keywords]
            word.value = ast.Dict(keys, [each.value for each in value.keywords])


def _in_mpc(name: str, call: ast.Call) -> None:
    """Convert the limits of a prior of distances to Mpc. Bilby converts one before the other, and refuses both.

    Raises:
        ConfigurationError: If the unit is none of distance, or a limit is no number.
    """
    words = {word.arg: word.value for word in call.keywords}
    unit = words.get("unit")
    if "distance" not in name or not isinstance(unit, ast.Constant):
        return
    try:
        factor = float(units.Unit(str(unit.value)).to(units.Mpc))
        limits = {limit: float(_number(words[limit])) * factor for limit in ("minimum", "maximum") if limit in words}
    except ValueError:  # astropy's errors of units are of this kind
        raise ConfigurationError(
            f"{name} has unit = {unit.value!r}: give its limits as numbers in Mpc, and leave unit out"
        ) from None
    call.keywords = [word for word in call.keywords if word.arg not in (*limits, "unit")]
    call.keywords += [ast.keyword(limit, ast.Constant(value)) for limit, value in limits.items()]


def _class_of(path: str) -> Any:
    """Class of a prior by its path, which for bilby.core's is its name. None if it does not exist."""
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module or "bilby.core.prior"), name, None)
    except ImportError:
        return None
    return kind if isinstance(kind, type) else None
