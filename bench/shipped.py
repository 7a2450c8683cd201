"""The scores in the README, from the card of the artefact that ships: `python -m bench.shipped [--write]`."""

import sys
from collections import Counter
from pathlib import Path

from service.artefact.card import Card, Metric
from service.artefact.file import load
from service.settings import SHIPPED_ARTEFACT

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- numbers: python -m bench.shipped --write -->", "<!-- numbers end -->"


def table(card: Card) -> str:
    """Format AUROC on the test list and operating point of every finding, fusion branch, as a Markdown table."""
    splits = sorted({metric.split for metric in card.metrics if metric.split.startswith("test")}, key=len)
    images = {metric.split: metric.images for metric in card.metrics}
    head = ["finding", *(f"AUROC, {split} ({images[split]} images)" for split in splits), "sensitivity at specificity"]
    rows = [[label, *(cell(find(card, split, label)) for split in splits), point(card, label)] for label in card.labels]
    rows.append(["**macro**", *(cell(find(card, split, "macro")) for split in splits), ""])
    branches = [
        [f"macro, {branch} branch alone", *(cell(find(card, split, "macro", branch)) for split in splits), ""]
        for branch in (("global", "local") if card.network.second_look else ())
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows, *branches])


def find(card: Card, split: str, label: str, branch: str = "fusion") -> Metric:
    """The AUROC of a split, label and branch."""
    key = ("auroc", split, label, branch)
    return next(item for item in card.metrics if (item.name, item.split, item.label, item.branch) == key)


def cell(metric: Metric) -> str:
    """Format a value with its interval and, for a single finding, its number of positives."""
    count = "" if metric.positives is None or metric.label == "macro" else f", {metric.positives} positive"
    if metric.value is None or metric.interval is None:
        return "n/a" + count
    return f"{metric.value:.2f} ({metric.interval[0]:.2f}–{metric.interval[1]:.2f}{count})"


def point(card: Card, label: str) -> str:
    """Format the operating point of a label."""
    operating = card.operating_points[card.labels.index(label)]
    return "none" if operating is None else f"{operating.sensitivity:.2f} at {operating.specificity:.2f}"


def sources(card: Card) -> str:
    """List the training data; equal entries of several networks, such as teachers, are one line with their number."""
    lines = Counter(
        f"- {entry.name}: {entry.images:,} images of {entry.patients:,} patients, {entry.role}"
        for entry in card.training_data
    )
    return "\n".join(line + (f" ({count} networks)" if count > 1 else "") for line, count in lines.items())


def section() -> str:
    """The section of the README, with its marks."""
    card = load(SHIPPED_ARTEFACT).card
    network = card.network
    kind = f"{network.backbone}, {network.pooling} pooling, input {network.input_size}, τ {network.tau}"
    kind += ", mean of image and mirror image" if network.mirror else ""
    kind += "" if network.second_look else ", without a second look"
    about = f"`{card.name}` {card.version}: {kind}. Trained on:"
    return "\n\n".join([BEGIN, about, sources(card), table(card), END])


def main() -> None:
    """Print the section, or write it to the README."""
    if "--write" not in sys.argv:
        print(section())
        return
    before, rest = README.read_text(encoding="utf-8").split(BEGIN)
    README.write_text(before + section() + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
