// SPDX-License-Identifier: BSL-1.0
#pragma once

// The digits in batches of noisy pairs, for the examples in examples/compose/: row i and row n + i of x are
// two views of one image, and y has its label twice. 100 images of each class are there to train on.

#include <filesystem>
#include <random>
#include <vector>

#include "support/data.hpp"

namespace support {

class TwoViews {
  public:
    static constexpr Index n = 50;
    LabelledData train, test;
    Matrix<float> x; // [2 n, 64], rows one after another
    std::vector<int> y;

    explicit TwoViews(const std::filesystem::path& folder) : train(load_digits(folder))
    {
        const Split split = stratified_split(train.y, train.classes, 100, rng_);
        test = take(train, split.test);
        train = take(train, split.train);
        batches_ = Batches(train.x.rows(), n);
    }
    [[nodiscard]] Index per_epoch() const { return batches_.per_epoch(); }

    /// The next batch, in x and y.
    void next()
    {
        const std::span<const Index> batch = batches_.next(rng_);
        rows_.assign(batch.begin(), batch.end());
        rows_.insert(rows_.end(), batch.begin(), batch.end());
        take_rows(train.x, rows_, x);
        take_labels(train.y, rows_, y);
        for (Index i = 0; i < x.size(); ++i)
            x.data()[i] += 0.15F * static_cast<float>(normal(rng_));
    }

  private:
    std::mt19937_64 rng_{1};
    std::vector<Index> rows_;
    Batches batches_{1, 1};
};

} // namespace support
