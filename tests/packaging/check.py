#!/usr/bin/env python3
"""What the linters of vcpkg and Conan's registry would say of packaging/, and whether it says what the
headers and CMakeLists.txt say.

    check.py [ROOT]

Prints one line per problem and ends with 1 if there was any.
"""

import ast
import json
import pathlib
import re
import sys

# The port and the recipe of what CMakeLists.txt looks for.
DEPENDENCIES = {"Eigen3": ("eigen3", "eigen"), "xsimd/xsimd.hpp": ("xsimd", "xsimd")}
# vcpkg.schema.json: what a manifest may hold, in the order of `vcpkg format-manifest`.
MANIFEST = ["name", "version", "port-version", "maintainers", "description", "homepage",
            "documentation", "license", "supports", "dependencies", "default-features", "features"]
# The port that brings a function; the others are vcpkg's own.
HELPERS = {"vcpkg_cmake_configure": "vcpkg-cmake", "vcpkg_cmake_install": "vcpkg-cmake",
           "vcpkg_cmake_config_fixup": "vcpkg-cmake-config"}
OWN = {"vcpkg_fixup_pkgconfig", "vcpkg_install_copyright", "vcpkg_from_github"}

problems = []


def expect(holds, where, sentence):
    if not holds:
        problems.append(f"{where}: {sentence}")


class Project:
    """What the headers, CMakeLists.txt and LICENSE say."""

    def __init__(self, root):
        self.cmake = (root / "CMakeLists.txt").read_text(encoding="utf-8")
        config = (root / "include/temper/core/config.hpp").read_text(encoding="utf-8")
        self.version = ".".join(re.findall(r"(?m)^#define TEMPER_VERSION_[A-Z]+ (\d+)", config))
        self.description = re.search(r'DESCRIPTION "([^"]*)"', self.cmake)[1]
        self.homepage = re.search(r'HOMEPAGE_URL "([^"]*)"', self.cmake)[1]
        boost = (root / "LICENSE").read_text(encoding="utf-8").startswith("Boost Software License - Version 1.0")
        self.license = "BSL-1.0" if boost else "not known to this script"
        found = re.findall(r"(?m)^\s*find_package\((\w+)|^\s*find_path\(\w+ (\S+?)\)", self.cmake)
        self.needs = [package or header for package, header in found]
        for need in self.needs:
            expect(need in DEPENDENCIES, "CMakeLists.txt", f"looks for {need}, which has no port here")

    def dependencies(self, index):
        return sorted(DEPENDENCIES[need][index] for need in self.needs if need in DEPENDENCIES)

    def metadata(self, where, said):
        for key in ("description", "homepage", "license"):
            wanted = getattr(self, key)
            expect(said.get(key) == wanted, where, f"{key} is {said.get(key)!r}, the project's is {wanted!r}")


def check_manifest(path, project):
    where, text = path.name, path.read_text(encoding="utf-8")
    try:
        manifest = json.loads(text)
    except json.JSONDecodeError as error:
        expect(False, f"{where}:{error.lineno}", f"is not JSON: {error.msg}")
        return None
    unknown = [key for key in manifest if key not in MANIFEST]
    expect(not unknown, where, f"must not hold {', '.join(unknown)}")
    expect(sorted(manifest, key=lambda key: MANIFEST.index(key) if key in MANIFEST else 0) == list(manifest)
           and json.dumps(manifest, indent=2) + "\n" == text, where, "is not formatted as vcpkg does it")
    expect(manifest.get("name") == path.parent.name, where, "name must be that of the folder")
    expect(manifest.get("version") == project.version, where,
           f"version is {manifest.get('version')}, the headers are {project.version}")
    project.metadata(where, manifest)
    names = [d if isinstance(d, str) else d["name"] for d in manifest.get("dependencies", [])]
    expect(names == sorted(names), where, "dependencies are not sorted")
    hosts = [d["name"] for d in manifest["dependencies"] if not isinstance(d, str) and d.get("host")]
    expect(sorted(set(names) - set(hosts)) == project.dependencies(0), where,
           f"needs {', '.join(sorted(set(names) - set(hosts)))}, CMake {', '.join(project.dependencies(0))}")
    return hosts


def check_portfile(path, root, project, hosts):
    where, text = path.name, path.read_text(encoding="utf-8")
    for variable, folder in (("SOURCE_PATH", root), ("CURRENT_PORT_DIR", path.parent)):
        for name in re.findall(r"\$\{%s\}/([\w./-]+)" % variable, text):
            expect((folder / name).exists(), where, f"names {name}, which is not there")
    for option in re.findall(r"-D(\w+)=", text):
        expect(f"option({option} " in project.cmake, where, f"sets {option}, which is no option")
    called = set(re.findall(r"(?m)^\s*(vcpkg_\w+)\(", text))
    for function in sorted(called):
        expect(function in OWN or HELPERS.get(function) in hosts, where,
               f"calls {function} without a dependency that has it")
    expect(sorted({HELPERS[f] for f in called if f in HELPERS}) == sorted(hosts), where,
           "does not use every host dependency")
    expect("vcpkg_install_copyright" in called, where, "installs no copyright")
    expect("set(VCPKG_BUILD_TYPE release)" in text, where, "builds a header-only library twice")
    usage = path.parent / "usage"
    expect(usage.exists() and "find_package(temper CONFIG REQUIRED)" in usage.read_text(encoding="utf-8")
           and "temper::temper" in usage.read_text(encoding="utf-8"), "usage", "does not say find_package and target")


def python_of(path):
    """The file's text and syntax tree; None where it does not compile."""
    text = path.read_text(encoding="utf-8")
    try:
        compile(text, path, "exec")
        return text, ast.parse(text)
    except SyntaxError as error:
        expect(False, f"{path.name}:{error.lineno}", f"is not Python: {error.msg}")
        return None


def check_recipe(folder, project):
    where, test = "conanfile.py", folder / "test_package"
    for name in ("conanfile.py", "CMakeLists.txt", "test_package.cpp"):
        expect((test / name).exists(), "test_package", f"has no {name}")
    recipe, tested = python_of(folder / where), python_of(test / where)
    if not recipe or not tested:
        return
    text, tree = recipe
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef))
    said = {node.targets[0].id: ast.literal_eval(node.value) for node in body if isinstance(node, ast.Assign)}
    methods = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    project.metadata(where, said)
    expect(said.get("name") == "temper", where, "name must be temper")
    expect("version" not in said, where, "must not fix a version")
    expect("author" not in said, where, "must not name an author")
    expect(str(said.get("url")).startswith("https://github.com/conan-io/conan-center-index"), where,
           "url must be the registry's")
    topics = said.get("topics", ())
    expect(len(topics) > 1 and "header-only" in topics and not {"temper", "conan"} & set(topics)
           and all(topic == topic.lower() for topic in topics), where, "topics are not as the registry wants them")
    expect(said.get("package_type") == "header-library", where, "package_type must be header-library")
    expect(said.get("settings") == ("os", "arch", "compiler", "build_type"), where, "settings must be all four")
    expect(said.get("no_copy_source") is True, where, "no_copy_source must be True")
    for method in ("layout", "package_id", "validate", "source", "package", "package_info"):
        expect(method in methods, where, f"has no {method}()")
    expect('_layout(self, src_folder="src")' in text, where, "layout must set src_folder to src")
    expect("self.conan_data" in text and "get(self" in text, where, "source() must read conandata.yml")
    needs = sorted(name for name, _ in re.findall(r'self\.requires\("([\w-]+)/([\w.]+)"', text))
    expect(needs == project.dependencies(1), where,
           f"needs {', '.join(needs)}, CMake {', '.join(project.dependencies(1))}")
    expect("self.tested_reference_str" in tested[0], "test_package", "does not require what it tests")
    for attribute in ("name", "version", "license", "default_options"):
        expect(not re.search(rf"(?m)^    {attribute}\s*=", tested[0]), "test_package", f"must not set {attribute}")
    expect(re.match(r"cmake_minimum_required\(VERSION 3\.\d+\)\n", (test / "CMakeLists.txt").read_text(encoding="utf-8")),
           "test_package", "CMakeLists.txt must begin with cmake_minimum_required")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2]).resolve()
    project = Project(root)
    port, recipe = root / "packaging/vcpkg/temper", root / "packaging/conan"
    hosts = check_manifest(port / "vcpkg.json", project)
    if hosts is not None:
        check_portfile(port / "portfile.cmake", root, project, hosts)
    check_recipe(recipe, project)
    for path in [*port.rglob("*"), *recipe.rglob("*")]:
        if path.is_file():
            text = path.read_bytes()
            expect(text.endswith(b"\n") and b"\r" not in text and b"\t" not in text, path.name,
                   "must end with a newline, and hold no tab and no carriage return")
    print("\n".join(problems) if problems else "packaging: no problems")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
