"""Scorers of whitened strain: torch in this process, ONNX Runtime, or a Triton server."""

from aframe.inference.scorers.in_process import TorchScorer
from aframe.inference.scorers.interface import Scorer

__all__ = ["Scorer", "TorchScorer"]
