// SPDX-License-Identifier: BSL-1.0
#pragma once

// Batches that are spread over ranks. A technique that uses statistics of the batch takes one argument
// more, and is then the technique on the rows of all ranks:
//
//   const Share share{.offset = 96, .n_global = 256};   // this rank holds rows 96, 97, ... of 256
//   value = barlow(za, zb, into(ga), into(gb),
//                  over_ranks(share, all_reduce, gradients_are_averaged(world)));
//
// all_reduce is the caller's. It is called with a std::span of doubles or of the scalar type of the data
// (`[&](auto numbers) { ... }` takes both), a few times one after the other, each time on all ranks with
// spans of one length, and replaces the numbers by their sums over ranks: a round. How many rounds there
// are, of what size, stands in the header of the technique and depends on the number of all rows and on
// the columns alone. Nothing is known here of who carries the sums.
//
// The value is that of the whole batch, on every rank. Gradients are d(value)/d(this rank's rows), so
// those of the parameters are the sum over ranks of what each rank makes of its own. Whoever sums them
// says gradients_are_summed. Whoever averages them, as most data-parallel trainers do, would lose a factor
// of `world`, says gradients_are_averaged(world), and has it multiplied in. There is no default.
//
// All ranks make the same call: scalar type, columns, hyper-parameters, and which destinations are
// discarded. Rows may be any number, 0 too, but a rank without rows still has its columns, [0, d]. What one
// rank alone can see to be wrong is thrown there before the first round, and the others then wait in
// theirs, as in any collective call. What only the sums show (n_global is not the rows of all ranks,
// all_reduce averages) is a ShapeError on all ranks alike. Destinations are written after the last round.
//
// A component takes the argument by accept<..., OverRanks>(rest...), and its kernel a Ranks<T>. Where that
// sums over rows it calls ranks.sum(p, n), which does nothing in one process: no kernel is written twice.
// simd/column_moments.hpp has the sums that statistics of columns need, simd/gathered_rows.hpp the other
// form, in which every rank gets the whole batch.

#include <temper/core/border.hpp>

#include <concepts>
#include <span>

namespace temper::inline TEMPER_ABI {

/// Which rows of the batch of all ranks this rank holds.
struct Share {
    Index offset;   ///< the rows of the ranks before this one
    Index n_global; ///< the rows of all ranks

    friend bool operator==(const Share&, const Share&) = default;
};

/// What the trainer does with the ranks' gradients of a parameter.
struct GradientScale {
    double factor;
};
/// It adds them up.
inline constexpr GradientScale gradients_are_summed{1};
/// It takes their mean over `world` ranks.
[[nodiscard]] inline GradientScale gradients_are_averaged(Index world)
{
    require(world > 0, "gradients_are_averaged", "world", static_cast<double>(world), "positive");
    return {static_cast<double>(world)};
}

namespace detail {
template <class Sum, bool has_scale>
struct RanksCall {
    static constexpr bool scales_gradients = has_scale;
    Share share;
    Sum sum;
    double factor;
};
} // namespace detail

/// An argument by name: the batch is spread over ranks.
template <class Call>
struct OverRanks {
    Call call;
};

/// For losses. (Taken by value, g++ 12 at -O1 forgets that a lambda's captures are written when it is called.)
template <class Sum>
[[nodiscard]] auto over_ranks(const Share& share, const Sum& all_reduce, GradientScale scale)
{
    using Call = detail::RanksCall<Sum, true>;
    return OverRanks<Call>{Call{share, all_reduce, scale.factor}};
}
/// For maps, whose gradients follow the convention of what is pulled back.
template <class Sum>
[[nodiscard]] auto over_ranks(const Share& share, const Sum& all_reduce)
{
    using Call = detail::RanksCall<Sum, false>;
    return OverRanks<Call>{Call{share, all_reduce, 1}};
}

/// What a kernel sees of it: nothing where there is one process, which then has all rows and whose sums
/// are sums already.
template <class T>
class Ranks {
  public:
    Ranks() = default;

    /// As said among the arguments of a loss, for a rank with `rows` rows.
    template <class... A>
    [[nodiscard]] static Ranks of_loss(std::string_view component, Index rows, const A&... rest)
    {
        return of<true>(component, rows, rest...);
    }
    template <class... A>
    [[nodiscard]] static Ranks of_map(std::string_view component, Index rows, const A&... rest)
    {
        return of<false>(component, rows, rest...);
    }

    /// Is there more than this process?
    explicit operator bool() const { return call_ != nullptr; }
    /// The rows of all ranks, where this one has `mine`.
    [[nodiscard]] Index all_rows(Index mine) const { return *this ? share_.n_global : mine; }
    [[nodiscard]] Index offset() const { return share_.offset; }

    /// A round: n numbers at p, double or T, become their sums over ranks.
    template <class S>
    void sum(S* p, Index n) const
    {
        const std::span<S> numbers(p, static_cast<std::size_t>(n));
        if (!*this || n == 0)
            return;
        if constexpr (std::same_as<S, double>)
            doubles_(call_, numbers);
        else
            numbers_(call_, numbers);
    }
    /// The destination of a loss's gradient, for what becomes of the gradients of all ranks.
    template <class D>
    [[nodiscard]] D scaled(D gradient) const
    {
        gradient.scale *= factor_;
        return gradient;
    }

    /// Throws unless the ranks counted as many rows as were said.
    void expect_rows(double counted) const
    {
        if (counted != static_cast<double>(share_.n_global)) [[unlikely]]
            fail<ShapeError>(component_, "n_global", joined({"is ", text(share_.n_global)}),
                             joined({text(counted), ", the rows of all ranks"}));
    }
    /// Throws unless one rank holds row i.
    void expect_one_holder(Index i, double holders) const
    {
        if (holders != 1) [[unlikely]]
            fail<ShapeError>(
                component_, "offset",
                joined({"is such that row ", text(i), " is there ", text(holders), " times"}),
                "such that every row is there once");
    }

  private:
    template <bool is_loss, class... A>
    static Ranks of(std::string_view component, Index rows, const A&... rest)
    {
        Ranks ranks;
        [[maybe_unused]] const auto look = [&]<class Argument>(const Argument& argument) {
            if constexpr (detail::is_named<OverRanks, Argument>)
                ranks.template read<is_loss>(component, rows, argument.call);
        };
        (look(rest), ...);
        return ranks;
    }
    template <bool is_loss, class Call>
    void read(std::string_view component, Index rows, const Call& call)
    {
        using Sum = decltype(Call::sum);
        constexpr bool callable = std::invocable<const Sum&, std::span<double>> &&
                                  std::invocable<const Sum&, std::span<T>>;
        if constexpr (Call::scales_gradients != is_loss)
            static_assert(Call::scales_gradients == is_loss,
                          "temper: a loss over ranks must be told what becomes of the gradients, "
                          "over_ranks(share, all_reduce, gradients_are_summed or "
                          "gradients_are_averaged(world)); a map is not, over_ranks(share, "
                          "all_reduce)");
        else if constexpr (!callable)
            static_assert(callable,
                          "temper: the sum over ranks must be callable, while const, with "
                          "a std::span of doubles and with one of the data's scalar "
                          "type, as [](auto numbers) { ... } is");
        else {
            component_ = component;
            share_ = call.share;
            factor_ = call.factor;
            check_share(rows);
            call_ = &call.sum;
            doubles_ = [](const void* sum, std::span<double> numbers) {
                (*static_cast<const Sum*>(sum))(numbers);
            };
            numbers_ = [](const void* sum, std::span<T> numbers) {
                (*static_cast<const Sum*>(sum))(numbers);
            };
        }
    }
    void check_share(Index rows) const
    {
        const Index room = share_.n_global - rows;
        if (room < 0) [[unlikely]]
            fail<RangeError>(component_, "n_global", joined({"is ", text(share_.n_global)}),
                             joined({"at least ", text(rows), ", the rows of this rank"}));
        if (share_.offset < 0 || share_.offset > room) [[unlikely]]
            fail<RangeError>(
                component_, "offset", joined({"is ", text(share_.offset)}),
                joined({"from 0 to ", text(room), ", n_global less the rows of this rank"}));
    }

    std::string_view component_{};
    Share share_{0, 0};
    double factor_ = 1;
    const void* call_ = nullptr;
    void (*doubles_)(const void*, std::span<double>) = nullptr;
    void (*numbers_)(const void*, std::span<T>) = nullptr;
};

} // namespace temper::inline TEMPER_ABI
