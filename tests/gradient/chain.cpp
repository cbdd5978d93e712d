// SPDX-License-Identifier: BSL-1.0

// Chains of transforms: the same as the calls by hand, to the bit, in any layout, and what a chain
// promises beyond them.

#include <temper/checkpoint.hpp>
#include <temper/gradient/adam.hpp>
#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/clip_norm.hpp>
#include <temper/gradient/clip_value.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/gradient/only.hpp>
#include <temper/gradient/perpendicular_gradient.hpp>
#include <temper/gradient/proximal_step.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/gradient/sharpness_aware.hpp>
#include <temper/gradient/swa.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <filesystem>
#include <limits>

using namespace temper;

namespace {

using ByColumns = Eigen::MatrixXf;
using ByRows = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Weights by columns, by rows, and a window of a larger matrix; more than one block of a step in each.
struct Model {
    ByColumns columns = ByColumns::Random(70, 130);
    ByRows rows = ByRows::Random(90, 101);
    ByColumns whole = ByColumns::Random(80, 80);
    Eigen::VectorXf bias = Eigen::VectorXf::Random(17);

    [[nodiscard]] auto list() { return tensors(columns, rows, whole.block(3, 4, 70, 60), bias); }
    friend bool operator==(const Model& a, const Model& b)
    {
        return a.columns == b.columns && a.rows == b.rows && a.whole == b.whole && a.bias == b.bias;
    }
};

/// Moves the weights by a step of its own.
struct SignStep {
    static constexpr std::string_view name = "SignStep";
    static constexpr bool changes_gradients = false;
    struct State {
        Index steps = 0;
        template <class Archive>
        void fields(Archive& archive)
        {
            archive("steps", steps);
        }
    };
    template <class L>
    [[nodiscard]] State init(const L&) const
    {
        return {};
    }
    template <class W, class G>
    void step(State& state, const W& parameters, const G& gradients) const
    {
        for (std::size_t i = 0; i < parameters.size(); ++i)
            for (Index k = 0; k < parameters[i].size(); ++k) {
                const float g = entry(gradients[i], k);
                entry(parameters[i], k) -= g > 0 ? 0.01F : -0.01F;
            }
        ++state.steps;
    }
    template <class V>
    static auto& entry(const V& v, Index k)
    {
        Index offset = 0;
        for (int d = v.rank; d-- > 0; k /= v.extent(d))
            offset += k % v.extent(d) * v.stride(d);
        return v.data[offset];
    }
};

const ClipNorm clip{.max_norm = 0.7};
const PerpendicularGradient perpendicular{};
const AdamW adamw{.learning_rate = 0.05, .weight_decay = 0.1};
const Ema ema{.decay = 0.9};

} // namespace

TEST_CASE("a chain is its transforms one after another, to the bit")
{
    Model a, g;
    Model b = a;
    const ProximalStep sparse{.regularizer = 0.3 * L1{}, .learning_rate = 0.05};
    const ClipValue limit{.limit = 2e-3};
    const auto update = chain(limit, clip, perpendicular, adamw, sparse, ema);
    auto state = update.init(a.list());
    auto moments = adamw.init(b.list());
    Model average = b;
    for (int t = 1; t <= 3; ++t) {
        g.columns.setRandom();
        Model h = g;
        CHECK(update.step(state, a.list(), g.list()));

        limit.apply(h.list(), into(h.list()));
        const auto clipped = clip.apply(h.list(), into(h.list()));
        perpendicular.apply(b.list(), h.list(), into(h.list()));
        adamw.step(moments, b.list(), h.list());
        sparse.apply(b.list());
        ema.observe(average.list(), b.list(), t);

        CHECK(a == b);
        CHECK(g == h);
        CHECK(state.get<ClipNorm>() == clipped);
        CHECK(state.get<AdamW>() == moments);
        Model read = average;
        read.columns.setZero();
        ema.average(state.get<Ema>(), into(read.list()));
        CHECK(read == average);
    }
    CHECK((a.columns.array() == 0).count() > 0);
}

TEST_CASE("the order of a chain is the order of its steps")
{
    Eigen::VectorXd w = Eigen::VectorXd::Constant(3, 1.0), g = Eigen::VectorXd::Constant(3, 5.0);
    const Sgd sgd{.learning_rate = 0.1, .momentum = 0};
    const ClipValue limit{.limit = 1};
    const auto before = chain(limit, sgd);
    const auto after = chain(sgd, limit);
    auto s = before.init(w);
    before.step(s, w, g);
    CHECK(w[0] == Approx(0.9));
    w.setOnes();
    g.setConstant(5);
    auto s2 = after.init(w);
    after.step(s2, w, g);
    CHECK(w[0] == Approx(0.5));
    CHECK(g[0] == 1);
}

TEST_CASE("a chain stops where the gradients are not finite")
{
    Eigen::VectorXf w = Eigen::VectorXf::Random(5), g = Eigen::VectorXf::Random(5);
    g[3] = std::numeric_limits<float>::infinity();
    const Eigen::VectorXf w0 = w, g0 = g;
    const auto update = chain(clip, adamw, ema);
    auto state = update.init(w);
    const auto fresh = state;
    CHECK(!update.step(state, w, g));
    CHECK(w == w0);
    CHECK(g == g0);
    CHECK(!state.get<ClipNorm>().finite);
    CHECK(state.get<AdamW>() == fresh.get<AdamW>());
    CHECK(state.get<Ema>() == fresh.get<Ema>());
}

TEST_CASE("a chain checks all of its transforms before anything moves")
{
    Eigen::VectorXf w = Eigen::VectorXf::Random(5), g = 10 * Eigen::VectorXf::Random(5);
    const Eigen::VectorXf w0 = w, g0 = g;
    const auto fails = [&](const auto& update, auto state) {
        const auto before = state;
        CHECK_THROWS_AS(update.step(state, w, g), RangeError);
        CHECK(state == before);
        CHECK(w == w0);
        CHECK(g == g0);
    };
    const auto fine = chain(clip, adamw);
    const auto state = fine.init(w);
    fails(chain(clip, AdamW{.learning_rate = -1}), state);
    fails(chain(clip, AdamW{.beta2 = 1}), state);
    fails(fine, fine.init(Eigen::VectorXf(4)));
    fails(chain(clip, Ema{.decay = 2}), chain(clip, ema).init(w));
    fails(chain(clip, ProximalStep{.regularizer = -1.0 * L1{}}),
          chain(clip, ProximalStep{.regularizer = 1.0 * L1{}}).init(w));
    fails(chain(clip, SharpnessAware{.rho = -1}), chain(clip, SharpnessAware{}).init(w));
    fails(chain(clip, only({1}, adamw)), chain(clip, only({0}, adamw)).init(w));
    CHECK_THROWS_AS(chain(only({0, 0}, adamw)).init(w), RangeError);

    auto two = chain(adamw).init(tensors(w, w));
    CHECK_THROWS_AS(chain(adamw).step(two, tensors(w, w), tensors(g, g)), OverlapError);
    auto one = chain(adamw).init(w);
    CHECK_THROWS_AS(chain(adamw).step(one, w, Eigen::VectorXf(4)), ShapeError);
    CHECK_THROWS_AS(chain(adamw).step(one, tensors(w), tensors(g, g)), ShapeError);
}

TEST_CASE("gradients that nobody changes may be const")
{
    Eigen::VectorXf w = Eigen::VectorXf::Random(5);
    const Eigen::VectorXf g = Eigen::VectorXf::Random(5);
    Eigen::VectorXf v = w;
    const auto update = chain(adamw, ema);
    auto state = update.init(w);
    update.step(state, w, g);
    auto moments = adamw.init(v);
    adamw.step(moments, v, g);
    CHECK(w == v);
}

TEST_CASE("a chain goes on from its saved state, to the bit")
{
    Model a, g;
    const auto update = chain(clip, perpendicular, SharpnessAware{}, adamw, ema, Swa{.start = 1});
    auto state = update.init(a.list());
    Model first = g;
    update.ascend(state, a.list(), first.list()); // saved halfway through a step
    Model b = a;

    const auto path = std::filesystem::temp_directory_path() / "temper_chain.ckpt";
    save_checkpoint(path, part("weights", b.list()), part("update", state));
    auto loaded = update.init(b.list());
    b.columns.setZero();
    load_checkpoint(path, part("weights", b.list()), part("update", loaded));
    std::filesystem::remove(path);
    CHECK(loaded == state);

    for (int t = 0; t < 3; ++t) {
        Model h = g, k = g;
        update.step(state, a.list(), h.list());
        update.step(loaded, b.list(), k.list());
    }
    CHECK(a == b);
    CHECK(loaded == state);
    auto other = chain(clip, SharpnessAware{}, adamw, ema).init(a.list());
    CHECK_THROWS_AS(load(other, save(state)), FormatError);
}

TEST_CASE("a sharpness-aware chain ascends along what stands before it, and steps at the weights")
{
    Model a, first, second;
    Model b = a;
    const SharpnessAware sam{.rho = 0.3, .adaptive = true};
    const auto update = chain(clip, perpendicular, sam, adamw, ema);
    auto state = update.init(a.list());
    auto ascent = sam.init(b.list());
    auto moments = adamw.init(b.list());
    for (int t = 0; t < 2; ++t) {
        Model g = first, h = first;
        CHECK(update.ascend(state, a.list(), g.list()));
        clip.apply(h.list(), into(h.list()));
        perpendicular.apply(b.list(), h.list(), into(h.list()));
        sam.ascend(ascent, b.list(), h.list());
        CHECK(a == b);
        CHECK(state.get<AdamW>() == moments); // waits for the step
        CHECK_THROWS_AS(update.ascend(state, a.list(), g.list()), RangeError);

        g = h = second;
        CHECK(update.step(state, a.list(), g.list()));
        sam.descend(ascent, b.list());
        clip.apply(h.list(), into(h.list()));
        perpendicular.apply(b.list(), h.list(), into(h.list()));
        adamw.step(moments, b.list(), h.list());
        CHECK(a == b);
    }
    // Without an ascent it is the chain without the transform.
    const auto plain = chain(clip, perpendicular, adamw, ema);
    auto plain_state = plain.init(b.list());
    std::get<2>(plain_state.parts) = state.get<AdamW>();
    Model g = second, h = second;
    update.step(state, a.list(), g.list());
    plain.step(plain_state, b.list(), h.list());
    CHECK(a == b);
}

TEST_CASE("a transform of the user's own takes its turn")
{
    Model a, g;
    Model b = a, h = g;
    const auto update = chain(clip, SignStep{}, adamw, only({0, 3}, SignStep{}));
    auto state = update.init(a.list());
    update.step(state, a.list(), g.list());

    SignStep::State own, part;
    auto moments = adamw.init(b.list());
    clip.apply(h.list(), into(h.list()));
    const auto list = b.list(), gradients = h.list();
    SignStep{}.step(own, std::span(list), std::span(gradients));
    adamw.step(moments, list, gradients);
    const auto some = tensors(b.columns, b.bias), some_g = tensors(h.columns, h.bias);
    SignStep{}.step(part, std::span(some), std::span(some_g));
    CHECK(a == b);
    CHECK(std::get<1>(state.parts).steps == 1);
    CHECK(update.get<AdamW>() == adamw);
}

TEST_CASE("only some tensors are seen")
{
    Model a, g;
    Model b = a, h = g;
    const AdamW plain{.learning_rate = 0.05, .weight_decay = 0};
    const SharpnessAware sam{};
    const ProximalStep groups{.regularizer = GroupLasso{.groups = Columns{}},
                              .learning_rate = 0.02};
    const auto update = chain(only({1, 3}, clip), only({2, 0}, perpendicular), only({1}, sam),
                              only({0, 2, 1}, adamw), only({3}, plain), only({1, 0}, groups));
    auto state = update.init(a.list());
    auto decayed = adamw.init(tensors(b.columns, b.whole.block(3, 4, 70, 60), b.rows));
    auto undecayed = plain.init(b.bias);
    auto ascent = sam.init(b.rows);
    for (int t = 0; t < 2; ++t) {
        Model g1 = g, h1 = h;
        update.ascend(state, a.list(), g1.list());
        const auto part = [](Model& m) { return tensors(m.rows, m.bias); };
        const auto project = [](Model& w, Model& d) {
            perpendicular.apply(tensors(w.whole.block(3, 4, 70, 60), w.columns),
                                tensors(d.whole.block(3, 4, 70, 60), d.columns),
                                into(tensors(d.whole.block(3, 4, 70, 60), d.columns)));
        };
        clip.apply(part(h1), into(part(h1)));
        project(b, h1);
        sam.ascend(ascent, b.rows, h1.rows);
        CHECK(a == b);

        g1 = g;
        h1 = h;
        update.step(state, a.list(), g1.list());
        sam.descend(ascent, b.rows);
        clip.apply(part(h1), into(part(h1)));
        project(b, h1);
        adamw.step(decayed, tensors(b.columns, b.whole.block(3, 4, 70, 60), b.rows),
                   tensors(h1.columns, h1.whole.block(3, 4, 70, 60), h1.rows));
        plain.step(undecayed, b.bias, h1.bias);
        groups.apply(tensors(b.rows, b.columns));
        CHECK(a == b);
        CHECK(g1 == h1);
    }
    // A clipping that meets infinity stops what stands behind it, whoever sees it.
    Model c = a, infinite = g;
    infinite.bias[0] = std::numeric_limits<float>::infinity();
    CHECK(!update.step(state, a.list(), infinite.list()));
    CHECK(a == c);
    infinite = g;
    infinite.columns(0, 0) = std::numeric_limits<float>::infinity();
    CHECK(update.step(state, a.list(), infinite.list()));
}

TEST_CASE("a chain allocates nothing, in whatever is in it")
{
    Model a, g;
    const auto update =
        chain(clip, perpendicular, SharpnessAware{}, only({0, 1}, adamw),
              only({0, 1}, ProximalStep{.regularizer = GroupLasso{}, .learning_rate = 1e-3}),
              ProximalStep{.regularizer = 0.1 * L1{}}, ema, Swa{});
    auto state = update.init(a.list());
    const auto parameters = a.list(), gradients = g.list();
    update.ascend(state, parameters, gradients);
    update.step(state, parameters, gradients);
    const AllocationCounter counter;
    update.ascend(state, parameters, gradients);
    update.step(state, parameters, gradients);
    CHECK(counter.count() == 0);
}
