"""Whether a second look at the image adds anything to the global branch.

`python -m bench.second_look SEED OUT` writes the rows of one seed to OUT, and `--write FILE...` the table of all of
them to docs/studies.md; `make second-look` does both.

The global branch of a finished run stays as it is. A local branch starts from its weights and is trained on crops of
full detail, of the training list: on boxes of τ 0.3 to 0.5 moved and scaled at random, and on random ones. On the
images of the test list it then looks at a box, at five patches, or around the peak of each finding's class map. The
control is trained as long on the same images, whole: what it gains is not gained by looking closer. Global and local
logit of a finding are combined by a logistic regression fitted on other patients, and the combination is compared with
the global logit, treated alike.

The images are those of nih-subset, which have full size. Needs the runs of `make artefact`.
"""

import copy
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from bench.prevalence import DATA, ROOT
from bench.scores import between, cell, table
from model.agcnn import Agcnn
from model.branch import Branch
from model.crop import crop
from model.heat_map import heat_map
from model.region import region
from training.data.cache import Canvases
from training.data.sources import canvases
from training.evaluation.bootstrap import entry, resamples
from training.evaluation.metrics import Numbers, auroc, curve, macro, ranking
from training.fit import checkpoint
from training.fit.loss import masked_loss
from training.fit.memory import keep_freed_memory
from training.fit.optimiser import cosine

PAGE = ROOT / "docs" / "studies.md"
MARK = "second look: make second-look"
HEAD = ["images", "seed", "second look", "findings", "AUROC, global", "AUROC, local", "gain of both over global"]
SIZE = 512  # pixels of the canvas: four times the side of the input
EPOCHS, BATCH, RATE, DECAY = 3, 32, 2e-4, 1e-2
SMALL, LARGE = 0.3, 0.5  # τ
PATCH = 0.6  # side of each of five overlapping patches, as a share of the canvas
AROUND = 0.5  # side of the box around a finding's peak
FOLDS = 5
COLLECTION = "B"  # the other one has two labels only, and a network can tell them apart
LEAST = 10  # positives of a finding that is scored

Boxes = Callable[[np.random.Generator], Tensor]


@dataclass(frozen=True)
class Seen:
    """Images and what the global branch gives for them: `logits [N, K]`, `heat [N, h, w]`, `maps [N, K, h, w]`."""

    images: Canvases
    logits: Tensor
    heat: Tensor
    maps: Tensor


@torch.no_grad()
def look(network: Agcnn, images: Canvases) -> Seen:
    """Run the global branch on canvases of any size that is a multiple of its input."""
    size, branch = network.config.input_size, network.global_branch.eval()
    forward = branch.forward_with_mirror if network.config.mirror else branch
    parts = []
    for chosen in batches(np.arange(len(images))):
        canvas = images.read(chosen)
        output = forward(torch.nn.functional.avg_pool2d(canvas, canvas.shape[-1] // size))
        parts.append(
            (output.logits, heat_map(output.features, network.config.statistic), branch.class_maps(output.features))
        )
    logits, heat, maps = map(torch.cat, zip(*parts, strict=True))
    return Seen(images, logits, heat, maps)


def batches(order: np.ndarray) -> list[np.ndarray]:
    """Divide indices `[N]` into batches."""
    return np.split(order, range(BATCH, len(order), BATCH))


def clamped(centre: Tensor, side: Tensor) -> Tensor:
    """Boxes `[..., 4]` of sides `[..., 2]` around centres `[..., 2]`, moved so that they lie within the canvas."""
    side = side.clamp(max=1)
    centre = torch.maximum(torch.minimum(centre, 1 - side / 2), side / 2)
    return torch.cat([centre - side / 2, centre + side / 2], -1)


def whole(seen: Seen) -> Boxes:
    """The whole image."""
    boxes = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(len(seen.images), 4)
    return lambda _: boxes


def moved(seen: Seen) -> Boxes:
    """Half of the boxes of τ 0.3 to 0.5, moved and scaled, and half at random."""

    def draw(generator: np.random.Generator) -> Tensor:
        boxes = region(seen.heat, generator.uniform(SMALL, LARGE))
        count, side = len(boxes), boxes[:, 2:] - boxes[:, :2]
        shift = torch.from_numpy(generator.uniform(-0.15, 0.15, (count, 2))).float()
        scale = torch.from_numpy(np.exp(generator.uniform(-0.3, 0.3, (count, 2)))).float()
        near = clamped((boxes[:, :2] + boxes[:, 2:]) / 2 + shift * side, side * scale)
        anywhere = torch.from_numpy(generator.uniform(0, 1, (count, 2))).float()
        sides = torch.from_numpy(generator.uniform(0.35, 0.8, (count, 1))).float().expand(-1, 2)
        is_random = torch.from_numpy(generator.random(count) < 0.5)[:, None]
        return torch.where(is_random, clamped(anywhere, sides), near)

    return draw


def train(network: Agcnn, seen: Seen, boxes: Boxes, seed: int) -> Branch:
    """Train a copy of the global branch on crops."""
    torch.manual_seed(seed)
    generator, branch = np.random.default_rng(seed), copy.deepcopy(network.global_branch).train()
    branch.requires_grad_(True)
    optimiser = torch.optim.AdamW(branch.parameters(), lr=RATE, weight_decay=DECAY)
    step, steps = 0, EPOCHS * (len(seen.images) // BATCH)
    for _ in range(EPOCHS):
        drawn = boxes(generator)
        for chosen in batches(generator.permutation(len(seen.images)))[: len(seen.images) // BATCH]:
            canvas, target = seen.images.batch(chosen)
            loss, count = masked_loss(branch(crop(canvas, drawn[chosen], network.config.input_size)).logits, target)
            optimiser.param_groups[0]["lr"] = RATE * cosine(step, steps)
            optimiser.zero_grad()
            (loss / count).backward()
            optimiser.step()
            step += 1
    return branch.eval()


@torch.no_grad()
def near(branch: Branch, seen: Seen, boxes: Tensor, size: int) -> Tensor:
    """Logits `[N, K]` of the crops of boxes `[N, 4]`."""
    order = batches(np.arange(len(seen.images)))
    return torch.cat([branch(crop(seen.images.read(chosen), boxes[chosen], size)).logits for chosen in order])


def five_patches(branch: Branch, seen: Seen, size: int) -> Tensor:
    """Logits `[N, 5, K]` of the four corners and the middle."""
    places = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.5)]
    side = torch.full((len(seen.images), 2), PATCH)
    boxes = [clamped(torch.tensor(place).expand_as(side), side) for place in places]
    return torch.stack([near(branch, seen, box, size) for box in boxes], 1)


def around_peaks(branch: Branch, seen: Seen, size: int) -> Tensor:
    """Logits `[N, K]`, each of the crop around the peak of its finding's class map."""
    width = seen.maps.shape[-1]
    columns = []
    for finding, highest in enumerate(seen.maps.flatten(2).argmax(2).T):
        centre = (torch.stack([highest % width, highest // width], 1) + 0.5) / width
        boxes = clamped(centre, torch.full((len(highest), 2), AROUND))
        columns.append(near(branch, seen, boxes, size)[:, finding])
    return torch.stack(columns, 1)


def second_looks(network: Agcnn, train_seen: Seen, seen: Seen, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield each way to look a second time and its logits `[N, K]`."""
    size = network.config.input_size
    control = train(network, train_seen, whole(train_seen), seed)
    yield "control: the whole image again", near(control, seen, whole(seen)(np.random.default_rng()), size)
    branch = train(network, train_seen, moved(train_seen), seed)
    yield "box of τ 0.4", near(branch, seen, region(seen.heat, (SMALL + LARGE) / 2), size)
    patches = five_patches(branch, seen, size)
    yield "five patches, mean", patches.mean(1)
    yield "five patches, highest", patches.amax(1)
    yield "around each finding's peak", around_peaks(branch, seen, size)


def combined(inputs: list[Numbers], positive: np.ndarray, fold: np.ndarray) -> Numbers:
    """Logits `[N]` of a logistic regression on inputs `[N]`, for each fold fitted on the others."""
    columns = np.stack(inputs, 1)
    columns = (columns - columns.mean(0)) / columns.std(0)
    result = np.empty(len(columns))
    for number in range(FOLDS):
        other = fold != number
        fitted = LogisticRegression(C=1.0).fit(columns[other], positive[other])
        result[~other] = fitted.decision_function(columns[~other])
    return result


def comparison(seen: Seen, local: Tensor, seed: int) -> list[str]:
    """Macro AUROC of the global and of the local logits, and what combining them gains."""
    patients = seen.images.patients
    names = sorted(set(patients))
    order = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % FOLDS, strict=True))
    fold = np.array([order[patient] for patient in patients])
    drawn = resamples(patients)
    columns: dict[str, list[Numbers]] = {"global": [], "local": [], "gain": []}
    for finding, truth in enumerate(seen.images.targets.T):
        positive = truth == 1
        if positive.sum() < LEAST:
            continue
        wide, close = (logits[:, finding].double().numpy() for logits in (seen.logits, local))
        scores = {
            "local": close,
            "alone": combined([wide], positive, fold),
            "both": combined([wide, close], positive, fold),
        }
        ranked = {name: ranking(values, positive) for name, values in {"global": wide, **scores}.items()}
        areas = {
            name: drawn.evaluate(lambda weights, one=one: auroc(curve(one, weights))[:, None])
            for name, one in ranked.items()
        }
        columns["global"].append(areas["global"])
        columns["local"].append(areas["local"])
        columns["gain"].append(areas["both"] - areas["alone"])
    samples = {name: macro(np.concatenate(parts, 1)) for name, parts in columns.items()}
    return [
        str(len(columns["gain"])),
        cell(entry(samples["global"])),
        cell(entry(samples["local"])),
        cell(entry(samples["gain"]), signed=True),
    ]


def rows(seed: int) -> Iterator[list[str]]:
    """Yield, for each way to look, a row of all images and one of the collection."""
    runs = ROOT / "runs"
    network, _ = checkpoint.load(runs / "shipped" / "final")
    folder = DATA / "nih-subset"
    train_seen, seen = (look(network, canvases(folder, split, SIZE, runs / "cache")) for split in ("train", "test"))
    chosen = np.flatnonzero([name == COLLECTION for name in seen.images.collections])
    within = Seen(seen.images.subset(chosen), seen.logits[chosen], seen.heat[chosen], seen.maps[chosen])
    for way, logits in second_looks(network, train_seen, seen, seed):
        yield ["subset test", str(seed), way, *comparison(seen, logits, seed)]
        yield [f"subset test, collection {COLLECTION}", str(seed), way, *comparison(within, logits[chosen], seed)]


def main() -> None:
    """Compute rows, or write the table of those that were computed."""
    keep_freed_memory()
    if sys.argv[1] == "--write":
        lines = [line for name in sys.argv[2:] for line in json.loads(Path(name).read_text(encoding="utf-8"))]
        text = table([HEAD, *lines])
        between(PAGE, MARK, text)
        print(text)
    else:
        seed, out = int(sys.argv[1]), Path(sys.argv[2])
        found = list(rows(seed))
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
