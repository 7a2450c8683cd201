"""What the tests of the viewer share: a radiograph, the pixels on the screen, and drags."""

from base64 import b64decode
from io import BytesIO
from typing import Any

import httpx
import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.pixels import apply_voi_lut

from tests.service.web.chromium import Tab
from tests.service.web.running import clouds

HEIGHT, WIDTH = 520, 560  # fits every stage at 1:1
STORED = clouds(HEIGHT, WIDTH, seed=1)
TWO_WINDOWS = {
    "WindowCenter": [2048, 1500],
    "WindowWidth": [4096, 1000],
    "WindowCenterWidthExplanation": ["NORMAL", "HARDER"],
}
GEOMETRY = {"PatientOrientation": ["L", "F"], "PixelSpacing": [0.2, 0.2]}
STUDY = {"StudyDate": "20250305", "StudyTime": "101530.5"}


def grey(tab: Tab, height: int = HEIGHT, width: int = WIDTH, canvas: str = "canvas.radiograph") -> np.ndarray:
    """Return the grey values [H, W] at the centre of a canvas, where the image is at 1:1."""
    script = """([selector, height, width]) => {
        const canvas = document.querySelector(selector);
        const [x, y] = [Math.round((canvas.width - width) / 2), Math.round((canvas.height - height) / 2)];
        const { data } = canvas.getContext("2d").getImageData(x, y, width, height);
        let text = "";
        for (let at = 0; at < data.length; at += 4) text += String.fromCharCode(data[at]);
        return btoa(text);
    }"""
    values = b64decode(tab.page.evaluate(script, [canvas, height, width]))
    return np.frombuffer(values, np.uint8).reshape(height, width).astype(int)


def size_of(tab: Tab, canvas: str) -> tuple[int, int]:
    width, height = tab.page.locator(canvas).evaluate("(one) => [one.width, one.height]")
    return width, height


def place(stage: float, image: int) -> int:
    return int(np.floor((stage - image) / 2 + 0.5))


def screen(tab: Tab) -> np.ndarray:
    """Return the screen pixels [H, W, 3] where the image is at 1:1, without the text over it."""
    box = tab.page.locator('[data-pane="overlay"] canvas.radiograph').bounding_box()
    assert box is not None
    left, top = box["x"] + place(round(box["width"]), WIDTH), box["y"] + place(round(box["height"]), HEIGHT)
    assert left == round(left), "the browser would blur an image between pixels"
    assert top == round(top)
    clip = {"x": left, "y": top, "width": WIDTH, "height": HEIGHT}
    show = "(all, how) => all.forEach((one) => { one.style.visibility = how; })"
    tab.page.locator(".corner, .edge").evaluate_all(show, "hidden")
    shot = tab.page.screenshot(clip=clip)  # type: ignore[arg-type]
    tab.page.locator(".corner, .edge").evaluate_all(show, "")
    return np.asarray(Image.open(BytesIO(shot)).convert("RGB")).astype(int)


def at(tab: Tab) -> tuple[float, float]:
    """Return the position of the image on the screen."""
    box = tab.page.locator("canvas.radiograph").bounding_box()
    assert box is not None
    return box["x"], box["y"]


def windowed(center: float, width: float) -> np.ndarray:
    """Return the grey values that pydicom computes."""
    dataset = Dataset()
    dataset.BitsStored, dataset.PixelRepresentation, dataset.PhotometricInterpretation = 12, 0, "MONOCHROME2"
    dataset.WindowCenter, dataset.WindowWidth = center, width
    return np.asarray(apply_voi_lut(STORED, dataset) / 4095 * 255)


def picture(service: httpx.Client, path: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(service.get(path).content)))


def window(tab: Tab) -> tuple[float, float]:
    return float(tab.page.input_value("#level")), float(tab.page.input_value("#width"))


def drag(tab: Tab, dx: int, dy: int, **options: Any) -> None:
    box = tab.page.locator("#stage").bounding_box()
    assert box is not None
    x, y = round(box["x"] + box["width"] / 2), round(box["y"] + box["height"] / 2)
    tab.page.mouse.move(x, y)
    tab.page.mouse.down(**options)
    tab.page.mouse.move(x + dx // 2, y + dy // 3)
    tab.page.mouse.move(x + dx, y + dy)
    tab.page.mouse.up(**options)
    tab.settled()
