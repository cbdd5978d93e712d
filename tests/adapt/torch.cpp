// SPDX-License-Identifier: BSL-1.0

// Tensors as views, and components as functions that libtorch differentiates: value and gradients of
// components beside the same formula written in libtorch's own operations.

#include <temper/adapt/torch.hpp> // first: see there

#include <torch/torch.h>
#undef CHECK // libtorch's logging has one, too

#include "support/catch.hpp"
#include "support/ranks.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/core/random.hpp>
#include <temper/gradient/adamw.hpp>
#include <temper/loss/focal_loss.hpp>
#include <temper/loss/mean_squared_error.hpp>
#include <temper/loss/mixup_cross_entropy.hpp>
#include <temper/loss/robust_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/regularizer/nuclear_norm.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>
#include <temper/regularizer/sorsa_regularizer.hpp>
#include <temper/regularizer/spectral_norm.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/representation/column_standardize.hpp>
#include <temper/representation/cosine_alignment.hpp>
#include <temper/representation/cosine_similarity.hpp>
#include <temper/representation/feature_mse_projected.hpp>
#include <temper/representation/mixed_barlow_twins.hpp>
#include <temper/representation/row_l2_normalize.hpp>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace {

using torch::Tensor;
using Tensors = std::vector<Tensor>;
namespace F = torch::nn::functional;
using temper::held_fixed;
using temper::labels;
using temper::probabilities;
using temper::sample_weights;
using temper::torch_function;

Tensor random(at::IntArrayRef shape, std::int64_t seed = 1)
{
    torch::manual_seed(seed);
    return torch::randn(shape, torch::kDouble);
}
Tensor classes(std::int64_t n, std::int64_t k) { return torch::arange(n).mul(7).remainder(k); }

/// The same numbers, each second one of a longer row.
Tensor strided(const Tensor& x)
{
    auto shape = x.sizes().vec();
    shape.back() = 2 * shape.back() + 3;
    const Tensor room = torch::zeros(shape, x.options());
    return room.slice(-1, 1, 2 * x.size(-1) + 1, 2).copy_(x);
}
/// The same numbers, stored by columns.
Tensor by_columns(const Tensor& x)
{
    return x.dim() < 2 ? x.clone() : x.transpose(0, 1).contiguous().transpose(0, 1);
}

bool close(const Tensor& a, const Tensor& b, double tolerance)
{
    return a.sizes() == b.sizes() &&
           torch::allclose(a.to(torch::kDouble), b.to(torch::kDouble), tolerance, tolerance);
}

/// Gradients of a function of tensors by all of them. What it gives is multiplied by numbers that are not 1.
Tensors gradients(const Tensor& y, const Tensors& x)
{
    const Tensor upstream = torch::linspace(0.5, 2.5, y.numel(), y.options()).view(y.sizes());
    return torch::autograd::grad({y}, x, {upstream});
}

/// f on these numbers, in float and double and in three layouts, does as `reference` does in double.
template <class Function, class Reference>
void agree(const Tensors& numbers, const Function& f, const Reference& reference)
{
    Tensors x;
    for (const Tensor& values : numbers)
        x.push_back(values.clone().requires_grad_());
    const Tensor want = reference(x);
    const Tensors want_gradients = gradients(want, x);

    for (const auto type : {torch::kDouble, torch::kFloat})
        for (const auto layout : {0, 1, 2}) {
            const double tolerance = type == torch::kDouble ? 1e-10 : 2e-4;
            Tensors y;
            for (const Tensor& values : numbers) {
                const Tensor typed = values.to(type);
                y.push_back((layout == 0   ? typed.clone()
                             : layout == 1 ? by_columns(typed)
                                           : strided(typed))
                                .requires_grad_());
            }
            const Tensor got = f(y);
            INFO("type " << c10::toString(type) << ", layout " << layout << ": " << got << want);
            CHECK(got.scalar_type() == type);
            CHECK(close(got, want, tolerance));
            const Tensors got_gradients = gradients(got, y);
            for (std::size_t i = 0; i < x.size(); ++i) {
                INFO("gradient " << i << got_gradients[i] << want_gradients[i]);
                CHECK(close(got_gradients[i], want_gradients[i], tolerance));
            }
        }
}

/// What temper says of a call.
template <class Call>
std::string error_of(const Call& call)
{
    try {
        call();
    }
    catch (const temper::Error& e) {
        return e.what();
    }
    return "no error";
}

/// A component that knows what it was asked for.
struct Probe {
    static constexpr std::string_view name = "Probe";
    int* calls;
    std::vector<bool>* wanted;

    /// sum_i a_i b_i
    template <class A, class B, class G, class H>
    double operator()(const A& a, const B& b, const G& ga, const H& gb) const
    {
        ++*calls;
        wanted->assign({ga.mode != temper::Mode::discard, gb.mode != temper::Mode::discard});
        temper::Border<double> border(name);
        double sum = 0;
        if constexpr (std::is_same_v<typename A::Scalar, double>) {
            const auto as = border.vector("a", a);
            const auto bs = border.vector("b", b);
            const auto to_a = border.gradient("a", as, ga);
            const auto to_b = border.gradient("b", bs, gb);
            for (temper::Index i = 0; i < a.size(); ++i) {
                sum += as(i) * bs(i);
                if (to_a)
                    to_a.put(to_a.view(i), bs(i));
                if (to_b)
                    to_b.put(to_b.view(i), as(i));
            }
        }
        return border.finish(sum);
    }
};

/// A map, y = factor x, whose plan says whether it is still held by somebody. It takes an argument by name:
/// a stage is called with every result, as an all-reduce would be.
struct Multiply {
    static constexpr std::string_view name = "Multiply";
    struct Plan {
        std::shared_ptr<double> factor;
    };
    template <class F>
    struct Stage {
        F f;
    };
    template <class X, class Y, class... Named>
    void apply(const Plan& plan, const X& x, const Y& y, const Named&... named) const
    {
        for (temper::Index i = 0; i < x.size(); ++i)
            y.view.data[i] = static_cast<typename X::Scalar>(*plan.factor) * x.data[i];
        (named.f(y.view.data, x.size()), ...);
    }
    template <class G, class D, class... Named>
    void pullback(const Plan& plan, const G& gy, const D& gx, const Named&... named) const
    {
        apply(plan, gy, gx, named...);
    }
};

// ---- formulas in libtorch's operations -----------------------------------------------------------

Tensor standardized(const Tensor& x, bool unbiased, double epsilon)
{
    const Tensor centered = x - x.mean(0, true);
    return centered / (x.var(0, unbiased, true) + epsilon).sqrt();
}
Tensor unit(const Tensor& x) { return x / x.norm(2, 1, true); }
Tensor off_diagonal(const Tensor& c) { return c - torch::diag(c.diagonal()); }

} // namespace

TEST_CASE("torch: components agree with libtorch's own autograd")
{
    SECTION("Barlow Twins")
    {
        agree(
            {random({12, 5}), random({12, 5}, 2)},
            [](const Tensors& x) {
                return torch_function(temper::BarlowTwins{.lambda = 0.02})(x[0], x[1]);
            },
            [](const Tensors& x) {
                const Tensor c =
                    standardized(x[0], false, 1e-5).t().mm(standardized(x[1], false, 1e-5)) / 12;
                return (c.diagonal() - 1).square().sum() + 0.02 * off_diagonal(c).square().sum();
            });
    }
    SECTION("Mixed Barlow Twins, with indices and a number")
    {
        const Tensor index = torch::arange(9).flip(0);
        agree(
            {random({9, 4}), random({9, 4}, 2), random({9, 4}, 3)},
            [&](const Tensors& x) {
                return torch_function(temper::MixedBarlowTwins{})(
                    x[0], x[1], x[2], temper::view<std::int64_t>(index), 0.3);
            },
            [&](const Tensors& x) {
                const Tensor a = standardized(x[0], true, 0);
                const Tensor b = standardized(x[1], true, 0);
                const Tensor d =
                    standardized(x[2], true, 0) - 0.3 * a - 0.7 * b.index_select(0, index);
                const Tensor c = a.t().mm(b) / 9;
                return (c.diagonal() - 1).square().sum() + 0.005 * off_diagonal(c).square().sum() +
                       0.025 *
                           ((d.t().mm(a) / 9).square().sum() + (d.t().mm(b) / 9).square().sum());
            });
    }
    SECTION("cross-entropy of labels, with smoothing, weights of classes and an ignored label")
    {
        const Tensor y = classes(8, 5);
        const Tensor c = torch::linspace(0.5, 2, 5, torch::kDouble);
        agree(
            {random({8, 5})},
            [&](const Tensors& x) {
                return torch_function(
                    temper::SoftmaxCrossEntropy{.label_smoothing = 0.1, .ignore_index = 3})(
                    x[0], labels(y), temper::class_weights(c.to(x[0].scalar_type())));
            },
            [&](const Tensors& x) {
                return F::cross_entropy(
                    x[0], y,
                    F::CrossEntropyFuncOptions().weight(c).label_smoothing(0.1).ignore_index(3));
            });
    }
    SECTION("cross-entropy of distributions that learn, too")
    {
        agree(
            {random({8, 5}), random({8, 5}, 2).softmax(1)},
            [](const Tensors& x) {
                return torch_function(temper::SoftmaxCrossEntropy{})(x[0], probabilities(x[1]));
            },
            [](const Tensors& x) { return -(x[1] * x[0].log_softmax(1)).sum() / 8; });
    }
    SECTION("focal loss with weights of samples")
    {
        const Tensor y = classes(8, 5);
        const Tensor w = torch::linspace(0.5, 2, 8, torch::kDouble);
        agree(
            {random({8, 5})},
            [&](const Tensors& x) {
                return torch_function(temper::FocalLoss{.gamma = 1.5})(
                    x[0], labels(y), sample_weights(w.to(x[0].scalar_type())));
            },
            [&](const Tensors& x) {
                const Tensor logp = x[0].log_softmax(1).gather(1, y.unsqueeze(1)).squeeze(1);
                return (w * (1 - logp.exp()).pow(1.5) * -logp).sum() / w.sum();
            });
    }
    SECTION("mixup's cross-entropy with a weight that learns")
    {
        const Tensor a = classes(8, 5);
        const Tensor b = a.flip(0);
        agree(
            {random({8, 5}), torch::linspace(0.1, 0.9, 8, torch::kDouble)},
            [&](const Tensors& x) {
                return torch_function(temper::MixupCrossEntropy{})(x[0], labels(a), labels(b),
                                                                   x[1]);
            },
            [&](const Tensors& x) {
                const Tensor logp = x[0].log_softmax(1);
                const Tensor of_a = -logp.gather(1, a.unsqueeze(1)).squeeze(1);
                const Tensor of_b = -logp.gather(1, b.unsqueeze(1)).squeeze(1);
                return (x[1] * of_a + (1 - x[1]) * of_b).mean();
            });
    }
    SECTION("squared error, a sum")
    {
        agree(
            {random({7, 3}), random({7, 3}, 2)},
            [](const Tensors& x) {
                return torch_function(
                    temper::MeanSquaredError{.reduction = temper::Reduction::sum})(x[0], x[1]);
            },
            [](const Tensors& x) { return (x[0] - x[1]).square().sum(); });
    }
    SECTION("a robust loss")
    {
        const temper::RobustLoss<temper::Cauchy> loss{.kernel = {.c = 0.8}};
        agree(
            {random({7, 3}), 5 * random({7, 3}, 2)},
            [&](const Tensors& x) { return torch_function(loss)(x[0], x[1]); },
            [](const Tensors& x) { return ((x[0] - x[1]).square() / 1.28).log1p().mean(); });
    }
    SECTION("cosine alignment")
    {
        agree(
            {random({7, 3}), random({7, 3}, 2)},
            [](const Tensors& x) {
                return torch_function(
                    temper::CosineAlignment{.form = temper::CosineForm::distance})(x[0], x[1]);
            },
            [](const Tensors& x) { return (1 - (unit(x[0]) * unit(x[1])).sum(1)).mean(); });
    }
    SECTION("projected features, the teacher held fixed")
    {
        const Tensor teacher = random({7, 4}, 5);
        agree(
            {random({7, 3}), random({4, 3}, 2), random({4}, 3)},
            [&](const Tensors& x) {
                return torch_function(temper::FeatureMseProjected{})(
                    x[0], x[1], x[2], held_fixed(teacher.to(x[0].scalar_type())));
            },
            [&](const Tensors& x) { return F::mse_loss(F::linear(x[0], x[1], x[2]), teacher); });
    }
    SECTION("soft orthogonality, scaled")
    {
        agree(
            {random({4, 6})},
            [](const Tensors& x) {
                return torch_function(0.25 * temper::SoftOrthogonality{})(x[0]);
            },
            [](const Tensors& x) {
                return 0.25 * (x[0].mm(x[0].t()) - torch::eye(4, torch::kDouble)).square().sum();
            });
    }
    SECTION("SORSA's regularizer on stacks of matrices")
    {
        const auto norm = [](const Tensor& gram) {
            const Tensor e = gram - torch::eye(gram.size(-1), torch::kDouble);
            return e.flatten(1).norm(2, 1);
        };
        agree(
            {random({3, 2, 5}), random({3, 4, 2}, 2)},
            [](const Tensors& x) { return torch_function(temper::SorsaRegularizer{})(x[0], x[1]); },
            [&](const Tensors& x) {
                return (norm(x[0].bmm(x[0].transpose(1, 2))) + norm(x[1].transpose(1, 2).bmm(x[1])))
                           .mean() /
                       2;
            });
    }
    SECTION("group lasso with ids of any integer type")
    {
        const Tensor ids = torch::tensor({0, 1, 1, 2, 0, 2, 2, 1}, torch::kInt);
        agree(
            {random({2, 4})},
            [&](const Tensors& x) {
                return torch_function(temper::GroupLasso{})(x[0], temper::group_ids(ids));
            },
            [&](const Tensors& x) {
                Tensor sum = torch::zeros({}, torch::kDouble);
                for (const int g : {0, 1, 2}) {
                    const Tensor group = x[0].flatten().masked_select(ids == g);
                    sum = sum + std::sqrt(static_cast<double>(group.numel())) * group.norm();
                }
                return sum;
            });
    }
    SECTION("nuclear norm")
    {
        agree(
            {random({5, 3})},
            [](const Tensors& x) { return torch_function(temper::NuclearNorm{})(x[0]); },
            [](const Tensors& x) { return torch::linalg_svdvals(x[0]).sum(); });
    }
    SECTION("samples in columns")
    {
        agree(
            {random({5, 8})},
            [](const Tensors& x) {
                return torch_function(temper::in_columns(0.5 * temper::SoftmaxCrossEntropy{}))(
                    x[0], labels(classes(8, 5)));
            },
            [](const Tensors& x) { return 0.5 * F::cross_entropy(x[0].t(), classes(8, 5)); });
    }
}

TEST_CASE("torch: maps agree with libtorch's own autograd")
{
    SECTION("rows of length 1")
    {
        agree(
            {random({6, 4})},
            [](const Tensors& x) { return torch_function(temper::RowL2Normalize{}).forward(x[0]); },
            [](const Tensors& x) { return unit(x[0]); });
    }
    SECTION("standardised columns, which are rows here")
    {
        agree(
            {random({4, 9})},
            [](const Tensors& x) {
                return torch_function(temper::in_columns(temper::ColumnStandardize{}))
                    .forward(x[0]);
            },
            [](const Tensors& x) { return standardized(x[0].t(), false, 1e-5).t(); });
    }
    SECTION("cosine similarities, whose shape is said")
    {
        agree(
            {random({6, 4}), random({3, 4}, 2)},
            [](const Tensors& x) {
                return torch_function(temper::CosineSimilarity{}).forward({6, 3}, x[0], x[1]);
            },
            [](const Tensors& x) { return unit(x[0]).mm(unit(x[1]).t()); });
    }
    SECTION("mixup with a plan, of one batch and of two")
    {
        const temper::Mixup<> mixup{.per_sample = true};
        auto rng = temper::stream(1, 0, "mixup");
        const auto plan = mixup.draw(rng, 6);
        const Tensor partner =
            torch::tensor(std::vector<std::int64_t>(plan.partner.begin(), plan.partner.end()));
        const Tensor lambda = torch::tensor(plan.lambda, torch::kDouble).unsqueeze(1);
        const auto mixed = [&](const Tensor& a, const Tensor& b) {
            return lambda * a + (1 - lambda) * b.index_select(0, partner);
        };
        agree(
            {random({6, 4})},
            [&](const Tensors& x) { return torch_function(mixup).apply(plan, x[0]); },
            [&](const Tensors& x) { return mixed(x[0], x[0]); });
        agree(
            {random({6, 4}), random({6, 4}, 2)},
            [&](const Tensors& x) { return torch_function(mixup).apply(plan, x[0], x[1]); },
            [&](const Tensors& x) { return mixed(x[0], x[1]); });
    }
}

TEST_CASE("torch: states come first and stay as they are")
{
    const temper::SpectralNorm norm;
    auto rng = temper::stream(1, 0, "spectral");
    Tensor w = random({5, 3}).requires_grad_();
    auto state = norm.init(rng, temper::view<double>(w));
    const auto before = state;
    const Tensor u = torch::tensor(state.u, torch::kDouble);
    const Tensor v = torch::tensor(state.v, torch::kDouble);
    const auto sigma = [&] { return u.dot(w.mv(v)); };

    const Tensor value = torch_function(norm)(state, w);
    CHECK(close(value, sigma(), 1e-12));
    CHECK(close(gradients(value, {w})[0], gradients(sigma(), {w})[0], 1e-12));

    // The state that a map was called with is the one that its backward sees.
    const Tensor y = torch_function(norm).forward(state, w);
    CHECK(close(y, w / sigma(), 1e-12));
    CHECK(state == before);
    norm.observe(state, temper::view<double>(random({5, 3}, 4)));
    CHECK(close(gradients(y, {w})[0], gradients(w / sigma(), {w})[0], 1e-12));

    // A state of float makes the call one of float, so that double tensors do not fit.
    const auto single = norm.init(rng, temper::view<float>(random({5, 3}).to(torch::kFloat)));
    CHECK(error_of([&] { (void)torch_function(norm)(single, w); }) ==
          "SpectralNorm: argument 2 has scalar type Double, must be Float");
}

TEST_CASE("torch: value and gradients are one pass, and what needs no gradient is discarded")
{
    int calls = 0;
    std::vector<bool> wanted;
    const auto dot = torch_function(Probe{&calls, &wanted});
    Tensor a = random({4}).requires_grad_();
    const Tensor b = random({4}, 2);

    const Tensor value = dot(a, b);
    CHECK(calls == 1);
    CHECK(wanted == std::vector<bool>{true, false});
    CHECK(value.dim() == 0);
    CHECK(value.requires_grad());
    (value * 3).backward();
    CHECK(calls == 1);
    CHECK(close(a.grad(), 3 * b, 1e-14));

    CHECK(!dot(b, b).requires_grad());
    CHECK(wanted == std::vector<bool>{false, false});
    {
        const torch::NoGradGuard no_grad;
        CHECK(!dot(a, a).requires_grad());
        CHECK(wanted == std::vector<bool>{false, false});
    }
    // One tensor as two inputs: the gradients add up.
    CHECK(close(gradients(dot(a, a), {a})[0], a, 1e-14)); // 0.5 (upstream) times 2 a
}

TEST_CASE("torch: a value in a larger graph")
{
    const auto loss = torch_function(temper::MeanSquaredError{});
    Tensor x = random({6, 3}).requires_grad_();
    const Tensor y = random({6, 3}, 2);
    const Tensor want = torch::autograd::grad({F::mse_loss(x, y)}, {x})[0];

    SECTION("used twice")
    {
        const Tensor value = loss(x, y);
        (value + 2 * value * value).backward();
        const double v = value.item<double>();
        CHECK(close(x.grad(), (1 + 4 * v) * want, 1e-12));
    }
    SECTION("backward twice needs retain_graph, as everywhere")
    {
        const Tensor value = loss(x, y);
        value.backward({}, true);
        value.backward({}, true);
        CHECK(close(x.grad(), 2 * want, 1e-12));
        value.backward();
        CHECK_THROWS_AS(value.backward(), c10::Error);
    }
    SECTION("in front of other operations and behind them")
    {
        const auto unit_rows = torch_function(temper::RowL2Normalize{});
        const auto through = [&](const auto& normalize) {
            return torch::autograd::grad({loss(normalize(torch::tanh(2 * x)).square(), y).sqrt()},
                                         {x})[0];
        };
        CHECK(close(through([&](const Tensor& t) { return unit_rows.forward(t); }), through(unit),
                    1e-12));
    }
    SECTION("outputs by name go into views")
    {
        const Tensor each = torch::zeros({6}, torch::kDouble);
        (void)loss(x, y, temper::per_sample(temper::into(temper::view<double>(each))));
        CHECK(close(each, (x - y).square().mean(1), 1e-12));
    }
    SECTION("targets of stride 0")
    {
        const Tensor zeros = torch::zeros({1}, torch::kDouble).expand({6, 3});
        CHECK(close(loss(x, zeros), x.square().mean(), 1e-12));
    }
    SECTION("an empty batch")
    {
        Tensor none = torch::zeros({0, 3}).requires_grad_();
        const Tensor value = loss(none, torch::zeros({0, 3}));
        CHECK(value.item<float>() == 0);
        CHECK(gradients(value, {none})[0].numel() == 0);
    }
}

TEST_CASE("torch: gradients that come in with stride 0")
{
    Tensor a = random({6, 4}).requires_grad_();
    Tensor b = random({3, 4}, 2).requires_grad_();
    const auto of_sum = [&](const Tensor& y) {
        return torch::autograd::grad({y.sum()}, {a, b}); // sum's backward expands one number
    };
    const auto got = of_sum(torch_function(temper::CosineSimilarity{}).forward({6, 3}, a, b));
    const auto want = of_sum(unit(a).mm(unit(b).t()));
    CHECK(close(got[0], want[0], 1e-12));
    CHECK(close(got[1], want[1], 1e-12));
}

TEST_CASE("torch: half and bfloat16 are read through float")
{
    for (const auto type : {torch::kHalf, torch::kBFloat16}) {
        const Tensor numbers = random({8, 5}).to(type);
        Tensor x = numbers.clone().requires_grad_();
        Tensor wide = numbers.to(torch::kFloat).requires_grad_();
        const Tensor y = classes(8, 5);
        const auto loss = torch_function(temper::SoftmaxCrossEntropy{});

        const Tensor value = loss(x, labels(y));
        const Tensor same = loss(wide, labels(y));
        CHECK(value.scalar_type() == torch::kFloat);
        CHECK(value.item<float>() == same.item<float>());
        // Scaled before it is narrowed, so that a loss scale does its work.
        const Tensor g = torch::autograd::grad({value * 1024}, {x})[0];
        CHECK(g.scalar_type() == type);
        CHECK(torch::equal(g, torch::autograd::grad({same * 1024}, {wide})[0].to(type)));

        const Tensor weights = torch::ones({8}, type);
        CHECK(loss(x, labels(y), sample_weights(weights)).item<float>() ==
              Approx(same.item<float>()));

        const Tensor unit_rows = torch_function(temper::RowL2Normalize{}).forward(x);
        CHECK(unit_rows.scalar_type() == torch::kFloat);
        CHECK(torch::autograd::grad({unit_rows.sum()}, {x})[0].scalar_type() == type);
    }
}

TEST_CASE("torch: labels are integers of any type")
{
    const Tensor x = random({8, 5});
    const auto loss = torch_function(temper::SoftmaxCrossEntropy{});
    const double want = loss(x, labels(classes(8, 5))).item<double>();
    for (const auto type : {torch::kInt, torch::kShort, torch::kChar, torch::kByte})
        CHECK(loss(x, labels(classes(8, 5).to(type))).item<double>() == want);
    CHECK(loss(x, labels(classes(16, 5).slice(0, 0, 16, 2))).item<double>() ==
          loss(x, labels(classes(16, 5).slice(0, 0, 16, 2).contiguous())).item<double>());
    CHECK(error_of([&] { (void)loss(x, labels(x.select(1, 0))); }) ==
          "SoftmaxCrossEntropy: argument 2 has scalar type Double, must be Long");
}

TEST_CASE("torch: what is not understood is said by name, before anything is computed")
{
    int calls = 0;
    std::vector<bool> wanted;
    const auto dot = torch_function(Probe{&calls, &wanted});
    const Tensor x = random({4});
    const auto said = [&](const Tensor& a, const Tensor& b) {
        return error_of([&] { (void)dot(a, b); });
    };
    CHECK(said(x, x.to(torch::kFloat)) ==
          "Probe: argument 2 has scalar type Float, must be Double");
    CHECK(said(x, classes(4, 2)) == "Probe: argument 2 has scalar type Long, must be Double");
    CHECK(said(classes(4, 2), classes(4, 2)).find("scalar type Long, must be Float") !=
          std::string::npos);
    CHECK(said(x, torch::complex(x, x)) ==
          "Probe: argument 2 has scalar type ComplexDouble, must be Double");
    CHECK(said(x, Tensor()) == "Probe: argument 2 is undefined, must be a tensor");
    CHECK(said(x, torch::empty({4}, torch::dtype(torch::kDouble).device(torch::kMeta))) ==
          "Probe: argument 2 is on meta, must be on the CPU; say host_copy(tensor)");
    CHECK(said(x, x.to_sparse()) == "Probe: argument 2 has layout Sparse, must be Strided");
    CHECK(said(x, torch::imag(torch::complex(x, x).conj())) ==
          "Probe: argument 2 is lazy, must be evaluated; say tensor.clone()");
    CHECK(said(x, torch::_efficientzerotensor({4}, torch::kDouble)) ==
          "Probe: argument 2 is lazy, must be evaluated; say tensor.clone()");
    CHECK(said(x, torch::zeros({1, 1, 1, 1, 1, 1, 4}, torch::kDouble)) ==
          "Probe: argument 2 has rank 7, must be of rank 6 at most");
    CHECK(calls == 0);

    // What the component itself refuses comes through as it is.
    CHECK(error_of([&] {
              (void)torch_function(temper::MeanSquaredError{})(random({3, 2}), random({2, 3}));
          }).starts_with("MeanSquaredError: y has shape [2, 3], must be [3, 2] as x"));
    CHECK_THROWS_AS(torch_function(temper::RowL2Normalize{.epsilon = -1}).forward(random({2, 2})),
                    temper::RangeError);
}

TEST_CASE("torch: gradients that do not exist are refused, not left out")
{
    Tensor x = random({8, 5}).requires_grad_();
    Tensor w = torch::ones({8}, torch::kDouble).requires_grad_();
    const Tensor y = classes(8, 5);
    const auto loss = torch_function(temper::SoftmaxCrossEntropy{});
    CHECK(error_of([&] { (void)loss(x, labels(y), sample_weights(w)); }) ==
          "SoftmaxCrossEntropy: argument 3 requires a gradient, must be without, for it gets none "
          "here; say tensor.detach()");
    CHECK(loss(x, labels(y), sample_weights(w.detach())).requires_grad());
    {
        const torch::NoGradGuard no_grad;
        CHECK(!loss(x, labels(y), sample_weights(w)).requires_grad());
    }
    // Who says that an input is held fixed knows.
    Tensor teacher = random({8, 5}, 2).requires_grad_();
    const Tensor distance = torch_function(temper::FeatureMseProjected{})(
        x, torch::eye(5, torch::kDouble), torch::zeros({5}, torch::kDouble), held_fixed(teacher));
    CHECK(close(gradients(distance, {x})[0], (x - teacher) / 40, 1e-12)); // 0.5 (upstream) times 2

    const Tensor value = loss(x, labels(y));
    CHECK(error_of([&] { (void)torch::autograd::grad({value}, {x}, {}, true, true); }) ==
          "torch_function: a second derivative is asked for by create_graph, must be left out, for "
          "components have none");
}

TEST_CASE("torch: a graph that is gone holds nothing")
{
    const Multiply::Plan plan{std::make_shared<double>(3)};
    {
        const Tensor x = torch::ones({2}, torch::kDouble).requires_grad_();
        const Tensor y = torch_function(Multiply{}).apply(plan, x * 2);
        CHECK(y[0].item<double>() == 6);
        CHECK(plan.factor.use_count() > 1);
        CHECK(gradients(y, {x})[0][1].item<double>() == 2.5 * 3 * 2);
    }
    CHECK(plan.factor.use_count() == 1);
}

TEST_CASE("torch: what is said by name stands behind the destinations of a map, too")
{
    int calls = 0;
    const auto count = [&calls](const auto*, temper::Index n) { calls += static_cast<int>(n); };
    const Tensor x = torch::ones({2}, torch::kDouble).requires_grad_();
    const Tensor y = torch_function(Multiply{})
                         .apply(Multiply::Plan{std::make_shared<double>(3)}, x,
                                Multiply::Stage<decltype(count)>{count});
    CHECK(calls == 2);
    CHECK(gradients(y, {x})[0][1].item<double>() == 7.5);
    CHECK(calls == 4);
}

TEST_CASE("torch: batches over ranks, of a loss and of a map")
{
    const auto barlow = torch_function(0.1 * temper::BarlowTwins{});
    const auto standard = torch_function(temper::ColumnStandardize{});
    const test::Shares shares{{7, 5}};
    const auto rows = [&](const Tensor& whole, temper::Index rank) {
        return whole.detach().narrow(0, shares.before(rank), shares.of(rank));
    };
    for (const std::int64_t d : {5, 16}) {
        const Tensor a = random({12, d}).requires_grad_(), b = random({12, d}, 2).requires_grad_();
        const Tensor loss = barlow(a, b), y = standard.forward(a);
        const Tensors of_loss = gradients(loss, {a, b});
        const Tensor upstream = random({12, d}, 3);
        const Tensor of_y = torch::autograd::grad({y}, {a}, {upstream})[0];
        test::on_ranks(2, [&](temper::Index rank, const auto& all_reduce) {
            const Tensor x = rows(a, rank).requires_grad_(), z = rows(b, rank).requires_grad_();
            const Tensor got = barlow(x, z,
                                      temper::over_ranks(shares.share(rank), all_reduce,
                                                         temper::gradients_are_averaged(2)));
            CHECK(close(got, loss, 1e-12));
            const Tensors g = gradients(got, {x, z});
            CHECK(close(g[0], 2 * rows(of_loss[0], rank), 1e-12));
            CHECK(close(g[1], 2 * rows(of_loss[1], rank), 1e-12));
        });
        test::on_ranks(2, [&](temper::Index rank, const auto& all_reduce) {
            const Tensor x = rows(a, rank).requires_grad_();
            const Tensor got =
                standard.forward(x, temper::over_ranks(shares.share(rank), all_reduce));
            CHECK(close(got, rows(y, rank), 1e-12));
            const Tensor g = torch::autograd::grad({got}, {x}, {rows(upstream, rank)})[0];
            CHECK(close(g, rows(of_y, rank), 1e-12));
        });
    }
}

TEST_CASE("torch: libtorch notices when what a map needs for backward was overwritten")
{
    Tensor leaf = random({6, 4}).requires_grad_();
    Tensor x = leaf * 2;
    const Tensor y = torch_function(temper::RowL2Normalize{}).forward(x);
    x.add_(1);
    CHECK_THROWS_AS(y.sum().backward(), c10::Error);
}

TEST_CASE("torch: tensors as views")
{
    SECTION("are windows on the tensor's numbers")
    {
        Tensor x = torch::zeros({3, 4}, torch::kFloat);
        const Tensor part = x.t().slice(0, 1, 4, 2); // [2, 3]
        const auto v = temper::view<float>(part).as<2>();
        CHECK(v.extents == std::array<temper::Index, 2>{2, 3});
        v(temper::Index{1}, temper::Index{2}) = 5;
        CHECK(x[2][3].item<float>() == 5);
    }
    SECTION("of half-precision numbers serve as inputs, too")
    {
        const Tensor a = random({6, 3}).to(torch::kHalf);
        const Tensor b = random({6, 3}, 2).to(torch::kHalf);
        Tensor g = torch::empty({6, 3}, torch::kHalf);
        const double value =
            temper::MeanSquaredError{}(temper::view<at::Half>(a), temper::view<at::Half>(b),
                                       temper::into(temper::view<at::Half>(g)));
        const Tensor difference = a.to(torch::kFloat) - b.to(torch::kFloat);
        CHECK(value == Approx(difference.square().mean().item<float>()));
        CHECK(close(g, 2 * difference / 18, 1e-3));
    }
    SECTION("say what they must be")
    {
        CHECK(error_of([] { (void)temper::view<float>(random({2})); }) ==
              "view: the tensor has scalar type Double, must be Float");
        CHECK(error_of([] { (void)temper::views<double>(Tensors{random({2}), Tensor()}); }) ==
              "views: tensor 1 is undefined, must be a tensor");
    }
    SECTION("are what optimisers step on")
    {
        torch::manual_seed(1);
        torch::nn::Linear ours(3, 2);
        const auto theirs = std::dynamic_pointer_cast<torch::nn::LinearImpl>(ours->clone());
        const Tensor x = random({5, 3}).to(torch::kFloat);

        torch::optim::AdamW reference(theirs->parameters(),
                                      torch::optim::AdamWOptions(0.1).weight_decay(0.01));
        const temper::AdamW adamw{.learning_rate = 0.1, .weight_decay = 0.01};
        auto state = adamw.init(temper::views<float>(ours->parameters()));
        for (int step = 0; step < 5; ++step) {
            Tensors gradients;
            ours->zero_grad();
            ours->forward(x).square().sum().backward();
            for (const Tensor& p : ours->parameters())
                gradients.push_back(p.grad());
            adamw.step(state, temper::views<float>(ours->parameters()),
                       temper::views<float>(gradients));

            reference.zero_grad();
            theirs->forward(x).square().sum().backward();
            reference.step();
        }
        CHECK(close(ours->weight, theirs->weight, 1e-5));
        CHECK(close(ours->bias, theirs->bias, 1e-5));
    }
    SECTION("on the CPU are their own host copy")
    {
        Tensor x = random({2, 2}).requires_grad_();
        CHECK(temper::host_copy(x).data_ptr() == x.data_ptr());
    }
}
