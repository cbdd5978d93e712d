#!/usr/bin/env python3
"""How cost and scratch memory grow: a table of slopes on log axes, and a plot.

    bench_scaling.py RESULTS.json [PLOT.svg]

Names are scaling/<component>/<type>/<axis>=<extent>/<threads>. The slope is that of the upper half of
the extents, where it has settled: time ~ extent^slope.
"""

import json
import math
import statistics
import sys

NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}


def read_curves(results):
    """{(component, axis, threads): {extent: (nanoseconds, bytes)}}, in the order of the file."""
    runs = {}
    for run in results["benchmarks"]:
        if run.get("run_type", "iteration") != "iteration":
            continue
        _, component, _, place, threads = run.get("run_name", run["name"]).split("/")[:5]
        axis, extent = place.split("=")
        time = run["real_time"] * NANOSECONDS[run["time_unit"]]
        points = runs.setdefault((component, axis, int(threads)), {})
        points.setdefault(int(extent), []).append((time, run["scratch"]))
    return {
        curve: {
            extent: (statistics.median(time for time, _ in all_), all_[0][1])
            for extent, all_ in sorted(points.items())
        }
        for curve, points in runs.items()
    }


def slope(points, place):
    upper = list(points.items())[len(points) // 2 :]
    logs = [(math.log(extent), math.log(value[place])) for extent, value in upper if value[place]]
    if len(logs) < 2:
        return 0.0
    x, y = statistics.fmean(a for a, _ in logs), statistics.fmean(b for _, b in logs)
    return sum((a - x) * (b - y) for a, b in logs) / sum((a - x) ** 2 for a, _ in logs)


def table(curves):
    lines = ["| component | against | from, to | slope of the time | of the scratch | 1 thread / 2 |"]
    lines.append("| --- | --- | --- | ---: | ---: | ---: |")
    for (component, axis, threads), points in curves.items():
        if threads != 1:
            continue
        largest = max(points)
        two = curves.get((component, axis, 2), {}).get(largest)
        gain = f"{points[largest][0] / two[0]:.2f}" if two else "-"
        memory = slope(points, 1)
        lines.append(
            f"| {component} | {axis} | {min(points)}, {largest} | {slope(points, 0):.2f} "
            f"| {memory:.2f} | {gain} |"
        )
    return "\n".join(lines)


def plot(curves, path):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    pairs = list(dict.fromkeys((component, axis) for component, axis, _ in curves))
    columns = 4
    rows = math.ceil(len(pairs) / columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(3 * columns, 2.4 * rows), squeeze=False)
    for place, (component, axis) in enumerate(pairs):
        at = axes[place // columns][place % columns]
        for threads, style in ((1, "-"), (2, "--")):
            points = curves.get((component, axis, threads), {})
            at.loglog(
                list(points), [time / 1e3 for time, _ in points.values()], style,
                label=f"{threads} thread" + "s" * (threads > 1),
            )
        at.set_title(component, fontsize=9)
        at.set_xlabel(axis, fontsize=8)
        at.tick_params(labelsize=7)
        at.grid(True, which="major", alpha=0.3)
    for place in range(len(pairs), rows * columns):
        axes[place // columns][place % columns].axis("off")
    axes[0][0].set_ylabel("µs", fontsize=8)
    axes[0][0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        curves = read_curves(json.load(file))
    print(table(curves))
    if len(sys.argv) == 3:
        plot(curves, sys.argv[2])


if __name__ == "__main__":
    main()
