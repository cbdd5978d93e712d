#!/bin/sh
# tools/lint must accept a tree that keeps its rules, and must name each rule that is broken.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
lint=$here/../../tools/lint
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
spdx='// SPDX-License-Identifier: BSL-1.0'

plant() { # a small tree that keeps every rule
    rm -rf "$tree"
    mkdir -p "$tree/include/temper/core" "$tree/include/temper/loss" "$tree/include/temper/simd" \
        "$tree/include/temper/linalg" "$tree/docs" "$tree/tests/catalog"
    cd "$tree"
    printf '%s\n' "$spdx" '#define TEMPER_VERSION_MAJOR 0' '#define TEMPER_VERSION_MINOR 3' \
        '#define TEMPER_VERSION_PATCH 2' >include/temper/core/config.hpp
    printf '%s\n' "$spdx" '#include <xsimd/xsimd.hpp>' >include/temper/simd/map.hpp
    printf '%s\n' "$spdx" '#include <Eigen/Core>' >include/temper/linalg/product.hpp
    printf '%s\n' "$spdx" >include/temper/loss/focal_loss.hpp
    printf '%s\n' "$spdx" '#include <temper/core/config.hpp>' '#include <temper/linalg/product.hpp>' \
        '#include <temper/loss/focal_loss.hpp>' '#include <temper/simd/map.hpp>' >include/temper/temper.hpp
    echo '| focal loss | `loss/focal_loss.hpp` |' >docs/catalog.md
    printf '%s\n' "$spdx" '#include <temper/loss/focal_loss.hpp>' >tests/catalog/loss.cpp
    printf '%s\n' '# Changes' '' '## 0.3.2' '' '## 0.3.1' >CHANGELOG.md
}

plant
"$lint" "$tree" || { echo "lint refuses a tree that keeps its rules" && exit 1; }

failed=0
notices() { # SENTENCE: lint must end with 1, and say the sentence
    if said=$("$lint" "$tree"); then
        echo "lint does not notice: $1" && failed=1
    elif ! echo "$said" | grep -qF "$1"; then
        echo "lint does not say: $1, but: $said" && failed=1
    fi
    plant
}

echo '#include <xsimd/xsimd.hpp>' >>include/temper/loss/focal_loss.hpp
notices 'include/temper/loss/focal_loss.hpp:2: only include/temper/simd/ uses xsimd'
echo '#  include "Eigen/Dense"' >>include/temper/core/config.hpp
notices 'include/temper/core/config.hpp:5: only include/temper/linalg/ and adapt/ use Eigen'
echo 'inline int rows(const Eigen::MatrixXf& x);' >>include/temper/simd/map.hpp
notices 'include/temper/simd/map.hpp:3: only include/temper/linalg/ and adapt/ use Eigen'
echo 'inline xsimd::batch<float> zero; // of one' >>include/temper/linalg/product.hpp
notices 'include/temper/linalg/product.hpp:3: only include/temper/simd/ uses xsimd'
for code in '#include <torch/torch.h>' 'namespace torch { class Tensor; }' 'const torch::Tensor* x;' \
    '#include <mpi.h>' 'MPI_Comm comm;' '#include <armadillo>' 'arma::mat w;' 'dlib::tensor* t;' \
    'struct Loss : ceres::LossFunction {};' 'xt::xarray<float> a;' '#include <xtensor/xarray.hpp>'; do
    echo "$code" >>include/temper/loss/focal_loss.hpp
    notices 'include/temper/loss/focal_loss.hpp:2: only include/temper/adapt/ uses another library'
done
: >docs/catalog.md
notices 'include/temper/loss/focal_loss.hpp: has no line in docs/catalog.md'
echo "$spdx" >tests/catalog/loss.cpp
notices 'include/temper/loss/focal_loss.hpp: has no entry in tests/catalog/'
echo "$spdx" >include/temper/simd/reduce.hpp
notices 'include/temper/temper.hpp: does not include temper/simd/reduce.hpp'
echo '#include <temper/adapt/torch.hpp>' >>include/temper/temper.hpp
notices 'include/temper/temper.hpp: must not include temper/adapt/torch.hpp'
sed -i '2{h;d};3{G}' include/temper/temper.hpp
notices 'include/temper/temper.hpp: is not sorted'
sed -i 1d tests/catalog/loss.cpp
notices 'tests/catalog/loss.cpp:1: must be // SPDX'
sed -i 's/## 0.3.2/## 0.4.0/' CHANGELOG.md
notices 'CHANGELOG.md: begins with version 0.4.0, the headers are version 0.3.2'
echo '# define TEMPERATURE 1' >>include/temper/core/config.hpp
notices 'include/temper/core/config.hpp:5: macros begin with TEMPER_'
echo '#define CHECK(x) x' >>include/temper/loss/focal_loss.hpp
notices 'include/temper/loss/focal_loss.hpp:2: macros begin with TEMPER_'
echo '![A curve](images/curve.svg)' >docs/page.md
notices 'docs/page.md:1: shows images/curve.svg, which is not there'
mkdir docs/images
echo '<svg/>' >docs/images/curve.svg
notices 'docs/images/curve.svg: is on no page'

# Adapters may, and comments and sentences may say whom they are for.
mkdir include/temper/adapt
printf '%s\n' "$spdx" '#include <torch/torch.h>' 'inline void f(at::Tensor, Eigen::MatrixXf);' \
    >include/temper/adapt/torch.hpp
echo 'const char* s = "xt::eval in xtensor"; // Eigen::Ref, torch::Tensor, and MPI_Allreduce of xsimd::batch' \
    >>include/temper/loss/focal_loss.hpp
mkdir docs/images
echo '<svg/>' >docs/images/curve.svg
echo 'In a page: ![A curve (of a loss)](images/curve.svg)' >docs/page.md
"$lint" "$tree" || failed=1
plant

# What components share needs no entry, but says so.
echo "$spdx" >tests/catalog/loss.cpp
echo '| `loss/focal_loss.hpp` | shared by two losses |' >docs/catalog.md
"$lint" "$tree" || failed=1
exit $failed
