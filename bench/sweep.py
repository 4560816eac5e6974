"""Footlight beside JAX and PyTorch on the mlp at other batches and widths: one training step, with shuffling.

    FOOTLIGHT_DATA=data python bench/sweep.py [--threads 1] [--batches 16 64 256 1024] [--widths 32 128 512 1024]

Takes turns and options as side_by_side.py does. Exit status 0: Footlight is ahead in every cell; 3: a peer is ahead in
one; 1: something could not be measured.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from measuring import OURS, Failed
from measuring import add_arguments, drop_noisy_rounds, peer_command, run, settle, take_turns
from measuring import cell, markdown, ratio_cell, ratios, threads_of

PROGRAMS = [OURS, "JAX", "JAX, epoch as one loop", "PyTorch", "PyTorch compiled"]
RUN = """
[data]
set = "mnist"

[model]
layers = [
    {{ class = "Flatten" }},
    {{ class = "Dense", units = {units}, activation = "relu" }},
    {{ class = "Dropout", rate = 0.2 }},
    {{ class = "Dense", units = 10, activation = "softmax" }},
]

[compile]
optimizer = "adam"
loss = "sparse_categorical_crossentropy"

[fit]
epochs = {epochs}
batch_size = {batch}
"""


def measure(args, batch, units, name):
    """A record with the milliseconds of a step as `step_ms`; the first epoch warms up and is not counted."""
    with tempfile.TemporaryDirectory() as folder:
        if name == OURS:
            description = Path(folder, "run.toml")
            description.write_text(RUN.format(units=units, batch=batch, epochs=2 if args.quick else 4))
            output = ["--output", str(Path(folder, "model.keras"))]
            command = [str(args.footlight), "train", str(description), *output, "--progress", "json"]
            record = run([*command, "--threads", str(args.threads)], folder)
            epochs = [line for line in record["lines"] if "seconds" in line][1:]
            times = [1e3 * line["seconds"] / line["steps"] for line in epochs]
        else:
            command = peer_command(args, name, "fit", "mlp", args.threads)
            record = run([*command, "--batch", str(batch), "--units", str(units)], folder)
            times = [line["step_ms_median"] for line in record["lines"] if "step_ms_median" in line]
    if not times:
        raise Failed("told no time of a step")
    return {**record, "step_ms": statistics.median(times)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, rounds=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 64, 256, 1024])
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 128, 512, 1024])
    return parser.parse_args()


def main():
    args = arguments()
    try:
        settle(args)
        if "FOOTLIGHT_DATA" not in os.environ:
            raise Failed("FOOTLIGHT_DATA must name the folder that holds mnist/")
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    sizes = [(batch, units) for batch in args.batches for units in args.widths]
    names = [(*size, name) for size in sizes for name in PROGRAMS]
    records, faults = take_turns(args, names, lambda name: measure(args, *name))
    lines, behind = [], False
    for batch, units in sizes:
        programs = {name: records[batch, units, name] for name in PROGRAMS}
        programs, _ = drop_noisy_rounds(args, f"batch {batch}, width {units}", programs)
        values = {name: [record and record["step_ms"] for record in rounds] for name, rounds in programs.items()}
        rounds = ratios(values)
        behind |= bool(rounds) and statistics.median(rounds) < 1
        lines.append([str(batch), str(units), *map(cell, values.values()), ratio_cell(values)])
    print(markdown(["batch", "width", *PROGRAMS, f"best peer / {OURS}"], lines))
    print(f"\nmlp, ms per step, {threads_of(args)}: median (least) of up to {args.rounds} interleaved rounds.")
    for (batch, units, name), why in faults.items():
        print(f"not measured: {name}, batch {batch}, width {units}: {why}", file=sys.stderr)
    return 3 if behind else 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
