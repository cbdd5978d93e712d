// SPDX-License-Identifier: BSL-1.0
#pragma once

// FRUGAL: AdamW on some columns (or rows) of each matrix, and a step that remembers nothing on all others,
// so that the optimiser's state is a part of AdamW's. Which ones is drawn anew every update_gap steps.
//
//   w = (1 - learning_rate weight_decay) w
//   active     Adam's step (adam.hpp) with learning_rate active_scale; its t counts since the last choice
//   others     w = w - learning_rate active_scale rest_scale r(g)    r(g) = sign(g), g or nothing
//
//   if (frugal.due(state)) frugal.choose(state, frugal.draw(rng, parameters));
//   frugal.step(state, parameters, gradients);
//
// floor(density extent) slices of each matrix are active; a choice forgets all moments. sign(0) = 0.
// Parameters are a list of matrices; embeddings, norms, biases and the output layer go to AdamW (only.hpp).
// density 0 is sign descent, 1 is AdamW with restarts. Throws ShapeError; RangeError, also for a step before
// the first choice.
// Zmushko et al., FRUGAL: Memory-Efficient Optimization by Reducing State Overhead for Scalable Training
// (2025).

#include <temper/core/random.hpp>
#include <temper/gradient/adam.hpp>

namespace temper::inline TEMPER_ABI {

struct Frugal {
    static constexpr std::string_view name = "Frugal";
    static constexpr bool changes_gradients = false;
    enum class Slices { columns, rows };
    enum class Rest { sign_descent, descent, nothing };
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0;
    double density = 0.25;
    Index update_gap = 200;
    Slices slices = Slices::columns;
    Rest rest = Rest::sign_descent;
    double active_scale = 1;
    double rest_scale = 1;

    /// The active slices of each matrix.
    using Plan = std::vector<std::vector<Index>>;

    /// Moments of the active entries, each matrix slice by slice within its rows (columns, if rows are
    /// slices).
    template <class T>
    struct State {
        std::vector<std::vector<Index>> active;
        std::vector<T> first;
        std::vector<T> second;
        Index steps = -1; ///< since the last choice; before the first one, -1
        template <class Archive>
        void fields(Archive& archive)
        {
            archive("active", active)("first", first)("second", second)("steps", steps);
        }
        friend bool operator==(const State&, const State&) = default;
    };
    template <class L>
    [[nodiscard]] auto init(const L& parameters) const
    {
        using T = ListScalarOf<const L>;
        State<T> state;
        std::size_t n = 0;
        for (const auto& tensor : as_list(parameters)) {
            const Index active = count(tensor);
            state.active.emplace_back(static_cast<std::size_t>(active));
            n += static_cast<std::size_t>(active * other_extent(tensor));
        }
        state.first.resize(n);
        state.second.resize(n);
        return state;
    }
    /// Is it time to choose?
    template <class T>
    [[nodiscard]] bool due(const State<T>& state) const
    {
        return state.steps < 0 || state.steps >= update_gap;
    }
    template <class Rng, class L>
    [[nodiscard]] Plan draw(Rng& rng, const L& parameters) const
    {
        Plan plan;
        for (const auto& tensor : as_list(parameters)) {
            std::vector<Index> order(static_cast<std::size_t>(slice_count(tensor)));
            permutation(rng, std::span(order));
            order.resize(static_cast<std::size_t>(count(tensor)));
            plan.push_back(std::move(order));
        }
        return plan;
    }
    /// Takes these slices from now on.
    template <class T>
    void choose(State<T>& state, const Plan& plan) const
    {
        require(plan.size() == state.active.size(), name, "plan.size()",
                static_cast<double>(plan.size()), "the number of matrices");
        for (std::size_t l = 0; l < plan.size(); ++l)
            require(plan[l].size() == state.active[l].size(), name, "plan[l].size()",
                    static_cast<double>(plan[l].size()), "density times the number of slices");
        for (std::size_t l = 0; l < plan.size(); ++l)
            std::copy(plan[l].begin(), plan[l].end(), state.active[l].begin());
        std::fill(state.first.begin(), state.first.end(), T(0));
        std::fill(state.second.begin(), state.second.end(), T(0));
        state.steps = 0;
    }
    template <class T, class W, class G>
    void step(State<T>& state, W&& parameters, const G& gradients) const;

    // In a chain.
    template <class T>
    void check(const State<T>& state, const StepTensors<T>& tensors) const
    {
        adam().check(AdamState<T>{}, StepTensors<T>{}, name);
        require(weight_decay >= 0, name, "weight_decay", weight_decay, "non-negative");
        require(state.steps >= 0, name, "state.steps", static_cast<double>(state.steps),
                "non-negative: choose first");
        Index n = 0;
        for (std::size_t l = 0; l < tensors.weights.size(); ++l) {
            const auto& w = tensors.weights[l];
            const Index active = count(w);
            require(l < state.active.size() && static_cast<Index>(state.active[l].size()) == active,
                    name, "state.active", static_cast<double>(l), "that of these parameters");
            for (const Index slice : state.active[l])
                require(slice >= 0 && slice < slice_count(w), name, "active slice",
                        static_cast<double>(slice), "one of its matrix");
            n += active * other_extent(w);
        }
        require_entries(name, "state.first.size()", state.first, n);
        require_entries(name, "state.second.size()", state.second, n);
    }

    friend bool operator==(const Frugal&, const Frugal&) = default;

  private:
    [[nodiscard]] Adam adam() const
    {
        return {learning_rate * active_scale, beta1, beta2, epsilon, 0};
    }
    template <class V>
    [[nodiscard]] Index slice_count(const V& tensor) const
    {
        if (tensor.rank != 2)
            fail<ShapeError>(name, "parameters", joined({"has shape ", shape_text(tensor)}),
                             "a list of matrices");
        return tensor.extent(slices == Slices::columns ? 1 : 0);
    }
    template <class V>
    [[nodiscard]] Index other_extent(const V& tensor) const
    {
        return tensor.extent(slices == Slices::columns ? 0 : 1);
    }
    template <class V>
    [[nodiscard]] Index count(const V& tensor) const
    {
        require(density >= 0 && density <= 1, name, "density", density, "in [0, 1]");
        return static_cast<Index>(density * static_cast<double>(slice_count(tensor)));
    }
};

namespace kernel {
template <class T>
struct Frugal {
    /// Slices are columns. `adam` has the moments' start; `rate` is that of the others.
    static void step(const Adam<T>& adam, temper::Frugal::Rest rest, double rate,
                     std::span<const Index> active, const MatrixView<T>& w,
                     const MatrixView<const T>& g);
};
} // namespace kernel

template <class T, class W, class G>
void Frugal::step(State<T>& state, W&& parameters, const G& gradients) const
{
    Border<T> border(name);
    const auto tensors = step_tensors<false, T>(border, parameters, gradients);
    check(state, tensors);
    AdamState<T> count_of_steps{{}, {}, state.steps++};
    auto formula = adam().move(count_of_steps, 1 - learning_rate * weight_decay)(StepEntries<T>{});
    formula.arrays = {state.first.data(), state.second.data()};
    for (std::size_t l = 0; l < tensors.weights.size(); ++l) {
        auto w = tensors.weights[l].template as<2>();
        auto g = tensors.gradients[l].template as<2>();
        if (slices == Slices::rows) {
            w = w.transposed();
            g = g.transposed();
        }
        kernel::Frugal<T>::step(formula, rest, learning_rate * active_scale * rest_scale,
                                state.active[l], w, g);
        for (T*& array : formula.arrays)
            array += static_cast<Index>(state.active[l].size()) * w.rows();
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Frugal<T>::step(const Adam<T>& adam, temper::Frugal::Rest rest, double rate,
                             std::span<const Index> active, const MatrixView<T>& w,
                             const MatrixView<const T>& g)
{
    if (w.size() == 0)
        return; // it may have rows, but no data that they could be a part of
    const auto k = static_cast<Index>(active.size());
    Workspace::Frame frame;
    const simd::Slices<T> slices(frame, w.size(), 2 * k);
    parallel_for(w.rows(), w.size(), [&](Index i) {
        T* const own_w = slices.mine();
        T* const own_g = own_w + k;
        for (Index j = 0; j < k; ++j) {
            own_w[j] = w(i, active[static_cast<std::size_t>(j)]);
            own_g[j] = g(i, active[static_cast<std::size_t>(j)]);
        }
        simd::row_map(w.cols(), std::array{simd::source<T>(w.row(i)), simd::source<T>(g.row(i))},
                      std::array{simd::Sink<T>{w.row(i).data, w.strides[1], 1, Mode::overwrite}},
                      [=, shrink = adam.shrink](auto x, auto dx, auto& y) {
                          using V = decltype(x);
                          y = V(shrink) * x;
                          if (rest != temper::Frugal::Rest::nothing)
                              y -=
                                  V(rate) * (rest == temper::Frugal::Rest::descent ? dx : sign(dx));
                      });
        T* const first = adam.arrays[0] + i * k;
        T* const second = adam.arrays[1] + i * k;
        simd::update<std::array{true, false, true, true}>(
            k, std::array<const T*, 4>{own_w, own_g, first, second},
            std::array<T*, 4>{own_w, nullptr, first, second},
            [adam](auto& x) { adam(x[0], x[1], &x[2]); });
        for (Index j = 0; j < k; ++j)
            w(i, active[static_cast<std::size_t>(j)]) = own_w[j];
    });
}

TEMPER_INSTANTIATE(kernel::Frugal);

} // namespace temper::inline TEMPER_ABI
#endif
