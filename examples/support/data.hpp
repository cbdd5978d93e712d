// SPDX-License-Identifier: BSL-1.0
#pragma once

// Reading the two real data sets of examples/data, splitting them, and walking through them in
// batches. Whoever reads a file that is not what it should be gets a std::runtime_error that names
// the file and the line.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <span>
#include <vector>

#include "support/matrix.hpp"
#include "support/random.hpp"

#ifndef TEMPER_EXAMPLE_DATA // set by CMake; otherwise programs are run from the top folder
#define TEMPER_EXAMPLE_DATA "examples/data"
#endif

namespace support {

/// Samples with a class: x [n, features], y [n] in 0 .. classes - 1.
struct LabelledData {
    Matrix<float> x;
    std::vector<int> y;
    int classes = 0;
};

/// Samples with a number: x [n, features], y [n, 1].
struct RegressionData {
    Matrix<float> x;
    Matrix<float> y;
};

/// A file of numbers, comma-separated, under one line of column names.
Matrix<float> read_csv(const std::filesystem::path& path, Index columns);

/// 1,797 handwritten digits, 8 x 8 pixels scaled to [0, 1].
LabelledData load_digits(const std::filesystem::path& folder);

/// 442 patients, 10 measurements, and how far the disease went in a year. Nothing is scaled.
RegressionData load_diabetes(const std::filesystem::path& folder);

/// out = the rows of x in the order of the list.
void take_rows(const Matrix<float>& x, std::span<const Index> rows, Matrix<float>& out);

Matrix<float> take_rows(const Matrix<float>& x, std::span<const Index> rows);

/// out = the labels in the order of the list.
void take_labels(std::span<const int> y, std::span<const Index> rows, std::vector<int>& out);

/// Row i is 1 at the label of sample i, else 0.
Matrix<float> one_hot(std::span<const int> labels, int classes);

/// Those rows of a labelled data set.
LabelledData take(const LabelledData& data, std::span<const Index> rows);

/// 0 .. n - 1, shuffled.
template <class Rng>
std::vector<Index> shuffled_indices(Index n, Rng& rng)
{
    std::vector<Index> indices(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < indices.size(); ++i)
        indices[i] = static_cast<Index>(i);
    support::shuffle(indices, rng);
    return indices;
}

/// Row numbers of the two parts of a data set.
struct Split {
    std::vector<Index> train;
    std::vector<Index> test;
};

/// `per_class` rows of every class to train on, all the others to test on.
template <class Rng>
Split stratified_split(std::span<const int> labels, int classes, Index per_class, Rng& rng)
{
    Split split;
    std::vector<Index> taken(static_cast<std::size_t>(classes), 0);
    for (const Index i : support::shuffled_indices(static_cast<Index>(labels.size()), rng)) {
        Index& count = taken[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])];
        (count < per_class ? split.train : split.test).push_back(i);
        ++count;
    }
    return split;
}

/// `train` rows to train on, all the others to test on.
template <class Rng>
Split random_split(Index n, Index train, Rng& rng)
{
    const std::vector<Index> order = support::shuffled_indices(n, rng);
    const auto middle = order.begin() + (std::min)(train, n);
    return {.train = {order.begin(), middle}, .test = {middle, order.end()}};
}

/// (x - mean) / sd of every column, with the statistics of the rows it was fitted to.
struct Standardizer {
    Matrix<float> mean; // [1, columns]
    Matrix<float> sd;   // [1, columns]; 1 where a column is constant

    explicit Standardizer(const Matrix<float>& x);
    [[nodiscard]] Matrix<float> operator()(const Matrix<float>& x) const;
};

/// Shuffled row numbers in batches of one size. What does not fill a batch waits for the next
/// epoch's shuffle, so that every step has the same shape.
class Batches {
  public:
    Batches(Index rows, Index batch_size) : size_((std::min)(rows, batch_size))
    {
        for (Index i = 0; i < rows; ++i)
            order_.push_back(i);
    }
    [[nodiscard]] Index per_epoch() const { return static_cast<Index>(order_.size()) / size_; }

    /// The next batch; valid until the next call.
    template <class Rng>
    std::span<const Index> next(Rng& rng)
    {
        if (at_ % per_epoch() == 0)
            support::shuffle(order_, rng);
        const Index first = (at_++ % per_epoch()) * size_;
        return std::span<const Index>(order_).subspan(static_cast<std::size_t>(first),
                                                      static_cast<std::size_t>(size_));
    }

  private:
    std::vector<Index> order_;
    Index size_;
    Index at_ = 0;
};

} // namespace support
