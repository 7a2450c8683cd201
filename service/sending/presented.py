"""The settings of sending under a presentation."""

from service.destinations import Destination, Sending
from service.objects.kinds import Presentation


def presented(settings: Sending, presentation: Presentation) -> Sending:
    """Return the settings with only those objects of each destination that the presentation shows."""
    destinations = tuple(_presented(destination, presentation) for destination in settings.destinations)
    return settings.model_copy(update={"destinations": destinations})


def _presented(destination: Destination, presentation: Presentation) -> Destination:
    objects = tuple(kind for kind in destination.objects if presentation.shows(kind))
    return destination.model_copy(update={"objects": objects})
