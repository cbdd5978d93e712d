#!/bin/sh
# tests/packaging/check.py must accept the packages as they are, and must name each thing that is broken.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

plant() { # what the checks read of the project
    rm -rf "$tree"
    mkdir -p "$tree/include/temper/core"
    cp -r "$root/packaging" "$root/CMakeLists.txt" "$root/LICENSE" "$tree"
    cp "$root/include/temper/core/config.hpp" "$tree/include/temper/core"
    cd "$tree/packaging"
}
failed=0
notices() { # SENTENCE: the check must end with 1, and say the sentence
    if said=$(python3 "$here/check.py" "$tree"); then
        echo "the check does not notice: $1" && failed=1
    elif ! echo "$said" | grep -qF "$1"; then
        echo "the check does not say: $1, but: $said" && failed=1
    fi
    plant
}

plant
python3 "$here/check.py" "$tree" || failed=1

sed -i 's/VERSION_MINOR .*/VERSION_MINOR 77/' "$tree/include/temper/core/config.hpp"
notices 'vcpkg.json: version is'
sed -i '1d' "$tree/LICENSE"
notices "license is 'BSL-1.0', the project's is"
sed -i 's/HOMEPAGE_URL ".*"/HOMEPAGE_URL "https:\/\/other.example"/' "$tree/CMakeLists.txt"
notices "conanfile.py: homepage is"
sed -i '/find_path(TEMPER_XSIMD/d' "$tree/CMakeLists.txt"
notices 'vcpkg.json: needs eigen3, xsimd, CMake eigen3'
echo 'find_package(BLAS)' >>"$tree/CMakeLists.txt"
notices 'CMakeLists.txt: looks for BLAS, which has no port here'

sed -i 's/"license": .*,/"license": "BSL-1.0"/' vcpkg/temper/vcpkg.json
notices 'is not JSON'
sed -i 's/"description"/"summary"/' vcpkg/temper/vcpkg.json
notices 'vcpkg.json: must not hold summary'
sed -i '/homepage/d' vcpkg/temper/vcpkg.json
notices 'vcpkg.json: homepage is None'
sed -i '/homepage/{h;d};/license/{G}' vcpkg/temper/vcpkg.json
notices 'vcpkg.json: is not formatted as vcpkg does it'
sed -i 's/"xsimd"/"xtensor"/' vcpkg/temper/vcpkg.json
notices 'vcpkg.json: needs eigen3, xtensor'
sed -i 's/LICENSE/COPYING/' vcpkg/temper/portfile.cmake
notices 'portfile.cmake: names COPYING, which is not there'
rm vcpkg/temper/usage
notices 'portfile.cmake: names usage, which is not there'
sed -i 's/TEMPER_BENCH/TEMPER_BENCHMARKS/' vcpkg/temper/portfile.cmake
notices 'portfile.cmake: sets TEMPER_BENCHMARKS, which is no option'
sed -i 's/vcpkg_cmake_install/vcpkg_install_cmake/' vcpkg/temper/portfile.cmake
notices 'portfile.cmake: calls vcpkg_install_cmake without a dependency that has it'
sed -i '/vcpkg_install_copyright/d' vcpkg/temper/portfile.cmake
notices 'portfile.cmake: installs no copyright'

sed -i 's/def package(self):/def package(self)/' conan/conanfile.py
notices 'is not Python: expected'
sed -i 's/    name = "temper"/&\n    version = "0.1.0"/' conan/conanfile.py
notices 'conanfile.py: must not fix a version'
sed -i '/self.requires("xsimd/d' conan/conanfile.py
notices 'conanfile.py: needs eigen, CMake eigen, xsimd'
sed -i 's/src_folder="src"/src_folder="."/' conan/conanfile.py
notices 'conanfile.py: layout must set src_folder to src'
rm conan/test_package/test_package.cpp
notices 'test_package: has no test_package.cpp'
sed -i 's/self.tested_reference_str/"temper"/' conan/test_package/conanfile.py
notices 'test_package: does not require what it tests'
printf 'end' >>conan/test_package/CMakeLists.txt
notices 'CMakeLists.txt: must end with a newline'
exit $failed
