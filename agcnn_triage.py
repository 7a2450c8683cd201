"""Entry points of the commands `triage` and `agcnn`.

The packages `service`, `model` and `training` have common names. A package of the same name in the current directory or
on PYTHONPATH must not be imported in their place, so the commands run without either.
"""

import os
import sys

_INTERRUPTED = 130  # as shells report Ctrl-C


def triage() -> None:
    """Run the command `triage`."""
    _restart_without_foreign_paths()
    try:
        from service.cli.app import main
    except KeyboardInterrupt:  # imports take a moment
        sys.exit(_INTERRUPTED)
    main()


def agcnn() -> None:
    """Run the command `agcnn`."""
    _restart_without_foreign_paths()
    from training.cli.app import main

    main()


def _restart_without_foreign_paths() -> None:
    """Replace this process by one with the option -P and without PYTHONPATH, unless it is one already.

    Worker processes inherit both: multiprocessing passes -P on, and the variable is gone.
    """
    is_on_path = "PYTHONPATH" in os.environ and not sys.flags.ignore_environment
    if sys.flags.safe_path and not is_on_path:
        return
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    os.execve(sys.executable, [sys.executable, "-P", *sys.orig_argv[1:]], environment)  # noqa: S606
