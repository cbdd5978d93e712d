// SPDX-License-Identifier: BSL-1.0
// What this machine can do, measured in the same run and with the same threads as everything else:
//
//   limit/triad/<type>/<bytes>   memory: a = b + s c over three arrays of so many bytes in all
//   limit/eigen/<type>/<n>       matrix products: n x n x n by Eigen
//   limit/blas/<type>/<n>        the same by the BLAS that is installed (OpenBLAS)
//   limit/exp/<type>/<n>         exponentials of n numbers that stay in the cache
#include "eigen.hpp"

#include <temper/core/parallel.hpp>
#include <temper/simd/pack.hpp>

#ifdef TEMPER_BENCH_BLAS
extern "C" {
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
            const float*, const int*, const float*, const int*, const float*, float*, const int*);
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
            const double*, const int*, const double*, const int*, const double*, double*,
            const int*);
}
#endif

namespace {

using namespace bench;

template <class T>
void add_triad(Index bytes)
{
    const Index n = bytes / static_cast<Index>(3 * sizeof(T));
    add<T>("limit", "triad", std::to_string(bytes), Work{.entries = 3 * n}, [=] {
        return [b = numbers<T>(n, 1), c = numbers<T>(n, 2),
                a = std::vector<T>(static_cast<std::size_t>(n)), n]() mutable {
            // By packs of our own: compilers do not see that the arrays lie apart.
            using P = temper::simd::Pack<T>;
            const temper::Blocks blocks{n / P::size, 4096 / P::size};
            temper::parallel_for(blocks.count(), n, [&](Index block) {
                for (Index i = blocks.begin(block); i < blocks.end(block); ++i)
                    fma(P(T(0.5)), P::load(c.data() + i * P::size), P::load(b.data() + i * P::size))
                        .store(a.data() + i * P::size);
            });
        };
    });
}

template <class T>
void add_products(Index n)
{
    const Work work{.flops = 2 * n * n * n};
    add<T>("limit", "eigen", std::to_string(n), work, [=] {
        return [a = matrix<T>(n, n, 1), b = matrix<T>(n, n, 2), c = Matrix<T>(n, n)]() mutable {
            c.noalias() = a * b;
        };
    });
#ifdef TEMPER_BENCH_BLAS
    add<T>("limit", "blas", std::to_string(n), work, [=] {
        return [a = matrix<T>(n, n, 1), b = matrix<T>(n, n, 2), c = Matrix<T>(n, n),
                size = static_cast<int>(n)]() mutable {
            const T one = 1, zero = 0;
            if constexpr (std::is_same_v<T, float>)
                sgemm_("N", "N", &size, &size, &size, &one, b.data(), &size, a.data(), &size, &zero,
                       c.data(), &size);
            else
                dgemm_("N", "N", &size, &size, &size, &one, b.data(), &size, a.data(), &size, &zero,
                       c.data(), &size);
        };
    });
#endif
}

template <class T>
void add_exp(Index n)
{
    add<T>("limit", "exp", std::to_string(n), Work{.exps = n}, [=] {
        return
            [x = numbers<T>(n, 1), y = std::vector<T>(static_cast<std::size_t>(n)), n]() mutable {
                using P = temper::simd::Pack<T>;
                const Index block = 1024;
                temper::parallel_for(n / block, n, [&](Index b) {
                    for (Index i = b * block; i < (b + 1) * block; i += P::size)
                        exp(P::load(x.data() + i)).store(y.data() + i);
                });
            };
    });
}

template <class T>
void add_all()
{
    for (Index bytes = Index{1} << 12; bytes <= Index{1} << 28; bytes *= 4)
        add_triad<T>(bytes);
    for (Index n = 64; n <= 2048; n *= 2)
        add_products<T>(n);
    for (const Index n : {Index{1} << 12, Index{1} << 16})
        add_exp<T>(n);
}

const bool added = [] {
    add_all<float>();
    add_all<double>();
    return true;
}();

} // namespace
