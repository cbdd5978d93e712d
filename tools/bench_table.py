#!/usr/bin/env python3
"""Google Benchmark's JSON as a Markdown table of ratios.

    bench_table.py RESULTS.json

Names are <component>/<implementation>/<f32|f64>/<shape>. One row per component, type and shape: the
time of temper, and for every peer its time divided by temper's (above 1: temper is faster).
Repetitions are represented by their median.
"""

import json
import statistics
import sys

PEERS = ["eigen", "xtensor", "torch"]
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def read_times(results):
    """{(component, dtype, shape): {implementation: nanoseconds}}, rows in the order of the file."""
    repetitions = {}
    for run in results["benchmarks"]:
        if run.get("run_type", "iteration") != "iteration":
            continue
        if run.get("error_occurred"):
            print(f"{run['name']}: {run.get('error_message', 'failed')}", file=sys.stderr)
            continue
        parts = run.get("run_name", run["name"]).split("/")
        if len(parts) < 4:
            sys.exit(f"{run['name']}: must be <component>/<implementation>/<f32|f64>/<shape>")
        component, implementation, dtype, shape = parts[:4]
        time = run["real_time"] * NANOSECONDS[run["time_unit"]]
        row = repetitions.setdefault((component, dtype, shape), {})
        row.setdefault(implementation, []).append(time)
    return {
        key: {name: statistics.median(times) for name, times in row.items()}
        for key, row in repetitions.items()
    }


def readable(nanoseconds):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:.3g} ns"


def table(times):
    peers = [p for p in PEERS if any(p in row for row in times.values())]
    header = ["component", "shape", "type", "temper"] + [f"{p} / temper" for p in peers]
    lines = [header, ["---"] * 3 + ["---:"] * (1 + len(peers))]
    for (component, dtype, shape), row in times.items():
        ours = row.get("temper")
        cells = [component, shape, dtype, readable(ours) if ours else "-"]
        cells += [f"{row[p] / ours:.2f}" if ours and p in row else "-" for p in peers]
        lines.append(cells)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        print(table(read_times(json.load(file))))


if __name__ == "__main__":
    main()
