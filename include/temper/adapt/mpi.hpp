// SPDX-License-Identifier: BSL-1.0
#pragma once

// Batches that are spread over the ranks of an MPI communicator (see core/ranks.hpp):
//
//   value = barlow(za, zb, into(ga), into(gb),
//                  over_ranks(mpi_share(comm, za.rows()), mpi_sum(comm), gradients_are_summed));
//
// Both are collective: every rank of the communicator calls them. MPI must be initialised, and errors are
// dealt with as the communicator's error handler does (by default it ends the program); one that returns
// them gets an Error thrown here.

#include <temper/core/ranks.hpp>

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

namespace temper::inline TEMPER_ABI {

namespace detail {
inline void mpi_check(int code, std::string_view call)
{
    if (code == MPI_SUCCESS)
        return;
    std::array<char, MPI_MAX_ERROR_STRING> what{};
    int length = 0;
    MPI_Error_string(code, what.data(), &length);
    fail<Error>("mpi", call, joined({"failed: ", {what.data(), static_cast<std::size_t>(length)}}),
                "possible");
}
} // namespace detail

/// The sums over the ranks of a communicator, in place; what over_ranks takes as all_reduce.
struct MpiSum {
    MPI_Comm comm;

    void operator()(std::span<float> numbers) const { sum(numbers, MPI_FLOAT); }
    void operator()(std::span<double> numbers) const { sum(numbers, MPI_DOUBLE); }

  private:
    /// MPI counts in int.
    template <class T>
    void sum(std::span<T> numbers, MPI_Datatype type) const
    {
        constexpr std::size_t most = std::size_t{1} << 30;
        for (; !numbers.empty(); numbers = numbers.subspan((std::min)(most, numbers.size())))
            detail::mpi_check(MPI_Allreduce(MPI_IN_PLACE, numbers.data(),
                                            static_cast<int>((std::min)(most, numbers.size())),
                                            type, MPI_SUM, comm),
                              "MPI_Allreduce");
    }
};
[[nodiscard]] inline MpiSum mpi_sum(MPI_Comm comm) { return {comm}; }

/// Where the rows of this rank stand among those of all ranks, in the order of ranks.
[[nodiscard]] inline Share mpi_share(MPI_Comm comm, Index rows)
{
    const std::int64_t mine = rows;
    std::int64_t before = 0; // MPI leaves it alone on the first rank
    std::int64_t all = 0;
    detail::mpi_check(MPI_Exscan(&mine, &before, 1, MPI_INT64_T, MPI_SUM, comm), "MPI_Exscan");
    detail::mpi_check(MPI_Allreduce(&mine, &all, 1, MPI_INT64_T, MPI_SUM, comm), "MPI_Allreduce");
    int rank = 0;
    detail::mpi_check(MPI_Comm_rank(comm, &rank), "MPI_Comm_rank");
    return {.offset = rank == 0 ? 0 : static_cast<Index>(before),
            .n_global = static_cast<Index>(all)};
}

} // namespace temper::inline TEMPER_ABI
