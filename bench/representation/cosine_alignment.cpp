// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/representation/cosine_alignment.hpp>
#include <temper/representation/trepa.hpp>

namespace {

using namespace bench;

template <class T, class Loss>
void add_temper(const std::string& name, Index n, Index d, const Loss& loss)
{
    add<T>(name, "temper", shape(n, d), Work{.entries = 3 * n * d}, [=] {
        return [x = matrix<T>(n, d, 1), t = matrix<T>(n, d, 2), g = Matrix<T>(n, d),
                loss]() mutable { benchmark::DoNotOptimize(loss(x, t, temper::into(g))); };
    });
}

template <class T>
void add_all(Index n, Index d)
{
    add_temper<T>("cosine_alignment", n, d, temper::CosineAlignment{});
    add_temper<T>("trepa", n, d, temper::Trepa{});
    add<T>("cosine_alignment", "eigen", shape(n, d), [=] {
        return [x = matrix<T>(n, d, 1), t = matrix<T>(n, d, 2), g = Matrix<T>(n, d), n]() mutable {
            using Vector = Eigen::Vector<T, Eigen::Dynamic>;
            const Vector of_x = x.rowwise().norm();
            const Vector of_t = t.rowwise().norm();
            const Vector cosine =
                x.cwiseProduct(t).rowwise().sum().array() / (of_x.array() * of_t.array());
            const T each = T(1) / static_cast<T>(n);
            const Vector along = cosine.array() / of_x.array().square() * each;
            const Vector across = each / (of_x.array() * of_t.array());
            g = along.asDiagonal() * x - across.asDiagonal() * t;
            benchmark::DoNotOptimize(-cosine.mean());
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {4096, 768}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
