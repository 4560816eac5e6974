"""The article's MLP in PyTorch. eager and compile: one step on a fixed batch; fit and fit_compile: epochs of shuffled
batches (randperm and index_select, much quicker than a DataLoader for data in memory); job: MNIST, five epochs, evaluate."""

from common import *

args = arguments(["eager", "compile", "fit", "fit_compile", "job"])

import torch
from torch import nn

torch.set_num_threads(args.threads)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, CLASSES))
optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, fused=True)
cross_entropy = nn.CrossEntropyLoss()


def loss_of(x, y):
    return cross_entropy(model(x), y)


def new_step(compiled):
    forward = torch.compile(loss_of) if compiled else loss_of

    def step(x, y):
        value = forward(x, y)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        return value.detach()

    return step


def epoch_of_batches(step, x, y):
    order = torch.randperm(len(x))
    total = torch.zeros(())
    for rows in order.split(BATCH):
        total += step(x.index_select(0, rows), y.index_select(0, rows))
    return total.item()


def tensors(x, y):
    return torch.from_numpy(x), torch.from_numpy(y).long()


def job():
    (x, y), (x_test, y_test) = (tensors(*part) for part in mnist())
    step = new_step(False)
    for _ in range(EPOCHS):
        epoch_of_batches(step, x, y)
    model.eval()
    with torch.inference_mode():
        accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
    emit(version=torch.__version__, accuracy=accuracy)


if args.mode == "job":
    job()
elif args.mode.startswith("fit"):
    step, (x, y) = new_step(args.mode == "fit_compile"), tensors(*synthetic(args.rows))
    emit_steps(torch.__version__, time_epochs(lambda: epoch_of_batches(step, x, y), args.rows, args.epochs))
else:
    step, (x, y) = new_step(args.mode == "compile"), tensors(*synthetic(BATCH))
    emit_steps(torch.__version__, time_calls(lambda: step(x, y), lambda: None))
