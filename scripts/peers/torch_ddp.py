#!/usr/bin/env python3
"""PyTorch's DistributedDataParallel, a process a rank: what many would take instead of lockstep. On processors (gloo) or,
with --device cuda, on a GPU a rank (NCCL).

Prints one JSON object: images_per_s of the whole job, the median of some windows. Forward, backward, exchange and
SGD with momentum on random images in memory.

    torch_ddp.py --model resnet20 --batch 64 --channels-last

BatchNorm is local to a rank unless --sync-bn is given. That takes torch.nn.SyncBatchNorm on GPUs, which refuses tensors
that are elsewhere, and with one rank has nothing to synchronize; on processors it measures what users write in its place:
moments through a differentiable all_reduce.
"""

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
import warnings
from pathlib import Path

WARM_UP = 3  # steps

# Images (channels first) and classes.
MODELS = {"cnn": ((1, 28, 28), 10), "resnet20": ((3, 32, 32), 10), "resnet50": ((3, 224, 224), 1000)}


def conv_bn(channels, outputs, kernel, stride=1):
    from torch import nn

    return nn.Sequential(nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, bias=False),
                         nn.BatchNorm2d(outputs))


def make_block(channels, outputs, stride):
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(conv_bn(channels, outputs, 3, stride), nn.ReLU(inplace=True),
                                      conv_bn(outputs, outputs, 3))
            same = stride == 1 and channels == outputs
            self.shortcut = nn.Identity() if same else conv_bn(channels, outputs, 1, stride)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, images):
            return self.relu(self.body(images) + self.shortcut(images))

    return Block()


def build(model):
    from torch import nn

    if model == "cnn":
        return nn.Sequential(
            conv_bn(1, 16, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            conv_bn(16, 32, 3), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 7 * 7, 128, bias=False), nn.BatchNorm1d(128), nn.ReLU(inplace=True),
            nn.Linear(128, 10))
    if model == "resnet20":
        shapes = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
        return nn.Sequential(conv_bn(3, 16, 3), nn.ReLU(inplace=True), *[make_block(*shape) for shape in shapes],
                             nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    import torchvision

    return torchvision.models.resnet50()


def synchronize(network):
    """Puts a BatchNorm that all-reduces its moments in the place of every other."""
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.distributed.nn.functional import all_reduce

    class AllReducedBatchNorm(nn.modules.batchnorm._BatchNorm):
        def _check_input_dim(self, images):
            pass

        def forward(self, images):
            axes = [0, *range(2, images.dim())]
            moments = torch.cat([images.float().mean(axes), (images.float() ** 2).mean(axes)])
            mean, square = (all_reduce(moments) / dist.get_world_size()).chunk(2)
            variance = square - mean * mean
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance, self.momentum)
            scale = self.weight * torch.rsqrt(variance + self.eps)
            shape = [1, -1] + [1] * (images.dim() - 2)
            return images * scale.view(shape) + (self.bias - mean * scale).view(shape)

    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(parent, name, AllReducedBatchNorm(child.num_features))


def make_step(options):
    import torch
    from torch import nn

    torch.manual_seed(0)
    shape, classes = MODELS[options.model]
    network = build(options.model).to(options.device)
    images = torch.randn(options.batch, *shape, device=options.device)
    labels = torch.randint(classes, (options.batch,), device=options.device)
    if options.channels_last:
        network = network.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    if options.sync_bn and options.device == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    if options.ranks > 1:
        if options.sync_bn and options.device == "cpu":
            synchronize(network)
        network = nn.parallel.DistributedDataParallel(network, broadcast_buffers=False, gradient_as_bucket_view=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    loss_of = nn.CrossEntropyLoss()

    def step():
        with torch.autocast(options.device, dtype=torch.bfloat16, enabled=options.bf16):
            loss = loss_of(network(images), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def measure(options, step):
    """Images per second of each window, and the steps of one; rank 0's clock, from barrier to barrier."""
    import torch
    import torch.distributed as dist

    def all_done():
        if options.device == "cuda":
            torch.cuda.synchronize()
        dist.barrier()

    def seconds(steps):
        all_done()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        all_done()
        return time.perf_counter() - start

    seconds(WARM_UP)
    steps = torch.tensor([max(1, round(options.seconds * WARM_UP / seconds(WARM_UP)))], device=options.device)
    dist.broadcast(steps, 0)
    steps = int(steps)
    images = options.batch * options.ranks * steps
    return [images / seconds(steps) for _ in range(options.windows)], steps


def run_rank(rank, options, folder):
    warnings.simplefilter("ignore")
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(options.threads)
    import torch
    import torch.distributed as dist

    torch.set_num_threads(options.threads)
    on_gpu = options.device == "cuda"
    if on_gpu:
        torch.cuda.set_device(rank)
        torch.backends.cudnn.benchmark = True  # its fastest way
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = options.tf32
    else:
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[(rank * options.threads + i) % len(cores)] for i in range(options.threads)})
    dist.init_process_group("nccl" if on_gpu else "gloo", init_method=f"file://{folder}/store", rank=rank,
                            world_size=options.ranks)
    rates, steps = measure(options, make_step(options))
    if rank == 0:
        report = {"images_per_s": statistics.median(rates), "min": min(rates), "max": max(rates),
                  "version": f"PyTorch {torch.__version__}", "model": options.model, "batch_per_rank": options.batch,
                  "ranks": options.ranks, "threads": options.threads, "windows": len(rates), "steps_per_window": steps}
        if on_gpu:
            report["gpu"] = torch.cuda.get_device_name()
        else:
            report["peak_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        (Path(folder) / "report").write_text(json.dumps(report))
    dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo aborts now and then where it is taken down in order


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default="resnet20")
    parser.add_argument("--batch", type=int, default=64, help="images a rank")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1, help="of a rank")
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="a window's length, about")
    parser.add_argument("--channels-last", action="store_true", help="its fastest layout")
    parser.add_argument("--sync-bn", action="store_true", help="BatchNorm over the images of all ranks")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--tf32", action="store_true", help="on a GPU, round what is multiplied to 10 bits")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    options = parser.parse_args()
    if options.device == "cuda":
        import torch

        if torch.cuda.device_count() < options.ranks:
            sys.exit(f"Error: {options.ranks} rank(s), and PyTorch sees {torch.cuda.device_count()} GPU(s)")

    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        ranks = [spawn.Process(target=run_rank, args=(rank, options, folder)) for rank in range(options.ranks)]
        for process in ranks:
            process.start()
        for process in ranks:
            process.join()
        if any(process.exitcode for process in ranks):
            sys.exit("a rank failed")
        print((Path(folder) / "report").read_text())


if __name__ == "__main__":
    main()
