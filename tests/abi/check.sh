#!/bin/sh
# check.sh COMPILER LEVEL INCLUDES   (LEVEL is -O0 or -O2; INCLUDES are separated by |)
#
# Links units compiled for the baseline and for AVX2 into one program, in both link orders.
#   typed border  a temper type stands in a signature between them: must be a link error
#   plain border  none does: must run, and each unit must keep code of its own
set -eu
compiler=$1 level=$2 includes=$3
here=$(cd "$(dirname "$0")" && pwd)

case $(uname -m) in
x86_64 | amd64) ;;
*) echo "skipped: the two instruction sets of this test are x86's" && exit 77 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-std=c++20 $level"
for include in $(echo "$includes" | tr '|' ' '); do
    flags="$flags -isystem $include"
done
baseline="-march=x86-64" wide="-march=x86-64-v3"

compile() { # SOURCE OBJECT FLAGS...
    source=$1 object=$2
    shift 2
    $compiler $flags "$@" -c "$here/$source" -o "$work/$object"
}
link() { # PROGRAM OBJECTS...
    program=$1
    shift
    (cd "$work" && $compiler "$@" -o "$program" 2>link.txt)
}
fail() {
    echo "abi $level: $*"
    exit 1
}

# ---- typed border
compile typed_main.cpp main_baseline.o $baseline
compile typed_unit.cpp unit_baseline.o $baseline
compile typed_unit.cpp unit_wide.o $wide
link same main_baseline.o unit_baseline.o || fail "units of the same flags do not link: $(cat "$work/link.txt")"
"$work/same" || fail "units of the same flags give a wrong value"
for order in "main_baseline.o unit_wide.o" "unit_wide.o main_baseline.o"; do
    ! link mixed $order || fail "a temper type crossed between units of different flags ($order)"
    grep -q 'undefined.*typed_loss' "$work/link.txt" ||
        fail "the link failed for another reason: $(cat "$work/link.txt")"
done

# ---- plain border
compile plain_main.cpp main.o $baseline
compile plain_unit.cpp baseline.o $baseline -DTEMPER_TEST_NAME=baseline_loss
compile plain_unit.cpp wide.o $wide -DTEMPER_TEST_NAME=wide_loss

# What both units define, the linker keeps once: nothing of temper may be there but the error types,
# which are the same for all flags on purpose.
for unit in baseline wide; do
    nm -C --defined-only "$work/$unit.o" | cut -c 20- | grep 'temper::' | sort -u >"$work/$unit.txt" || true
    grep -q "temper::v" "$work/$unit.txt" || [ "$level" != -O0 ] || fail "no temper symbol in the $unit unit"
done
shared=$(comm -12 "$work/baseline.txt" "$work/wide.txt" | grep 'temper::v' || true)
[ -z "$shared" ] || fail "both units define
$shared"
errors='temper::(Error|[A-Za-z]+Error|detail::error_handler|set_error_handler)'
shared=$(comm -12 "$work/baseline.txt" "$work/wide.txt" | grep -vE "$errors" || true)
[ -z "$shared" ] || fail "both units define
$shared"

for order in "main.o baseline.o wide.o" "main.o wide.o baseline.o"; do
    link plain $order || fail "units with a plain border do not link: $(cat "$work/link.txt")"
    # In the program, too, the baseline's functions hold no AVX instruction.
    avx=$(objdump -d -C --no-show-raw-insn "$work/plain" | awk '
        /^[0-9a-f]+ <.*>:$/ { name = $0; mine = /baseline_loss/ || /temper::v[0-9_]*sse2_/ }
        mine && /%ymm|\tv[a-z0-9]+ / { print name; mine = 0 }')
    [ -z "$avx" ] || fail "AVX code in functions of the baseline unit ($order)
$avx"
    if grep -qw avx2 /proc/cpuinfo 2>/dev/null; then
        "$work/plain" || fail "a unit gives a wrong value ($order)"
    fi
done
