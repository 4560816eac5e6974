"""Processes that take turns: how one is run and watched, what the peers' commands are, and how figures are told."""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
OURS = "Footlight"
TIME_LIMIT_S = 900
QUIET = 0.3

# name -> program and its options
PEERS = {
    "JAX": ["jax_peer.py"],
    "JAX, epoch as one loop": ["jax_peer.py", "--compiled"],
    "PyTorch": ["torch_peer.py"],
    "PyTorch compiled": ["torch_peer.py", "--compiled"],
    "Keras on TensorFlow": ["keras_peer.py"],
    "Keras on TensorFlow, XLA": ["keras_peer.py", "--compiled"],
    "ONNX Runtime": ["onnx_peer.py"],
}


class Failed(Exception):
    """A measurement that gave no figure; the text says why."""


def add_arguments(parser, rounds):
    parser.add_argument("--footlight", type=Path, default=ROOT / "target/release/footlight")
    parser.add_argument("--python", help="an interpreter that has the peers (default: that of bench/.venv)")
    parser.add_argument("--setup", action="store_true", help="make bench/.venv with the pinned peers first")
    parser.add_argument("--rounds", type=int, default=rounds)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one short round: does everything run?")
    quiet = f"a round counts if other work keeps no more processors busy (default: {QUIET})"
    parser.add_argument("--quiet", type=float, default=QUIET, help=quiet)
    parser.add_argument("--json", type=Path, help="a file to keep every measurement in, one JSON object a line")


def settle(args):
    """What follows from the arguments: paths, the interpreter of the peers, an empty file for the measurements, as
    many processors as threads."""
    args.footlight = args.footlight.absolute()
    args.rounds = 1 if args.quick else args.rounds
    args.seconds = 0.2 if args.quick else 2
    if "FOOTLIGHT_DATA" in os.environ:
        os.environ["FOOTLIGHT_DATA"] = str(Path(os.environ["FOOTLIGHT_DATA"]).absolute())
    if args.setup:
        set_up()
    args.python = args.python or str(BENCH / ".venv/bin/python")
    if not shutil.which(args.python):
        raise Failed(f"no interpreter at {args.python}: --setup makes it, --python names another")
    if not args.footlight.is_file():
        raise Failed(f"no program at {args.footlight} (cargo build --release)")
    if args.json:
        args.json.write_text("")
    use_processors(args.threads)


def set_up():
    """Makes bench/.venv with the pinned peers, unless it has them; git ignores the folder."""
    venv = BENCH / ".venv"
    python, done = venv / "bin/python", venv / "installed.txt"
    wanted = (BENCH / "requirements.txt").read_text()
    if done.exists() and done.read_text() == wanted:
        return
    print("making bench/.venv with the pinned peers (some minutes) ...", file=sys.stderr, flush=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    (venv / ".gitignore").write_text("*\n")
    subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(BENCH / "requirements.txt")], check=True)
    done.write_text(wanted)


def use_processors(threads):
    """Keeps this process, and all that it starts, on as many processors."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < threads:
        raise Failed(f"--threads {threads}: this machine lends {len(processors)} processors")
    os.sched_setaffinity(0, processors[:threads])


def peer_command(args, name, mode, workload, threads):
    program, *options = PEERS[name]
    if options and program == "torch_peer.py" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise Failed("torch.compile needs a C++ compiler, and there is none")
    command = [args.python, str(BENCH / "peers" / program), mode, workload, *options]
    command += ["--threads", str(threads), "--seconds", str(args.seconds)]
    if args.quick and mode == "fit":
        command += ["--rows", "12800", "--epochs", "1"]
    return command


def busy_seconds():
    """Processor seconds the whole machine has spent working, or None where /proc does not tell."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split()[1:9])
    except (OSError, ValueError):
        return None
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def run(command, folder):
    """Runs one process to its end: its output, the JSON lines in it, wall seconds, peak memory, and other_cpu: how many
    processors something else kept busy meanwhile."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        busy, start = busy_seconds(), time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=out, stderr=err)
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
        output, told = out.read(), err.read()
    if process.returncode:
        late = f" (stopped after {TIME_LIMIT_S} s)" if wall > TIME_LIMIT_S else ""
        raise Failed(f"exit status {process.returncode}{late}: {' '.join(told.strip().splitlines()[-2:])[-400:]}")
    lines = [json.loads(line) for line in (output + told).splitlines() if line.startswith("{")]
    # The system counts from what this process held when it started the other: what a process tells itself comes first.
    memory = max((line["peak_rss_mb"] for line in lines if "peak_rss_mb" in line), default=usage.ru_maxrss / 1024)
    return {"lines": lines, "output": output, "wall_s": wall, "rss_mb": memory, "other_cpu": others}


def take_turns(args, names, measure):
    """{name: [a record or None for each round]} and {name: why it has none}. A name is a tuple whose last part is a
    program; `measure` gives its record."""
    results, faults = {name: [] for name in names}, {}
    for round_number in range(1, args.rounds + 1):
        for name in names:
            if name in faults:
                results[name].append(None)
                continue
            try:
                record = measure(name)
                kept = {key: value for key, value in record.items() if key != "output"}
                outcome = f"{record['wall_s']:.1f} s, other_cpu {record['other_cpu']:.2f}"
            except (Failed, OSError, ValueError) as error:
                record, faults[name] = None, str(error)
                kept = {"error": str(error)}
                outcome = f"FAILED: {error}"
            print(f"round {round_number}, {', '.join(map(str, name))}: {outcome}", file=sys.stderr, flush=True)
            results[name].append(record)
            if args.json:
                kept = {"round": round_number, "threads": args.threads, "name": name, **kept}
                with args.json.open("a") as file:
                    file.write(json.dumps(kept) + "\n")
    return results, faults


def drop_noisy_rounds(args, what, programs):
    """The rounds of programs that were measured beside each other without those in which other work ran; all of them,
    and False, if no round was quiet."""
    count = max(map(len, programs.values()))
    beside = [[records[i]["other_cpu"] for records in programs.values() if records[i]] for i in range(count)]
    noise = [max(others, default=0) for others in beside]
    quiet = [i for i in range(count) if noise[i] <= args.quiet]
    if len(quiet) == count:
        return programs, True
    told = ", ".join(f"{i + 1} (other_cpu {noise[i]:.2f})" for i in range(count) if i not in quiet)
    fate = "dropped" if quiet else "kept, there is no quieter one"
    print(f"{what}: rounds beside other work {fate}: {told}", file=sys.stderr)
    kept = quiet or range(count)
    return {name: [records[i] for i in kept] for name, records in programs.items()}, bool(quiet)


def number(value):
    """Three digits, and zeros rather than an exponent."""
    return f"{float(f'{value:.3g}'):.10g}"


def cell(values):
    """The median of all rounds and the least of them."""
    values = [v for v in values if v is not None]
    return f"{number(statistics.median(values))} ({number(min(values))})" if values else "-"


def ratios(values):
    """Best peer over Footlight in each round that has both."""
    rounds = []
    for i, own in enumerate(values[OURS]):
        others = [v[i] for name, v in values.items() if name != OURS and v[i] is not None]
        if own and others:
            rounds.append(min(others) / own)
    return rounds


def ratio_cell(values):
    rounds = ratios(values)
    return f"{statistics.median(rounds):.2f} ({min(rounds):.2f}..{max(rounds):.2f})" if rounds else "-"


def threads_of(args):
    return f"{args.threads} thread{'s' if args.threads > 1 else ''}"


def markdown(header, rows):
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, ["---"] * len(header), *rows])
