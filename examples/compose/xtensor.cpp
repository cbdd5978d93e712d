// SPDX-License-Identifier: BSL-1.0

// Four techniques in one training, in xtensor: see eigen.cpp. A row is a sample, and a column of weights
// makes one unit. Products of matrices, which xtensor leaves to others, are temper's.

#include <temper/core/compose.hpp>
#include <temper/core/random.hpp>
#include <temper/linalg/product.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/mask/magnitude_mask.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/linear.hpp>
#include <temper/schedule/sparsity_schedule.hpp>

#include <xtensor/xcsv.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

#include <fstream>
#include <iostream>
#include <string>

using Tensor = xt::xtensor<float, 2>;
using Vector = xt::xtensor<float, 1>;
using Shape = std::array<std::size_t, 2>;

namespace {

/// a b, of matrices and of their transposes
template <class A, class B>
Tensor product(const A& a, const B& b)
{
    Tensor c(Shape{a.shape()[0], b.shape()[1]});
    temper::linalg::product(temper::view(c), 1, temper::view(a), temper::view(b), 0);
    return c;
}

Tensor random_matrix(std::size_t rows, std::size_t cols, double deviation, temper::Stream& rng)
{
    Tensor m(Shape{rows, cols});
    for (float& number : m)
        number = static_cast<float>(deviation * temper::normal(rng));
    return m;
}

} // namespace

int main(int argc, char** argv)
{
    const std::string folder = argc > 1 ? argv[1] : "examples/data";
    std::ifstream file(folder + "/digits.csv");
    if (!file)
        return 1;
    const Tensor table = xt::load_csv<float>(file, ',', 1);
    const Tensor pixels = xt::view(table, xt::all(), xt::range(0, 64)) / 16.0F;
    const Vector digits = xt::col(table, 64);
    const std::ptrdiff_t n = 100, n_train = 1000;
    const temper::Index steps = 800;
    const temper::Cosine learning_rate{.from = 0.3, .steps = steps};

    temper::Stream rng = temper::stream(1, 0, "weights");
    Tensor w1 = random_matrix(64, 64, std::sqrt(2.0 / 64), rng);
    Tensor w2 = random_matrix(64, 32, 1.0 / 8, rng);
    Tensor w3 = random_matrix(32, 10, 1 / std::sqrt(32.0), rng);
    Vector b1 = xt::zeros<float>({64}), b2 = xt::zeros<float>({32}), b3 = xt::zeros<float>({10});
    Tensor mask = w2, h, z, logits; // hidden units, features, logits of the latest batch
    const auto forward = [&](const Tensor& x) {
        h = xt::maximum(product(x, w1) + b1, 0.0F);
        z = product(h, w2) + b2;
        logits = product(z, w3) + b3;
    };
    const auto half = [n](auto& m, std::ptrdiff_t which) {
        return xt::view(m, xt::range(which * n, (which + 1) * n), xt::all());
    };

    const temper::SoftmaxCrossEntropy cross_entropy;
    const auto redundancy = 0.01 * temper::BarlowTwins{};
    const auto lasso = temper::Linear{.from = 0, .to = 5e-3, .steps = steps / 2} *
                       temper::GroupLasso{.groups = temper::Columns{}};
    const temper::SparsitySchedule sparsity{.to = 0.5, .first = 200, .last = 600};

    temper::Report report;
    for (temper::Index step = 0; step < steps; ++step) {
        const std::ptrdiff_t first = step * n % n_train;
        rng = temper::stream(1, step, "noise");
        const auto batch = xt::view(pixels, xt::range(first, first + n), xt::all());
        Tensor x = random_matrix(2 * n, 64, 0.2, rng);
        half(x, 0) += batch;
        half(x, 1) += batch;
        const auto labels = xt::view(digits, xt::range(first, first + n));
        const Vector y = xt::concatenate(xt::xtuple(labels, labels));

        report.clear();
        forward(x);
        Tensor g_logits(logits.shape());
        report.add("cross-entropy",
                   cross_entropy(logits, temper::labels(y), temper::into(g_logits)));
        Tensor gz = product(g_logits, xt::transpose(w3));
        report.add("redundancy", redundancy(half(z, 0), half(z, 1), temper::add_to(half(gz, 0)),
                                            temper::add_to(half(gz, 1))));
        const Tensor gh = product(gz, xt::transpose(w2)) * xt::cast<float>(h > 0.0F);

        const auto rate = static_cast<float>(learning_rate(step));
        w3 -= rate * product(xt::transpose(z), g_logits);
        w2 -= rate * product(xt::transpose(h), gz);
        w1 -= rate * product(xt::transpose(x), gh);
        b3 -= rate * xt::sum(g_logits, {0});
        b2 -= rate * xt::sum(gz, {0});
        b1 -= rate * xt::sum(gh, {0});

        lasso.at(step).prox(w1, learning_rate(step), temper::into(w1));
        temper::MagnitudeMask{.sparsity = sparsity(step)}.apply(w2, temper::into(mask));
        w2 *= mask;
        if (step % 200 == 199)
            for (const auto& [name, value] : report)
                std::cout << "step " << step << ": " << name << ' ' << value << '\n';
    }

    forward(xt::view(pixels, xt::range(n_train, xt::placeholders::_), xt::all()));
    const Vector predicted = xt::cast<float>(xt::argmax(logits, 1));
    const Vector truth = xt::view(digits, xt::range(n_train, xt::placeholders::_));
    const double accuracy = xt::mean(xt::cast<double>(xt::equal(predicted, truth)))();
    const std::size_t removed =
        xt::sum(xt::cast<std::size_t>(xt::equal(xt::eval(xt::sum(xt::abs(w1), {0})), 0.0F)))();
    const std::size_t pruned = xt::sum(xt::cast<std::size_t>(xt::equal(w2, 0.0F)))();
    std::cout << "accuracy " << accuracy << ", hidden units removed " << removed << " of 64, "
              << "weights pruned " << pruned << " of " << w2.size() << '\n';
    return accuracy > 0.9 && removed > 0 && removed < 48 && 2 * pruned >= w2.size() ? 0 : 1;
}
