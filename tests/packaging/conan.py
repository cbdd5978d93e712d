#!/usr/bin/env python3
"""Runs the Conan recipe without Conan: the steps of `conan create`, with stand-ins for what it imports.

    conan.py RECIPE_FOLDER WORK

Packages twice, as the tree that the recipe lies in and as an archive that a registry's conandata.yml names,
and both packages must be the same. The package is WORK/package.
"""

import filecmp
import fnmatch
import hashlib
import importlib.util
import pathlib
import shutil
import sys
import tarfile
import types


class CppInfo:
    def __init__(self):
        self.bindirs, self.libdirs, self.includedirs, self.properties = ["bin"], ["lib"], ["include"], {}

    def set_property(self, name, value):
        self.properties[name] = value


class ConanFile:
    def __init__(self, folder, conan_data, work):
        self.recipe_folder, self.conan_data, self.version = str(folder), conan_data, None
        self.export_sources_folder = str(work / "exported")
        self.package_folder = str(work / "package")
        self.required, self.minimum_standard, self.cpp_info = {}, None, CppInfo()
        self.info = types.SimpleNamespace(cleared=False)
        self.info.clear = lambda: setattr(self.info, "cleared", True)

    def requires(self, reference, transitive_headers=False):
        name, version = reference.split("/")
        self.required[name] = (version, transitive_headers)


def copy(_, pattern, src, dst):
    """The files below src whose path from there matches, under the same path below dst."""
    src = pathlib.Path(src)
    for path in sorted(src.rglob("*")):
        relative = path.relative_to(src)
        if path.is_file() and fnmatch.fnmatch(str(relative), pattern):
            to = pathlib.Path(dst, relative)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, to)


def get(conanfile, url, sha256, strip_root):
    assert strip_root and hashlib.sha256(pathlib.Path(url).read_bytes()).hexdigest() == sha256
    with tarfile.open(url) as archive:
        for member in archive.getmembers():
            member.name = member.name.partition("/")[2]
            archive.extract(member, conanfile.source_folder)


def basic_layout(conanfile, src_folder):
    conanfile.source_folder = str(pathlib.Path(conanfile.export_sources_folder, src_folder))


def stand_in(name, **content):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(content)


def create(recipe, folder, conan_data, version, work):
    """What `conan create` calls, in its order."""
    conanfile = recipe(folder, conan_data, work)
    conanfile.version = version
    conanfile.set_version()
    conanfile.export_sources()
    conanfile.layout()
    pathlib.Path(conanfile.source_folder).mkdir(parents=True, exist_ok=True)
    conanfile.requirements()
    conanfile.validate()
    conanfile.package_id()
    conanfile.source()
    conanfile.package()
    conanfile.package_info()
    return conanfile


def same(a, b):
    compared = filecmp.dircmp(a, b)
    return not (compared.left_only or compared.right_only or compared.diff_files) and all(
        same(pathlib.Path(a, name), pathlib.Path(b, name)) for name in compared.common_dirs
    )


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2])
    stand_in("conan", ConanFile=ConanFile)
    stand_in("conan.tools")
    stand_in("conan.tools.layout", basic_layout=basic_layout)
    stand_in("conan.tools.files", copy=copy, get=get,
             load=lambda _, path: pathlib.Path(path).read_text(encoding="utf-8"))
    stand_in("conan.tools.build",
             check_min_cppstd=lambda conanfile, at_least: setattr(conanfile, "minimum_standard", at_least))
    spec = importlib.util.spec_from_file_location("recipe", folder / "conanfile.py")
    module = importlib.util.module_from_spec(spec)
    sys.dont_write_bytecode = True
    spec.loader.exec_module(module)

    made = create(module.TemperConan, folder, None, None, work)
    checks = {
        "a version": made.version.count(".") == 2,
        "C++20 as the minimum": made.minimum_standard == 20,
        "one package for all settings": made.info.cleared,
        "no folders but include": made.cpp_info.bindirs == [] == made.cpp_info.libdirs,
        "dependencies whose headers are seen": all(seen for _, seen in made.required.values()),
        "the names of the CMake package": made.cpp_info.properties["cmake_file_name"] == "temper"
        and made.cpp_info.properties["cmake_target_name"] == "temper::temper",
        "the name of the pkg-config package": made.cpp_info.properties["pkg_config_name"] == "temper",
    }

    root, archive = folder.parent.parent, work / "release.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("LICENSE", "include"):
            tar.add(root / name, f"temper-{made.version}/{name}")
    # Apart from its tree, as in a registry.
    alone = work / "registry" / "recipes" / "temper" / "all"
    shutil.copytree(folder, alone)
    sources = {"url": str(archive), "sha256": hashlib.sha256(archive.read_bytes()).hexdigest()}
    released = create(module.TemperConan, alone, {"sources": {made.version: sources}}, made.version,
                      work / "released")
    checks["the same package from an archive"] = same(made.package_folder, released.package_folder)

    for what, holds in checks.items():
        print(f"{'ok     ' if holds else 'missing'} {what}")
    sys.exit(not all(checks.values()))


if __name__ == "__main__":
    main()
