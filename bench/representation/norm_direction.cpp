// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/representation/norm_direction.hpp>

#include <vector>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    constexpr Index classes = 100;
    const auto name = "norm_direction";
    std::vector<int> y(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < y.size(); ++i)
        y[i] = static_cast<int>(i * 37 % classes);
    add<T>(name, "temper", shape(n, d), [=] {
        return [s = matrix<T>(n, d, 1), t = matrix<T>(n, d, 2), c = matrix<T>(classes, d, 3), y,
                g = Matrix<T>(n, d)]() mutable {
            benchmark::DoNotOptimize(temper::NdLoss{}(s, temper::labels(y), t, c, temper::into(g)));
        };
    });
    add<T>(name, "eigen", shape(n, d), [=] {
        return [s = matrix<T>(n, d, 1), t = matrix<T>(n, d, 2), c = matrix<T>(classes, d, 3), y,
                e = Matrix<T>(n, d), g = Matrix<T>(n, d), n]() mutable {
            using Vector = Eigen::Array<T, Eigen::Dynamic, 1>;
            for (Index i = 0; i < n; ++i)
                e.row(i) = c.row(y[static_cast<std::size_t>(i)]).normalized();
            const Vector length = s.rowwise().norm();
            const Vector other = t.rowwise().norm();
            const Vector longest = length.max(other);
            const Vector cosine = (s.array() * e.array()).rowwise().sum() / longest;
            const T scale = 1 / static_cast<T>(n);
            const T value = scale * (1 - cosine).sum();
            const Vector own =
                (length > other).select(scale * cosine / longest.square(), Vector::Zero(n));
            g = (s.array().colwise() * own - (e.array().colwise() / longest) * scale).matrix();
            benchmark::DoNotOptimize(value);
            benchmark::DoNotOptimize(g.data());
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{256, 512}, {1024, 2048}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
