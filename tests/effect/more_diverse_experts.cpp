// SPDX-License-Identifier: BSL-1.0

// MDCS: More Diverse Experts with Consistency Self-distillation for Long-tailed Recognition.

#include "effect/label_noise.hpp"

#include <temper/loss/more_diverse_experts.hpp>

using namespace effect;
using temper::labels;

namespace {

/// Digits of which class c has 80 / 40^(c / 9) rows to train on.
struct LongTail {
    support::LabelledData train;
    support::LabelledData test;
    std::vector<double> counts = std::vector<double>(10);

    explicit LongTail(std::uint64_t seed)
    {
        const support::LabelledData& digits = effect::digits();
        auto rng = temper::stream(seed, 0, "long tail");
        support::Split split;
        for (const Index i : support::shuffled_indices(digits.x.rows(), rng)) {
            const auto c = static_cast<std::size_t>(digits.y[static_cast<std::size_t>(i)]);
            const double most = 80 / std::pow(40.0, static_cast<double>(c) / 9);
            if (counts[c] + 1 <= most) {
                split.train.push_back(i);
                ++counts[c];
            }
            else
                split.test.push_back(i);
        }
        train = support::take(digits, split.train);
        test = support::take(digits, split.test);
    }
    /// Mean accuracy of classes [from, to).
    [[nodiscard]] double accuracy(const Matrix<float>& z, int from, int to) const
    {
        const auto predicted = support::predictions(z);
        double sum = 0;
        for (int c = from; c < to; ++c) {
            double all = 0;
            double right = 0;
            for (std::size_t i = 0; i < predicted.size(); ++i)
                if (test.y[i] == c) {
                    ++all;
                    right += predicted[i] == c ? 1 : 0;
                }
            sum += right / all;
        }
        return sum / (to - from);
    }
};

Matrix<float> noisy(const Matrix<float>& x, double size, temper::Stream& rng)
{
    Matrix<float> out = x;
    for (Index i = 0; i < out.size(); ++i)
        out.data()[i] += static_cast<float>(size * temper::normal(rng));
    return out;
}

} // namespace

TEST_CASE("experts for frequent, all and rare classes", "[effect]")
{
    double plain = 0;
    double ensemble = 0;
    double adjusted = 0;
    double first_head = 0;
    double last_head = 0;
    double first_tail = 0;
    double last_tail = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const LongTail data(seed);
        for (const bool shift : {false, true}) {
            Learner network(seed, 64);
            Matrix<float> g;
            for_each_batch(data.train.x, data.train.y, 60, seed, [&](const Batch& batch) {
                auto rng = temper::stream(seed, batch.step, "views");
                const Matrix<float>& z = network.forward(noisy(batch.x, 0.1, rng));
                g.resize(z.rows(), z.cols());
                temper::LogitAdjustedCrossEntropy{.tau = shift ? 1.0 : 0.0}(
                    z, labels(batch.y), std::vector<float>(data.counts.begin(), data.counts.end()),
                    temper::into(g));
                network.backward(g);
                network.step();
            });
            (shift ? adjusted : plain) +=
                data.accuracy(network.forward(data.test.x), 0, 10) / seeds;
        }
        Learner a(seed, 64);
        Learner b(seed + 10, 64);
        Learner c(seed + 20, 64);
        const std::vector<float> counts(data.counts.begin(), data.counts.end());
        Matrix<float> views;
        std::array<Matrix<float>, 3> g;
        for_each_batch(data.train.x, data.train.y, 60, seed, [&](const Batch& batch) {
            auto rng = temper::stream(seed, batch.step, "views");
            views.resize(2 * batch.x.rows(), 64);
            views << noisy(batch.x, 0.05, rng), noisy(batch.x, 0.2, rng);
            const Matrix<float>& za = a.forward(views);
            const Matrix<float>& zb = b.forward(views);
            const Matrix<float>& zc = c.forward(views);
            for (auto& matrix : g)
                matrix.resize(views.rows(), 10);
            temper::Mdcs{}.at(batch.epoch)(temper::tensors(za, zb, zc), labels(batch.y), counts,
                                           temper::into(temper::tensors(g[0], g[1], g[2])));
            a.backward(g[0]);
            b.backward(g[1]);
            c.backward(g[2]);
            for (Learner* expert : {&a, &b, &c})
                expert->step();
        });
        const Matrix<float>& za = a.forward(data.test.x);
        const Matrix<float>& zb = b.forward(data.test.x);
        const Matrix<float>& zc = c.forward(data.test.x);
        ensemble += data.accuracy(za + zb + zc, 0, 10) / seeds;
        first_head += data.accuracy(za, 0, 3) / seeds;
        last_head += data.accuracy(zc, 0, 3) / seeds;
        first_tail += data.accuracy(za, 7, 10) / seeds;
        last_tail += data.accuracy(zc, 7, 10) / seeds;
    }
    std::printf("MDCS: balanced accuracy %.3f, cross-entropy %.3f, logit-adjusted %.3f\n", ensemble,
                plain, adjusted);
    std::printf(
        "  three largest classes: expert -0.5 %.3f, expert 2.5 %.3f; smallest: %.3f, %.3f\n",
        first_head, last_head, first_tail, last_tail);
    CHECK(first_head > last_head);
    CHECK(last_tail > first_tail + 0.1);
    CHECK(ensemble > plain);
    CHECK(adjusted > plain + 0.02);
}
