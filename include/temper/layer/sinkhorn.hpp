// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sinkhorn's matching: the plan that carries histogram a to histogram b at little cost, made smooth by
// entropy.
//
//   P_ij = exp((f_i + g_j - C_ij) / epsilon)
//   each iteration:   f_i = epsilon (log a_i - log sum_j exp((g_j - C_ij) / epsilon))    rows sum to a
//                     g_j = epsilon (log b_j - log sum_i exp((f_i - C_ij) / epsilon))    columns to b
//   value = sum_ij P_ij C_ij
//
// a [n], b [m] non-negative, of the same sum; C cost [n, m], of any size and sign, also plus infinity where
// nothing may be carried, as long as each row and column has a way left. Starts from g = 0 and ends with g,
// so that columns sum to b exactly and rows nearly. An entry of a or b that is 0 has an empty row or column
// of P and a potential of minus infinity. At convergence P is the derivative of <P, C> + epsilon sum P
// (log P - 1) by C, and f and g are those by a and b.
// The iterations scale a kernel exp((f + g - C) / epsilon) by vectors u and v, one pass over it each; where
// these leave the range of T, the iteration is made with logarithms instead and the kernel anew from its
// potentials, so that no epsilon is too small. n or m = 0: 0.
// Throws ShapeError; RangeError for epsilon that is not positive, iterations below 1, negative a or b, and
// sums that differ by more than a thousandth.
// Cuturi, Sinkhorn distances: lightspeed computation of optimal transport (2013); absorbing the scalings:
// Schmitzer, Stabilized sparse scaling algorithms for entropy regularized transport problems (2019).

#include <temper/core/component.hpp>
#include <temper/core/required.hpp>

namespace temper::inline TEMPER_ABI {

struct Sinkhorn {
    static constexpr std::string_view name = "Sinkhorn";
    Required epsilon; ///< in the units of the cost
    Index iterations = 100;

    /// (a, b, cost [, into(plan), into(f), into(g)]); the transport cost
    template <class A, class B, class C, class... Rest>
    double forward(const A& a, const B& b, const C& cost, const Rest&... rest) const;

    friend bool operator==(const Sinkhorn&, const Sinkhorn&) = default;
};

namespace kernel {
template <class T>
struct Sinkhorn {
    static double run(const temper::Sinkhorn& how, VectorView<const T> a, VectorView<const T> b,
                      MatrixView<const T> cost, const Destination<T, 2>& plan,
                      const Destination<T, 1>& f, const Destination<T, 1>& g);
};
} // namespace kernel

template <class A, class B, class C, class... Rest>
double Sinkhorn::forward(const A& a, const B& b, const C& cost, const Rest&... rest) const
{
    accept<3>(rest...);
    using T = KernelScalarOf<A, B, C>;
    Border<T> border(name);
    border.require(epsilon > 0, "epsilon", epsilon, "positive");
    border.require(iterations >= 1, "iterations", static_cast<double>(iterations), "1 at least");
    const auto rows = border.vector("a", a);
    const auto columns = border.vector("b", b);
    const auto c = border.matrix("cost", cost);
    border.expect_shape("cost", c, {rows.extents[0], columns.extents[0]},
                        "a row for each entry of a, a column for each of b");
    const auto sum = [&](std::string_view of, const VectorView<const T>& histogram) {
        double total = 0;
        for (Index i = 0; i < histogram.extents[0]; ++i) {
            const auto mass = static_cast<double>(histogram(i));
            border.require(!(mass < 0), of, mass, "non-negative");
            total += mass;
        }
        return total;
    };
    const double of_a = sum("a", rows);
    const double of_b = sum("b", columns);
    if (c.size() > 0 && std::abs(of_a - of_b) > 1e-3 * of_a) [[unlikely]]
        fail<RangeError>(name, "b", joined({"sums to ", text(of_b)}),
                         joined({"of the same sum as a, ", text(of_a)}));
    const auto plan = border.stored_gradient("plan", c, positional<0>(rest...));
    const auto f = border.gradient("f", rows, positional<1>(rest...));
    const auto g = border.gradient("g", columns, positional<2>(rest...));
    return border.finish(kernel::Sinkhorn<T>::run(*this, rows, columns, c, plan, f, g));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// The plan as u_i K_ij v_j, K_ij = exp(f_i + g_j - C_ij / epsilon), f and g in units of epsilon.
template <class T>
class SinkhornScaling {
  public:
    SinkhornScaling(Workspace::Frame& frame, double epsilon, VectorView<const T> a,
                    VectorView<const T> b, MatrixView<const T> cost)
        : n_(cost.rows()), m_(cost.cols()), padded_((m_ + V::size - 1) / V::size * V::size),
          inverse_(1 / epsilon), a_(a), b_(b), cost_(cost),
          rows_{n_, (std::max)(Index{4}, Index{32768} / m_ / 4 * 4)},
          kernel_(frame.matrix_like(MatrixView<const T>{nullptr, {n_, padded_}, {padded_, 1}})),
          partial_(frame.matrix<T>(rows_.count(), padded_)), f_(frame.take<T>(n_)),
          g_(frame.take<T>(m_)), u_(frame.take<T>(n_)), v_(frame.take<T>(padded_)),
          next_(frame.take<T>(padded_))
    {
        const V scale(inverse_);
        std::fill_n(g_, m_, T(0));
        each_row([&](Index i) {
            f_[i] = -simd::detail::run<simd::detail::Largest>(
                m_, std::array{of_cost(i)}, std::array<simd::Sink<T>, 0>{},
                [scale](auto c) { return -c * scale; });
        });
        make_kernel();
    }

    void iterate()
    {
        if (!scale())
            with_logarithms();
    }

    /// Sum of P C; P is written.
    double finish(const Destination<T, 2>& plan) const
    {
        return parallel_sum(rows_, n_ * m_, [&](Index begin, Index end) {
            double total = 0;
            for (Index i = begin; i < end; ++i)
                total += simd::row_sum(
                    m_, std::array{of_kernel(i), simd::source<T>(v_), of_cost(i)},
                    std::array{simd::sink(plan, i)},
                    [u = V(u_[i])](auto k, auto v, auto c, auto& p) {
                        p = u * k * v;
                        return select(p == V(0), V(0), p * c); // of nothing, whatever it costs
                    });
            return total;
        });
    }
    [[nodiscard]] double f(Index i) const { return potential(f_[i], u_[i]); }
    [[nodiscard]] double g(Index j) const { return potential(g_[j], v_[j]); }

  private:
    using V = simd::Pack<T>;
    // Beyond this, u and v could lift entries that K has lost as too small.
    static constexpr T largest_scaling = std::is_same_v<T, float> ? T(1e13) : T(1e90);

    [[nodiscard]] double potential(T absorbed, T scaling) const
    {
        return (static_cast<double>(absorbed) + std::log(static_cast<double>(scaling))) / inverse_;
    }
    [[nodiscard]] simd::Source<T> of_cost(Index i) const { return simd::source(cost_.row(i)); }
    [[nodiscard]] simd::Source<T> of_kernel(Index i) const
    {
        return simd::source<T>(kernel_.row(i).data);
    }
    template <class Body>
    void each_row(const Body& body) const
    {
        parallel_for(rows_.count(), n_ * m_, [&](Index block) {
            for (Index i = rows_.begin(block); i < rows_.end(block); ++i)
                body(i);
        });
    }
    [[nodiscard]] static bool usable(T scaling)
    {
        return scaling < largest_scaling && scaling > 1 / largest_scaling;
    }

    /// Exponents are far below 0, but where rounding is all that is left of them.
    void make_kernel()
    {
        std::fill_n(u_, n_, T(1));
        std::fill_n(v_, m_, T(1));
        std::fill_n(v_ + m_, padded_ - m_, T(0));
        std::fill_n(next_ + m_, padded_ - m_, T(0));
        each_row([&](Index i) {
            std::fill_n(kernel_.row(i).data + m_, padded_ - m_, T(0));
            simd::row_map(m_, std::array{of_cost(i), simd::source<T>(g_)},
                          std::array{simd::sink(kernel_.row(i).data)},
                          [f = V(f_[i]), scale = V(inverse_)](auto c, auto g, auto& k) {
                              const V below = (f + g) - c * scale;
                              k = bounded_exp(select(below > V(40), V(40), below));
                          });
        });
    }

    /// u = a / K v and v = b / K'u in one pass over K. False if they leave the range: then v is as before.
    bool scale()
    {
        parallel_for(rows_.count(), n_ * m_, [&](Index block) {
            T* const sums = partial_.row(block).data;
            std::fill_n(sums, padded_, T(0));
            const Index end = rows_.end(block);
            Index i = rows_.begin(block);
            for (; i + 4 <= end; i += 4)
                scale_rows<4>(i, sums);
            for (; i < end; ++i)
                scale_rows<1>(i, sums);
        });
        bool in_range = true;
        for (Index j = 0; j < m_; ++j) {
            double sum = 0;
            for (Index block = 0; block < rows_.count(); ++block)
                sum += static_cast<double>(partial_(block, j));
            next_[j] = b_(j) > 0 ? static_cast<T>(static_cast<double>(b_(j)) / sum) : T(0);
            in_range = in_range && (usable(next_[j]) || b_(j) == 0);
        }
        for (Index i = 0; i < n_; ++i)
            in_range = in_range && (usable(u_[i]) || a_(i) == 0);
        if (in_range)
            std::swap(v_, next_);
        return in_range;
    }

    /// u_i = a_i / (K v)_i, and u_i times the row is added to the sums, for R rows from row i on.
    template <Index R>
    void scale_rows(Index i, T* sums) const
    {
        constexpr auto size = static_cast<std::size_t>(R);
        std::array<const T*, size> rows;
        std::array<double, size> products{};
        for (std::size_t r = 0; r < size; ++r)
            rows[r] = kernel_.row(i + static_cast<Index>(r)).data;
        for (Index from = 0; from < padded_; from += simd::detail::chunk) {
            const Index to = (std::min)(padded_, from + simd::detail::chunk);
            std::array<V, size> part;
            part.fill(V(0));
            for (Index j = from; j < to; j += V::size) {
                const V v = V::load(v_ + j);
                for (std::size_t r = 0; r < size; ++r)
                    part[r] = fma(V::load(rows[r] + j), v, part[r]);
            }
            for (std::size_t r = 0; r < size; ++r)
                products[r] += static_cast<double>(part[r].sum());
        }
        std::array<V, size> u;
        for (std::size_t r = 0; r < size; ++r) {
            const Index row = i + static_cast<Index>(r);
            const auto mass = static_cast<double>(a_(row));
            u_[row] = mass > 0 ? static_cast<T>(mass / products[r]) : T(0);
            u[r] = V(u_[row]);
        }
        for (Index j = 0; j < padded_; j += V::size) {
            V sum = V::load(sums + j);
            for (std::size_t r = 0; r < size; ++r)
                sum = fma(u[r], V::load(rows[r] + j), sum);
            sum.store(sums + j);
        }
    }

    /// The same in logarithms, which then are what K is made of.
    void with_logarithms()
    {
        for (Index j = 0; j < m_; ++j)
            g_[j] += std::log(v_[j]);
        const V scale(inverse_);
        each_row([&](Index i) {
            const std::array in{of_cost(i), simd::source<T>(g_)};
            const T largest = simd::detail::run<simd::detail::Largest>(
                m_, in, std::array<simd::Sink<T>, 0>{},
                [scale](auto c, auto g) { return g - c * scale; });
            const double sum = simd::row_sum(
                m_, in, [=](auto c, auto g) { return bounded_exp((g - c * scale) - V(largest)); });
            f_[i] = static_cast<T>(std::log(static_cast<double>(a_(i))) -
                                   static_cast<double>(largest) - std::log(sum));
        });
        // Down the columns: the largest, then the sums, of each block of rows.
        T* const largest = next_;
        const auto each_block = [&](T start, const auto& of_row) {
            parallel_for(rows_.count(), n_ * m_, [&](Index block) {
                T* const numbers = partial_.row(block).data;
                std::fill_n(numbers, m_, start);
                for (Index i = rows_.begin(block); i < rows_.end(block); ++i)
                    of_row(i, numbers);
            });
        };
        each_block(std::numeric_limits<T>::lowest(), [&](Index i, T* numbers) {
            simd::row_map(m_, std::array{of_cost(i), simd::source<T>(numbers)},
                          std::array{simd::sink(numbers)},
                          [f = V(f_[i]), scale](auto c, auto before, auto& most) {
                              most = max(before, f - c * scale);
                          });
        });
        for (Index j = 0; j < m_; ++j) {
            largest[j] = partial_(Index{0}, j);
            for (Index block = 1; block < rows_.count(); ++block)
                largest[j] = (std::max)(largest[j], partial_(block, j));
        }
        each_block(T(0), [&](Index i, T* numbers) {
            simd::row_map(
                m_, std::array{of_cost(i), simd::source<T>(largest), simd::source<T>(numbers)},
                std::array{simd::sink(numbers)},
                [f = V(f_[i]), scale](auto c, auto most, auto before, auto& sum) {
                    sum = before + bounded_exp((f - c * scale) - most);
                });
        });
        for (Index j = 0; j < m_; ++j) {
            double sum = 0;
            for (Index block = 0; block < rows_.count(); ++block)
                sum += static_cast<double>(partial_(block, j));
            g_[j] = static_cast<T>(std::log(static_cast<double>(b_(j))) -
                                   static_cast<double>(largest[j]) - std::log(sum));
        }
        make_kernel();
    }

    Index n_;
    Index m_;
    Index padded_; ///< columns of K, to whole packs
    double inverse_;
    VectorView<const T> a_;
    VectorView<const T> b_;
    MatrixView<const T> cost_;
    Blocks rows_;
    MatrixView<T> kernel_;  ///< rows end in zeros
    MatrixView<T> partial_; ///< numbers for each column from each block of rows
    T* f_;
    T* g_;
    T* u_;
    T* v_;
    T* next_;
};

} // namespace detail

template <class T>
double kernel::Sinkhorn<T>::run(const temper::Sinkhorn& how, VectorView<const T> a,
                                VectorView<const T> b, MatrixView<const T> cost,
                                const Destination<T, 2>& plan, const Destination<T, 1>& f,
                                const Destination<T, 1>& g)
{
    if (cost.size() == 0) {
        for (Index i = 0; f && i < a.extents[0]; ++i)
            f.put(f.view(i), T(0));
        for (Index j = 0; g && j < b.extents[0]; ++j)
            g.put(g.view(j), T(0));
        return 0;
    }
    Workspace::Frame frame;
    detail::SinkhornScaling<T> scaling(frame, how.epsilon, a, b, cost);
    for (Index iteration = 0; iteration < how.iterations; ++iteration)
        scaling.iterate();
    for (Index i = 0; f && i < a.extents[0]; ++i)
        f.put(f.view(i), static_cast<T>(scaling.f(i)));
    for (Index j = 0; g && j < b.extents[0]; ++j)
        g.put(g.view(j), static_cast<T>(scaling.g(j)));
    return scaling.finish(plan);
}

TEMPER_INSTANTIATE(kernel::Sinkhorn);

} // namespace temper::inline TEMPER_ABI
#endif
