// SPDX-License-Identifier: BSL-1.0
#pragma once

// How far the last layer has collapsed: features to their class means (NC1), means and classifier to a
// simplex equiangular tight frame (NC2), classifier to means (NC3), decisions to the nearest mean (NC4).
//
//   mu_c the mean of class c, mu_G the mean of the mu_c, M the rows mu_c - mu_G [k, d]
//   S_W = (1/n) sum_i (h_i - mu_y)(h_i - mu_y)'      S_B = (1/k) M'M      E = (I - 11'/k) / sqrt(k - 1)
//   nc1                tr(S_W pinv(S_B)) / k         eigenvalues below 1e-10 of the largest cut off
//   nc1_ratio          tr S_W / tr S_B
//   nc2_equinorm_*     standard deviation / mean (of the population) of the lengths of M's rows, of W's
//   nc2_etf_*          |G / |G| - E|, G = MM', WW'
//   nc2_equiangle_*    mean over ordered pairs of rows of |cos + 1 / (k - 1)|
//   nc3_duality        |G / |G| - E|, G = WM'
//   nc3_alignment      |W / |W| - M / |M||^2         and nc3 its root
//   nc4_disagreement   the share of samples where argmax(W h + b) is not the nearest class mean
//
// |.| Frobenius; h features [n, d], labels [n], W classifier [k, d] (not centred), b bias [k], 0 where not
// given. All are 0 at full collapse. Classes without samples are left out, and their rows of W: k is
// the number of those that are there. k = 1: nc2 and nc3_duality 0. S_B = 0: nc1 and nc1_ratio infinite, 0
// where S_W = 0 too. Lengths of 0 divide nothing. n = 0: all 0. In double, whatever the features are.
// For mixup also of mixed samples, those of one class and those of two apart.
// Throws ShapeError; RangeError for labels outside [0, k).
// Papyan, Han and Donoho, Prevalence of Neural Collapse during the Terminal Phase of Deep Learning Training
// (2020); Fisher, Meng and Papyan, Pushing Boundaries: Mixup's Influence on Neural Collapse (2024); nc1_ratio:
// Tirer, Huang and Niles-Weed, Perturbation Analysis of Neural Collapse (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct NeuralCollapse {
    double nc1 = 0;
    double nc1_ratio = 0;
    double nc2_equinorm_means = 0;
    double nc2_equinorm_classifier = 0;
    double nc2_etf_means = 0;
    double nc2_etf_classifier = 0;
    double nc2_equiangle_means = 0;
    double nc2_equiangle_classifier = 0;
    double nc3_duality = 0;
    double nc3_alignment = 0;
    double nc3 = 0;
    double nc4_disagreement = 0;
};

struct NeuralCollapseMetrics {
    static constexpr std::string_view name = "NeuralCollapseMetrics";

    /// (h, labels(y), W [, b])
    template <class H, class Y, class W, class... Bias>
    [[nodiscard]] NeuralCollapse operator()(const H& features, const Y& targets,
                                            const W& classifier, const Bias&... bias) const;

    friend bool operator==(const NeuralCollapseMetrics&, const NeuralCollapseMetrics&) = default;
};

namespace kernel {
template <class T>
struct NeuralCollapseMetrics {
    static NeuralCollapse run(MatrixView<const T> h, const std::int64_t* y, MatrixView<const T> w,
                              VectorView<const T> b);
};
} // namespace kernel

template <class H, class Y, class W, class... Bias>
NeuralCollapse NeuralCollapseMetrics::operator()(const H& features, const Y& targets,
                                                 const W& classifier, const Bias&... bias) const
{
    static_assert(sizeof...(Bias) <= 1, "temper: features, labels(y), classifier and its bias");
    using T = KernelScalarOf<H, W>;
    Border<T> border(name);
    const auto h = border.samples("features", features);
    const auto w = border.matrix("classifier", classifier);
    border.expect_shape("classifier", w, {w.rows(), h.cols()}, "as features has columns");
    const auto* y = border.labels("labels", targets, h.rows(), w.rows());
    VectorView<const T> b;
    [[maybe_unused]] const auto read = [&](const auto& argument) {
        b = border.vector("bias", argument);
        border.expect_shape("bias", b, {w.rows()}, "as classifier has rows");
    };
    (read(bias), ...);
    return kernel::NeuralCollapseMetrics<T>::run(h, y, w, b);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/linalg/svd.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel::collapse {

using Doubles = MatrixView<const double>;

inline double norm(const Doubles& m) { return std::sqrt(linalg::squared_norm(m)); }
inline double inverse(double x) { return x == 0 ? 0 : 1 / x; }

/// |G / |G| - E|, G = a b'
inline double from_frame(const Doubles& a, const Doubles& b)
{
    const Index k = a.rows();
    if (k < 2)
        return 0;
    Workspace::Frame frame;
    const MatrixView<double> g = frame.matrix<double>(k, k);
    linalg::product(g, 1, a, b.transposed(), 0);
    const double scale = inverse(norm(g));
    const auto size = static_cast<double>(k);
    double sum = 0;
    for (Index i = 0; i < k; ++i)
        for (Index j = 0; j < k; ++j) {
            const double e = ((i == j) - 1 / size) / std::sqrt(size - 1);
            sum += (scale * g(i, j) - e) * (scale * g(i, j) - e);
        }
    return std::sqrt(sum);
}

/// How unequal the rows are in length, and how far their angles are from those of a simplex.
inline std::array<double, 2> unequal(const Doubles& m)
{
    const Index k = m.rows();
    if (k < 2)
        return {0, 0};
    Workspace::Frame frame;
    const MatrixView<double> g = frame.matrix<double>(k, k);
    linalg::product(g, 1, m, m.transposed(), 0);
    const auto size = static_cast<double>(k);
    double mean = 0;
    double variance = 0;
    double angle = 0;
    auto* length = frame.take<double>(k);
    for (Index i = 0; i < k; ++i) {
        length[i] = std::sqrt(g(i, i));
        mean += length[i] / size;
    }
    for (Index i = 0; i < k; ++i) {
        variance += (length[i] - mean) * (length[i] - mean) / size;
        for (Index j = 0; j < k; ++j)
            if (i != j)
                angle += std::abs(g(i, j) * inverse(length[i] * length[j]) + 1 / (size - 1));
    }
    return {std::sqrt(variance) * inverse(mean), angle / (size * (size - 1))};
}

} // namespace kernel::collapse

template <class T>
NeuralCollapse kernel::NeuralCollapseMetrics<T>::run(MatrixView<const T> h, const std::int64_t* y,
                                                     MatrixView<const T> w, VectorView<const T> b)
{
    using namespace collapse;
    NeuralCollapse out;
    const Index n = h.rows();
    const Index d = h.cols();
    if (n == 0)
        return out;
    Workspace::Frame frame;
    // The classes that are there, in order.
    auto* place_of = frame.take_zeros<Index>(w.rows());
    for (Index i = 0; i < n; ++i)
        ++place_of[y[i]];
    auto* size = frame.take<double>(w.rows());
    Index k = 0;
    const MatrixView<double> classifier = frame.matrix<double>(w.rows(), d);
    auto* bias = frame.take<double>(w.rows());
    for (Index c = 0; c < w.rows(); ++c) {
        if (place_of[c] == 0)
            continue;
        size[k] = static_cast<double>(place_of[c]);
        bias[k] = b.data == nullptr ? 0 : static_cast<double>(b(c));
        for (Index j = 0; j < d; ++j)
            classifier(k, j) = static_cast<double>(w(c, j));
        place_of[c] = k++;
    }
    const Doubles W = classifier.block(0, 0, k, d);
    const MatrixView<double> x = frame.matrix<double>(n, d);
    const MatrixView<double> means = frame.matrix<double>(k, d);
    const MatrixView<double> centred = frame.matrix<double>(k, d);
    std::fill(means.data, means.data + k * d, 0.0);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j) {
            x(i, j) = static_cast<double>(h(i, j));
            means(place_of[y[i]], j) += x(i, j) / size[place_of[y[i]]];
        }
    const auto classes = static_cast<double>(k);
    for (Index j = 0; j < d; ++j) {
        double mean = 0;
        for (Index c = 0; c < k; ++c)
            mean += means(c, j) / classes;
        for (Index c = 0; c < k; ++c)
            centred(c, j) = means(c, j) - mean;
    }
    const Doubles M = centred;

    // NC4, before x is centred. The nearest mean is where |mu|^2 / 2 - <h, mu> is least.
    const MatrixView<double> by_classifier = frame.matrix<double>(n, k);
    const MatrixView<double> by_mean = frame.matrix<double>(n, k);
    linalg::product(by_classifier, 1, x, W.transposed(), 0);
    linalg::product(by_mean, 1, x, Doubles(means).transposed(), 0);
    auto* half = frame.take<double>(k);
    for (Index c = 0; c < k; ++c)
        half[c] = linalg::squared_norm(Doubles(means).block(c, 0, 1, d)) / 2;
    for (Index i = 0; i < n; ++i) {
        Index said = 0;
        Index nearest = 0;
        for (Index c = 1; c < k; ++c) {
            if (by_classifier(i, c) + bias[c] > by_classifier(i, said) + bias[said])
                said = c;
            if (by_mean(i, c) - half[c] > by_mean(i, nearest) - half[nearest])
                nearest = c;
        }
        out.nc4_disagreement += (said != nearest ? 1.0 : 0.0) / static_cast<double>(n);
    }

    // NC1. With MM' = U diag(q) U', the eigenvalues of S_B are q / k and its eigenvectors M'u / sqrt(q).
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j)
            x(i, j) -= means(place_of[y[i]], j);
    const double within = linalg::squared_norm(Doubles(x)) / static_cast<double>(n);
    const double between = linalg::squared_norm(M) / classes;
    if (between == 0)
        out.nc1 = out.nc1_ratio = within == 0 ? 0 : std::numeric_limits<double>::infinity();
    else {
        const MatrixView<double> gram = frame.matrix<double>(k, k);
        const MatrixView<double> u = frame.matrix<double>(k, k);
        const VectorView<double> q{frame.take<double>(k), {k}, {1}};
        const MatrixView<double> along = by_mean; // <x_i, M_c>, then along the eigenvectors
        const MatrixView<double> turned = by_classifier;
        linalg::product(gram, 1, M, M.transposed(), 0);
        linalg::svd<double>(gram, u, q, {});
        linalg::product(along, 1, x, M.transposed(), 0);
        linalg::product(turned, 1, along, u, 0);
        for (Index c = 0; c < k; ++c)
            if (!(q(c) <= 1e-10 * q(Index{0})))
                for (Index i = 0; i < n; ++i)
                    out.nc1 += turned(i, c) / q(c) * (turned(i, c) / q(c)) / static_cast<double>(n);
        out.nc1_ratio = within / between;
    }

    const auto of_means = unequal(M);
    const auto of_classifier = unequal(W);
    out.nc2_equinorm_means = of_means[0];
    out.nc2_equiangle_means = of_means[1];
    out.nc2_equinorm_classifier = of_classifier[0];
    out.nc2_equiangle_classifier = of_classifier[1];
    out.nc2_etf_means = from_frame(M, M);
    out.nc2_etf_classifier = from_frame(W, W);
    out.nc3_duality = from_frame(W, M);
    const double of_w = inverse(norm(W));
    const double of_m = inverse(norm(M));
    for (Index c = 0; c < k; ++c)
        for (Index j = 0; j < d; ++j) {
            const double apart = of_w * W(c, j) - of_m * M(c, j);
            out.nc3_alignment += apart * apart;
        }
    out.nc3 = std::sqrt(out.nc3_alignment);
    return out;
}

TEMPER_INSTANTIATE(kernel::NeuralCollapseMetrics);

} // namespace temper::inline TEMPER_ABI
#endif
