// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/diffusion/minibatch_ot_coupling.hpp>

#include <limits>
#include <vector>

namespace {

using namespace bench;

/// Shortest augmenting paths from nothing, one row after the other, as scipy's linear_sum_assignment finds them
/// (Crouse, On implementing 2D rectangular assignment algorithms, 2016).
double textbook(const Matrix<double>& cost, std::vector<Index>& row_of)
{
    const Index n = cost.rows();
    const auto at = [](Index i) { return static_cast<std::size_t>(i); };
    std::vector<double> u(at(n)), v(at(n)), shortest(at(n));
    std::vector<Index> column_of(at(n), -1), path(at(n)), left(at(n));
    std::vector<char> row_seen(at(n)), column_seen(at(n));
    row_of.assign(at(n), -1);
    for (Index start = 0; start < n; ++start) {
        std::fill(row_seen.begin(), row_seen.end(), 0);
        std::fill(column_seen.begin(), column_seen.end(), 0);
        std::fill(shortest.begin(), shortest.end(), std::numeric_limits<double>::infinity());
        Index n_left = n;
        for (Index j = 0; j < n; ++j)
            left[at(j)] = n - j - 1;
        double reached = 0;
        Index sink = -1;
        for (Index i = start; sink < 0;) {
            row_seen[at(i)] = 1;
            double lowest = std::numeric_limits<double>::infinity();
            Index best = -1;
            for (Index k = 0; k < n_left; ++k) {
                const Index j = left[at(k)];
                const double r = reached + cost(i, j) - u[at(i)] - v[at(j)];
                if (r < shortest[at(j)]) {
                    path[at(j)] = i;
                    shortest[at(j)] = r;
                }
                if (shortest[at(j)] < lowest || (shortest[at(j)] == lowest && row_of[at(j)] < 0)) {
                    lowest = shortest[at(j)];
                    best = k;
                }
            }
            reached = lowest;
            const Index j = left[at(best)];
            if (row_of[at(j)] < 0)
                sink = j;
            else
                i = row_of[at(j)];
            column_seen[at(j)] = 1;
            left[at(best)] = left[at(--n_left)];
        }
        u[at(start)] += reached;
        for (Index i = 0; i < n; ++i)
            if (row_seen[at(i)] && i != start)
                u[at(i)] += reached - shortest[at(column_of[at(i)])];
        for (Index j = 0; j < n; ++j)
            if (column_seen[at(j)])
                v[at(j)] -= reached - shortest[at(j)];
        for (Index j = sink;;) {
            const Index i = path[at(j)];
            row_of[at(j)] = i;
            std::swap(column_of[at(i)], j);
            if (i == start)
                break;
        }
    }
    double sum = 0;
    for (Index j = 0; j < n; ++j)
        sum += cost(row_of[at(j)], j);
    return sum;
}

template <class T>
void add_all(Index n, Index d)
{
    add<T>("minibatch_ot_coupling", "temper", shape(n, d), [=] {
        return
            [x = matrix<T>(n, d, 1), z = matrix<T>(n, d, 2), plan = temper::Coupling{}]() mutable {
                temper::MinibatchOtCoupling{}.couple(x, z, plan);
                benchmark::DoNotOptimize(plan.cost);
            };
    });
    add<T>("minibatch_ot_coupling", "textbook", shape(n, d), [=] {
        return [x = matrix<T>(n, d, 1), z = matrix<T>(n, d, 2), cost = Matrix<double>(n, n),
                rows = std::vector<Index>()]() mutable {
            cost.noalias() = -2 * (x * z.transpose()).template cast<double>();
            cost.colwise() += x.rowwise().squaredNorm().template cast<double>();
            cost.rowwise() += z.rowwise().squaredNorm().template cast<double>().transpose();
            benchmark::DoNotOptimize(textbook(cost, rows));
        };
    });
}

const bool added = [] {
    for (const Index n : {64, 128, 256, 512, 1024})
        for (const Index d : {2, 16, 3072})
            add_all<float>(n, d);
    return true;
}();

} // namespace
