// SPDX-License-Identifier: BSL-1.0
#pragma once

// Distribution alignment: pseudo-labels that a network prefers by habit are divided by that habit, the mean
// prediction of the latest batches.
//
//   observe   queue[pointer] <- mean_i p_i, pointer <- pointer + 1 mod length
//   forward   a_ij = p_ij r_j / max(mean of column j of the queue, 1e-12), rows divided by their sums
//
// p probabilities [n, k], a of the same shape; r is class_weights(r), the distribution that is wanted,
// uniform where it is not given. observe FIRST: the current batch is in the mean. The queue starts at
// zeros, and the mean is over all its places from the start; that is a common factor, which the last
// division takes away. No gradient: targets stand still. An empty batch observes nothing. A row of zeros
// is NaN. Throws ShapeError; RangeError for length < 1.
// Berthelot et al., ReMixMatch (2020), with the window of Yang et al., Shrinking Class Space for Enhanced
// Certainty in Semi-Supervised Learning (2023), instead of a running mean.

#include <temper/core/component.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

struct DistributionAlignment {
    static constexpr std::string_view name = "DistributionAlignment";
    Index length = 32;

    struct State {
        Index classes = 0;
        Index pointer = 0;
        std::vector<double> queue; ///< [length, classes]
        template <class Archive>
        void fields(Archive& a)
        {
            a.extent("classes", classes);
            a("pointer", pointer)("queue", queue);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] State init(Index classes) const
    {
        require(length >= 1, name, "length", static_cast<double>(length), "at least 1");
        return {classes, 0, std::vector<double>(static_cast<std::size_t>(length * classes))};
    }
    /// (state, probabilities(p))
    template <class P>
    void observe(State& state, const P& p) const;
    /// (state, probabilities(p), into(a) [, class_weights(r)])
    template <class P, class... Rest>
    void forward(const State& state, const P& p, const Rest&... rest) const;

    friend bool operator==(const DistributionAlignment&, const DistributionAlignment&) = default;

  private:
    template <class T, class P>
    MatrixView<const T> checked(Border<T>& border, const State& state, const P& p) const
    {
        border.require(length >= 1, "length", static_cast<double>(length), "at least 1");
        if (static_cast<Index>(state.queue.size()) != length * state.classes || state.pointer < 0 ||
            state.pointer >= length)
            fail<ShapeError>(name, "state",
                             joined({"has ", text(static_cast<Index>(state.queue.size())),
                                     " numbers and points at ", text(state.pointer)}),
                             joined({text(length), " x ", text(state.classes), " from init"}));
        const auto ps = border.probabilities("probabilities", p);
        border.expect_shape("probabilities", ps, {ps.rows(), state.classes},
                            "a column for each class of the state");
        return ps;
    }
};

namespace kernel {
template <class T>
struct DistributionAlignment {
    static void column_means(MatrixView<const T> p, double* means);
    static void forward(MatrixView<const T> p, VectorView<const T> factor,
                        const Destination<T, 2>& out);
};
} // namespace kernel

template <class P>
void DistributionAlignment::observe(State& state, const P& p) const
{
    using T = KernelScalarOf<decltype(p.view)>;
    Border<T> border(name);
    const auto ps = checked<T>(border, state, p);
    if (ps.rows() == 0)
        return;
    kernel::DistributionAlignment<T>::column_means(ps, state.queue.data() +
                                                           state.pointer * state.classes);
    state.pointer = (state.pointer + 1) % length;
}

template <class P, class... Rest>
void DistributionAlignment::forward(const State& state, const P& p, const Rest&... rest) const
{
    accept<1, ClassWeights>(rest...);
    using T = KernelScalarOf<decltype(p.view)>;
    Border<T> border(name);
    const auto ps = checked<T>(border, state, p);
    const Index k = ps.cols();
    const auto wanted = border.optional_vector("class_weights", named<ClassWeights>(rest...), k,
                                               "a share for each class");
    const auto to = border.template output<2>("aligned", positional<0>(rest...), {ps.rows(), k});
    auto* factor = border.scratch().template take<T>(k);
    for (Index j = 0; j < k; ++j) {
        double mean = 0;
        for (Index slot = 0; slot < length; ++slot)
            mean += state.queue[static_cast<std::size_t>(slot * k + j)];
        mean = (std::max)(mean / static_cast<double>(length), 1e-12);
        factor[j] = static_cast<T>((wanted.data ? static_cast<double>(wanted(j)) : 1.0) / mean);
    }
    kernel::DistributionAlignment<T>::forward(ps, {factor, {k}, {1}}, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/columns.hpp>
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::DistributionAlignment<T>::column_means(MatrixView<const T> p, double* means)
{
    const auto strips = simd::column_strips(p.rows(), p.cols());
    parallel_for(strips.count(), p.size(), [&](Index strip) {
        const Index begin = strips.begin(strip);
        const Index width = strips.end(strip) - begin;
        simd::column_sum(std::array<const T*, 0>{}, std::array{p.block(0, begin, p.rows(), width)},
                         means + begin, [](auto x) { return x; });
    });
    for (Index j = 0; j < p.cols(); ++j)
        means[j] /= static_cast<double>(p.rows());
}

template <class T>
void kernel::DistributionAlignment<T>::forward(MatrixView<const T> p, VectorView<const T> factor,
                                               const Destination<T, 2>& out)
{
    (void)simd::sum_tiles<T>(simd::operands(p, out), 0, [&](const auto& tile) {
        const auto sum = tile.sum([=](auto at) { return at(p) * at(factor); }).narrow();
        tile.each([=](auto at) { at.put(out, at(p) * at(factor) / at(sum)); });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::DistributionAlignment);

} // namespace temper::inline TEMPER_ABI
#endif
