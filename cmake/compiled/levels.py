#!/usr/bin/env python3
"""Makes the kernels of several instruction-set levels callable through one table.

    levels.py --out DIR --levels x86-64,x86-64-v3 --cxx g++ --nm nm --ld ld --objcopy objcopy OBJECT...

Each OBJECT is DIR_OF_LEVEL_i/kernels/<source>.o, sources in the same order at every level. For every
source it writes

    <source>.<level>.o   the kernels of that level under names of their own, everything else local, so
                         that the linker can share no inline function between two levels (in names
                         of symbols and files, x86-64-v3 is x86_64_v3)
    <source>.stubs.o     the names that users' units ask for, in the namespace of every set of compiler
                         flags, each a jump through a slot; and the table that select.cpp fills slots from
"""

import argparse
import os
import re
import subprocess

# What core/config.hpp may put into the name of temper's namespace in a unit that includes the library's
# headers: instruction set and threads.
SETS = "avx512 avx512f avx2fma avx2 avxfma avx sse42 sse41 ssse3 sse2".split()
THREADS = "omp serial".split()
OF_LEVEL = re.compile(r"\d+(v\d+_\d+)_level_[a-z]+_library_throw")
KERNEL = re.compile(r"_ZNK?6temper\d+v\d+_\d+_level_[a-z]+_library_throw6kernel\d+\w+?I[fd]")


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def kernels_of(nm, path):
    """Names of the members of temper::kernel::*<T> that the object defines for others."""
    names = set()
    for line in run(nm, "--defined-only", "--extern-only", path).splitlines():
        _, kind, name = line.split()
        if kind in "TW" and KERNEL.match(name):
            names.add(name)
    return names


def user_names(name):
    """The same function in the namespaces of users' units."""
    version = OF_LEVEL.search(name).group(1)
    for instructions in SETS:
        for threads in THREADS:
            namespace = f"{version}_{instructions}_{threads}_library_throw"
            yield OF_LEVEL.sub(f"{len(namespace)}{namespace}", name)


def write_level(tools, source, level, path, out):
    """One level's object, its kernels renamed to <name>.<level> and all else made local."""
    merged = os.path.join(out, f"{source}.{level}.merged.o")
    run(tools.ld, "-r", "--force-group-allocation", "-o", merged, path)
    kernels = kernels_of(tools.nm, merged)
    renamed = os.path.join(out, f"{source}.{level}.names")
    with open(renamed, "w", encoding="utf-8") as file:
        file.writelines(f"{name} {name}.{level}\n" for name in sorted(kernels))
    kept = os.path.join(out, f"{source}.{level}.kept")
    with open(kept, "w", encoding="utf-8") as file:
        file.write("none\n")  # objcopy wants a name at least; headers without kernels have none
        file.writelines(f"{name}.{level}\n" for name in sorted(kernels))
    named = os.path.join(out, f"{source}.{level}.named.o")
    target = os.path.join(out, f"{source}.{level}.o")
    run(tools.objcopy, f"--redefine-syms={renamed}", merged, named)
    run(tools.objcopy, f"--keep-global-symbols={kept}", named, target)
    for path in (merged, named, renamed, kept):
        os.remove(path)
    return kernels


def stubs(source, levels, kernels):
    lines = [".text"]  # weak, because a kernel that others use is made in the sources of all of them
    for k, kernel in enumerate(kernels):
        lines.append(".p2align 4")
        for name in user_names(kernel):
            lines += [f".weak {name}", f".type {name}, @function", f"{name}:"]
        lines += [".cfi_startproc", "endbr64", f"jmp *.Lslots+{8 * k}(%rip)", ".cfi_endproc"]
    lines += ['.section .data.temper, "aw"', ".p2align 3", ".Lslots:"]
    lines += [f".quad {kernel}.{levels[0]}" for kernel in kernels]
    lines += ['.section .data.rel.ro, "aw"', ".p2align 3", ".Llevels:"]
    lines += [f".quad {kernel}.{level}" for level in levels for kernel in kernels]
    # The reference to temper_level brings select.cpp into every program that has a kernel.
    lines += [".quad temper_level", '.section temper_kernels, "aw"', ".p2align 3"]
    lines += [f".quad .Lslots, .Llevels, {len(kernels)}"]
    lines += ['.section .note.GNU-stack, "", @progbits']
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for name in ("out", "levels", "cxx", "nm", "ld", "objcopy"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("objects", nargs="+")
    tools = parser.parse_args()
    levels = tools.levels.replace("-", "_").split(",")
    os.makedirs(tools.out, exist_ok=True)
    per_level = len(tools.objects) // len(levels)
    for i in range(per_level):
        source = os.path.basename(tools.objects[i]).split(".")[0]
        # What one level has inlined and another has not is no kernel that users' units call.
        found = [
            write_level(tools, source, level, tools.objects[i + l * per_level], tools.out)
            for l, level in enumerate(levels)
        ]
        assembly = os.path.join(tools.out, f"{source}.stubs.s")
        with open(assembly, "w", encoding="utf-8") as file:
            file.write(stubs(source, levels, sorted(set.intersection(*found))))
        run(tools.cxx, "-c", assembly, "-o", os.path.join(tools.out, f"{source}.stubs.o"))


if __name__ == "__main__":
    main()
