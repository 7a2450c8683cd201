"""What became of the files of one `triage predict`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What became of the files.

    Attributes
    ----------
    done, known
        Number of files that have a result, and of those that had one before this run.
    failed, refusals
        Number of files that were refused or have no PNG, and of those that were refused.
    passing
        Number of refused files that another run may predict.
    codes
        Number of refusals by code; a file may be refused for several reasons.
    interrupted
        Whether the run was interrupted.
    """

    done: int = 0
    known: int = 0
    failed: int = 0
    refusals: int = 0
    passing: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    interrupted: bool = False

    def add(self, refusal: Sequence[str], has_picture: bool = True) -> None:
        """Count a file by the codes of its refusal, if it was refused."""
        self.done += 1
        self.failed += bool(refusal) or not has_picture
        self.refusals += bool(refusal)
        self.codes.update(refusal)

    def summary(self) -> str:
        """Say how many files were predicted, and how many were refused for which reasons."""
        earlier = f", {self.known} of them by earlier runs" if self.known else ""
        reasons = ", ".join(f"{code} {number}" for code, number in self.codes.most_common())
        again = f"; the same command tries {self.passing} of them again" if self.passing else ""
        return f"{self.done} files{earlier}; {self.refusals} refused{reasons and f' ({reasons})'}{again}"
