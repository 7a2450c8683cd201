"""Agreement of the region's box with the paper's method on 224 pixels: `python -m bench.region [maps]`."""

import sys

import numpy as np
import torch
from scipy import ndimage

from model.region import region
from tests.model.test_region import overlap, reference


def maps(count: int, side: int, sigma: float) -> torch.Tensor:
    """Draw maps `[count, side, side]` in [0, 1]: uniform noise, smoothed by a Gaussian of `sigma` cells."""
    noise = np.random.default_rng(side).random((count, side, side), dtype=np.float32)
    smooth = ndimage.gaussian_filter(noise, (0, sigma, sigma)) if sigma else noise
    low, high = smooth.min((1, 2), keepdims=True), smooth.max((1, 2), keepdims=True)
    return torch.from_numpy((smooth - low) / (high - low))


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    print("| grid | maps | mean IoU | IoU below 0.5 |\n|---|---|---|---|")
    for side in (7, 13, 14):
        for name, sigma in (("uniform", 0.0), ("smoothed", 1.0)):
            parts = maps(count, side, sigma).split(200)
            iou = np.concatenate([overlap(region(part).numpy(), reference(part)) for part in parts])
            print(f"| {side} × {side} | {count:,} {name} | {iou.mean():.4f} | {(iou < 0.5).mean():.2%} |")


if __name__ == "__main__":
    main()
