// SPDX-License-Identifier: BSL-1.0

// A consistency model whose training is killed at any moment, again and again, has in the end the weights,
// moments, averages and the log of one whose training was left alone.

#include <temper/checkpoint.hpp>
#include <temper/gradient/adam.hpp>
#include <temper/recipe/consistency.hpp>
#include <temper/recipe/csv_log.hpp>
#include <temper/recipe/progress.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using namespace temper;
using Eigen::MatrixXf;
namespace fs = std::filesystem;

namespace {

constexpr Index batch = 24;
constexpr Index features = 3;
constexpr Index steps = 120;

/// F(x, s) = tanh(x A') B' + log(s) / 4 c, trained on a ring.
template <class Recipe>
struct Run {
    Recipe recipe;
    Adam adam{.learning_rate = 0.01};
    MatrixXf a{8, features}, b{features, 8}, c{1, features};
    MatrixXf ga{8, features}, gb{features, 8}, gc{1, features};
    Adam::State<float> moments;
    typename Recipe::template State<float> state;
    typename Recipe::template Plan<float> plan;
    Report report;

    explicit Run(Recipe how) : recipe(std::move(how))
    {
        auto rng = stream(3, 0, "weights");
        for (MatrixXf* each : {&a, &b, &c})
            for (float& x : each->reshaped())
                x = static_cast<float>(0.3 * normal(rng));
        moments = adam.init(tensors(a, b, c));
        state = recipe.init(tensors(a, b, c));
    }
    void advance()
    {
        auto rng = stream(recipe.seed, state.step, "batch");
        MatrixXf x(batch, features), high(batch, features), low(batch, features),
            g(batch, features);
        for (Index i = 0; i < batch; ++i) {
            const double angle = 6.283 * uniform(rng);
            x.row(i) << static_cast<float>(0.5 * std::cos(angle)),
                static_cast<float>(0.5 * std::sin(angle)), static_cast<float>(0.1 * normal(rng));
        }
        recipe.draw(state.step, x, plan);
        recipe.pair(plan, x, into(high), into(low));
        const auto model = recipe.model();
        model.input(high, plan.pairs.high, into(high));
        model.input(low, plan.pairs.low, into(low));
        const MatrixXf hidden = (high * a.transpose()).array().tanh();
        const MatrixXf noise = logarithms(plan.pairs.high);
        const MatrixXf f_high = hidden * b.transpose() + noise * c;
        const MatrixXf f_low = MatrixXf((low * a.transpose()).array().tanh()) * b.transpose() +
                               logarithms(plan.pairs.low) * c;
        report.clear();
        report.add("loss", recipe.loss(plan, x, f_high, f_low, into(g)));
        report.add("levels", static_cast<double>(plan.pairs.levels));
        gb = g.transpose() * hidden;
        gc = noise.transpose() * g;
        const MatrixXf back = (g * b).array() * (1 - hidden.array().square());
        ga = back.transpose() * high;
        adam.step(moments, tensors(a, b, c), tensors(ga, gb, gc));
        recipe.update(state, tensors(a, b, c));
    }
    static MatrixXf logarithms(const std::vector<double>& sigma)
    {
        MatrixXf out(static_cast<Index>(sigma.size()), 1);
        for (std::size_t i = 0; i < sigma.size(); ++i)
            out(static_cast<Index>(i), 0) = static_cast<float>(std::log(sigma[i]) / 4);
        return out;
    }
    template <class F>
    void parts(const F& f)
    {
        f(part("consistency", state), part("weights", tensors(a, b, c)), part("moments", moments));
    }
    void save(const fs::path& file)
    {
        parts([&](const auto&... all) { save_checkpoint(file, all...); });
    }
    void load(const fs::path& file)
    {
        parts([&](const auto&... all) { load_checkpoint(file, all...); });
    }
    /// From the checkpoint, if there is one, to the end.
    void finish(const fs::path& folder)
    {
        if (fs::exists(folder / "run.ckpt"))
            load(folder / "run.ckpt");
        CsvLog log(folder / "run.csv", state.step);
        Progress progress(steps, state.step);
        while (state.step < steps) {
            const Index step = state.step;
            advance();
            log(step, report);
            progress(step, report);
            if (state.step % 3 == 0)
                save(folder / "run.ckpt");
        }
    }
};

const ImprovedConsistencyTraining improved{
    .levels = {.s0 = 4, .s1 = 32, .total_steps = steps}, .ema = {.decay = 0.9}, .seed = 5};
const LatentConsistencyTraining latent{
    .levels = {.s0 = 4, .s1 = 32, .total_steps = steps}, .ema = {.decay = 0.9}, .seed = 5};

struct Folder {
    fs::path path;
    explicit Folder(const std::string& name)
        : path(fs::temp_directory_path() /
               ("temper_" + name + "_" +
                std::to_string(std::chrono::steady_clock::now().time_since_epoch().count())))
    {
        fs::remove_all(path);
        fs::create_directories(path);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() { fs::remove_all(path); }
};

std::string contents(const fs::path& file)
{
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

} // namespace

#if __has_include(<sys/wait.h>)
#include <sys/wait.h>
#include <unistd.h>

namespace {

template <class Recipe>
void kill_and_resume(const Recipe& recipe)
{
    const Folder killed("killed");
    const Folder alone("alone");
    Run uninterrupted(recipe);
    uninterrupted.finish(alone.path);

    int kills = 0;
    for (int attempt = 1; attempt < 200; ++attempt) {
        const pid_t child = fork();
        REQUIRE(child >= 0);
        if (child == 0) {
            Run(recipe).finish(killed.path);
            _exit(0);
        }
        if (kills < 5) { // at any moment, in a step or in the middle of a save
            usleep(static_cast<useconds_t>(4000 * attempt));
            kill(child, SIGKILL);
        }
        int status = 0;
        REQUIRE(waitpid(child, &status, 0) == child);
        if (WIFSIGNALED(status))
            ++kills;
        else
            break;
    }
    Run last(recipe);
    last.load(killed.path / "run.ckpt");
    CHECK(last.state == uninterrupted.state);
    CHECK(last.moments == uninterrupted.moments);
    CHECK(last.a == uninterrupted.a);
    CHECK(last.c == uninterrupted.c);
    CHECK(last.state.step == steps);
    CHECK(contents(killed.path / "run.csv") == contents(alone.path / "run.csv"));
    CHECK(contents(killed.path / "run.ckpt") == contents(alone.path / "run.ckpt"));
}

} // namespace

TEST_CASE("consistency training that is killed goes on to the same bits")
{
    kill_and_resume(improved);
    kill_and_resume(latent);
}
#endif

TEST_CASE("a checkpoint in the middle of training resumes to the same bits, and forgetting shows")
{
    const Folder folder("consistency");
    Run run(improved);
    while (run.state.step < 50)
        run.advance();
    run.save(folder.path / "half.ckpt");
    while (run.state.step < steps)
        run.advance();
    Run resumed(improved);
    resumed.load(folder.path / "half.ckpt");
    CHECK(resumed.state.step == 50);
    while (resumed.state.step < steps)
        resumed.advance();
    CHECK(resumed.a == run.a);
    CHECK(resumed.state == run.state);

    Run forgetful(improved);
    forgetful.load(folder.path / "half.ckpt");
    forgetful.moments = forgetful.adam.init(tensors(forgetful.a, forgetful.b, forgetful.c));
    while (forgetful.state.step < steps)
        forgetful.advance();
    CHECK_FALSE(forgetful.a == run.a);
}

TEST_CASE("a plan of consistency training is a function of seed, step and batch")
{
    const MatrixXf x = MatrixXf::Random(16, 4);
    LatentConsistencyTraining::Plan<float> fresh, used;
    latent.draw(7, x, used);
    latent.draw(100, x, used);
    latent.draw(60, x, used);
    latent.draw(60, x, fresh);
    CHECK(fresh.noise == used.noise);
    CHECK(fresh.pairs == used.pairs);
    CHECK(fresh.coupling == used.coupling);
    CHECK(fresh.pairs.levels == latent.levels(60));
    latent.draw(61, x, used);
    CHECK_FALSE(fresh.noise == used.noise);
    // Partners are data's: the rows are those that were drawn.
    for (std::size_t i = 0; i < 16; ++i)
        CHECK(fresh.noise[4 * i] ==
              fresh.drawn[4 * static_cast<std::size_t>(fresh.coupling.partner[i])]);
    CHECK(fresh.coupling.cost < fresh.coupling.identity_cost);
    // Another grid is noticed.
    auto coarse = latent;
    coarse.grid.sigma_max = 10;
    coarse.draw(60, x, fresh);
    CHECK(fresh.sigmas.back() == 10);
    // A plan that is not the batch's.
    fresh.u.resize(3);
    CHECK_THROWS_AS(latent.arrange(60, x, fresh), RangeError);
    CHECK_THROWS_AS(latent.pair(used, MatrixXf(MatrixXf::Random(8, 4)), into(fresh.noise)), Error);
}

TEST_CASE("the average of the weights is Ema's, and update counts steps")
{
    Run run(improved);
    const MatrixXf before = run.a;
    run.a.array() += 1;
    run.recipe.update(run.state, tensors(run.a, run.b, run.c));
    MatrixXf a(8, features), b(features, 8), c(1, features);
    run.recipe.average(run.state, into(tensors(a, b, c)));
    CHECK((a - (0.9F * before + 0.1F * run.a)).cwiseAbs().maxCoeff() < 1e-6F);
    CHECK(run.state.step == 1);
    CHECK_THROWS_AS(run.recipe.update(run.state, tensors(run.a)), Error);
    CHECK(run.state.step == 1);
}

TEST_CASE("a log that is resumed drops what did not count, and what was cut off")
{
    const Folder folder("log");
    const fs::path file = folder.path / "run.csv";
    Report report;
    report.add("loss", 0.1);
    {
        CsvLog log(file);
        for (Index step = 0; step < 5; ++step)
            log(step, report);
        CHECK_THROWS_AS(log(4, report), RangeError);
    }
    const std::string whole = contents(file);
    std::ofstream(file, std::ios::app) << "5,0.123";
    {
        CsvLog log(file, 3);
        log(3, report);
        log(4, report);
        report.add("other", 1);
        CHECK_THROWS_AS(log(5, report), RangeError);
    }
    CHECK(contents(file) == whole);
    { // nothing to go on from: the log begins where the run does
        CsvLog log(folder.path / "late.csv", 7);
        log(7, report);
    }
    CHECK(contents(folder.path / "late.csv").starts_with("step,loss,other\n7,"));
    {
        CsvLog log(file, 0);
    }
    CHECK(contents(file).empty());
    std::ofstream(file) << "something else\n1,2\n";
    CHECK_THROWS_AS(CsvLog(file, 3), FormatError);
    CHECK(contents(file) == "something else\n1,2\n");
}

TEST_CASE("progress counts the time of this process alone")
{
    Report report;
    report.add("loss", 0.03125);
    const Progress progress(100, 60);
    // 20 steps took 10 seconds, 20 are left
    const std::string line = progress.line(80, 10, report);
    CHECK(line.find(" 80 %") != std::string::npos);
    CHECK(line.find("80 of 100") != std::string::npos);
    CHECK(line.find("0:10 left") != std::string::npos);
    CHECK(line.find("loss 0.03125") != std::string::npos);
    CHECK(progress.line(60, 3, report).find("left") == std::string::npos);
    CHECK_THROWS_AS(Progress(0), RangeError);
    CHECK_THROWS_AS(Progress(10, 11), RangeError);
}
