// SPDX-License-Identifier: BSL-1.0
#pragma once

// Consistency training of the caller's own network, as steps that the caller's own loop calls:
//
//   const ConsistencyTraining<> recipe{.levels = {.total_steps = 20000}};
//   auto state = recipe.init(weights);                                     or load_checkpoint
//   for (; state.step < 20000;) {
//       recipe.draw(state.step, x, plan);                                  x [n, d], a batch of data
//       recipe.pair(plan, x, into(x_high), into(x_low));
//       ... F_high, F_low = network(in x_high, high), network(in x_low, low), with one dropout mask ...
//       double value = recipe.loss(plan, x, F_high, F_low, into(g));
//       ... back through the first of the two forwards, the optimiser's step ...
//       recipe.update(state, weights);                                     counts the step, moves the average
//   }
//   recipe.average(state, into(averaged));   recipe.sampler({0.8}).sample(f, seed, images);
//
// Step k: N = levels(k) points of the grid; an index and standard normal noise for each sample; noise coupled
// to data; ConsistencyLoss with the kernel that rule(N, d) gives, and an EarlyDiffusionLoss where the
// policy is one.
//
//   slot       Improved                         Latent
//   Rule       PseudoHuberRule                  AdaptiveCauchyRule
//   Couple     IndependentCoupling              MinibatchOtCoupling
//   Early      NoEarlyDiffusion                 EarlyDiffusion<>
//   Sampler    LognormalIndexSampler            LognormalIndexSampler{.p_mean = -0.8, .p_std = 1.5}
//
// The latent form also has NonScalingLayerNorm in the network. Rules are called with (N, d) and return a robust
// kernel; FixedKernel is one that stays. Everything random comes from stream(seed, k, ...): a plan is a
// function of seed, step and batch, and the state is a counter and an average of the weights. Saved with the
// weights and the optimiser's moments (checkpoint.hpp), a run goes on as if it had not stopped, bit by bit.
// The grid and its probabilities are made anew only when N changes. f(x, s) = skip x + out F: `model` has
// both scalings. Throws what the parts do; RangeError for a plan of another batch.
// Song and Dhariwal, Improved Techniques for Training Consistency Models (2023): RAdam at 1e-4, batches of
// 1024, average 0.99993. Dao et al., Improved Training Technique for Latent Consistency Models (2025).

#include <temper/diffusion/consistency_loss.hpp>
#include <temper/diffusion/consistency_renoise.hpp>
#include <temper/diffusion/karras_sigmas.hpp>
#include <temper/diffusion/lognormal_index_sampler.hpp>
#include <temper/diffusion/minibatch_ot_coupling.hpp>
#include <temper/diffusion/preconditioned.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/schedule/adaptive_c_schedule.hpp>
#include <temper/schedule/discretization_doubling.hpp>

#include <optional>

namespace temper::inline TEMPER_ABI {

/// c = factor sqrt(d), at every step.
struct PseudoHuberRule {
    double factor = 0.00054;
    PseudoHuber operator()(Index, Index d) const
    {
        return {.c = factor * std::sqrt(static_cast<double>(d))};
    }
    friend bool operator==(const PseudoHuberRule&, const PseudoHuberRule&) = default;
};
/// c = factor c(N), which falls as levels come closer. The published constants fit latents of 4 x 32 x 32.
struct AdaptiveCauchyRule {
    AdaptiveCSchedule schedule{};
    double factor = 1;
    Cauchy operator()(Index levels, Index) const { return {.c = factor * schedule(levels)}; }
    friend bool operator==(const AdaptiveCauchyRule&, const AdaptiveCauchyRule&) = default;
};
template <RobustKernel K>
struct FixedKernel {
    K kernel;
    K operator()(Index, Index) const { return kernel; }
    friend bool operator==(const FixedKernel&, const FixedKernel&) = default;
};

template <class R>
concept KernelRule = requires(const R& rule, Index k) {
    { rule(k, k) } -> RobustKernel;
};

struct NoEarlyDiffusion {
    friend bool operator==(const NoEarlyDiffusion&, const NoEarlyDiffusion&) = default;
};
template <RobustKernel K = L2Residual>
struct EarlyDiffusion {
    double ratio = 0.25;
    double weight = 1;
    K kernel{};
    friend bool operator==(const EarlyDiffusion&, const EarlyDiffusion&) = default;
};

template <class T>
struct ConsistencyState {
    Index step = 0;
    AverageState<T> average{};
    template <class Archive>
    void fields(Archive& archive)
    {
        archive("step", step)("average", average);
    }
    friend bool operator==(const ConsistencyState&, const ConsistencyState&) = default;
};

template <KernelRule Rule = PseudoHuberRule, class Couple = IndependentCoupling,
          class Early = NoEarlyDiffusion, IndexSampler Sampler = LognormalIndexSampler,
          PairWeight Weight = InverseGapWeight, class Levels = DiscretizationDoubling>
struct ConsistencyTraining {
    static constexpr std::string_view name = "ConsistencyTraining";
    Levels levels{};
    Rule rule{};
    Couple coupling{};
    Early early{};
    Sampler index{};
    Weight weight{};
    KarrasSigmas grid{};
    double sigma_data = 0.5;
    Ema ema{.decay = 0.9999};
    std::uint64_t seed = 0;

    /// What was drawn for a batch [rows, cols].
    template <class T>
    struct Plan {
        Index rows = 0, cols = 0;
        NoisePairs pairs;
        std::vector<double> u; ///< uniform numbers that the indices were made of
        std::vector<T> noise;  ///< row i goes with row i of the data
        Coupling coupling;     ///< how rows of `drawn` became those of `noise`
        std::vector<T> drawn;
        std::vector<double> sigmas; ///< the grid, of these three
        IndexTable table;
        Index known_levels = 0;
        KarrasSigmas known_grid;
        std::optional<Sampler> known_index;

        [[nodiscard]] MatrixView<const T> noise_view() const
        {
            return view(noise.data(), {rows, cols});
        }
    };
    template <class T>
    using State = ConsistencyState<T>;
    using Scaled = ConsistencyScalings;

    template <class L>
    [[nodiscard]] auto init(const L& weights) const
    {
        using T = ListScalarOf<const L>;
        return State<T>{0, ema.init(weights)};
    }
    /// (step, x, plan): noise and levels of a step, and partners of these data.
    template <class X, class T>
    void draw(Index step, const X& x, Plan<T>& plan) const;
    /// The same from plan.u and plan.drawn as they stand.
    template <class X, class T>
    void arrange(Index step, const X& x, Plan<T>& plan) const;
    /// (plan, x, into(x_high) [, into(x_low)])
    template <class T, class X, class... Rest>
    void pair(const Plan<T>& plan, const X& x, const Rest&... rest) const
    {
        ConsistencyLoss<Kernel, Weight>::pair(x, plan.noise_view(), plan.pairs, rest...);
    }
    /// (plan, x, F_high, F_low [, into(gF_high)] [, per_sample(into(v)), terms(into(v))])
    template <class T, class X, class H, class L, class... Rest>
    double loss(const Plan<T>& plan, const X& x, const H& high, const L& low,
                const Rest&... rest) const
    {
        const ConsistencyLoss<Kernel, Weight> consistency{
            .kernel = rule(plan.pairs.levels, plan.cols), .weight = weight, .scalings = scalings()};
        if constexpr (std::is_same_v<Early, NoEarlyDiffusion>)
            return consistency(x, plan.noise_view(), plan.pairs, high, low, rest...);
        else {
            using K = std::remove_cvref_t<decltype(early.kernel)>;
            const LatentConsistencyLoss<Kernel, Weight, Scaled, K> both{
                .consistency = consistency,
                .early = {.ratio = early.ratio, .kernel = early.kernel},
                .diffusion_weight = early.weight};
            return both(x, plan.noise_view(), plan.pairs, high, low, rest...);
        }
    }
    /// After the optimiser's step.
    template <class T, class W>
    void update(State<T>& state, const W& weights) const;
    /// (state, into(tensors(...))): the averaged weights, for sampling.
    template <class T, class D>
    void average(const State<T>& state, const D& out) const
    {
        ema.average(state.average, out);
    }
    [[nodiscard]] Scaled scalings() const
    {
        return {.sigma_data = sigma_data, .sigma_min = grid.sigma_min};
    }
    /// input, forward and pullback of f around the network.
    [[nodiscard]] Preconditioned<Scaled> model() const { return {scalings()}; }
    [[nodiscard]] ConsistencySampler sampler(std::vector<double> taus = {}) const
    {
        return {grid.sigma_max, std::move(taus), {grid.sigma_min}};
    }

    friend bool operator==(const ConsistencyTraining&, const ConsistencyTraining&) = default;

  private:
    using Kernel = std::invoke_result_t<const Rule&, Index, Index>;
};

/// The two papers' choices. Both want levels.total_steps.
using ImprovedConsistencyTraining = ConsistencyTraining<>;
using LatentConsistencyTraining =
    ConsistencyTraining<AdaptiveCauchyRule, MinibatchOtCoupling, EarlyDiffusion<>>;

template <KernelRule Rule, class Couple, class Early, IndexSampler Sampler, PairWeight Weight,
          class Levels>
template <class X, class T>
void ConsistencyTraining<Rule, Couple, Early, Sampler, Weight, Levels>::draw(Index step, const X& x,
                                                                             Plan<T>& plan) const
{
    Border<T> border(name);
    const auto data = border.samples("x", x);
    auto of_levels = stream(seed, step, "consistency levels");
    auto of_noise = stream(seed, step, "consistency noise");
    plan.u.resize(static_cast<std::size_t>(data.rows()));
    plan.drawn.resize(static_cast<std::size_t>(data.size()));
    for (double& each : plan.u)
        each = uniform(of_levels);
    for (T& each : plan.drawn)
        each = static_cast<T>(normal(of_noise));
    arrange(step, x, plan);
}

template <KernelRule Rule, class Couple, class Early, IndexSampler Sampler, PairWeight Weight,
          class Levels>
template <class X, class T>
void ConsistencyTraining<Rule, Couple, Early, Sampler, Weight, Levels>::arrange(Index step,
                                                                                const X& x,
                                                                                Plan<T>& plan) const
{
    Border<T> border(name);
    const auto data = border.samples("x", x);
    const auto has = [&](std::string_view what, std::size_t size, Index wanted) {
        require(static_cast<Index>(size) == wanted, name, what, static_cast<double>(size),
                "of the batch's size");
    };
    has("plan.u.size()", plan.u.size(), data.rows());
    has("plan.drawn.size()", plan.drawn.size(), data.size());
    const Index n = levels(step);
    if (plan.known_levels != n || plan.known_grid != grid || plan.known_index != index) {
        grid.ascending(n, plan.sigmas);
        plan.table = IndexTable(index.pmf(plan.sigmas));
        plan.known_levels = n;
        plan.known_grid = grid;
        plan.known_index = index;
    }
    plan.rows = data.rows();
    plan.cols = data.cols();
    plan.pairs.index.resize(plan.u.size());
    plan.pairs.low.resize(plan.u.size());
    plan.pairs.high.resize(plan.u.size());
    plan.pairs.levels = n;
    for (std::size_t i = 0; i < plan.u.size(); ++i) {
        const Index at = plan.table(plan.u[i]);
        plan.pairs.index[i] = at;
        plan.pairs.low[i] = plan.sigmas[static_cast<std::size_t>(at)];
        plan.pairs.high[i] = plan.sigmas[static_cast<std::size_t>(at) + 1];
    }
    if constexpr (std::is_same_v<Couple, IndependentCoupling>)
        plan.noise = plan.drawn;
    else {
        const auto drawn = MatrixView<const T>(view(plan.drawn.data(), {plan.rows, plan.cols}));
        coupling.couple(data, drawn, plan.coupling);
        plan.noise.resize(plan.drawn.size());
        MinibatchOtCoupling::apply(plan.coupling, drawn,
                                   into(view(plan.noise.data(), {plan.rows, plan.cols})));
    }
}

template <KernelRule Rule, class Couple, class Early, IndexSampler Sampler, PairWeight Weight,
          class Levels>
template <class T, class W>
void ConsistencyTraining<Rule, Couple, Early, Sampler, Weight, Levels>::update(
    State<T>& state, const W& weights) const
{
    const auto list = as_list(weights);
    require_entries(name, "state.average.size()", state.average.average, total_size(list));
    Workspace::Frame frame;
    const std::size_t n = std::size(list);
    auto* const average = frame.template take<AnyView<T>>(static_cast<Index>(n));
    T* at = state.average.average.data();
    for (std::size_t k = 0; k < n; ++k) {
        average[k] = stored_like(at, list[k]);
        at += list[k].size();
    }
    ema.observe(std::span<const AnyView<T>>(average, n), list, state.average.updates + 1);
    ++state.average.updates;
    ++state.step;
}

} // namespace temper::inline TEMPER_ABI
