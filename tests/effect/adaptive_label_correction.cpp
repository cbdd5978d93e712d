// SPDX-License-Identifier: BSL-1.0

// Adaptive Early-Learning Correction for Segmentation from Noisy Annotations.

#include "effect/label_noise.hpp"

#include <temper/loss/label_correction.hpp>
#include <temper/metric/memorization_onset.hpp>

using namespace effect;

namespace {

constexpr Index side = 16;
constexpr Index pixels = side * side;
constexpr Index images = 24;
constexpr Index classes = 3;

/// Images of two discs, dark and bright, in noise. The annotator has missed a third of the pixels of the
/// bright ones (class 1); the dark ones (class 2) are annotated well.
struct Discs {
    Matrix<float> patches{images * pixels, 25};
    std::vector<int> truth;
    std::vector<int> given;

    explicit Discs(std::uint64_t seed)
    {
        auto rng = temper::stream(seed, 0, "discs");
        Matrix<float> picture(side, side);
        for (Index image = 0; image < images; ++image) {
            const double row[2] = {4 + 8 * temper::uniform(rng), 4 + 8 * temper::uniform(rng)};
            const double radius[2] = {3 + 1.5 * temper::uniform(rng),
                                      3 + 1.5 * temper::uniform(rng)};
            const double col[2] = {3.5, 11.5};
            for (Index r = 0; r < side; ++r)
                for (Index c = 0; c < side; ++c) {
                    int label = 0;
                    for (int disc = 0; disc < 2; ++disc)
                        if (std::hypot(static_cast<double>(r) - row[disc],
                                       static_cast<double>(c) - col[disc]) < radius[disc])
                            label = disc + 1;
                    const double level = label == 1 ? 1 : label == 2 ? -1 : 0;
                    picture(r, c) = static_cast<float>(level + 0.3 * temper::normal(rng));
                    truth.push_back(label);
                    given.push_back(label == 1 && temper::uniform(rng) < 0.33 ? 0 : label);
                }
            for (Index r = 0; r < side; ++r)
                for (Index c = 0; c < side; ++c)
                    for (Index i = 0; i < 25; ++i) {
                        const Index y = r + i / 5 - 2;
                        const Index x = c + i % 5 - 2;
                        const bool inside = y >= 0 && y < side && x >= 0 && x < side;
                        patches(image * pixels + r * side + c, i) = inside ? picture(y, x) : 0.0F;
                    }
        }
    }
};

/// Intersection over union of every class.
std::vector<double> agreement(const std::vector<int>& a, const std::vector<int>& b)
{
    std::vector<double> both(classes);
    std::vector<double> either(classes);
    for (std::size_t i = 0; i < a.size(); ++i)
        for (int c = 0; c < classes; ++c) {
            both[static_cast<std::size_t>(c)] += a[i] == c && b[i] == c ? 1 : 0;
            either[static_cast<std::size_t>(c)] += a[i] == c || b[i] == c ? 1 : 0;
        }
    for (std::size_t c = 0; c < classes; ++c)
        both[c] /= either[c];
    return both;
}

struct Result {
    double iou = 0; ///< of class 1 with the truth
    Index onset[3] = {0, 0, 0};
};

Result run(std::uint64_t seed, bool correct, Index epochs_here)
{
    Discs data(seed);
    Learner network(seed, 96, classes, 25);
    network.sgd.learning_rate = 0.05;
    const temper::MemorizationOnset onset{.epochs = epochs_here};
    auto state = onset.init(classes);
    const temper::LabelCorrection rule{.threshold = 0.7, .background_threshold = 0.95};
    Result result;
    Matrix<float> g;
    Matrix<float> p;
    std::vector<std::int64_t> labels(data.given.begin(), data.given.end());
    // The first point of a curve is the network as it begins.
    onset.observe(state,
                  agreement(support::predictions(network.forward(data.patches)), data.given));
    for (Index epoch = 0; epoch < epochs_here; ++epoch) {
        const std::vector<int> now(labels.begin(), labels.end());
        for_each_batch(
            data.patches, now, 1, seed * 1000 + static_cast<std::uint64_t>(epoch),
            [&](const Batch& batch) {
                const Matrix<float>& z = network.forward(batch.x);
                g.resize(z.rows(), z.cols());
                temper::SoftmaxCrossEntropy{}(z, temper::labels(batch.y), temper::into(g));
                network.backward(g);
                network.step();
            },
            64);
        p = support::softmax(network.forward(data.patches));
        onset.observe(state, agreement(support::predictions(p), now));
        for (std::size_t c = 0; c < classes; ++c)
            if (state.flagged[c] != 0 && result.onset[c] == 0)
                result.onset[c] = epoch + 1;
        if (!correct)
            continue;
        // [n, c, h, w] of rows of pixels
        const auto probabilities =
            temper::view(std::as_const(p).data(), {images, classes, side, side},
                         {pixels * classes, 1, side * classes, classes});
        const auto map = temper::view(labels.data(), {images, side, side});
        rule.apply(temper::labels(map), probabilities, state.flagged, temper::into(map));
    }
    result.iou = agreement(support::predictions(p), data.truth)[1];
    return result;
}

} // namespace

TEST_CASE("labels that are corrected when a class begins to be memorised", "[effect]")
{
    double with = 0;
    double without = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Result plain = run(seed, false, 20);
        const Result corrected = run(seed, true, 20);
        std::printf(
            "ADELE, seed %d: IoU with the truth %.3f, %.3f without; onset of the noisy class "
            "%d, of the clean one %d (0: none)\n",
            static_cast<int>(seed), corrected.iou, plain.iou, static_cast<int>(plain.onset[1]),
            static_cast<int>(plain.onset[2]));
        with += corrected.iou / seeds;
        without += plain.iou / seeds;
        CHECK(plain.onset[1] > 0);
    }
    CHECK(with > without + 0.1);
}
