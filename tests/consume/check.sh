#!/bin/sh
# check.sh WAY SOURCE WORK COMPILER INCLUDES
#
# Takes temper in one of the ways that users have, and builds and runs the program of this folder with it.
# COMPILER may be two words, ccache and the compiler; INCLUDES are separated by |.
#
#   install       cmake --install, then find_package in a project
#   pkgconfig     cmake --install, then pkg-config and the compiler
#   subdirectory  add_subdirectory in a project
#   fetch         FetchContent in a project
#   copy          the headers copied, the compiler, no CMake
#   single        tools/amalgamate: one header, the compiler, nothing beside it but Eigen
#   vcpkg         packaging/vcpkg by vcpkg or, where it is not here, by what its functions do
#   conan         packaging/conan by Conan or, where it is not here, by what its client does
set -eu
way=$1 source=$2 work=$3 compiler=$4 includes=$5
here=$(cd "$(dirname "$0")" && pwd)
packaging=$here/../packaging

rm -rf "$work"
mkdir -p "$work"
cd "$work"

fail() {
    echo "consume $way: $*"
    exit 1
}
quietly() { # COMMAND...: its output is shown where it fails
    "$@" >log.txt 2>&1 || { cat log.txt && fail "$*"; }
}
# The folders that are neither temper's nor the compiler's own, as flags.
other_includes() {
    for include in $(echo "$includes" | tr '|' ' '); do
        [ "$include" = "$source/include" ] || printf '%s ' "-isystem $include"
    done
}
# Configured apart from the developer's build, and moved after it was installed: what is installed must
# depend on neither.
install_temper() {
    quietly cmake -S "$source" -B temper -DCMAKE_CXX_COMPILER="${compiler##* }" \
        -DCMAKE_INSTALL_PREFIX="$work/installed" -DTEMPER_TESTS=OFF -DTEMPER_BENCH=OFF -DTEMPER_EXAMPLES=OFF
    quietly cmake --install temper
    mv installed prefix
    for folder in "$source" "$work"; do
        ! grep -rqF "$folder" prefix || fail "the installed files name $folder"
    done
    headers_of prefix/include
    cmp "$source/LICENSE" prefix/share/doc/temper/LICENSE
}
headers_of() { # FOLDER: it holds every header, and nothing else
    diff -r "$source/include" "$1" || fail "$1 does not hold the headers"
}
project() { # builds and runs the user's project of this folder
    quietly cmake -S "$here" -B consumer -DCMAKE_CXX_COMPILER="${compiler##* }" \
        -DCMAKE_PREFIX_PATH="$work/prefix" -DTEMPER_FROM="$1" -DTEMPER_SOURCE="$source"
    quietly cmake --build consumer
    ./consumer/consumer
}
program() { # FLAGS...: the same program by the compiler alone
    $compiler -std=c++20 "$@" -c "$here/main.cpp" -o main.o
    $compiler main.o -o consumer
    ./consumer
}

case $way in
install)
    install_temper
    project install
    ;;
pkgconfig)
    command -v pkg-config >/dev/null || { echo "skipped: pkg-config is not here" && exit 77; }
    install_temper
    export PKG_CONFIG_PATH="$work/prefix/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"
    pkg-config --validate temper
    version=$(sed -n 's/^#define TEMPER_VERSION_[A-Z]* //p' "$source/include/temper/core/config.hpp" | paste -sd.)
    [ "$(pkg-config --modversion temper)" = "$version" ] || fail "temper.pc is not of version $version"
    program $(pkg-config --cflags --libs temper)
    ;;
subdirectory | fetch)
    project "$way"
    ;;
copy)
    cp -r "$source/include" copied
    program -Icopied $(other_includes)
    ;;
single)
    mkdir header eigen
    "$source/tools/amalgamate" header/temper.hpp
    "$source/tools/amalgamate" --check header/temper.hpp
    sed 's/lambda/lambada/' header/temper.hpp >changed.hpp
    ! "$source/tools/amalgamate" --check changed.hpp 2>said.txt || fail "a changed header is called current"
    grep -q 'changed.hpp:[0-9]*: is not current; write it anew with tools/amalgamate' said.txt
    for include in $(echo "$includes" | tr '|' ' ') /usr/include /usr/local/include; do
        [ ! -d "$include/Eigen" ] || { ln -s "$include/Eigen" eigen/Eigen && break; }
    done
    [ -d eigen/Eigen ] || fail "Eigen was not found"
    for loops in -DTEMPER_NO_SIMD -DTEMPER_SIMD_WHERE_XSIMD_IS; do
        for unit in main unit; do
            $compiler -std=c++20 $loops -Iheader -isystem eigen -MD -MF $unit.d \
                -c "$here/single/$unit.cpp" -o $unit.o
        done
        $compiler main.o unit.o -o single
        ./single
        ! grep -E '/include/temper/' main.d || fail "the one header includes another of temper's"
        [ $loops != -DTEMPER_NO_SIMD ] || ! grep xsimd main.d || fail "TEMPER_NO_SIMD includes xsimd"
    done
    ;;
vcpkg)
    if command -v vcpkg >/dev/null; then
        vcpkg install temper --overlay-ports="$source/packaging/vcpkg" --x-install-root="$work/installed" \
            --binarysource=clear
        set -- installed/*/share/temper
        mv "${1%/share/temper}" prefix
    else
        quietly cmake -DPORT_DIR="$source/packaging/vcpkg/temper" -DWORK="$work" \
            -P "$packaging/vcpkg.cmake"
        headers_of prefix/include
    fi
    cmp "$source/LICENSE" prefix/share/temper/copyright
    for file in usage temperConfig.cmake temperConfigVersion.cmake temperTargets.cmake; do
        [ -f prefix/share/temper/$file ] || fail "share/temper/$file is missing"
    done
    project install
    ;;
conan)
    if command -v conan >/dev/null; then
        export CONAN_HOME="$work/conan"
        conan profile detect
        conan create "$source/packaging/conan" --build=missing -s compiler.cppstd=20
        exit
    fi
    python3 "$packaging/conan.py" "$source/packaging/conan" "$work"
    headers_of package/include
    cmp "$source/LICENSE" package/licenses/LICENSE
    [ "$(ls package | paste -sd' ')" = "include licenses" ] || fail "the package has other folders"
    program -Ipackage/include $(other_includes)
    $compiler -std=c++20 -Ipackage/include $(other_includes) \
        "$source/packaging/conan/test_package/test_package.cpp" -o test_package
    ./test_package
    ;;
*) fail "there is no such way" ;;
esac
