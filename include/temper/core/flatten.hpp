// SPDX-License-Identifier: BSL-1.0
#pragma once

// Tensors of any rank for kernels on matrices: the first `lead` dimensions number the rows, the others the
// columns. Samples [n, ...] are rows with lead 1, tokens [n, ..., d] with lead = rank - 1. Where the strides
// allow it, and for dense tensors they do, this is a view; else a copy, which of a destination is written
// back by finish:
//
//   Flatten<T> flat(border);
//   const auto rows = flat.input(x, 1);
//   const auto to = flat.output(gx, 1);
//   double value = kernel::...(rows, to);
//   flat.finish();

#include <temper/core/border.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// v as a matrix, if its strides have one stride for all rows and one for all columns.
template <class E>
[[nodiscard]] std::optional<MatrixView<E>> as_rows(const AnyView<E>& v, int lead)
{
    MatrixView<E> m{v.data, {1, 1}, {0, 0}};
    const bool empty = v.size() == 0;
    for (int d = v.rank - 1; d >= 0; --d) {
        const std::size_t side = d < lead ? 0 : 1;
        Index& extent = m.extents[side];
        Index& stride = m.strides[side];
        if (extent == 1 && v.extent(d) != 1)
            stride = v.stride(d);
        else if (v.extent(d) != 1 && v.stride(d) != stride * extent && !empty)
            return std::nullopt;
        extent *= v.extent(d);
    }
    if (m.extents[1] <= 1 || empty)
        m.strides[1] = 1;
    if (m.extents[0] <= 1 || empty)
        m.strides[0] = (std::max)(Index{1}, m.extents[1] * m.strides[1]);
    return m;
}

/// f(entry of v, its number by rows).
template <class E, class F>
void each_entry(const AnyView<E>& v, const F& f)
{
    std::array<Index, max_rank> index{};
    Index offset = 0;
    for (Index i = 0, n = v.size(); i < n; ++i) {
        f(v.data[offset], i);
        for (int d = v.rank - 1; d >= 0; --d) {
            offset += v.stride(d);
            if (++index[place(d)] < v.extent(d))
                break;
            offset -= v.extent(d) * v.stride(d);
            index[place(d)] = 0;
        }
    }
}

/// Samples of any rank but a single number.
template <class T, class A>
[[nodiscard]] AnyView<const T> batch(Border<T>& border, std::string_view name, const A& argument)
{
    const AnyView<const T> v = border.sample_tensor(name, argument);
    if (v.rank == 0)
        fail<ShapeError>(border.component(), name, "is a number", "of shape [n, ...]");
    return v;
}

} // namespace detail

template <class T>
class Flatten {
  public:
    explicit Flatten(Border<T>& border) : frame_(border.scratch()) {}

    [[nodiscard]] MatrixView<const T> input(const AnyView<const T>& v, int lead)
    {
        if (const auto rows = detail::as_rows(v, lead))
            return *rows;
        const MatrixView<T> dense = matrix(v, lead);
        detail::each_entry(v, [&](const T& from, Index i) { dense.data[i] = from; });
        return dense;
    }
    /// At most four.
    [[nodiscard]] Destination<T, 2> output(const AnyDestination<T>& d, int lead)
    {
        if (!d)
            return {};
        if (const auto rows = detail::as_rows(d.view, lead))
            return {*rows, d.scale, d.mode};
        const MatrixView<T> dense = matrix(d.view, lead);
        copied_[place(n_copied_++)] = {dense.data, d};
        return {dense, d.scale, Mode::overwrite};
    }
    void finish()
    {
        for (int k = 0; k < n_copied_; ++k) {
            const auto& [from, to] = copied_[place(k)];
            detail::each_entry(
                to.view, [&](T& entry, Index i) { entry = to.adds() ? entry + from[i] : from[i]; });
        }
    }

  private:
    struct Copied {
        const T* from = nullptr;
        AnyDestination<T> to{};
    };
    template <class V>
    MatrixView<T> matrix(const V& v, int lead)
    {
        Index rows = 1;
        Index cols = 1;
        for (int d = 0; d < v.rank; ++d)
            (d < lead ? rows : cols) *= v.extent(d);
        return frame_.template matrix<T>(rows, cols);
    }

    Workspace::Frame& frame_;
    std::array<Copied, 4> copied_{};
    int n_copied_ = 0;
};

} // namespace temper::inline TEMPER_ABI
