"""The precision in which networks compute: bfloat16 where the device has instructions for it, float32 elsewhere.

A processor without such instructions computes bfloat16 too, but emulates it: products take ten to a hundred times as
long as in float32. No list of names tells the two kinds apart: the libraries decide what they use. So a small matrix
product and a small convolution are timed in both.
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
"""Torch's types of the precisions in which a network scores, by name."""

TRAINER_DTYPES: Mapping[str, torch.dtype] = {
    **dict.fromkeys(("bf16-mixed", "bf16-true", "bf16"), torch.bfloat16),
    **dict.fromkeys(("16-mixed", "16-true", "16"), torch.float16),
    **dict.fromkeys(("64-true", "64"), torch.float64),
}
"""The type in which a precision of Lightning's does its products; float32 for all others."""

EMULATED = 2.0
"""A precision that takes more than this multiple of float32's time is emulated."""

PRODUCT_SIZE = 256
"""Rows and columns of the matrices that are multiplied."""

CHANNELS, BATCH, LENGTH, KERNEL = 32, 8, 256, 7
"""Shape of the convolution: that of a small network's layer."""

TURNS = 5
"""Times that each is computed; the fastest counts, so that other work on the machine changes nothing."""


@functools.cache
def slowdown(precision: torch.dtype, device: str) -> float:
    """Time of a matrix product and of a convolution as a multiple of float32's, whichever multiple is larger.

    Measured once in a process, in some hundredths of a second; on the CPU on one thread, by the time that it computes.

    Args:
        precision: A floating-point type.
        device: Type of device, as ``cpu`` or ``cuda``.

    Returns:
        The multiple; infinity where the device cannot compute in this precision at all.
    """
    if precision == torch.float32:
        return 1.0
    return max(_ratio(build, precision, device) for build in (_product, _convolution))


def is_emulated(precision: torch.dtype, device: str) -> bool:
    """Whether a device computes in this precision without instructions for it, or not at all."""
    return slowdown(precision, device) > EMULATED


def choose(device: str) -> str:
    """The precision that ``auto`` stands for on a device: bfloat16 unless it is emulated there, else float32."""
    return "float32" if is_emulated(torch.bfloat16, device) else "bfloat16"


def resolve(name: str, device: str) -> str:
    """A precision by name: the device's own for ``auto``, any other as it is.

    >>> resolve("float16", "cpu")
    'float16'
    """
    return choose(device) if name == AUTO else name


def resolve_trainer(name: str | int | None, device: str) -> str:
    """A precision of Lightning's by name: that of the device for ``auto`` or none.

    >>> resolve_trainer("32-true", "cpu")
    '32-true'
    """
    return TRAINER_PRECISIONS[choose(device)] if name in (AUTO, None) else str(name)


def trainer_dtype(name: str | int) -> torch.dtype:
    """The type in which training does its products.

    >>> trainer_dtype("bf16-mixed")
    torch.bfloat16
    """
    return TRAINER_DTYPES.get(str(name), torch.float32)


def training_device(accelerator: object) -> str:
    """Type of the device on which Lightning trains, by the accelerator's name in the YAML."""
    current = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator == "cpu" or current is None else current.type


def measurement(device: str) -> dict[str, object]:
    """What stands beside a precision that was chosen: where, and what was measured there."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.machine()
    factor = slowdown(torch.bfloat16, device)
    return {"device": name, "bfloat16_over_float32_time": None if factor == float("inf") else round(factor, 2)}


def described(precision: torch.dtype, device: str) -> str:
    """What a user should know of a precision on a device.

    >>> described(torch.float32, "cpu")
    'float32'
    """
    name, factor = str(precision).removeprefix("torch."), slowdown(precision, device)
    if factor == float("inf"):
        return f"{name}, in which this {_noun(device)} cannot compute"
    if factor > EMULATED:
        return f"{name}, which this {_noun(device)} emulates: products take {_rounded(factor)} times as long"
    return name


def explained(device: str) -> str:
    """What a device does with bfloat16, which is why ``auto`` chooses as it does."""
    factor, noun = slowdown(torch.bfloat16, device), _noun(device)
    if factor == float("inf"):
        return f"this {noun} cannot compute in bfloat16"
    if factor > EMULATED:
        return f"this {noun} emulates bfloat16: products take {_rounded(factor)} times as long"
    return f"this {noun} has instructions for bfloat16"


def check_supported(key: str, name: str, precision: torch.dtype, device: str) -> None:
    """Refuse a precision in which a device cannot compute at all.

    Args:
        key: Of the configuration, for the error.
        name: The precision's name there.
        precision: Its type.
        device: Type of device.

    Raises:
        ConfigurationError: Naming the key, its value and what to set.
    """
    if slowdown(precision, device) == float("inf"):
        raise ConfigurationError(f"{key} = {name}: this {_noun(device)} cannot compute in it: set {AUTO}")


def check_trainer_supported(name: str | int, device: str) -> None:
    """Refuse a precision of Lightning's in which a device cannot compute, or for which Lightning would take another.

    Raises:
        ConfigurationError: Naming the key, its value and what to set.
    """
    key = "trainer.precision"
    if str(name).startswith("transformer-engine") and importlib.util.find_spec("transformer_engine") is None:
        raise ConfigurationError(f"{key} = {name} needs the package transformer_engine: install it, or set {AUTO}")
    if str(name) in ("16-mixed", "16") and device == "cpu":
        raise ConfigurationError(f"{key} = {name} is for GPUs, and this training is on a processor: set {AUTO}")
    check_supported(key, str(name), trainer_dtype(name), device)


def _rounded(factor: float) -> str:
    """A multiple to one digit, as it varies by a third between two measurements."""
    return f"about {float(f'{factor:.1g}'):.0f}"


def _noun(device: str) -> str:
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
    """Fastest time in a precision over the fastest in float32, measured in turns."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        works = [build(each, device) for each in (precision, torch.float32)]
        best = [float("inf"), float("inf")]
        for turn in range(TURNS + 1):
            for number, work in enumerate(works):
                seconds = _seconds(work, device)
                if turn > 0:  # the first one also builds kernels
                    best[number] = min(best[number], seconds)
    except (RuntimeError, TypeError, NotImplementedError):  # what torch raises where a kernel is missing
        return float("inf")
    finally:
        torch.set_num_threads(threads)
    return best[0] / best[1]


def _seconds(work: Work, device: str) -> float:
    if device == "cpu":
        begun = time.thread_time()
        work()
        return time.thread_time() - begun
    torch.accelerator.synchronize()
    begun = time.perf_counter()
    work()
    torch.accelerator.synchronize()
    return time.perf_counter() - begun
