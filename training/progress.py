"""Progress bars, which are drawn only where somebody watches them."""

from rich.console import Console
from rich.progress import Progress, ProgressColumn

SPEED_PERIOD = 30.0  # seconds over which the speed is averaged for the time left


def progress_bar(
    *columns: ProgressColumn, console: Console | None = None, hidden: bool = False, period: float = SPEED_PERIOD
) -> Progress:
    """Create a progress bar, erased when it ends, that writes nothing where the stream is not a terminal.

    In a file or a pipe, rich would write an empty line for each bar.

    Parameters
    ----------
    columns
        Columns of the bar; by default its description, share done and time left.
    console
        Stream to draw on; by default standard error.
    hidden
        Write nothing on a terminal either.
    """
    console = console or Console(stderr=True)
    silent = hidden or not console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=silent, speed_estimate_period=period)
