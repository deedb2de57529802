"""Precision of networks: bfloat16 if the device has instructions for it, float32 otherwise.

A processor without such instructions emulates bfloat16. Products then take ten to a hundred times as long as in
float32. The names of processors do not distinguish the two kinds, since the libraries decide which instructions they
use. The module therefore measures the time of a small matrix product and a small convolution in both precisions.
"""

import functools
import importlib.util
import platform
import time
from collections.abc import Callable, Mapping

import torch

from aframe.constants import AUTO, TRAINER_PRECISIONS
from aframe.errors import ConfigurationError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
"""Types of torch for the precisions in which a network can score, by name."""

TRAINER_DTYPES: Mapping[str, torch.dtype] = {
    **dict.fromkeys(("bf16-mixed", "bf16-true", "bf16"), torch.bfloat16),
    **dict.fromkeys(("16-mixed", "16-true", "16"), torch.float16),
    **dict.fromkeys(("64-true", "64"), torch.float64),
}
"""Type of the products for precisions of Lightning. All others use float32."""

EMULATION_THRESHOLD = 2.0
"""Slowdown relative to float32 above which a precision counts as emulated."""

PRODUCT_SIZE = 256
"""Number of rows and columns of the multiplied matrices."""

CHANNELS, BATCH, LENGTH, KERNEL = 32, 8, 256, 7
"""Shape of the convolution, equal to that of a layer of a small network."""

REPETITIONS = 5
"""Number of measurements in each precision. The fastest counts, so that other work on the machine has no effect."""


@functools.cache
def slowdown(precision: torch.dtype, device: str) -> float:
    """Measure the slowdown of a precision relative to float32, for a matrix product and a convolution.

    Each process measures once, which takes a few hundredths of a second. On the CPU, the measurement uses one thread
    and counts processor time.

    Args:
        precision: A floating-point type.
        device: Type of device, such as ``cpu`` or ``cuda``.

    Returns:
        The larger of the two ratios of times; infinity if the device cannot compute in this precision.
    """
    if precision == torch.float32:
        return 1.0
    return max(_ratio(build, precision, device) for build in (_product, _convolution))


def is_emulated(precision: torch.dtype, device: str) -> bool:
    """Whether a device emulates a precision, or cannot compute in it.

    Args:
        precision: A floating-point type.
        device: Type of device.
    """
    return slowdown(precision, device) > EMULATION_THRESHOLD


def choose(device: str) -> str:
    """Precision for ``auto`` on a device: float32 if the device emulates bfloat16, bfloat16 otherwise."""
    return "float32" if is_emulated(torch.bfloat16, device) else "bfloat16"


def resolve(name: str, device: str) -> str:
    """Replace ``auto`` by the precision for a device.

    Args:
        name: Name of a precision, or ``auto``.
        device: Type of device.

    >>> resolve("float16", "cpu")
    'float16'
    """
    return choose(device) if name == AUTO else name


def resolve_trainer(name: str | int | None, device: str) -> str:
    """Replace ``auto`` or None by the precision of Lightning for a device.

    Args:
        name: Name of a precision of Lightning, ``auto`` or None.
        device: Type of device.

    >>> resolve_trainer("32-true", "cpu")
    '32-true'
    """
    return TRAINER_PRECISIONS[choose(device)] if name in (AUTO, None) else str(name)


def trainer_dtype(name: str | int) -> torch.dtype:
    """Type of the products in training.

    >>> trainer_dtype("bf16-mixed")
    torch.bfloat16
    """
    return TRAINER_DTYPES.get(str(name), torch.float32)


def training_device(accelerator: object) -> str:
    """Type of the device on which Lightning trains with an accelerator from the YAML."""
    current = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator == "cpu" or current is None else current.type


def measurement(device: str) -> dict[str, object]:
    """Device and measured slowdown, to be recorded with the chosen precision."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    factor = slowdown(torch.bfloat16, device)
    return {"device": name, "bfloat16_over_float32_time": None if factor == float("inf") else round(factor, 2)}


def described(precision: torch.dtype, device: str) -> str:
    """Describe a precision on a device for the user.

    Args:
        precision: A floating-point type.
        device: Type of device.

    >>> described(torch.float32, "cpu")
    'float32'
    """
    name, factor = str(precision).removeprefix("torch."), slowdown(precision, device)
    if factor == float("inf"):
        return f"{name}, in which this {_noun(device)} cannot compute"
    if factor > EMULATION_THRESHOLD:
        return f"{name}, which this {_noun(device)} emulates: products take {_rounded(factor)} times as long"
    return name


def explained(device: str) -> str:
    """Describe how a device computes in bfloat16. This is the reason for the choice of ``auto``."""
    factor, noun = slowdown(torch.bfloat16, device), _noun(device)
    if factor == float("inf"):
        return f"this {noun} cannot compute in bfloat16"
    if factor > EMULATION_THRESHOLD:
        return f"this {noun} emulates bfloat16: products take {_rounded(factor)} times as long"
    return f"this {noun} has instructions for bfloat16"


def check_supported(key: str, name: str, precision: torch.dtype, device: str) -> None:
    """Check that a device can compute in a precision.

    Args:
        key: Key of the configuration, for the error.
        name: Name of the precision in the configuration.
        precision: Type of the precision.
        device: Type of device.

    Raises:
        ConfigurationError: If not.
    """
    if slowdown(precision, device) == float("inf"):
        raise ConfigurationError(f"{key} = {name}: this {_noun(device)} cannot compute in it: set {AUTO}")


def check_trainer_supported(name: str | int, device: str) -> None:
    """Check that a device can train in a precision of Lightning, and that Lightning does not replace it.

    Args:
        name: Name of the precision.
        device: Type of device.

    Raises:
        ConfigurationError: If not.
    """
    key = "trainer.precision"
    if str(name).startswith("transformer-engine") and importlib.util.find_spec("transformer_engine") is None:
        raise ConfigurationError(f"{key} = {name} needs the package transformer_engine: install it, or set {AUTO}")
    if str(name) in ("16-mixed", "16") and device == "cpu":
        raise ConfigurationError(f"{key} = {name} is for GPUs, and this training is on a processor: set {AUTO}")
    check_supported(key, str(name), trainer_dtype(name), device)


def _rounded(factor: float) -> str:
    """A ratio in words, rounded to one digit, since it varies by a third between measurements."""
    return f"about {float(f'{factor:.1g}'):.0f}"


def _noun(device: str) -> str:
    """Word for a type of device."""
    return "processor" if device == "cpu" else "GPU"


Work = Callable[[], object]


def _product(precision: torch.dtype, device: str) -> Work:
    matrix = torch.ones(PRODUCT_SIZE, PRODUCT_SIZE, dtype=precision, device=device)
    return lambda: matrix @ matrix


def _convolution(precision: torch.dtype, device: str) -> Work:
    signal = torch.ones(BATCH, CHANNELS, LENGTH, dtype=precision, device=device)
    weight = torch.ones(CHANNELS, CHANNELS, KERNEL, dtype=precision, device=device)
    return lambda: torch.nn.functional.conv1d(signal, weight)


@torch.inference_mode()
def _ratio(build: Callable[[torch.dtype, str], Work], precision: torch.dtype, device: str) -> float:
    """Ratio of the fastest time in a precision to the fastest in float32. The measurements alternate.

    Args:
        build: Makes the function to be timed from a type and a device.
        precision: A floating-point type.
        device: Type of device.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        works = [build(each, device) for each in (precision, torch.float32)]
        best = [float("inf"), float("inf")]
        for repetition in range(REPETITIONS + 1):
            for number, work in enumerate(works):
                seconds = _seconds(work, device)
                if repetition > 0:  # the first repetition also builds kernels
                    best[number] = min(best[number], seconds)
    except (RuntimeError, TypeError, NotImplementedError):  # errors of torch for a missing kernel
        return float("inf")
    finally:
        torch.set_num_threads(threads)
    return best[0] / best[1]


def _seconds(work: Work, device: str) -> float:
    """Duration of a computation, s: processor time on the CPU, elapsed time on other devices."""
    if device == "cpu":
        start = time.thread_time()
        work()
        return time.thread_time() - start
    torch.accelerator.synchronize()
    start = time.perf_counter()
    work()
    torch.accelerator.synchronize()
    return time.perf_counter() - start
