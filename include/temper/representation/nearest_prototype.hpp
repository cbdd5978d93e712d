// SPDX-License-Identifier: BSL-1.0
#pragma once

// The prototype that each feature is most alike: class means of features, and which of them is nearest by
// cosine.
//
//   build     m_c = mean of the rows of class c
//   forward   S_ij = <f_i, m_j> / (max(|f_i|, epsilon) max(|m_j|, epsilon)), y_i = argmax_j S_ij
//
// features f [n, d], prototypes m [k, d], similarities S [n, k], y [n], of equal ones the first. A class
// without rows has a zero prototype (the published code gives NaN), and a zero row has similarity 0 with
// all. For gradients through S see CosineSimilarity; y pairs a feature with a prototype (robust mean
// teacher) or classifies by nearest mean. Throws ShapeError; RangeError for labels outside [0, k) and a
// negative epsilon.
// Doebler et al., Robust Mean Teacher for Continual and Gradual Test-Time Adaptation (2023).

#include <temper/representation/cosine_similarity.hpp>

namespace temper::inline TEMPER_ABI {

struct NearestPrototype {
    static constexpr std::string_view name = "NearestPrototype";
    double epsilon = 1e-8;

    /// (features, labels(y), k, into(m))
    template <class F, class Y, class D>
    void build(const F& features, const Y& targets, Index k, const D& prototypes) const;
    /// (prototypes, features, into(index) [, into(similarity)]), index std::int64_t
    template <class M, class F, class I, class... Rest>
    void forward(const M& prototypes, const F& features, const I& index, const Rest&... rest) const;

    friend bool operator==(const NearestPrototype&, const NearestPrototype&) = default;
};

namespace kernel {
template <class T>
struct NearestPrototype {
    static void build(MatrixView<const T> f, const std::int64_t* y, const Destination<T, 2>& m);
    static void forward(double epsilon, MatrixView<const T> m, MatrixView<const T> f,
                        const AnyView<std::int64_t>& index, const Destination<T, 2>& similarity);
};
} // namespace kernel

template <class F, class Y, class D>
void NearestPrototype::build(const F& features, const Y& targets, Index k,
                             const D& prototypes) const
{
    using T = KernelScalarOf<F>;
    Border<T> border(name);
    const auto f = border.samples("features", features);
    const auto* y = border.labels("labels", targets, f.rows(), k);
    const auto m = border.template output<2>("prototypes", prototypes, {k, f.cols()});
    kernel::NearestPrototype<T>::build(f, y, m);
    border.finish();
}

template <class M, class F, class I, class... Rest>
void NearestPrototype::forward(const M& prototypes, const F& features, const I& index,
                               const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<M, F>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto m = border.samples("prototypes", prototypes);
    const auto f = border.samples("features", features);
    border.expect_shape("features", f, {f.rows(), m.cols()}, "with the columns of prototypes");
    const auto y = border.integers("index", index, {f.rows()});
    const auto s =
        border.template output<2>("similarity", positional<0>(rest...), {f.rows(), m.rows()});
    if (m.rows() == 0 && f.rows() > 0)
        fail<ShapeError>(name, "prototypes", joined({"has shape ", shape_text(m)}),
                         "at least one row");
    kernel::NearestPrototype<T>::forward(epsilon, m, f, y, s);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::NearestPrototype<T>::build(MatrixView<const T> f, const std::int64_t* y,
                                        const Destination<T, 2>& m)
{
    if (!m)
        return;
    const Index k = m.view.rows();
    Workspace::Frame frame;
    auto* sums = frame.take_zeros<double>(k * f.cols());
    auto* count = frame.take_zeros<double>(k);
    for (Index i = 0; i < f.rows(); ++i) {
        count[y[i]] += 1;
        double* row = sums + y[i] * f.cols();
        for (Index j = 0; j < f.cols(); ++j)
            row[j] += static_cast<double>(f(i, j));
    }
    for (Index c = 0; c < k; ++c)
        for (Index j = 0; j < f.cols(); ++j)
            m.put(m.view(c, j), static_cast<T>(sums[c * f.cols() + j] / (std::max)(count[c], 1.0)));
}

template <class T>
void kernel::NearestPrototype<T>::forward(double epsilon, MatrixView<const T> m,
                                          MatrixView<const T> f, const AnyView<std::int64_t>& index,
                                          const Destination<T, 2>& similarity)
{
    Workspace::Frame frame;
    const MatrixView<T> s = frame.matrix<T>(f.rows(), m.rows());
    CosineSimilarity<T>::forward(f, m, epsilon, {s, 1, Mode::overwrite});
    for (Index i = 0; i < f.rows(); ++i) {
        Index best = 0;
        for (Index j = 0; j < m.rows(); ++j) {
            best = s(i, j) > s(i, best) ? j : best;
            if (similarity)
                similarity.put(similarity.view(i, j), s(i, j));
        }
        index.data[i * index.strides[0]] = best;
    }
}

TEMPER_INSTANTIATE(kernel::NearestPrototype);

} // namespace temper::inline TEMPER_ABI
#endif
