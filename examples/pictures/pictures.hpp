// SPDX-License-Identifier: BSL-1.0
#pragma once

// The pictures of the pages on mixing, noisy labels and semi-supervised learning: one for each technique,
// drawn from what the library computes. Everything is in double, see support/plot.hpp.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <temper/core/random.hpp>

#include "support/data.hpp"
#include "support/plot.hpp"
#include "support/tiles.hpp"

namespace pictures {

using support::Axes;
using support::Curve;
using support::half_width;
using support::images;
using support::Index;
using support::lines;
using support::Mark;
using support::Panel;
using support::svg;
using support::third_width;
using support::TileNames;
using support::tiles;
using support::titled;
using Matrix = support::Matrix<double>;
using Numbers = std::vector<double>;

/// Names of files without their ending, and what is drawn.
using Album = std::map<std::string, std::string>;

// One of each page, in a file of its own.
void mixing(const support::LabelledData& digits, Album& album);
void label_noise(Album& album);
void sample_weights(const support::LabelledData& digits, Album& album);
void semi_supervised(const support::LabelledData& digits, Album& album);

/// `count` numbers from `low` to `high`.
inline Numbers from_to(double low, double high, Index count = 81)
{
    Numbers x;
    for (Index i = 0; i < count; ++i)
        x.push_back(low + (high - low) * static_cast<double>(i) / static_cast<double>(count - 1));
    return x;
}

template <class F>
Numbers map(const Numbers& x, const F& f)
{
    Numbers y;
    for (const double value : x)
        y.push_back(f(value));
    return y;
}

inline Numbers column(const Matrix& m, Index j)
{
    Numbers out;
    for (Index i = 0; i < m.rows(); ++i)
        out.push_back(m(i, j));
    return out;
}

/// Logits [x, k], in row i x_i at the class `at`, and `others` elsewhere: a loss along one logit.
inline Matrix along(const Numbers& x, Index at, const Numbers& others)
{
    Matrix z(static_cast<Index>(x.size()), static_cast<Index>(others.size()));
    for (Index i = 0; i < z.rows(); ++i)
        for (Index j = 0; j < z.cols(); ++j)
            z(i, j) = (j == at ? x : others)[static_cast<std::size_t>(j == at ? i : j)];
    return z;
}

inline std::vector<int> all(const Numbers& x, int label)
{
    return std::vector<int>(x.size(), label);
}

/// The first digits of these classes, each class as often as it is asked for.
inline support::LabelledData first_of(const support::LabelledData& digits,
                                      const std::vector<int>& classes)
{
    std::vector<Index> rows;
    std::vector<std::size_t> from(10, 0);
    for (const int c : classes) {
        std::size_t& i = from[static_cast<std::size_t>(c)];
        while (digits.y[i] != c)
            ++i;
        rows.push_back(static_cast<Index>(i++));
    }
    return support::take(digits, rows);
}

/// A row of square images, each with a caption or none.
inline support::ImageGrid::ImageRow image_row(const std::string& name, const Matrix& images,
                                              const std::vector<std::string>& captions = {})
{
    support::ImageGrid::ImageRow row{name, {}};
    const auto side =
        static_cast<Index>(std::lround(std::sqrt(static_cast<double>(images.cols()))));
    for (Index i = 0; i < images.rows(); ++i)
        row.images.push_back(
            {Eigen::Map<const Matrix>(images.row(i).data(), side, side).cast<float>(),
             captions.empty() ? "" : captions[static_cast<std::size_t>(i)]});
    return row;
}

inline std::string percent(double share) { return std::to_string(std::lround(100 * share)) + " %"; }

} // namespace pictures
