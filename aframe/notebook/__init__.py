"""Objects for notebooks: a run, or its background alone. Nothing here writes files (docs/notebook.md)."""

from aframe.notebook.background import SearchBackground, read_background
from aframe.notebook.candidates import Candidates
from aframe.notebook.injections import Injections
from aframe.notebook.search import Search
from aframe.notebook.volumes import SensitiveVolumes

__all__ = ["Candidates", "Injections", "Search", "SearchBackground", "SensitiveVolumes", "read_background"]
