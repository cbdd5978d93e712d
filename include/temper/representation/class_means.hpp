// SPDX-License-Identifier: BSL-1.0
#pragma once

// The mean feature of each class, of a batch or of a whole training set that comes in batches.
//
//   observe   S_c += sum of the rows of class c, N_c += their number
//   means     m_c = S_c / N_c, and 0 where N_c = 0
//
// features [n, d], labels(y) [n], means [k, d], counts [k]. Sums are carried in double. What the ND loss,
// nearest means and distribution regularisation start from. In one call for one batch: NearestPrototype's
// build. Throws ShapeError, RangeError for labels outside [0, k).
// As the class centers of Wang et al., Improving Knowledge Distillation via Regularizing Feature Norm and
// Direction (2023).

#include <temper/core/component.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

struct ClassMeans {
    static constexpr std::string_view name = "ClassMeans";

    struct State {
        std::vector<double> sums; ///< [k, d], by rows
        std::vector<double> counts;
        template <class Archive>
        void fields(Archive& a)
        {
            a("sums", sums)("counts", counts);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] State init(Index classes, Index features) const
    {
        return {std::vector<double>(static_cast<std::size_t>(classes * features)),
                std::vector<double>(static_cast<std::size_t>(classes))};
    }
    /// (state, features, labels(y))
    template <class F, class Y>
    void observe(State& state, const F& features, const Y& targets) const
    {
        using T = KernelScalarOf<F>;
        Border<T> border(name);
        const auto f = border.samples("features", features);
        const auto k = static_cast<Index>(state.counts.size());
        const Index d = columns(state);
        border.expect_shape("features", f, {f.rows(), d}, "with the columns of the state");
        const auto* y = border.labels("labels", targets, f.rows(), k);
        for (Index i = 0; i < f.rows(); ++i) {
            state.counts[static_cast<std::size_t>(y[i])] += 1;
            double* const sum = state.sums.data() + y[i] * d;
            for (Index j = 0; j < d; ++j)
                sum[j] += static_cast<double>(f(i, j));
        }
    }
    /// (state, into(means))
    template <class D>
    void means(const State& state, const D& out) const
    {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(out.view.data)>>;
        Border<T> border(name);
        const auto k = static_cast<Index>(state.counts.size());
        const Index d = columns(state);
        const auto m = border.template output<2>("means", out, {k, d});
        for (Index c = 0; m && c < k; ++c) {
            const double count = state.counts[static_cast<std::size_t>(c)];
            for (Index j = 0; j < d; ++j)
                m.put(m.view(c, j),
                      static_cast<T>(count == 0 ? 0
                                                : state.sums[static_cast<std::size_t>(c * d + j)] /
                                                      count));
        }
        border.finish();
    }

    friend bool operator==(const ClassMeans&, const ClassMeans&) = default;

  private:
    static Index columns(const State& state)
    {
        return state.counts.empty() ? 0
                                    : static_cast<Index>(state.sums.size() / state.counts.size());
    }
};

} // namespace temper::inline TEMPER_ABI
