// SPDX-License-Identifier: BSL-1.0
// Clipping, AdamW with decay, a soft threshold and an average of the weights: as a chain, and transform by
// transform over all parameters.
#include "eigen.hpp"

#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/clip_norm.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/gradient/proximal_step.hpp>
#include <temper/regularizer/l1.hpp>

#include <memory>

namespace {

using namespace bench;
using namespace temper;

/// `tensors` tensors of n entries in all.
template <class T>
struct Model {
    std::vector<std::vector<T>> w, g, a;
    std::vector<AnyView<T>> parameters, gradients, average;
    Model(Index n, Index tensors)
    {
        for (Index i = 0; i < tensors; ++i) {
            const auto seed = static_cast<std::uint64_t>(i);
            w.push_back(numbers<T>(n / tensors, 2 * seed));
            g.push_back(numbers<T>(n / tensors, 2 * seed + 1));
        }
        a = w;
        for (std::size_t i = 0; i < w.size(); ++i) {
            parameters.push_back(view(w[i]));
            gradients.push_back(view(g[i]));
            average.push_back(view(a[i]));
        }
    }
};

const ClipNorm clip{.max_norm = 1};
const AdamW adamw{};
const ProximalStep sparse{.regularizer = 1e-3 * L1{}, .learning_rate = 1e-3};
const Ema ema{};

template <class T>
void add_all(Index n, Index tensors)
{
    const std::string size = std::to_string(n) + "_in_" + std::to_string(tensors);
    add<T>("update", "temper", size, Work{.entries = 10 * n}, [=] {
        const auto update = chain(clip, adamw, sparse, ema);
        auto m = std::make_shared<Model<T>>(n, tensors);
        auto state = update.init(m->parameters);
        return [update, m, state]() mutable { update.step(state, m->parameters, m->gradients); };
    });
    add<T>("update", "unfused", size, [=] {
        auto m = std::make_shared<Model<T>>(n, tensors);
        auto state = adamw.init(m->parameters);
        return [m, state]() mutable {
            clip.apply(m->gradients, into(m->gradients));
            adamw.step(state, m->parameters, m->gradients);
            sparse.apply(m->parameters);
            ema.observe(m->average, m->parameters);
        };
    });
    add<T>("update", "eigen", size, [=] {
        using Vector = Eigen::Vector<T, Eigen::Dynamic>;
        struct Entries {
            Vector w, g, m, v, a;
        };
        std::vector<Entries> all;
        for (Index i = 0; i < tensors; ++i) {
            const auto seed = static_cast<std::uint64_t>(i);
            const Vector w = matrix<T>(n / tensors, 1, 2 * seed);
            const Vector zero = Vector::Zero(w.size());
            all.push_back({w, Vector(matrix<T>(n / tensors, 1, 2 * seed + 1)), zero, zero, w});
        }
        return [all, t = 0]() mutable {
            ++t;
            const T root = T(1) / std::sqrt(T(1) - std::pow(T(0.999), static_cast<T>(t)));
            const T rate = T(1e-3) / (T(1) - std::pow(T(0.9), static_cast<T>(t)));
            T squares = 0;
            for (const auto& e : all)
                squares += e.g.squaredNorm();
            const T by = (std::min)(T(1), T(1) / (std::sqrt(squares) + T(1e-6)));
            for (auto& e : all) {
                e.g *= by;
                e.m = T(0.9) * e.m + T(0.1) * e.g;
                e.v = T(0.999) * e.v + T(0.001) * e.g.cwiseAbs2();
                e.w.array() = e.w.array() * T(1 - 1e-5) -
                              rate * e.m.array() / (e.v.array().sqrt() * root + T(1e-8));
                e.w = e.w.array().sign() * (e.w.array().abs() - T(1e-6)).max(T(0));
                e.a = T(0.999) * e.a + T(0.001) * e.w;
            }
        };
    });
}

const bool added = [] {
    add_all<float>(1 << 20, 1);
    add_all<double>(1 << 20, 1);
    add_all<float>(1 << 20, 256);
    add_all<float>(1 << 24, 16);
    add_all<float>(64, 4);
    return true;
}();

} // namespace
