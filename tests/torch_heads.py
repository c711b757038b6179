"""DeepLabV3 and SSDLite in plain PyTorch: the tests' independent truth.

DeepLabV3: Chen et al., arXiv:1706.05587, section 3.3; SSDLite: Liu et al., ECCV 2016, with the
separable convolutions of Sandler et al., CVPR 2018; both as section 4 of MobileViT's paper (Mehta &
Rastegari, ICLR 2022) uses them. Names are those of the authors' checkpoints (CVNets, first
release). They share nothing with the engine and run in any dtype.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import torch
import torch_mobileone
import torch_mobilevit
from torch import Tensor, nn
from torch.nn import functional as F


class Conv(nn.Module):
    """A convolution that keeps the size at stride 1, a batch norm and a ReLU where wanted."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = False,
        norm: bool = True,
        act: bool = True,
    ) -> None:
        super().__init__()
        padding = kernel // 2 * dilation
        conv = nn.Conv2d(c_in, c_out, kernel, stride, padding, dilation, groups, bias)
        self.block = nn.Sequential(OrderedDict(conv=conv))
        if norm:
            self.block.add_module("norm", nn.BatchNorm2d(c_out))
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(x)
        return F.relu(x) if self.act else x


class ImagePooling(nn.Module):
    """The pooled map, spread over all pixels."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.aspp_pool = nn.Sequential(OrderedDict(conv_1x1=Conv(c_in, c_out)))

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.aspp_pool(x.mean((2, 3), keepdim=True))
        return F.interpolate(pooled, x.shape[2:], mode="bilinear", align_corners=False)


class Aspp(nn.Module):
    def __init__(self, c_in: int, width: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        atrous = [Conv(c_in, width, 3, dilation=d) for d in dilations]
        self.convs = nn.ModuleList([Conv(c_in, width), *atrous, ImagePooling(c_in, width)])
        self.project = Conv((2 + len(dilations)) * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(torch.cat([conv(x) for conv in self.convs], 1))


class SegHead(nn.Module):
    def __init__(self, c_in: int, width: int, dilations: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.aspp = nn.Sequential(OrderedDict(aspp_layer=Aspp(c_in, width, dilations)))
        last = Conv(width, classes, bias=True, norm=False, act=False)
        self.classifier = nn.Sequential(OrderedDict(classifier=last))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.aspp(x))


class Network(nn.Module):
    """A head on a backbone; `outputs` in the order of the engine's."""

    encoder: nn.Module

    def outputs(self, x: Tensor) -> list[Tensor]:
        raise NotImplementedError

    def state(self) -> dict[str, object]:
        """As float32 arrays, without the backbone's classifier and last expansion."""
        unused = ("encoder.linear.", "encoder.classifier.", "encoder.conv_1x1_exp.")
        tensors = {k: v for k, v in self.state_dict().items() if not k.startswith(unused)}
        return {k: (v.float() if v.is_floating_point() else v).numpy() for k, v in tensors.items()}


class DeepLabV3(Network):
    def __init__(
        self,
        encoder: nn.Module,
        *,
        output_stride: int = 16,
        width: int = 256,
        dilations: tuple[int, ...] = (6, 12, 18),
        classes: int = 21,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        dilate(encoder, output_stride)
        self.seg_head = SegHead(encoder.config.widths[-1], width, dilations, classes)

    def outputs(self, x: Tensor) -> list[Tensor]:
        return [self.seg_head(self.encoder.features(x)[-1])]


class Separable(nn.Module):
    """A depthwise convolution with a batch norm and no activation, and a pointwise one."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1, *, plain: bool = False) -> None:
        super().__init__()
        self.dw_conv = Conv(c_in, c_in, 3, stride=stride, groups=c_in, act=False)
        self.pw_conv = Conv(c_in, c_out, bias=plain, norm=not plain, act=not plain)

    def forward(self, x: Tensor) -> Tensor:
        return self.pw_conv(self.dw_conv(x))


class SsdHead(nn.Module):
    def __init__(self, c_in: int, width: int, channels: int, *, pixel: bool) -> None:
        super().__init__()
        self.proj_layer = Conv(c_in, width) if c_in != width and not pixel else None
        if pixel:
            self.loc_cls_layer = Conv(c_in, channels, bias=True, norm=False, act=False)
        else:
            self.loc_cls_layer = Separable(width, channels, plain=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.loc_cls_layer(x if self.proj_layer is None else self.proj_layer(x))


class SsdLite(Network):
    WIDTHS = (512, 256, 256, 128, 128, 64)
    ANCHORS = (6, 6, 6, 6, 6, 4)

    def __init__(self, encoder: nn.Module, classes: int = 81) -> None:
        super().__init__()
        self.encoder = encoder
        widths, last = self.WIDTHS, encoder.config.widths[-1]
        pixel = nn.Sequential(nn.AdaptiveAvgPool2d(1), Conv(widths[4], widths[5], norm=False))
        self.extra_layers = nn.ModuleDict(
            {
                "os_64": Separable(last, widths[2], 2),
                "os_128": Separable(widths[2], widths[3], 2),
                "os_256": Separable(widths[3], widths[4], 2),
                "os_-1": pixel,
            }
        )
        inputs = (encoder.config.widths[-2], last, *widths[2:])
        rows = zip(inputs, widths, self.ANCHORS, strict=True)
        self.ssd_heads = nn.ModuleList(
            SsdHead(c_in, width, anchors * (4 + classes), pixel=number == 5)
            for number, (c_in, width, anchors) in enumerate(rows)
        )

    def outputs(self, x: Tensor) -> list[Tensor]:
        maps = self.encoder.features(x)[-2:]
        for layer in self.extra_layers.values():
            maps.append(layer(maps[-1]))
        return [head(one) for head, one in zip(self.ssd_heads, maps, strict=True)]


class ConvModule(nn.Module):
    """mmcv's: a convolution, a batch norm of eps 0.001 and a ReLU6."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 1, stride: int = 1, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu6(self.bn(self.conv(x)))


class SeparableModule(nn.Module):
    """mmcv's depthwise separable convolution."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.depthwise_conv = ConvModule(c_in, c_in, 3, stride, c_in)
        self.pointwise_conv = ConvModule(c_in, c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise_conv(self.depthwise_conv(x))


class SsdLiteMmdet(Network):
    """mmdet's SSDLite (config ssdlite_mobilenetv2-scratch): SSDNeck and SSDHead, depthwise."""

    WIDTHS = (512, 256, 256, 128)

    def __init__(self, encoder: nn.Module, classes: int = 81) -> None:
        super().__init__()
        self.encoder = encoder
        channels = [*encoder.config.widths[-2:], *self.WIDTHS]
        self.neck = nn.Module()
        self.neck.extra_layers = nn.ModuleList(
            nn.Sequential(ConvModule(c_in, c_out // 2), SeparableModule(c_out // 2, c_out, 2))
            for c_in, c_out in pairwise(channels[1:])
        )
        self.bbox_head = nn.Module()
        for name, numbers in (("cls_convs", classes), ("reg_convs", 4)):
            tower = nn.ModuleList(
                nn.Sequential(ConvModule(c, c, 3, 1, c), nn.Conv2d(c, 6 * numbers, 1))
                for c in channels
            )
            self.bbox_head.add_module(name, tower)

    def outputs(self, x: Tensor) -> list[Tensor]:
        maps = self.encoder.features(x)[-2:]
        for layer in self.neck.extra_layers:
            maps.append(layer(maps[-1]))
        towers = zip(self.bbox_head.cls_convs, self.bbox_head.reg_convs, strict=True)
        pairs = [(scores(m), offsets(m)) for m, (scores, offsets) in zip(maps, towers, strict=True)]
        return [one for pair in pairs for one in pair]


def dilate(encoder: nn.Module, output_stride: int) -> None:
    """Strides beyond it become dilations, in place; see the notes of `with_output_stride`.

    MobileOne: all depthwise convolutions of such a stage (its 1x1 branches have no taps to spread).
    MobileViT: a layer's first block alone, by what the layers before it have lost.
    """
    lost, stride = 1, 2
    first = 1 if isinstance(encoder, torch_mobileone.MobileOne) else 2
    for number in range(first, len(encoder.config.widths) + 1):
        if stride < output_stride:
            stride *= 2
            continue
        if isinstance(encoder, torch_mobileone.MobileOne):
            lost *= 2
            for block in encoder.get_submodule(f"stage{number}")[::2]:
                _spread(block, lost)
        else:
            _spread(encoder.get_submodule(f"layer_{number}.0.block.conv_3x3"), lost)
            lost *= 2


def _spread(block: nn.Module, dilation: int) -> None:
    for conv in block.modules():
        if isinstance(conv, nn.Conv2d) and conv.groups > 1:
            conv.stride = (1, 1)
            if conv.kernel_size == (3, 3):
                conv.dilation = conv.padding = (dilation, dilation)


def backbone(name: str, seed: int = 0) -> nn.Module:
    """A published variant, randomized, in float64 and eval mode."""
    module = torch_mobileone if name.startswith("mobileone") else torch_mobilevit
    return module.create(name, seed)


def randomize(network: Network, seed: int, size: int = 128) -> Network:
    """Give the head non-trivial weights and statistics, as `torch_mobileone.randomize` does; in
    float64 and eval mode, its weights float32 numbers.
    """
    random = torch.Generator().manual_seed(seed)
    network.double()
    head = [m for n, m in network.named_modules() if not n.startswith("encoder")]
    norms = [m for m in head if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for part in head:
            if isinstance(part, nn.Conv2d):
                fan_in = part.weight[0].numel()
                part.weight.normal_(0, (2 / fan_in) ** 0.5, generator=random)
                if part.bias is not None:
                    part.bias.normal_(0, 0.5, generator=random)
            elif isinstance(part, nn.BatchNorm2d):
                part.weight.uniform_(0.3, 1.7, generator=random)
                part.bias.normal_(0, 0.5, generator=random)
                part.momentum = 1.0
        noise = torch.randn(2, 3, size, size, generator=random).double()
        network.eval()
        for norm in norms:
            norm.train()
        network.outputs(noise)
        for norm in norms:
            norm.momentum = 0.1
            variance = norm.running_var.clamp_min(0.1 * norm.running_var.mean())
            shift = torch.randn(variance.shape, generator=random).double()
            norm.running_mean.add_(0.2 * shift * variance.sqrt())
            norm.running_var.copy_(
                variance * torch.empty_like(variance).uniform_(0.6, 1.7, generator=random)
            )
        network.float().double()
    return network.eval()
