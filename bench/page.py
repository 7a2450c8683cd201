"""Measure how fast the page is in Chromium: `python -m bench.page [--rounds 5]`.

A radiograph of 2500 x 3000 pixels is opened from the worklist, and its window is dragged. This measures the time from
the click to the first frame with the picture, and the frame rate of a drag that moves in every frame. Chromium runs
without a graphics card and shares the processors with the service, so a reader's own machine should not be slower.
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
    const [viewer, stage] = ["viewer", "stage"].map((name) => document.getElementById(name));
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


def film(number: int, height: int = HEIGHT, width: int = WIDTH) -> bytes:
    """Return an uncompressed 12-bit radiograph of smooth random values with noise, as most that a service receives."""
    random = np.random.default_rng(number)
    coarse = random.random((12, 10), dtype=np.float32)
    clouds = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))
    pixels = np.clip(clouds * 3600 + 300 + 40 * random.standard_normal((height, width), np.float32), 0, 4095)
    uids = {"SOPInstanceUID": f"2.25.31{number}", "StudyInstanceUID": f"2.25.32{number}"}
    return encode(chest(pixels.astype(np.uint16), PatientName=f"PHANTOM^{number}", **uids))


def opening_time(tab: Tab, id: str) -> float:
    """Return the milliseconds from the click on a row of the list to the picture."""
    tab.open().listed()
    return float(tab.page.evaluate(_OPEN, id))


def frame_times(tab: Tab) -> list[float]:
    """Return the milliseconds of each frame of a drag."""
    return [float(time) for time in tab.page.evaluate(_DRAG, FRAMES)]


def measure(client: httpx.Client, ids: list[str], size: tuple[int, int]) -> str:
    with chromium() as browser:
        opening, frames = [], []
        for id in ids:
            tab = Tab(browser, str(client.base_url).rstrip("/"), size)
            opening.append(opening_time(tab, id))
            tab.settled()
            frames += frame_times(tab)
            tab.close()
    slow = float(np.percentile(frames, 95))
    return (
        f"{size[0]} x {size[1]}: first picture {statistics.median(opening):.0f} ms (worst {max(opening):.0f}); "
        f"drag {1000 / statistics.median(frames):.0f} frames per second (slowest 5 %: {1000 / slow:.0f})"
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
