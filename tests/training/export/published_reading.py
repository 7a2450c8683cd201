"""Published networks read without the project's own code: plain functions on a state dict with the published names.

Written from torchxrayvision/models.py and torchvision's DenseNet and ResNet.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d

State = Mapping[str, Tensor]

# torchxrayvision/models.py, `targets`
XRV_LABELS = [
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
]


def to_1024(pixels: Tensor) -> Tensor:
    """`normalize` of torchxrayvision for pixels of 8 bits, 0 to 255."""
    return (2 * (pixels / 255) - 1.0) * 1024


def to_imagenet(pixels: Tensor) -> Tensor:
    """`ToTensor` and `Normalize` of a grey picture as RGB: [1, 1, H, W] to [1, 3, H, W]."""
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (pixels.expand(-1, 3, -1, -1) / 255 - mean[:, None, None]) / std[:, None, None]


def densenet(state: State, x: Tensor, stem_padding: Tensor | None = None) -> Tensor:
    """Logits of a DenseNet with the names of torchvision, old or new; `classifier.0` is followed by a sigmoid."""
    kinds = ("norm1", "conv1", "norm2", "conv2")
    if not any(".norm1." in name for name in state):
        kinds = ("norm.1", "conv.1", "norm.2", "conv.2")
    x = relu_norm(state, "features.norm0", first_convolution(x, state["features.conv0.weight"], stem_padding))
    x = max_pool2d(x, 3, 2, 1)
    for block in (1, 2, 3, 4):
        layer = 1
        while f"features.denseblock{block}.denselayer{layer}.{kinds[1]}.weight" in state:
            name = f"features.denseblock{block}.denselayer{layer}"
            y = conv2d(relu_norm(state, f"{name}.{kinds[0]}", x), state[f"{name}.{kinds[1]}.weight"])
            y = conv2d(relu_norm(state, f"{name}.{kinds[2]}", y), state[f"{name}.{kinds[3]}.weight"], padding=1)
            x, layer = torch.cat([x, y], 1), layer + 1
        if block < 4:
            name = f"features.transition{block}"
            x = avg_pool2d(conv2d(relu_norm(state, f"{name}.norm", x), state[f"{name}.conv.weight"]), 2, 2)
    pooled = relu_norm(state, "features.norm5", x).mean((2, 3))
    head = "classifier" if "classifier.weight" in state else "classifier.0"
    return pooled @ state[f"{head}.weight"].T + state[f"{head}.bias"]


def resnet(state: State, x: Tensor, head: str = "fc") -> Tensor:
    """Logits of a ResNet with bottlenecks and torchvision's names."""
    x = max_pool2d(relu_norm(state, "bn1", first_convolution(x, state["conv1.weight"], None)), 3, 2, 1)
    for layer in (1, 2, 3, 4):
        block = 0
        while f"layer{layer}.{block}.conv1.weight" in state:
            name, stride = f"layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
            y = relu_norm(state, f"{name}.bn1", conv2d(x, state[f"{name}.conv1.weight"]))
            y = conv2d(y, state[f"{name}.conv2.weight"], stride=stride, padding=1)
            y = conv2d(relu_norm(state, f"{name}.bn2", y), state[f"{name}.conv3.weight"])
            if f"{name}.downsample.0.weight" in state:
                x = norm(state, f"{name}.downsample.1", conv2d(x, state[f"{name}.downsample.0.weight"], stride=stride))
            x, block = (norm(state, f"{name}.bn3", y) + x).relu(), block + 1
    return x.mean((2, 3)) @ state[f"{head}.weight"].T + state[f"{head}.bias"]


def first_convolution(x: Tensor, weight: Tensor, padding: Tensor | None) -> Tensor:
    """Convolve with stride 2, with zeros around the picture or with one value per channel."""
    if padding is None:
        return conv2d(x, weight, stride=2, padding=3)
    framed = padding[None, :, None, None].expand(len(x), -1, x.shape[2] + 6, x.shape[3] + 6).clone()
    framed[:, :, 3:-3, 3:-3] = x
    return conv2d(framed, weight, stride=2)


def norm(state: State, name: str, x: Tensor) -> Tensor:
    weight, bias, mean, var = (
        state[f"{name}.{kind}"][:, None, None] for kind in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def relu_norm(state: State, name: str, x: Tensor) -> Tensor:
    return norm(state, name, x).relu()
