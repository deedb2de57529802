import numpy as np

from aframe.online.arrivals import Arrival
from aframe.online.strain_memory import StrainMemory


def arrival(start: float, values: list[float], rate: float = 4.0, ifo: str = "H1") -> Arrival:
    return Arrival(ifo, start, rate, np.array(values, dtype=np.float64), 0.0)


def test_strain_is_put_together_and_forgotten() -> None:
    memory = StrainMemory(3.0)
    memory.add([arrival(1.0, [4, 5, 6, 7]), arrival(0.0, [0, 1, 2, 3]), arrival(0.0, [9, 9, 9, 9])])
    stretch = memory.stretch("H1", 0.3, 1.75)
    assert stretch is not None
    assert (stretch.start, stretch.data.tolist()) == (0.5, [2, 3, 4, 5, 6])
    assert memory.stretch("H1", 0.0, 2.25) is None
    assert memory.stretch("L1", 0.0, 1.0) is None
    memory.add([arrival(4.0, [0, 0, 0, 0])])
    assert memory.stretch("H1", 0.0, 1.0) is None


def test_what_is_not_to_be_searched_is_missing() -> None:
    memory = StrainMemory(10.0)
    memory.add([arrival(0.0, [0, np.nan, 2, 3]), arrival(1.0, [4, 5], 2.0)])
    assert memory.stretch("H1", 0.0, 1.0) is None
    assert memory.stretch("H1", 0.5, 1.5) is None
    stretch = memory.stretch("H1", 0.5, 1.0)
    assert stretch is not None
    assert stretch.data.tolist() == [2, 3]
