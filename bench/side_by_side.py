"""Footlight beside JAX, PyTorch, Keras on TensorFlow and ONNX Runtime: the workloads of `footlight bench`, and MNIST.

    FOOTLIGHT_DATA=data python bench/side_by_side.py --setup [--rounds 5] [--only mlp] [--threads 1] [--write-readme]

Every measurement is a process of its own, and the processes take turns (A B C A B C ...), so that a slow minute of the
machine falls on all of them. All run on the same processors, as many as --threads. A ratio is taken within a round, and
a round in which other work ran is dropped. Prints Markdown tables of times and of peak memory. Exit status 0: Footlight
is ahead on every row of training; 3: a peer is ahead on one; 1: something could not be measured.
"""

import argparse
import datetime
import os
import platform
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from measuring import OURS, PEERS, ROOT, Failed
from measuring import add_arguments, drop_noisy_rounds, peer_command, run, settle, take_turns
from measuring import cell, markdown, ratio_cell, ratios, threads_of
from peers.sizes import BATCHES, LARGE_BATCHES

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
LOWEST_ACCURACY = 0.95
IN_ONE_MS = {"ms": 1, "µs": 1e3}


@dataclass
class Row:
    """One line of the table: a time that a process tells of a batch, or its own."""

    title: str
    unit: str
    batch: int = 0

    def value(self, record):
        if self.unit == "s":
            return record["wall_s"]
        told = [line for line in record["lines"] if line.get("batch") == self.batch]
        return told[-1]["step_ms_median"] * IN_ONE_MS[self.unit]


@dataclass
class Task:
    """What one process measures: `kind` is train, infer or job, `mode` that of the peers' programs."""

    key: str
    kind: str
    mode: str
    workload: str
    peers: list
    rows: list


def training(workload):
    peers = ["JAX", "PyTorch", "PyTorch compiled", "Keras on TensorFlow", "Keras on TensorFlow, XLA"]
    batch = BATCHES[workload]
    return Task(workload, "train", "step", workload, peers, [Row(f"{workload}: training step of {batch}", "ms", batch)])


def answering(workload, unit, samples):
    many = LARGE_BATCHES[workload]
    rows = [Row(f"{workload}: predict 1 {samples}", unit, 1), Row(f"{workload}: predict {many} {samples}s", "ms", many)]
    return Task(f"{workload}-infer", "infer", "infer", workload, ["ONNX Runtime", "JAX"], rows)


FIT_ROW = Row("mlp: training step, with shuffling", "ms", BATCHES["mlp"])
FIT_PEERS = ["JAX", "JAX, epoch as one loop", "PyTorch", "PyTorch compiled", "Keras on TensorFlow"]
TASKS = [
    *map(training, BATCHES),
    Task("mlp-fit", "train", "fit", "mlp", FIT_PEERS, [FIT_ROW]),
    answering("mlp", "µs", "row"),
    answering("cnn", "µs", "picture"),
    answering("gpt", "ms", "sequence"),
    Task(
        "job",
        "job",
        "job",
        "mlp",
        [name for name in FIT_PEERS if name != "PyTorch compiled"],
        [Row("MNIST, the whole process: start, 5 epochs, evaluate", "s")],
    ),
]


def our_command(args, task, folder):
    threads = ["--threads", str(args.threads)]
    if task.kind == "job":
        output = str(Path(folder, "model.keras"))
        return [str(args.footlight), "train", "--data", "mnist", "--output", output, *threads]
    options = ["--infer"] if task.kind == "infer" else ["--epochs", "1"] if args.quick else []
    return [str(args.footlight), "bench", task.workload, "--json", *options, *threads]


def measure(args, task, name):
    """One measurement of one program: a record that has a value for each row of the task."""
    with tempfile.TemporaryDirectory() as folder:
        if name == OURS:
            command = our_command(args, task, folder)
        else:
            command = peer_command(args, name, task.mode, task.workload, args.threads)
        record = run(command, folder)
    if task.kind == "job":
        told = [line["accuracy"] for line in record["lines"] if "accuracy" in line]
        lines = record["output"].splitlines()
        told += [float(line.removeprefix("Accuracy: ")) for line in lines if line.startswith("Accuracy: ")]
        if not told or not told[-1] > LOWEST_ACCURACY:
            raise Failed(f"ended without an accuracy above {LOWEST_ACCURACY}, so it did not do the job")
    try:
        for row in task.rows:
            row.value(record)
    except (IndexError, KeyError):
        raise Failed(f"printed no time of {row.title}") from None
    return record


def values_of(value, programs):
    return {name: [record and value(record) for record in records] for name, records in programs.items()}


def tables(results):
    """Times, then peak memory, of {task key: {program: records}}."""
    tasks = [task for task in TASKS if task.key in results]
    peers = [name for name in PEERS if any(name in task.peers for task in tasks)]
    times, memory = [], []
    for task in tasks:
        programs = results[task.key]
        for row in task.rows:
            times.append((f"{row.title}, {row.unit}", values_of(row.value, programs)))
        memory.append((f"{task.key}: peak memory, MB", values_of(lambda record: record["rss_mb"], programs)))
    header = ["workload", OURS, *peers, f"best peer / {OURS}"]

    def line(title, values):
        return [title, *(cell(values.get(name, [])) for name in [OURS, *peers]), ratio_cell(values)]

    return "\n\n".join(markdown(header, [line(*row) for row in part]) for part in (times, memory))


def peers_ahead(results):
    """What to say of each row of training on which the best peer is quicker."""
    for task in TASKS:
        if task.key in results and task.kind == "train":
            for row in task.rows:
                rounds = ratios(values_of(row.value, results[task.key]))
                if rounds and statistics.median(rounds) < 1:
                    yield f"{row.title}: a peer needs {statistics.median(rounds):.2f} of Footlight's time"


def processor_name():
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def description(args, results):
    """The machine, the versions that answered, and how to read the table."""
    versions = {}
    for programs in results.values():
        for name, records in programs.items():
            lines = [line for record in records if record for line in record["lines"]]
            versions.update({name.split(",")[0]: line["version"] for line in lines if "version" in line})
    peers = [f"{name} {version}" for name, version in versions.items() if "compiled" not in name]
    machine = ", ".join([processor_name(), threads_of(args), str(datetime.date.today()), *peers])
    return (
        f"{machine}. float32; a peer's training step is on a fixed batch, {OURS}'s shuffles and gathers its own. Each "
        f"cell: median (least) of up to {args.rounds} interleaved rounds; ratio: median (least..greatest) over the "
        f"rounds, above 1 where {OURS} is ahead."
    )


def write_readme(text):
    for path in (ROOT / "README.md", ROOT / "README.zh-CN.md"):
        old = path.read_text() if path.exists() else ""
        if BEGIN not in old or END not in old:
            print(f"{path.name}: no markers {BEGIN} and {END}, left alone", file=sys.stderr)
            continue
        before, rest = old.split(BEGIN, 1)
        path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END, 1)[1]}")
        print(f"{path.name}: written", file=sys.stderr)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(parser, rounds=5)
    names = sorted({"train", "infer", *(task.key for task in TASKS)})
    parser.add_argument("--only", choices=names, action="append", help="of a kind, or one; can be given more than once")
    parser.add_argument("--write-readme", action="store_true")
    args = parser.parse_args()
    if args.quick and args.write_readme:
        parser.error("--quick figures are not for the README")
    return args


def main():
    args = arguments()
    tasks = {task.key: task for task in TASKS if not args.only or {task.key, task.kind} & set(args.only)}
    try:
        settle(args)
        if "job" in tasks and "FOOTLIGHT_DATA" not in os.environ:
            raise Failed("FOOTLIGHT_DATA must name the folder that holds mnist/ (or leave the job out with --only)")
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    names = [(key, name) for key, task in tasks.items() for name in [OURS, *task.peers]]
    records, faults = take_turns(args, names, lambda name: measure(args, tasks[name[0]], name[1]))
    results, noisy = {}, []
    for key, task in tasks.items():
        programs = {name: records[key, name] for name in [OURS, *task.peers]}
        results[key], quiet = drop_noisy_rounds(args, key, programs)
        noisy += [] if quiet else [key]
    text = f"{tables(results)}\n\n{description(args, results)}"
    print(text)
    for (key, name), why in faults.items():
        print(f"not measured: {name}, {key}: {why}", file=sys.stderr)
    ahead = list(peers_ahead(results))
    print(*ahead, sep="\n", end="\n" if ahead else "", file=sys.stderr)
    if args.write_readme and (faults or noisy):
        print("README left alone: the table is not complete, or the machine was not quiet", file=sys.stderr)
    elif args.write_readme:
        write_readme(text)
    return 3 if ahead else 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
