// SPDX-License-Identifier: BSL-1.0
#pragma once

// AdaWAC: each sample of the data set has a weight between its supervised and its consistency loss, which
// goes to whichever is larger, as in a game: samples with much to say in their labels are supervised,
// those with next to nothing are held consistent.
//
//   observe   b_i <- b_i e^(eta d_i) / (b_i e^(eta d_i) + 1 - b_i)        d_i = s_i - c_i
//   mean:  L = (1 / n) sum_i (b_i s_i + (1 - b_i) c_i)        sum: without 1 / n
//   dL/ds_i = b_i / n, dL/dc_i = (1 - b_i) / n                 b_i held still
//
// s supervised, c consistency losses of a batch [n]; ids [n] say which samples they are of. The state has
// b for each sample, 1/2 at first. observe(state, ids, s, c) BEFORE the call: the new weights are used
// (one step of mirror ascent). Weights 0 and 1 stay; equal losses leave a weight as it is; losses of any
// size are fine. Of an id that occurs twice the last row counts. n = 0: value 0. A loss of weight 0 counts
// for nothing. Throws ShapeError, RangeError for ids outside the state and an eta that is not finite.
// Yuan et al., Adaptively Weighted Data Augmentation Consistency Regularization for Robust Optimization
// under Concept Shift (2023).

#include <temper/core/component.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

struct Adawac {
    static constexpr std::string_view name = "Adawac";
    double eta = 1;
    Reduction reduction = Reduction::mean;

    struct State {
        std::vector<double> supervised; ///< b, [samples]
        template <class Archive>
        void fields(Archive& a)
        {
            a("supervised", supervised);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] State init(Index samples) const
    {
        return {std::vector<double>(static_cast<std::size_t>(samples), 0.5)};
    }
    /// (state, ids, s, c)
    template <class Ids, class S, class C>
    void observe(State& state, const Ids& ids, const S& supervised, const C& consistency) const
    {
        using T = KernelScalarOf<S, C>;
        Border<T> border(name);
        const auto b = batch<T>(border, state, ids, supervised, consistency);
        for (Index i = 0; i < b.n; ++i) {
            // As a logistic of the difference, which nothing overflows.
            const double now = b.weight[i];
            const double d = eta * (static_cast<double>(b.s(i)) - static_cast<double>(b.c(i)));
            state.supervised[static_cast<std::size_t>(b.id[i])] =
                now == 0 || now == 1 ? now : 1 / (1 + (1 - now) / now * std::exp(-d));
        }
    }
    /// (state, ids, s, c [, into(gs), into(gc)])
    template <class Ids, class S, class C, class... Rest>
    double operator()(const State& state, const Ids& ids, const S& supervised, const C& consistency,
                      const Rest&... rest) const
    {
        accept<2>(rest...);
        using T = KernelScalarOf<S, C>;
        Border<T> border(name);
        const auto b = batch<T>(border, state, ids, supervised, consistency);
        const auto gs = border.gradient("supervised", b.s, positional<0>(rest...));
        const auto gc = border.gradient("consistency", b.c, positional<1>(rest...));
        const double factor =
            reduction == Reduction::sum || b.n == 0 ? 1 : 1 / static_cast<double>(b.n);
        double value = 0;
        for (Index i = 0; i < b.n; ++i) {
            const double w = b.weight[i];
            value += w == 0 ? 0 : factor * w * static_cast<double>(b.s(i));
            value += w == 1 ? 0 : factor * (1 - w) * static_cast<double>(b.c(i));
            if (gs)
                gs.put(gs.view(i), static_cast<T>(factor * w));
            if (gc)
                gc.put(gc.view(i), static_cast<T>(factor * (1 - w)));
        }
        return border.finish(value);
    }

    friend bool operator==(const Adawac&, const Adawac&) = default;

  private:
    template <class T>
    struct Batch {
        Index n;
        VectorView<const T> s, c;
        const std::int64_t* id;
        double* weight;
    };
    template <class T, class Ids, class S, class C>
    Batch<T> batch(Border<T>& border, const State& state, const Ids& ids, const S& supervised,
                   const C& consistency) const
    {
        border.require(std::isfinite(eta), "eta", eta, "finite");
        Batch<T> b{0, border.vector("supervised", supervised),
                   border.vector("consistency", consistency), nullptr, nullptr};
        border.same_shape("consistency", b.c, "supervised", b.s);
        b.n = b.s.extents[0];
        b.id = border.indices("ids", ids, b.n, static_cast<Index>(state.supervised.size()));
        b.weight = border.scratch().template take<double>(b.n);
        for (Index i = 0; i < b.n; ++i)
            b.weight[i] = state.supervised[static_cast<std::size_t>(b.id[i])];
        return b;
    }
};

} // namespace temper::inline TEMPER_ABI
