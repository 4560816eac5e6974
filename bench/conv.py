"""The shapes of `cargo bench -p footlight-cpu --bench conv` in PyTorch: `python bench/conv.py [threads]`."""

import sys
import time

import torch
import torch.nn.functional as F


def timed(what, work):
    for _ in range(5):
        work()
    seconds = []
    for _ in range(40):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    seconds.sort()
    print(f"| {what:<44} | {seconds[0] * 1e3:8.3f} ms | median {seconds[20] * 1e3:8.3f} ms |")


def conv(images, height, width, channels, filters, padding):
    for name, layout in [("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last)]:
        x = torch.rand(images, channels, height, width).to(memory_format=layout)
        w = torch.rand(filters, channels, 3, 3).to(memory_format=layout)
        shape = f"{images}x{height}x{width}x{channels} -> {filters} {name}"
        with torch.no_grad():
            y = F.conv2d(x, w, padding=padding)
            timed(f"forward {shape}", lambda: F.conv2d(x, w, padding=padding))
            gradient = lambda mask: torch.ops.aten.convolution_backward(
                y, x, w, None, [1, 1], [padding, padding], [1, 1], False, [0, 0], 1, mask
            )
            timed(f"input gradient {shape}", lambda: gradient([True, False, False]))
            timed(f"kernel gradient {shape}", lambda: gradient([False, True, False]))


def pool(images, height, width, channels):
    for name, layout in [("NCHW", torch.contiguous_format), ("NHWC", torch.channels_last)]:
        x = torch.rand(images, channels, height, width).to(memory_format=layout).requires_grad_()
        shape = f"[{images}, {height}, {width}, {channels}] {name}"
        with torch.no_grad():
            timed(f"max pool {shape}", lambda: F.max_pool2d(x, 2))
            timed(f"average pool {shape}", lambda: F.avg_pool2d(x, 2))
        dy = torch.ones_like(F.max_pool2d(x, 2))
        timed(f"max pool and gradient {shape}", lambda: torch.autograd.grad(F.max_pool2d(x, 2), x, dy))


torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
conv(128, 28, 28, 1, 32, 0)
conv(128, 13, 13, 32, 64, 0)
conv(64, 32, 32, 16, 16, 1)
conv(64, 16, 16, 32, 32, 1)
pool(128, 26, 26, 32)
pool(128, 11, 11, 64)
