// SPDX-License-Identifier: BSL-1.0

// temper_consistency: trains a consistency model on real handwritten digits in a 16-dimensional latent space,
// and draws digits in one step and in two.
//
//   temper_consistency                    a minute; run.ckpt, run.csv and samples.svg in ./consistency
//   temper_consistency --quick            seconds, digits that are less pretty
//   temper_consistency --latent           the latent techniques: Cauchy, optimal transport, early diffusion loss,
//                                         normalisation without gain
//   temper_consistency --fresh            forget what is there and begin anew
//
// Kill it whenever you like: started again with the same options it goes on where its checkpoint is, and ends
// with the same picture to the last byte.

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <temper/checkpoint.hpp>
#include <temper/gradient/adam.hpp>
#include <temper/recipe/consistency.hpp>
#include <temper/recipe/csv_log.hpp>
#include <temper/recipe/progress.hpp>

#include "support/data.hpp"
#include "support/denoiser.hpp"
#include "support/latent.hpp"
#include "support/program.hpp"
#include "support/svg.hpp"

namespace {

using support::Denoiser;
using support::Index;
using support::Matrix;
namespace fs = std::filesystem;

struct Options {
    fs::path out = "consistency";
    std::string data = TEMPER_EXAMPLE_DATA;
    Index steps = 12000;
    std::uint64_t seed = 1;
    bool quick = false;
    bool latent = false;
    bool fresh = false;
};

/// The 64 pixels of a row as an image.
support::ImageGrid::Image image(const Matrix<float>& pixels, Index row)
{
    Matrix<float> picture = pixels.row(row).reshaped<Eigen::RowMajor>(8, 8);
    return {picture.cwiseMax(0.0F).cwiseMin(1.0F), ""};
}

template <class Recipe>
void run(const Options& options, const Recipe& recipe)
{
    using namespace temper;

    // The data: digits as 16 numbers, each of the deviation that the recipe expects.
    const support::LabelledData digits = support::load_digits(options.data);
    const support::Latent latent(digits.x, 16, static_cast<float>(recipe.sigma_data));
    const Matrix<float> codes = latent.encode(digits.x);

    // The network and everything that is saved with it.
    Denoiser network({.features = 16,
                      .width = options.quick ? 64 : 192,
                      .layers = options.quick ? 2 : 3,
                      .normalise = options.latent});
    auto rng = stream(options.seed, 0, "weights");
    network.initialize(rng);
    Denoiser::Parameters gradients = network.zeros();
    std::vector<AnyView<float>> weights;
    std::vector<AnyView<const float>> slopes;
    for (auto& tensor : network.parameters())
        weights.push_back(view(tensor));
    for (const auto& tensor : gradients)
        slopes.push_back(view(tensor));
    Adam adam{.beta2 = 0.99};
    auto moments = adam.init(weights);
    auto state = recipe.init(weights);

    const fs::path checkpoint = options.out / "run.ckpt";
    if (!options.fresh && fs::exists(checkpoint)) {
        load_checkpoint(checkpoint, part("consistency", state), part("weights", weights),
                        part("moments", moments));
        std::printf("Going on at step %td of %td.\n", state.step, options.steps);
    }

    // The loop.
    const auto model = recipe.model();
    typename Recipe::template Plan<float> plan;
    Denoiser::Tape high, low;
    const Index batch = options.quick ? 64 : 256;
    Matrix<float> x(batch, 16), x_high(batch, 16), x_low(batch, 16), g(batch, 16);
    Report report;
    CsvLog log(options.out / "run.csv", state.step);
    Progress progress(options.steps, state.step);
    while (state.step < options.steps) {
        const Index step = state.step;
        auto of_batch = stream(options.seed, step, "batch");
        for (Index i = 0; i < batch; ++i)
            x.row(i) = codes.row(uniform_index(of_batch, codes.rows()));

        recipe.draw(step, x, plan);
        recipe.pair(plan, x, into(x_high), into(x_low));
        model.input(x_high, plan.pairs.high, into(x_high));
        model.input(x_low, plan.pairs.low, into(x_low));
        const auto& f_high = network.forward(x_high, plan.pairs.high, high);
        const auto& f_low = network.forward(x_low, plan.pairs.low, low);
        report.clear();
        report.add("loss", recipe.loss(plan, x, f_high, f_low, into(g)));
        network.backward(high, g, gradients);
        const double left = 1 - static_cast<double>(step) / static_cast<double>(options.steps);
        adam.learning_rate = 2e-3 * (std::min)(1.0, 3 * left);
        adam.step(moments, weights, slopes);
        recipe.update(state, weights);

        log(step, report);
        progress(step, report);
        if (state.step % 250 == 0 || state.step == options.steps)
            save_checkpoint(checkpoint, part("consistency", state), part("weights", weights),
                            part("moments", moments));
    }
    progress.clear();

    // Samples, with the averaged weights.
    recipe.average(state, into(weights));
    constexpr Index shown = 10;
    Matrix<float> scaled(shown, 16);
    const auto f = [&](MatrixView<const float> noisy, double sigma, auto to) {
        model.input(noisy, sigma, into(scaled));
        const std::vector<double> levels(static_cast<std::size_t>(shown), sigma);
        model.forward(noisy, sigma, network.forward(scaled, levels, high), to);
    };
    Matrix<float> one(shown, 16), two(shown, 16);
    recipe.sampler().sample(f, options.seed, MatrixView<float>(view(one)));
    recipe.sampler({0.8}).sample(f, options.seed, MatrixView<float>(view(two)));
    const Matrix<float> pictures[] = {latent.decode(codes.topRows(shown)), latent.decode(one),
                                      latent.decode(two)};
    support::ImageGrid grid{{{"real", {}}, {"one step", {}}, {"two steps", {}}}};
    for (std::size_t row = 0; row < 3; ++row)
        for (Index i = 0; i < shown; ++i)
            grid.rows[row].images.push_back(image(pictures[row], i));
    support::write_svg(options.out / "samples.svg", support::svg(grid));
    if (report.size() > 0)
        std::printf("Last loss %.4g. ", report["loss"]);
    std::printf("Picture after %td steps: %s\n", state.step,
                (options.out / "samples.svg").string().c_str());
}

int main_of(int argc, char** argv)
{
    Options options;
    std::string out = options.out.string();
    CLI::App app{"a consistency model of handwritten digits, trained with temper"};
    app.add_option("--out", out, "folder of checkpoint, log and picture")->capture_default_str();
    app.add_option("--data", options.data, "folder of digits.csv")->capture_default_str();
    auto* const steps = app.add_option("--steps", options.steps, "steps of training")
                            ->check(CLI::PositiveNumber)
                            ->capture_default_str();
    app.add_option("--seed", options.seed, "seed of everything random")->capture_default_str();
    app.add_flag("--quick", options.quick, "a smaller network and 1500 steps");
    app.add_flag("--latent", options.latent, "the latent techniques");
    app.add_flag("--fresh", options.fresh, "begin anew");
    CLI11_PARSE(app, argc, argv);
    if (options.quick && steps->count() == 0)
        options.steps = 1500;
    options.out = out;
    fs::create_directories(options.out);
    if (options.fresh)
        fs::remove(options.out / "run.ckpt");

    const temper::DiscretizationDoubling levels{.s0 = 10, .s1 = 160, .total_steps = options.steps};
    const temper::Ema ema{.decay = options.quick ? 0.99 : 0.999};
    if (options.latent)
        // Published constants of c are for larger latents: see docs/consistency.md.
        run(options,
            temper::LatentConsistencyTraining{
                .levels = levels, .rule = {.factor = 10}, .ema = ema, .seed = options.seed});
    else
        run(options, temper::ImprovedConsistencyTraining{
                         .levels = levels, .ema = ema, .seed = options.seed});
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    return support::program("temper_consistency", main_of, argc, argv);
}
