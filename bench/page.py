"""What a reader waits for, in Chromium: `python -m bench.page [--rounds 5]`.

A radiograph of 2500 x 3000 pixels is opened from the worklist, and its window is dragged. Measured in the browser: from
the click to the frame in which the picture stands, and frames a second of a drag that moves with every frame. Chromium
has no graphics card and shares its processors with the service, so a reader's own machine should not be slower.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

import httpx
import numpy as np
from PIL import Image

from service.settings import SHIPPED_ARTEFACT
from tests.factories import chest, encode
from tests.service.web.chromium import LANDSCAPE, LARGE, Tab, chromium
from tests.service.web.running import post, running

HEIGHT, WIDTH = 3000, 2500
FRAMES = 90
_OPEN = """(id) => new Promise((resolve) => {
    const start = performance.now();
    const [viewer, stage] = ["viewer", "stage"].map((one) => document.getElementById(one));
    new MutationObserver((_, observer) => {
        if (viewer.dataset.shown !== id || !["moving", "settled"].includes(stage.dataset.drawn)) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)));
    }).observe(viewer, { attributes: true, subtree: true });
    document.querySelector(`tr[data-id="${id}"] a.name`).click();
})"""
_DRAG = """(frames) => new Promise((resolve) => {
    const stage = document.getElementById("stage");
    const place = stage.getBoundingClientRect();
    const [x, y] = [place.left + place.width / 2, place.top + place.height / 2];
    stage.setPointerCapture = () => {};
    const send = (name, dx) => stage.dispatchEvent(new PointerEvent(name, {
        clientX: x + dx, clientY: y + dx / 2, pointerId: 1, button: 0, bubbles: true, cancelable: true,
    }));
    send("pointerdown", 0);
    const times = [];
    const step = (now) => {
        times.push(now);
        if (times.length <= frames) {
            send("pointermove", 100 * Math.sin(times.length / 10));
            return requestAnimationFrame(step);
        }
        send("pointerup", 0);
        resolve(times.slice(1).map((time, index) => time - times[index]));
    };
    requestAnimationFrame(step);
})"""


def film(number: int) -> bytes:
    """12 bits, clouds and grain, JPEG-free: most of what a receiver gets is uncompressed."""
    random = np.random.default_rng(number)
    coarse = random.random((12, 10), dtype=np.float32)
    clouds = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    pixels = np.clip(clouds * 3600 + 300 + 40 * random.standard_normal((HEIGHT, WIDTH), np.float32), 0, 4095)
    uids = {"SOPInstanceUID": f"2.25.31{number}", "StudyInstanceUID": f"2.25.32{number}"}
    return encode(chest(pixels.astype(np.uint16), PatientName=f"PHANTOM^{number}", **uids))


def opened(tab: Tab, id: str) -> float:
    """Milliseconds from the click on a row of the list to the picture."""
    tab.open().listed()
    return float(tab.page.evaluate(_OPEN, id))


def dragged(tab: Tab) -> list[float]:
    """Milliseconds of each frame of a drag."""
    return [float(spent) for spent in tab.page.evaluate(_DRAG, FRAMES)]


def measure(client: httpx.Client, ids: list[str], size: tuple[int, int]) -> str:
    with chromium() as browser:
        opening, frames = [], []
        for id in ids:
            tab = Tab(browser, str(client.base_url).rstrip("/"), size)
            opening.append(opened(tab, id))
            tab.settled()
            frames += dragged(tab)
            tab.close()
    slow = float(np.percentile(frames, 95))
    return (
        f"{size[0]} x {size[1]}: first picture {statistics.median(opening):.0f} ms (worst {max(opening):.0f}); "
        f"drag {1000 / statistics.median(frames):.0f} frames a second (slowest twentieth {1000 / slow:.0f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{HEIGHT} x {WIDTH} pixels, {rounds} rounds, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as folder, running(SHIPPED_ARTEFACT, Path(folder)) as client:
        ids = [post(client, film(number))["id"] for number in range(rounds)]
        for size in (LANDSCAPE, LARGE):
            print(measure(client, ids, size))


if __name__ == "__main__":
    main()
