#!/bin/sh
# check.sh LEVELS OBJECTS   (LEVELS are separated by |; OBJECTS is the folder of levels.py)
#
# No code is shared between the levels of temper::compiled: an object of a level offers the linker nothing
# but kernels under names of that level, and the lowest level holds no instruction of a higher one.
set -eu
levels=$(echo "$1" | tr '|' ' ') objects=$2

fail() {
    echo "compiled: $*"
    exit 1
}

for level in $levels; do
    level=$(echo "$level" | tr - _)
    found=0
    for object in "$objects"/*."$level".o; do
        found=1
        others=$(nm --defined-only --extern-only "$object" | awk '{ print $3 }' | grep -v "6kernel.*\.$level$" || true)
        [ -z "$others" ] || fail "$object offers the linker $others"
    done
    [ $found = 1 ] || fail "no object of level $level"
done

# A stub in every namespace that a user's unit may have.
for object in "$objects"/loss_*.stubs.o; do
    for set in sse2_serial avx2fma_omp; do
        nm "$object" | grep -q "v[0-9_]*_${set}_library_throw6kernel" ||
            fail "$object has nothing for units of $set"
    done
done

for object in "$objects"/*.x86_64.o; do
    wide=$(objdump -d --no-show-raw-insn "$object" | awk '
        /^[0-9a-f]+ <.*>:$/ { name = $0 }
        /%[yz]mm|\tv[a-z0-9]+ / { print name; exit }')
    [ -z "$wide" ] || fail "AVX code in $object: $wide"
done
