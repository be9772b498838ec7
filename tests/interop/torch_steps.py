#!/usr/bin/env python3
"""One step of a network, then more, against PyTorch's single-process BatchNorm in fp64 on the same images.

resnet20 is built here, other names are torchvision's networks, whose state dict must have our names and shapes. The
first step: loss to 1e-5 relative; running means to 1e-5 of the channel's standard deviation, running variances to
1e-5 relative; gradients, in relative L2 norm a tensor, to 1e-4 in the median and at worst to 2e-3 or twice what PyTorch's
own fp32 is away (in a deep network more ReLUs flip their sign between fp32 and fp64); parameters after the update
likewise follow. Then the losses of all steps to 1e-5 relative, step by step; of more than 10 to 1e-3.

Where CLIP_NORM is not 0, both clip their gradients by the global norm, which is the same to 1e-4 relative in every step.

In bf16 the yardstick is how far PyTorch's own bf16 (autocast) is away from fp64: statistics and gradients of the first
step may not be more than half again as far; the first loss half a unit of bf16 (2⁻⁹), those of later steps 2e-2.

  torch_steps.py INTEROP_STEPS_BINARY WORKERS MODEL SIDE STEPS fp32|bf16 CLIP_NORM
"""
import json
import statistics
import struct
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from checks import expect, finish
from torch import nn

DTYPES = {"F32": torch.float32, "F64": torch.float64, "I32": torch.int32, "I64": torch.int64}


def read_safetensors(path):
    data = Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        raw = bytearray(data[8 + length + begin : 8 + length + end])
        tensors[name] = torch.frombuffer(raw, dtype=DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        inputs = 16
        for stage, outputs in enumerate((16, 32, 64), 1):
            blocks = []
            for block in range(3):
                blocks.append(Block(inputs, outputs, 2 if stage > 1 and block == 0 else 1))
                inputs = outputs
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(x.mean((2, 3)))


def require(what, value, limit):
    expect(value <= limit, f"{what}: {value:.3g} (at most {limit:g})")


def network(model):
    if model == "resnet20":
        return ResNet20()
    warnings.simplefilter("ignore")  # torchvision looks for what it could read images with
    import torchvision

    return getattr(torchvision.models, model)(num_classes=10)


def main():
    binary, workers, model, side, steps, precision, clip_norm = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "steps.safetensors")
        code = subprocess.run([binary, path, workers, steps, model, side, precision, clip_norm], check=False).returncode
        if code != 0:
            sys.exit(code)
        ours = read_safetensors(path)

    # In fp64 its convolutions are no faster with more threads, and two tests of one run side by side.
    torch.set_num_threads(1)
    net = network(model).double()
    start = {name[6:]: value for name, value in ours.items() if name.startswith("start.")}
    net.load_state_dict({name: value.double() if value.is_floating_point() else value for name, value in start.items()})
    decayed = [p for p in net.parameters() if p.dim() > 1]
    others = [p for p in net.parameters() if p.dim() == 1]
    optimizer = torch.optim.SGD(
        [{"params": decayed, "weight_decay": 5e-4}, {"params": others, "weight_decay": 0.0}],
        lr=0.01, momentum=0.9, nesterov=True,
    )

    worst_loss = 0.0
    worst_norm = 0.0
    clipped = 0
    for step in range(int(steps)):
        images = ours[f"images.{step}"].double().permute(0, 3, 1, 2)
        loss = nn.functional.cross_entropy(net(images), ours[f"labels.{step}"].long())
        optimizer.zero_grad()
        loss.backward()
        if float(clip_norm):
            norm = nn.utils.clip_grad_norm_(net.parameters(), float(clip_norm)).item()
            worst_norm = max(worst_norm, abs(norm - ours["norms"][step].item()) / norm)
            clipped += norm > float(clip_norm)
        optimizer.step()
        difference = abs(loss.item() - ours["losses"][step].item()) / abs(loss.item())
        worst_loss = max(worst_loss, difference)
        if step == 0:
            peer = Peer(network(model), start, ours, precision, float(clip_norm))
            limit = 1e-5 if precision == "fp32" else 2**-9
            require("loss of the first step, relative", difference, limit)
            check_first_step(net, ours, peer)
    limit = 2e-2 if precision == "bf16" else 1e-3 if int(steps) > 10 else 1e-5
    require(f"worst loss of {steps} steps, relative", worst_loss, limit)
    if float(clip_norm):
        require(f"worst gradient norm of {steps} steps, relative", worst_norm, 1e-4)
        require("steps in which nothing was clipped", int(steps) - clipped, 0)
    print(f"loss went from {ours['losses'][0].item():.4f} to {ours['losses'][-1].item():.4f}")
    finish()


class Peer:
    """What PyTorch makes of the first step in the same precision."""

    def __init__(self, net, start, ours, precision, clip_norm):
        self.precision = precision
        net.load_state_dict(start)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = net(ours["images.0"].permute(0, 3, 1, 2))
            loss = nn.functional.cross_entropy(logits.float(), ours["labels.0"].long())
        loss.backward()
        if clip_norm:
            nn.utils.clip_grad_norm_(net.parameters(), clip_norm)
        self.gradients = {name: p.grad for name, p in net.named_parameters()}
        self.buffers = dict(net.named_buffers())

    def limit(self, exact, away):
        """At most `exact`, or in bf16 half again of what the peer is away."""
        return exact if self.precision == "fp32" else 1.5 * away


def distances(net, gradients):
    """Relative L2 of each tensor to the gradients of `net`."""
    # A shift that the next batch norm takes away again has the gradient 0: it is measured by the others'.
    least = 1e-3 * statistics.median(p.grad.norm().item() for p in net.parameters())
    return {
        name: (gradients[name].double() - p.grad).norm().item() / max(p.grad.norm().item(), least)
        for name, p in net.named_parameters()
    }


def check_first_step(net, ours, peer):
    gradients = distances(net, {name: ours["gradient." + name] for name in peer.gradients})
    theirs = distances(net, peer.gradients)
    median = peer.limit(1e-4, statistics.median(theirs.values()))
    require("gradients, relative L2, median", statistics.median(gradients.values()), median)
    worst = max(gradients, key=gradients.get)
    allowed = peer.limit(max(2e-3, 2 * max(theirs.values())), max(theirs.values()))
    require(f"gradients, relative L2, worst ({worst})", gradients[worst], allowed)

    parameters = max(
        ((ours["after." + name].double() - p).norm() / p.norm().clamp(min=1e-12)).item()
        for name, p in net.named_parameters() if p.detach().norm() > 1e-6
    )
    require("parameters after the update, relative L2, worst", parameters, 2e-3)

    exact = dict(net.named_buffers())
    buffers = {name: ours["after." + name] for name in exact}
    means, variances = away(buffers, exact)
    mean_limit, variance_limit = away(peer.buffers, exact)
    require("batch means behind the running ones, in standard deviations, worst", means, peer.limit(1e-5, mean_limit))
    require("running variances, relative, worst", variances, peer.limit(1e-5, variance_limit))
    for name, value in buffers.items():
        if name.endswith(".num_batches_tracked"):
            expect(value.item() == 1, f"{name} is {value.item()}")


def away(buffers, exact):
    """How far running means are off, in standard deviations of a batch, and running variances, relative; at worst."""
    means, variances = 0.0, 0.0
    # A running mean is 0.1 × the batch's mean, a running variance 0.9 + 0.1 × the batch's.
    for name in (n[: -len(".running_mean")] for n in exact if n.endswith(".running_mean")):
        variance = (exact[name + ".running_var"] - 0.9) / 0.1
        mean = (buffers[name + ".running_mean"].double() - exact[name + ".running_mean"]).abs() / 0.1
        means = max(means, (mean / variance.sqrt()).max().item())
        gap = (buffers[name + ".running_var"].double() - exact[name + ".running_var"]).abs()
        variances = max(variances, (gap / exact[name + ".running_var"]).max().item())
    return means, variances


main()
