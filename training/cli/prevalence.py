"""The option `--prevalence`."""

from collections.abc import Sequence

from training.errors import TrainingError


def shares(texts: Sequence[str]) -> dict[str, float]:
    """Parse `Pneumothorax=0.03` to a label and a prevalence.

    Raises
    ------
    TrainingError
        A text has another form, or its share is not between 0 and 1.
    """
    table = {}
    for text in texts:
        label, _, share = text.partition("=")
        try:
            table[label] = float(share)
        except ValueError as error:
            raise TrainingError(
                f"--prevalence: expected a label and a share, such as Mass=0.05, got {text!r}"
            ) from error
        if not 0 < table[label] < 1:
            raise TrainingError(f"--prevalence: expected a share between 0 and 1, got {text!r}")
    return table
