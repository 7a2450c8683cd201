"""The error of an object that was not sent."""


class SendingFailed(Exception):
    """The destination is unreachable or did not accept the object.

    Parameters
    ----------
    code
        Stable code for the log and the outbox; it holds no text from the destination.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
