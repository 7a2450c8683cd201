"""Images that the typicality check should flag, by kind: noise, text, photographs, other body parts, turned chests.

They are drawn here from fixed seeds, or read from the real data and from samples that come with libraries.
"""

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_images

from service.dicom.decoder import decode
from service.dicom.pixels import display
from service.dicom.radiograph import radiograph
from service.dicom.reader import read

Floats = NDArray[np.float32]
Kinds = dict[str, list[Floats]]

SIDE = 512
DRAWS = 20  # images of each drawn kind
BLURS = (2, 8, 32, 64)  # pixels of 512
SAMPLE_DATA = Path(matplotlib.get_data_path()) / "sample_data"
# Fingers of a hand, unit 1/16 of the picture: x and y of the root, tilt, lengths of the bones, metacarpal first.
FINGERS: tuple[tuple[float, float, float, tuple[float, ...]], ...] = (
    (5.2, 11.2, -0.75, (3, 2, 1.4)),
    (6.6, 10.4, -0.2, (3.3, 2.3, 1.5, 1)),
    (7.8, 10.2, 0.0, (3.3, 2.6, 1.7, 1.1)),
    (9.0, 10.4, 0.17, (3, 2.4, 1.6, 1)),
    (10.0, 10.9, 0.4, (2.8, 1.9, 1.2, 0.9)),
)


def drawings() -> Kinds:
    """Images that are computed, without any file."""
    return {
        "noise, uniform": [generator(seed).random((SIDE, SIDE), dtype=np.float32) for seed in range(DRAWS)],
        "noise, Gaussian": [
            np.clip(generator(seed).normal(0.5, 0.15, (SIDE, SIDE)), 0, 1).astype(np.float32) for seed in range(DRAWS)
        ],
        **{f"noise, blurred by {blur} pixels": [clouds(seed, blur) for seed in range(DRAWS)] for blur in BLURS},
        "blank": [np.full((SIDE, SIDE), grey, np.float32) for grey in (0, 0.25, 0.5, 0.75, 1)],
        "gradients": list(gradients()),
        "a page of text": [page(seed) for seed in range(DRAWS)],
        "a drawn hand": [hand(seed) for seed in range(DRAWS)],
    }


def photographs() -> Kinds:
    """Sample images of scikit-learn and matplotlib in grey, whole and in quarters; an MR slice of a head."""
    pictures = [Image.fromarray(picture) for picture in load_sample_images().images]
    pictures += [Image.open(SAMPLE_DATA / name) for name in ("grace_hopper.jpg", "Minduka_Present_Blue_Pack.png")]
    whole = [np.asarray(picture.convert("L"), np.float32) / np.float32(255) for picture in pictures]
    with gzip.open(SAMPLE_DATA / "s1045.ima.gz") as file:
        head = np.frombuffer(file.read(), ">u2").astype(np.float32).reshape(256, 256)
    return {
        "photographs, whole and quarters": [part for picture in whole for part in (picture, *quarters(picture))],
        "head, an MR slice": [np.clip(head / np.percentile(head, 99.5), 0, 1).astype(np.float32)],
    }


def other_body_parts(folder: Path) -> Kinds:
    """Radiographs of other parts of the body from a folder of DICOM files, without the gate."""
    names = {
        "hip, a radiograph": "neg_fuji_cr_hip_mono2_10bit_RG2_J2KR",
        "teeth, a radiograph": "neg_cr_teeth_mono1_modalityLUT_jpegll",
    }
    return {kind: [ungated(folder / f"{name}.dcm")] for kind, name in names.items()}


def altered_chests(chests: Sequence[Floats]) -> Kinds:
    """Chests turned, mirrored, inverted or cut."""
    return {
        "chests upside down": [chest[::-1] for chest in chests],
        "chests turned left": [np.rot90(chest) for chest in chests],
        "chests turned right": [np.rot90(chest, -1) for chest in chests],
        "chests inverted": [1 - chest for chest in chests],
        "chests mirrored": [chest[:, ::-1] for chest in chests],
        "chests, a quarter of each": [quarters(chest)[number % 4] for number, chest in enumerate(chests)],
    }


def display_values(paths: Sequence[Path]) -> list[Floats]:
    """Display values of DICOM files, as in the service."""
    return [radiograph(path.read_bytes()).values for path in paths]


def ungated(path: Path) -> Floats:
    """Display values of a DICOM file that the gate would refuse."""
    dataset = read(path.read_bytes())
    return display(decode(dataset), dataset).values


def generator(seed: int) -> np.random.Generator:
    """Random numbers of this module's own stream."""
    return np.random.default_rng([20, seed])


def clouds(seed: int, blur: float) -> Floats:
    """Noise blurred by `blur` pixels, stretched to [0, 1]."""
    smooth = gaussian_filter(generator(seed).random((SIDE, SIDE), dtype=np.float32), blur)
    return np.asarray((smooth - smooth.min()) / (smooth.max() - smooth.min()), np.float32)


def gradients() -> Iterator[Floats]:
    """Ramps towards each side, towards the middle and away from it."""
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)
    across = np.broadcast_to(ramp, (SIDE, SIDE))
    yield from (np.rot90(across, turns) for turns in range(4))
    radius = np.hypot(*(np.meshgrid(ramp - 0.5, ramp - 0.5))) / np.hypot(0.5, 0.5)
    yield from (radius.astype(np.float32), (1 - radius).astype(np.float32))


def page(seed: int) -> Floats:
    """Random letters in lines, black on white or white on black."""
    random, size = generator(seed), 12 + 3 * (seed % 8)
    picture = Image.new("L", (SIDE, SIDE), 255)
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size)
    for top in range(size, SIDE - size, int(1.4 * size)):
        letters = "".join(random.choice(list("abcdefghijklmnopqrstuvwxyz    "), SIDE // size * 2))
        pen.text((size, top), letters, 0, font)
    values = np.asarray(picture, np.float32) / np.float32(255)
    return values if seed % 2 else 1 - values


def hand(seed: int) -> Floats:
    """A drawing of a hand radiograph: soft outline, brighter bones with hollow shafts, fingers up, dark background."""
    random = generator(seed)
    soft, bone = (Image.new("F", (SIDE, SIDE), 0) for _ in range(2))
    flesh, bones = ImageDraw.Draw(soft), ImageDraw.Draw(bone)
    unit, spread = SIDE / 16 * random.uniform(0.85, 1.1), random.uniform(0.8, 1.2)
    origin = np.array([8, 9]) * (SIDE / 16 - unit) + random.uniform(-15, 15, 2)

    def at(x: float, y: float) -> tuple[float, float]:
        return float(origin[0] + x * unit), float(origin[1] + y * unit)

    flesh.rounded_rectangle((*at(5, 9), *at(11, 14.2)), unit, 0.4)
    flesh.rectangle((*at(5.8, 13), *at(10.2, 17.5)), 0.4)
    for x, y, tilt, lengths in FINGERS:
        here = np.array([x, y + 1.5])
        for number, length in enumerate(lengths):
            along = np.array([np.sin(tilt * spread), -np.cos(tilt * spread)])
            there = here + length * along * random.uniform(0.95, 1.05)
            flesh.line((*at(*here), *at(*there)), 0.4, int(1.35 * unit))
            flesh.circle(at(*there), 0.67 * unit, 0.4)
            shaft(bones, at(*here), at(*there), unit * (0.62 - 0.08 * number))
            here = there + 0.12 * (there - here) / length
    for number in range(8):  # carpal bones, two rows
        x, y = at(6.4 + number % 4 * 1.05, 12.9 + number // 4 * 0.9)
        bones.ellipse((x - 0.5 * unit, y - 0.42 * unit, x + 0.5 * unit, y + 0.42 * unit), 0.3)
    for x in (6.7, 9.2):  # radius and ulna
        shaft(bones, at(x, 18), at(x + 0.1, 14.9), 1.1 * unit)
    layers = gaussian_filter(np.asarray(soft), 4) + gaussian_filter(np.asarray(bone), 1.2)
    grain = random.normal(0, 0.01, layers.shape)
    return np.clip(layers * random.uniform(0.9, 1.1) + grain + 0.05, 0, 1).astype(np.float32)


def shaft(pen: ImageDraw.ImageDraw, start: tuple[float, float], end: tuple[float, float], width: float) -> None:
    """A long bone: thicker ends, and a marrow darker than its rim."""
    pen.line((*start, *end), 0.4, max(int(width), 1))
    for place in (start, end):
        pen.circle(place, 0.62 * width, 0.36)
    pen.line((*start, *end), 0.28, max(int(width / 2), 1))


def quarters(values: Floats) -> list[Floats]:
    """Top left, top right, bottom left, bottom right."""
    height, width = values.shape[0] // 2, values.shape[1] // 2
    return [values[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
