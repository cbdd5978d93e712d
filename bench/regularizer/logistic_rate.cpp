// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/regularizer/logistic_rate.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    const auto name = "logistic_rate";
    add<T>(name, "temper", shape(n, d), [=] {
        return [z = matrix<T>(n, d, 1), m = matrix<T>(1, d, 2), s = matrix<T>(1, d, 3),
                gz = Matrix<T>(n, d), gm = Matrix<T>(1, d), gs = Matrix<T>(1, d)]() mutable {
            benchmark::DoNotOptimize(temper::LogisticRate{}(z, m, s, temper::into(gz),
                                                            temper::into(gm), temper::into(gs)));
        };
    });
    add<T>(name, "eigen", shape(n, d), [=] {
        return [z = matrix<T>(n, d, 1), m = matrix<T>(1, d, 2), s = matrix<T>(1, d, 3),
                a = Matrix<T>(n, d), b = Matrix<T>(n, d), p = Matrix<T>(n, d), gz = Matrix<T>(n, d),
                gm = Matrix<T>(1, d), gs = Matrix<T>(1, d), n]() mutable {
            using Row = Eigen::Array<T, 1, Eigen::Dynamic>;
            const Row inverse = (-s.array()).exp();
            p = -(z.rowwise() - m.row(0)).cwiseAbs();
            a = (p.array() + T(0.5)).rowwise() * inverse;
            b = (p.array() - T(0.5)).rowwise() * inverse;
            const auto sigmoid = [](const Matrix<T>& x) -> Matrix<T> {
                return (1 + (-x.array()).exp()).inverse();
            };
            const Matrix<T> sa = sigmoid(a);
            const Matrix<T> sb = sigmoid(b);
            p = (sa - sb).cwiseMax(T(1e-9));
            const T scale = T(1.4426950408889634) / static_cast<T>(n);
            const T value = -scale * p.array().log().sum();
            const Matrix<T> da = (sa.array() * (1 - sa.array())) / p.array();
            const Matrix<T> db = (sb.array() * (1 - sb.array())) / p.array();
            gz = scale * (da - db).array() * (z.rowwise() - m.row(0)).array().sign();
            gz.array().rowwise() *= inverse;
            gm = -gz.colwise().sum();
            gs = scale * (da.array() * a.array() - db.array() * b.array()).matrix().colwise().sum();
            benchmark::DoNotOptimize(value);
            benchmark::DoNotOptimize(gz.data());
            benchmark::DoNotOptimize(gm.data());
            benchmark::DoNotOptimize(gs.data());
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{256, 256}, {64, 12288}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
