#!/bin/sh
# check.sh WAY SOURCE WORK COMPILER INCLUDES   (INCLUDES are separated by |)
#
# Builds and runs the user's project of this folder. WAY is install, subdirectory or fetch, or copy:
# the headers copied, a compiler, no CMake.
set -eu
way=$1 source=$2 work=$3 compiler=$4 includes=$5
here=$(cd "$(dirname "$0")" && pwd)

mkdir -p "$work"
cd "$work"
rm -rf copied prefix

if [ "$way" = copy ]; then
    cp -r "$source/include" copied
    flags=
    for include in $(echo "$includes" | tr '|' ' '); do
        [ "$include" = "$source/include" ] || flags="$flags -isystem $include"
    done
    $compiler -std=c++20 -Icopied $flags "$here/main.cpp" -o consumer
    exec ./consumer
fi

if [ "$way" = install ]; then
    # Configured apart from the developer's build: what is installed must not depend on it.
    cmake -S "$source" -B temper -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_INSTALL_PREFIX="$work/prefix" \
        -DTEMPER_TESTS=OFF -DTEMPER_BENCH=OFF -DTEMPER_EXAMPLES=OFF >log.txt || { cat log.txt && exit 1; }
    cmake --install temper >>log.txt
    if grep -rq "$source" prefix; then
        echo "the installed files name the source folder" && exit 1
    fi
fi
cmake -S "$here" -B consumer -DCMAKE_CXX_COMPILER="$compiler" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DTEMPER_FROM="$way" -DTEMPER_SOURCE="$source"
cmake --build consumer
exec ./consumer/consumer
