#!/usr/bin/env python3
"""The C++ of a documentation page as programs, so that the tests compile and run what readers copy.

    snippets.py PAGE.md FOLDER

A block opened by ```cpp NAME is a whole program and becomes FOLDER/NAME.cpp. All blocks opened by ```cpp
alone become the bodies of functions of one program, FOLDER/<page>.cpp, which calls them in order; their
#include lines stand at its top. What an HTML comment of the form

    <!-- cpp
    Eigen::MatrixXf z(64, 10);
    -->

holds is put before every such block that follows, up to the next comment of this form. Files are
rewritten only where their content changes. Prints the names of the files, one a line.
"""

import pathlib
import re
import sys

PIECES = re.compile(
    r"^```cpp(?P<name>[^\n]*)\n(?P<code>.*?)^```\s*$|^<!-- cpp\n(?P<hidden>.*?)^-->\s*$",
    re.MULTILINE | re.DOTALL,
)


def read(page):
    """({name: program}, [(line, includes, body)])"""
    text = page.read_text(encoding="utf-8")
    programs, bodies, before = {}, [], ""
    for piece in PIECES.finditer(text):
        if piece["hidden"] is not None:
            before = piece["hidden"]
            continue
        line = text.count("\n", 0, piece.start()) + 2
        name, code = piece["name"].strip(), piece["code"]
        if name:
            programs[name] = f'#line {line} "{page}"\n{code}'
            continue
        lines = (before + f'#line {line} "{page}"\n' + code).splitlines()
        includes = [x for x in lines if x.startswith("#include")]
        body = ["" if x.startswith("#include") else x for x in lines]
        bodies.append((line, includes, "\n".join(body)))
    return programs, bodies


def program_of(bodies):
    includes = sorted({include for _, of_block, _ in bodies for include in of_block})
    functions = [f"static void block_{line}()\n{{\n{body}\n}}" for line, _, body in bodies]
    calls = "\n".join(f"    block_{line}();" for line, _, _ in bodies)
    return "\n".join(includes + ["", *functions, "", f"int main()\n{{\n{calls}\n}}", ""])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page, folder = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    programs, bodies = read(page)
    if bodies:
        programs[page.stem] = program_of(bodies)
    folder.mkdir(parents=True, exist_ok=True)
    for name, code in programs.items():
        file = folder / f"{name}.cpp"
        if not file.exists() or file.read_text(encoding="utf-8") != code:
            file.write_text(code, encoding="utf-8")
        print(file)


if __name__ == "__main__":
    main()
