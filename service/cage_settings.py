"""How the kernel confines the processes that decode files: the settings `TRIAGE_DECODERS__…`."""

from typing import Literal

from pydantic import Field

from service.destinations import Group

Mode = Literal["auto", "required", "off"]


class Confinement(Group):
    """The cage of the decoder processes, see `service.prediction.cage`."""

    cage: Mode = Field(
        "auto",
        description="whether the kernel keeps decoder processes from files, network and other processes"
        " (docs/security.md); auto: as far as it can; required: do not start unless it can",
    )
