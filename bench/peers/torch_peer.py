"""The workloads in PyTorch. step: one step on a fixed batch; fit: epochs of shuffled batches (randperm and
index_select, much quicker than a DataLoader for data in memory); job: MNIST, five epochs, evaluate. Compiled:
torch.compile. Pictures are channels last in memory and optimizers fused: quicker on all of these."""

from common import *

args = arguments(["step", "fit", "job"])
os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(args.threads)
torch.manual_seed(0)


def mlp():
    return nn.Sequential(nn.Linear(PIXELS, args.units), nn.ReLU(), nn.Dropout(0.2), nn.Linear(args.units, CLASSES))


def cnn():
    first = [nn.Conv2d(1, 32, 3), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Dropout(0.5), nn.Linear(1600, CLASSES))


class LSTM(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.lstm = nn.Embedding(WORDS, 128), nn.LSTM(128, 128, batch_first=True)
        self.out = nn.Linear(128, 1)

    def forward(self, x):
        _, (h, _) = self.lstm(self.words(x))
        return self.out(h[-1])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.project = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.feed_forward = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def forward(self, x):
        qkv = self.qkv(self.norm_1(x)).view(len(x), STEPS, 3, HEADS, WIDTH // HEADS)
        attended = F.scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.project(attended.transpose(1, 2).reshape(x.shape))
        return x + self.feed_forward(self.norm_2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Parameter(0.05 * torch.randn(STEPS, WIDTH))
        self.blocks = nn.Sequential(*[Block() for _ in range(BLOCKS)], nn.LayerNorm(WIDTH))
        self.out = nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, x):
        return self.out(self.blocks(self.tokens(x) + self.positions))


class Recommender(nn.Module):
    def __init__(self):
        super().__init__()
        self.users, self.items = nn.Embedding(USERS, 64), nn.Embedding(ITEMS, 64)
        self.dense = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, user, item):
        return self.dense(torch.cat([self.users(user), self.items(item)], 1))


def convolved(channels, filters, size, stride):
    return nn.Sequential(
        nn.Conv2d(channels, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters, eps=1e-3)
    )


class Residual(nn.Module):
    def __init__(self, channels, filters, stride):
        super().__init__()
        self.first, self.second = convolved(channels, filters, 3, stride), convolved(filters, filters, 3, 1)
        self.kept = nn.Identity() if stride == 1 else convolved(channels, filters, 1, stride)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x))) + self.kept(x))


def resnet20():
    layers, channels = [convolved(3, 16, 3, 1), nn.ReLU()], 16
    for filters, stride in RESIDUAL_BLOCKS:
        layers.append(Residual(channels, filters, stride))
        channels = filters
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


NETWORKS = {"mlp": mlp, "cnn": cnn, "lstm": LSTM, "lstm-128": LSTM, "gpt": GPT, "recommender": Recommender}
model = NETWORKS.get(args.workload, resnet20)()
if args.workload in ("cnn", "resnet20"):
    model = model.to(memory_format=torch.channels_last)
if args.workload == "gpt":
    optimizer = torch.optim.AdamW(model.parameters(), 3e-4, fused=True)
elif args.workload == "resnet20":
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, fused=True)
else:
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)


def loss_of(x, y):
    logits = model(*x)
    if is_binary(args.workload):
        return F.binary_cross_entropy_with_logits(logits, y)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))


forward = torch.compile(loss_of) if args.compiled else loss_of


def step(x, y):
    value = forward(x, y)
    optimizer.zero_grad(set_to_none=True)
    value.backward()
    optimizer.step()
    return value.detach()


def tensors(x, y):
    """Indices as PyTorch wants them, pictures as [N, C, H, W] over channels-last memory."""
    x = [torch.from_numpy(part) for part in x]
    x = [part.permute(0, 3, 1, 2) if part.ndim == 4 else part for part in x]
    long = lambda part: part if part.is_floating_point() else part.long()
    return [long(part) for part in x], long(torch.from_numpy(y))


def epoch_of_batches(x, y):
    total = torch.zeros(())
    for rows in torch.randperm(len(y)).split(args.batch):
        total += step([part.index_select(0, rows) for part in x], y.index_select(0, rows))
    return total.item()


def measure_step():
    x, y = tensors(*data(args.workload, args.batch))
    emit_times(torch.__version__, args.batch, time_steps(lambda: step(x, y), lambda: None, args.seconds))


def measure_fit():
    x, y = tensors(*data(args.workload, args.rows))
    emit_times(torch.__version__, args.batch, time_epochs(lambda: epoch_of_batches(x, y), args))


def job():
    (x, y), (x_test, y_test) = (tensors([x], y) for x, y in mnist())
    for _ in range(EPOCHS):
        epoch_of_batches(x, y)
    model.eval()
    with torch.inference_mode():
        accuracy = (model(*x_test).argmax(1) == y_test).float().mean().item()
    emit(version=torch.__version__, accuracy=accuracy)


{"step": measure_step, "fit": measure_fit, "job": job}[args.mode]()
