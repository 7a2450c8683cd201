"""Why an object did not arrive."""


class SendingFailed(Exception):
    """The other side cannot be reached, or did not take it.

    Parameters
    ----------
    code
        Stable, for the log and the outbox; nothing that the other side said.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
