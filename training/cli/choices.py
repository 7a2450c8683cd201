"""The closed sets of values of `agcnn`'s options; kept here without torch, so that --help is quick."""

from typing import Literal

Form = Literal["torchxrayvision", "chexnet", "torchvision"]
Recipe = Literal["modern", "paper", "shipped"]
Split = Literal["train", "train+val"]
Backbone = Literal[
    "densenet121",
    "efficientnet_lite0",
    "efficientnet_lite0_stride16",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "hybrid_resnet50",
    "nonlocal_resnet50",
    "resnet50",
    "sasa_conv_stem_resnet50",
    "sasa_resnet50",
    "se_densenet121",
    "se_resnet50",
    "squeezenet1_1",
]
Pooling = Literal["max", "average"]
Statistic = Literal["max", "l1", "l2"]
CropFrom = Literal["canvas", "input"]
Optimiser = Literal["adamw", "sgd"]
Schedule = Literal["cosine", "step"]
Select = Literal["best", "last"]
Uncertain = Literal["ones", "zeros", "ignore"]
Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]
Accelerator = Literal["auto", "cpu", "cuda"]
BranchName = Literal["fusion", "global", "local"]
