"""Footlight beside JAX, PyTorch, Keras on TensorFlow and ONNX Runtime, on the article's MLP and on MNIST.

    FOOTLIGHT_DATA=data python bench/side_by_side.py [--rounds 5] [--only fit] [--quick] [--write-readme]

Every measurement is a process of its own, and the processes take turns (A B C A B C ...), so that a slow minute of the
machine falls on all of them. All run on the same processors, as many as --threads. A ratio is taken within a round.
Prints a Markdown table; what could not be measured is said on stderr, and the exit status is then 1.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
OURS = "Footlight"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
TIME_LIMIT_S = 900
LOWEST_ACCURACY = 0.95
QUIET = 0.3


@dataclass
class Workload:
    """One row of the table, or for a whole process two: seconds and memory."""

    key: str
    title: str
    field: str
    ours: list
    peers: dict

    def is_job(self):
        return self.field == "wall_s"


WORKLOADS = [
    Workload(
        "step",
        "one training step, ms (peers: a fixed batch; Footlight: shuffled batches)",
        "step_ms_median",
        ["bench", "mlp", "--json"],
        {
            "JAX": ["jax_mlp.py", "step"],
            "PyTorch": ["torch_mlp.py", "eager"],
            "PyTorch compiled": ["torch_mlp.py", "compile"],
        },
    ),
    Workload(
        "fit",
        "one training step with shuffling and batching, ms",
        "step_ms_median",
        ["bench", "mlp", "--json"],
        {
            "JAX": ["jax_mlp.py", "fit"],
            "PyTorch": ["torch_mlp.py", "fit"],
            "PyTorch compiled": ["torch_mlp.py", "fit_compile"],
            "Keras on TensorFlow": ["keras_mlp.py", "fit"],
        },
    ),
    Workload(
        "predict",
        "predict one row, µs",
        "p50_us",
        ["bench", "mlp", "--infer", "--json"],
        {"ONNX Runtime": ["onnx_mlp.py", "infer"]},
    ),
    Workload(
        "job",
        "MNIST, the whole process: start, 5 epochs, evaluate",
        "wall_s",
        ["train", "--data", "mnist"],
        {
            "JAX": ["jax_mlp.py", "job"],
            "JAX scan": ["jax_mlp.py", "job_scan"],
            "PyTorch": ["torch_mlp.py", "job"],
            "Keras on TensorFlow": ["keras_mlp.py", "job"],
        },
    ),
]


class Failed(Exception):
    """A measurement that gave no figure; the text says why."""


def busy_seconds():
    """Processor seconds the whole machine has spent working, or None where /proc does not tell."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command, processors, folder):
    """Runs one process to its end. Gives its last JSON line, or what its `Accuracy:` line says, with wall seconds,
    peak memory and other_cpu added: how many processors something else kept busy meanwhile."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        busy, start = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=out,
            stderr=err,
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
        )
        timer = threading.Timer(TIME_LIMIT_S, process.kill)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        timer.cancel()
        own = usage.ru_utime + usage.ru_stime
        others = 0.0 if busy is None else max(0.0, (busy_seconds() - busy - own) / wall)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        lines, complaint = out.read().strip().splitlines(), err.read().strip()[-400:]
    if process.returncode:
        raise Failed(f"exit status {process.returncode}: {complaint}")
    record = {}
    for line in lines:
        if line.startswith("{"):
            record = json.loads(line)
        elif line.startswith("Accuracy: "):
            record = {"accuracy": float(line.removeprefix("Accuracy: "))}
    return {**record, "wall_s": wall, "rss_mb": usage.ru_maxrss / 1024, "other_cpu": others}


def peer_command(python, args, program, mode):
    command = [python, str(BENCH / "peers" / program), mode, "--threads", str(args.threads)]
    if args.quick and mode.startswith("fit"):
        command += ["--rows", "12800", "--epochs", "1"]
    return command


def measure(name, workload, args, python, processors):
    """One measurement of one program: a record that holds workload.field."""
    with tempfile.TemporaryDirectory() as folder:
        if name == OURS:
            if not args.footlight.is_file():
                raise Failed(f"no program at {args.footlight} (cargo build --release)")
            command = [str(args.footlight), *workload.ours]
            command += ["--output", str(Path(folder, "model.keras"))] if workload.is_job() else ["--threads", str(args.threads)]
        else:
            program, mode = workload.peers[name]
            if "compile" in mode and not any(map(shutil.which, ("c++", "g++", "clang++"))):
                raise Failed("torch.compile needs a C++ compiler, and there is none")
            command = peer_command(python, args, program, mode)
        record = run(command, processors, folder)
    if workload.field not in record:
        raise Failed(f"printed no JSON line with {workload.field}")
    if workload.is_job() and not record.get("accuracy", 0) > LOWEST_ACCURACY:
        raise Failed(f"ended without an accuracy above {LOWEST_ACCURACY}, so it did not do the job")
    return record


def collect(workloads, args, python, processors):
    """{workload key: {program: [a record or None for each round]}}, and {(workload key, program): why it has none}."""
    results, faults = {}, {}
    for round_number in range(args.rounds):
        for workload in workloads:
            for name in [OURS, *workload.peers]:
                records = results.setdefault(workload.key, {}).setdefault(name, [])
                if (workload.key, name) in faults:
                    records.append(None)
                    continue
                try:
                    record = measure(name, workload, args, python, processors)
                    records.append(record)
                    figure = f"{record[workload.field]:.4g}, other_cpu {record['other_cpu']:.2f}"
                except (Failed, OSError) as error:
                    records.append(None)
                    faults[workload.key, name] = str(error)
                    figure = "failed"
                print(f"round {round_number + 1}, {workload.key}, {name}: {figure}", file=sys.stderr, flush=True)
    return results, faults


def cell(values):
    return f"{statistics.median(values):.3g} ({min(values):.3g})" if values else "-"


def ratio(ours, peers):
    """Best peer over Footlight, round by round: the median and the spread."""
    rounds = []
    for i, own in enumerate(ours):
        others = [values[i] for values in peers.values() if values[i] is not None]
        if own and others:
            rounds.append(min(others) / own)
    return f"{statistics.median(rounds):.2f} ({min(rounds):.2f}..{max(rounds):.2f})" if rounds else "-"


def table_rows(workloads, results):
    """(title, {program: [value or None]}) for each row."""
    for workload in workloads:
        fields = [(workload.title, workload.field)]
        if workload.is_job():
            fields = [(f"{workload.title}, s", "wall_s"), (f"{workload.title}, peak memory in MB", "rss_mb")]
        for title, field in fields:
            programs = results[workload.key].items()
            yield title, {name: [r and r[field] for r in records] for name, records in programs}


def table(workloads, results):
    peers = list(dict.fromkeys(name for workload in workloads for name in workload.peers))
    header = ["workload", OURS, *peers, f"best peer / {OURS}"]
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    for title, values in table_rows(workloads, results):
        cells = [cell([v for v in values.get(name, []) if v is not None]) for name in [OURS, *peers]]
        ours, others = values[OURS], {name: v for name, v in values.items() if name != OURS}
        lines.append("| " + " | ".join([title, *cells, ratio(ours, others)]) + " |")
    return "\n".join(lines)


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
            versions.update({name: r["version"] for r in records if r and "version" in r})
    peers = ", ".join(f"{name} {version}" for name, version in versions.items() if name != OURS)
    return (
        f"{processor_name()}, {args.threads} threads, {datetime.date.today()}; {peers}. Model 784-128-10 with ReLU and "
        f"dropout 0.2, Adam 0.001, batch 128, float32. Each cell: median (least) of {args.rounds} interleaved rounds; "
        f"ratio: median (least..greatest) over the rounds, above 1 where {OURS} is ahead."
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


def peers_python():
    """The interpreter of bench/.venv, made on first use with the pinned peers; git ignores the folder."""
    venv = BENCH / ".venv"
    python, done = venv / "bin/python", venv / "installed.txt"
    wanted = (BENCH / "requirements.txt").read_text()
    if not (done.exists() and done.read_text() == wanted):
        print("making bench/.venv with the pinned peers (some minutes) ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        (venv / ".gitignore").write_text("*\n")
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(BENCH / "requirements.txt")], check=True)
        done.write_text(wanted)
    return str(python)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--footlight", type=Path, default=ROOT / "target/release/footlight")
    parser.add_argument("--python", help="an interpreter that has the peers (default: bench/.venv, made if needed)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=[w.key for w in WORKLOADS], action="append")
    parser.add_argument("--quick", action="store_true", help="one round, short epochs: does everything run?")
    parser.add_argument("--write-readme", action="store_true")
    args = parser.parse_args()
    args.footlight = args.footlight.absolute()
    if args.quick:
        args.rounds = 1
        if args.write_readme:
            parser.error("--quick figures are not for the README")
    return args


def main():
    args = arguments()
    workloads = [w for w in WORKLOADS if not args.only or w.key in args.only]
    if any(w.is_job() for w in workloads) and "FOOTLIGHT_DATA" not in os.environ:
        print("FOOTLIGHT_DATA must name the folder that holds mnist/ (or leave the job out with --only)", file=sys.stderr)
        return 1
    if "FOOTLIGHT_DATA" in os.environ:
        os.environ["FOOTLIGHT_DATA"] = str(Path(os.environ["FOOTLIGHT_DATA"]).absolute())
    processors = sorted(os.sched_getaffinity(0))[: args.threads]
    results, faults = collect(workloads, args, args.python or peers_python(), processors)
    text = f"{table(workloads, results)}\n\n{description(args, results)}"
    print(text)
    records = [r for programs in results.values() for runs in programs.values() for r in runs if r]
    noisy = sum(r["other_cpu"] > QUIET for r in records)
    if noisy:
        print(f"{noisy} of {len(records)} measurements ran beside other work (other_cpu over {QUIET})", file=sys.stderr)
    for (key, name), why in faults.items():
        print(f"not measured: {name}, {key}: {why}", file=sys.stderr)
    if args.write_readme and (faults or noisy > len(records) // 4):
        print("README left alone: the table is not complete, or the machine was not quiet", file=sys.stderr)
    elif args.write_readme:
        write_readme(text)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
