"""The user's catalogue of known events."""

from aframe.candidates.catalogue import EventCatalogue
from aframe.settings.sections import Config
from aframe.steps.veto_sources import check_of_data


def own_catalogue(config: Config) -> EventCatalogue | None:
    """Read the catalogue that the configuration names. None if it names none.

    Args:
        config: The configuration. Its sections candidates and data are used.

    Raises:
        DataError: With the file and its first wrong row, or if the catalogue is not of the time of the data.
        StorageError: If the file does not exist.
    """
    path = config.candidates.catalogue
    if path is None:
        return None
    catalogue = EventCatalogue.read(config.resolve(path))
    check_of_data(config, "catalogue", path, [(time, time) for time in catalogue.times.tolist()])
    return catalogue
