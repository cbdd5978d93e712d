// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/layer/qk_norm.hpp>
#include <temper/layer/repa_projector.hpp>
#include <temper/representation/gram_alignment.hpp>
#include <temper/representation/repa_projection.hpp>
#include <temper/representation/sync_cosine_bce.hpp>

namespace {

using namespace bench;
using temper::into;

template <class T, class Loss>
void add_pair(const std::string& name, Index n, Index d, Work work, const Loss& loss)
{
    add<T>(name, "temper", shape(n, d), work, [=] {
        return [x = matrix<T>(n, d, 1), t = matrix<T>(n, d, 2), g = Matrix<T>(n, d),
                loss]() mutable { benchmark::DoNotOptimize(loss(x, t, into(g))); };
    });
}

template <class T>
void add_all(Index n, Index d)
{
    add_pair<T>("repa_projection", n, d, {.entries = 3 * n * d}, temper::RepaProjection{});
    add_pair<T>("gram_alignment", n, d, {.entries = 3 * n * d, .flops = 4 * n * n * d},
                temper::GramAlignment{});
    add<T>("sync_cosine_bce", "temper", shape(n, d), Work{.entries = 4 * n * d}, [=] {
        return [v = matrix<T>(n, d, 1), a = matrix<T>(n, d, 2), y = std::vector<T>(n, T(1)),
                gv = Matrix<T>(n, d), ga = Matrix<T>(n, d)]() mutable {
            const temper::SyncCosineBce loss{.range = temper::CosineRange::affine};
            benchmark::DoNotOptimize(loss(v, a, y, into(gv), into(ga)));
        };
    });
    add<T>("qk_norm", "temper", shape(n, d), Work{.entries = 6 * n * d, .flops = 6 * n * n * d},
           [=] {
               return [q = matrix<T>(n, d, 1), k = matrix<T>(n, d, 2), gs = matrix<T>(n, n, 3),
                       s = Matrix<T>(n, n), gq = Matrix<T>(n, d), gk = Matrix<T>(n, d)]() mutable {
                   const temper::QkNorm norm;
                   norm.forward(q, k, into(s));
                   norm.pullback(q, k, gs, into(gq), into(gk));
                   benchmark::DoNotOptimize(gq.data());
               };
           });
}

/// Three layers of `p` units between widths d and d.
template <class T>
void add_projector(Index n, Index d, Index p)
{
    const Index products = d * p + p * p + p * d;
    add<T>("repa_projector", "temper", shape(n, d), Work{.flops = 6 * n * products}, [=] {
        return [x = matrix<T>(n, d, 1), gy = matrix<T>(n, d, 2), w1 = matrix<T>(p, d, 3),
                b1 = numbers<T>(p, 4), w2 = matrix<T>(p, p, 5), b2 = numbers<T>(p, 6),
                w3 = matrix<T>(d, p, 7), b3 = numbers<T>(d, 8), y = Matrix<T>(n, d),
                gx = Matrix<T>(n, d), g1 = Matrix<T>(p, d), gb1 = numbers<T>(p, 4),
                g2 = Matrix<T>(p, p), gb2 = numbers<T>(p, 6), g3 = Matrix<T>(d, p),
                gb3 = numbers<T>(d, 8)]() mutable {
            const temper::RepaProjector head;
            head.forward(x, temper::tensors(w1, b1, w2, b2, w3, b3), into(y));
            head.pullback(x, temper::tensors(w1, b1, w2, b2, w3, b3), gy, into(gx),
                          into(temper::tensors(g1, gb1, g2, gb2, g3, gb3)));
            benchmark::DoNotOptimize(gx.data());
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{32, 16}, {256, 64}, {1024, 768}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    add_projector<float>(512, 384, 1024);
    add_projector<double>(512, 384, 1024);
    return true;
}();

} // namespace
