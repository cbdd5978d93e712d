// SPDX-License-Identifier: BSL-1.0

// What techniques against label noise remember survives a process that is killed between two saves: the
// resumed run has the bits of an uninterrupted one.

#include <temper/augment/beta_noise_policy.hpp>
#include <temper/checkpoint.hpp>
#include <temper/core/random.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>
#include <temper/loss/bias_loss.hpp>
#include <temper/loss/co_teaching.hpp>
#include <temper/loss/early_learning_mixup.hpp>
#include <temper/loss/early_learning_regularization.hpp>
#include <temper/loss/progressive_self_distillation.hpp>
#include <temper/metric/memorization_onset.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#if __has_include(<sys/wait.h>)
#include <sys/wait.h>
#include <unistd.h>

namespace {

using namespace temper;
using Eigen::MatrixXf;
namespace fs = std::filesystem;

constexpr Index samples = 60;
constexpr Index features = 5;
constexpr Index classes = 3;
constexpr Index batch = 12;

struct Data {
    MatrixXf x{samples, features};
    std::vector<int> y;
    Data()
    {
        auto rng = stream(7, 0, "data");
        for (Index i = 0; i < samples; ++i) {
            y.push_back(static_cast<int>(uniform_index(rng, classes)));
            for (Index j = 0; j < features; ++j)
                x(i, j) = static_cast<float>(normal(rng)) + (j == y.back() ? 1.0F : 0.0F);
        }
    }
};

/// A linear model that is trained with all of them at once, and everything that is remembered.
struct Run {
    Elr elr;
    AldrKl aldr;
    PsKd kd;
    ElrPlus plus;
    MemorizationOnset onset{.epochs = 12};
    BetaNoiseBase smooth;
    Sgd sgd{.learning_rate = 0.05};

    Index step = 0;
    MatrixXf w = MatrixXf::Zero(features, classes);
    TargetBank<float> elr_targets = elr.init(samples, classes);
    TargetBank<float> plus_targets = plus.init(samples, classes);
    TargetBank<float> past;
    AldrKl::State lambdas = aldr.init(samples);
    MemorizationOnset::State curves = MemorizationOnset::init(classes);
    BiasLoss::State variety = BiasLoss::init();
    BetaNoiseBase::State base = BetaNoiseBase::init(classes);
    Sgd::State<float> momentum = sgd.init(tensors(w));

    explicit Run(const Data& data) : past(kd.init(labels(data.y), classes)) {}

    void advance(const Data& data)
    {
        // Nothing random is saved: the stream of a step is the same whoever asks.
        auto rng = stream(11, step, "batch");
        std::vector<Index> ids(batch);
        MatrixXf x(batch, features);
        std::vector<int> y;
        for (Index i = 0; i < batch; ++i) {
            ids[static_cast<std::size_t>(i)] = uniform_index(rng, samples);
            x.row(i) = data.x.row(ids[static_cast<std::size_t>(i)]);
            y.push_back(data.y[static_cast<std::size_t>(ids[static_cast<std::size_t>(i)])]);
        }
        const MatrixXf z = x * w;
        MatrixXf g(batch, classes);
        elr.observe(elr_targets, ids, z);
        elr(elr_targets, ids, z, labels(y), into(g));
        aldr.observe(lambdas, ids, z);
        aldr(lambdas, ids, z, labels(y), add_to(g));
        kd.at(step / 5, 10)(past, ids, z, labels(y), add_to(g));
        kd.observe(past, ids, z);
        MixPlan plan;
        plan.lambda = plan.label_lambda = {0.7};
        for (Index i = 0; i < batch; ++i)
            plan.partner.push_back(batch - 1 - i);
        MatrixXf targets = MatrixXf::Zero(batch, classes);
        for (Index i = 0; i < batch; ++i)
            targets(i, y[static_cast<std::size_t>(i)]) = 1;
        plus.observe(plus_targets, ids, z);
        plus.at(step)(plus_targets, ids, z, probabilities(targets), plan, add_to(g));
        const BiasLoss bias;
        bias.observe(variety, x);
        bias(variety, x, z, labels(y), add_to(g));
        const CoTeaching teach;
        teach(teach.select(z, labels(y)), z, labels(y), add_to(g));
        smooth.observe(base, z);
        std::vector<double> agreement(classes);
        for (Index i = 0; i < batch; ++i) {
            Index best = 0;
            z.row(i).maxCoeff(&best);
            agreement[static_cast<std::size_t>(best)] +=
                best == y[static_cast<std::size_t>(i)] ? 1.0 / batch : 0.0;
        }
        onset.observe(curves, agreement);
        const MatrixXf gw = x.transpose() * g;
        sgd.step(momentum, tensors(w), tensors(gw));
        ++step;
    }
    template <class F>
    void parts(const F& f)
    {
        f(part("step", step), part("w", w), part("elr", elr_targets), part("elr+", plus_targets),
          part("past", past), part("lambdas", lambdas), part("curves", curves),
          part("variety", variety), part("base", base), part("momentum", momentum));
    }
    void save(const fs::path& file)
    {
        parts([&](const auto&... all) { save_checkpoint(file, all...); });
    }
    void load(const fs::path& file)
    {
        parts([&](const auto&... all) { load_checkpoint(file, all...); });
    }
    [[nodiscard]] bool equals(const Run& other) const
    {
        return step == other.step && w == other.w && elr_targets == other.elr_targets &&
               plus_targets == other.plus_targets && past == other.past &&
               lambdas == other.lambdas && curves == other.curves && variety == other.variety &&
               base == other.base && momentum == other.momentum;
    }
};

} // namespace

TEST_CASE(
    "a run against label noise that is killed between two saves goes on as if it had not been")
{
    const Data data;
    const fs::path folder =
        fs::temp_directory_path() / ("temper_label_noise_" + std::to_string(getpid()));
    fs::create_directories(folder);
    const fs::path file = folder / "run.ckpt";

    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) { // saves at every 10th step, and is killed at the 26th
        Run run(data);
        while (run.step < 26) {
            run.advance(data);
            if (run.step % 10 == 0)
                run.save(file);
        }
        std::raise(SIGKILL);
        _exit(1);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    REQUIRE(WTERMSIG(status) == SIGKILL);

    Run resumed(data);
    resumed.load(file);
    CHECK(resumed.step == 20);
    Run uninterrupted(data);
    while (resumed.step < 45)
        resumed.advance(data);
    while (uninterrupted.step < 45)
        uninterrupted.advance(data);
    CHECK(resumed.equals(uninterrupted));
    CHECK_FALSE(resumed.w.isZero());
    CHECK(resumed.curves.evaluations == 45);

    // What was not loaded would show.
    Run forgetful(data);
    forgetful.load(file);
    forgetful.elr_targets = forgetful.elr.init(samples, classes);
    while (forgetful.step < 45)
        forgetful.advance(data);
    CHECK_FALSE(forgetful.w == uninterrupted.w);
    fs::remove_all(folder);
}

#endif
