# What tools/demo, tools/test, tools/bench, tools/format and .ci/run share. Bash; to be sourced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
just_installed=

say() { printf '%s\n' "$*" >&2; }

# The package's program, where a program tells that it is there, however it was installed.
program_of() {
    case $1 in
    cmake | g++ | ccache | python3 | pkg-config) echo "$1" ;;
    ninja-build) echo ninja ;;
    clang-19) echo clang++-19 ;;
    clang-format-19) echo clang-format-19 ;;
    *) echo none ;;
    esac
}

# missing PACKAGE...: those of the Debian packages that are not installed.
missing() {
    local package
    for package in "$@"; do
        command -v "$(program_of "$package")" >/dev/null 2>&1 ||
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
            printf '%s ' "$package"
    done
}

# need PACKAGE...: installs what is missing of these Debian packages, or says how to, and stops.
need() {
    if [ "${TEMPER_DEPENDENCIES:-}" = present ]; then
        return
    fi
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        say_how_elsewhere "$@"
        return 1
    fi
    local packages
    read -ra packages <<<"$(missing "$@")"
    if [ ${#packages[@]} -eq 0 ]; then
        return
    fi
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "These packages are missing and there is no sudo here. As root, run"
            say "    apt-get install ${packages[*]}"
            return 1
        fi
        as_root=(sudo)
    fi
    say "Installing ${packages[*]}"
    "${as_root[@]}" apt-get update -qq || say "(the package lists could not be refreshed)"
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "${packages[@]}" </dev/null >&2 || return 1
    just_installed=yes
}

# say_how_elsewhere PACKAGE...: the same libraries under the names that other package managers use.
say_how_elsewhere() {
    local package brew="libomp" vcpkg="" conan="" tools=""
    for package in "$@"; do
        case $package in
        libeigen3-dev) brew+=" eigen" vcpkg+=" eigen3" conan+=" --requires \"eigen/3.4.0\"" ;;
        libxsimd-dev) brew+=" xsimd" vcpkg+=" xsimd" conan+=" --requires \"xsimd/[*]\"" ;;
        libxtensor-dev) brew+=" xtensor" vcpkg+=" xtensor" conan+=" --requires \"xtensor/[*]\"" ;;
        catch2) brew+=" catch2" vcpkg+=" catch2" conan+=" --requires \"catch2/[>=3]\"" ;;
        nlohmann-json3-dev)
            brew+=" nlohmann-json" vcpkg+=" nlohmann-json" conan+=" --requires \"nlohmann_json/[>=3.11]\""
            ;;
        libcli11-dev) brew+=" cli11" vcpkg+=" cli11" conan+=" --requires \"cli11/[>=2]\"" ;;
        libbenchmark-dev) brew+=" google-benchmark" vcpkg+=" benchmark" conan+=" --requires \"benchmark/[*]\"" ;;
        libtorch-dev) brew+=" pytorch" vcpkg+=" libtorch" conan+=" --requires \"libtorch/[*]\"" ;;
        libdlib-dev) brew+=" dlib" vcpkg+=" dlib" conan+=" --requires \"dlib/[*]\"" ;;
        libarmadillo-dev) brew+=" armadillo" vcpkg+=" armadillo" conan+=" --requires \"armadillo/[*]\"" ;;
        libceres-dev) brew+=" ceres-solver" vcpkg+=" ceres" conan+=" --requires \"ceres-solver/[*]\"" ;;
        libopenmpi-dev) brew+=" open-mpi" vcpkg+=" openmpi" conan+=" --requires \"openmpi/[*]\"" ;;
        openmpi-bin | libgloo-dev) ;; # come with their libraries there
        libxgboost-dev) brew+=" xgboost" vcpkg+=" xgboost" tools+=" xgboost" ;;
        ninja-build) brew+=" ninja" tools+=" ninja" ;;
        cmake | ccache) brew+=" $package" tools+=" $package" ;;
        *) tools+=" $package" ;;
        esac
    done
    say "Packages are installed by this script on Debian and Ubuntu only."
    if [ "$(uname -s)" = Darwin ]; then
        say "Please run"
        say "    brew install $brew"
        say "and then this script again, as"
        say "    TEMPER_DEPENDENCIES=present $0"
        return
    fi
    say "Please install$tools, and then either, with vcpkg, run"
    say "    vcpkg install$vcpkg"
    say "    CMAKE_TOOLCHAIN_FILE=\$VCPKG_ROOT/scripts/buildsystems/vcpkg.cmake TEMPER_DEPENDENCIES=present $0"
    say "or, with Conan,"
    say "    conan install -g CMakeDeps -g CMakeToolchain -of build/conan --build missing${conan}"
    say "    CMAKE_TOOLCHAIN_FILE=\$PWD/build/conan/conan_toolchain.cmake TEMPER_DEPENDENCIES=present $0"
}

# build PRESET BUILD_PRESET PROGRAM: configures only where that was not done, failed, or was done
# before the presets changed or PROGRAM's libraries were installed; Ninja sees to all other changes.
build() {
    local preset=$1 build_preset=$2 program=$3 ninja=build/$1/build.ninja
    local version
    version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p')
    if [ "$(printf '%s\n' 3.25 "$version" | sort -V | head -n 1)" != 3.25 ]; then
        say "CMake 3.25 or newer is needed, this is $version."
        exit 1
    fi
    if [ -n "$just_installed" ] || [ ! -f "$ninja" ] || [ CMakePresets.json -nt "$ninja" ] ||
        ! grep -q "^build $program:" "$ninja"; then
        cmake --preset "$preset"
    fi
    cmake --build --preset "$build_preset" --parallel "$jobs"
}
