"""The sizes of the workloads of `footlight bench`, which crates/cli/src/bench/workloads.rs describes."""

BATCHES = {"mlp": 128, "cnn": 128, "lstm": 32, "lstm-128": 128, "gpt": 16, "recommender": 1024, "resnet20": 64}
LARGE_BATCHES = {"mlp": 256, "cnn": 256, "gpt": 32}
EPOCHS, LEARNING_RATE = 5, 1e-3
PIXELS, CLASSES = 784, 10
WORDS, USERS, ITEMS = 20_000, 10_000, 5_000
VOCABULARY, STEPS, WIDTH, BLOCKS, HEADS = 4096, 128, 256, 4, 8
RESIDUAL_BLOCKS = [(filters, stride) for filters, first in [(16, 1), (32, 2), (64, 2)] for stride in (first, 1, 1)]
