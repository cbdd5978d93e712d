// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a run is judged by.

#include <span>
#include <vector>

#include "support/matrix.hpp"

namespace support {

/// Mean and sample standard deviation (n - 1; 0 for a single number) over seeds.
struct Summary {
    double mean = 0.0;
    double sd = 0.0;
};

Summary summarize(std::span<const double> values);

/// Row-wise softmax, with the row's largest entry subtracted first.
Matrix<float> softmax(const Matrix<float>& logits);

/// Column of the largest entry of every row, the lowest on ties.
std::vector<int> predictions(const Matrix<float>& scores);

/// Share of rows whose largest score stands at the label.
double accuracy(const Matrix<float>& scores, std::span<const int> labels);

/// Mean of -log p(label); probabilities below 1e-30 count as 1e-30.
double negative_log_likelihood(const Matrix<float>& probabilities, std::span<const int> labels);

/// One bin of a reliability diagram: predictions whose confidence lies in (low, high].
struct ReliabilityBin {
    double low = 0.0;
    double high = 0.0;
    double count = 0.0;
    double confidence = 0.0; // mean over the bin; 0 where it is empty
    double accuracy = 0.0;   // likewise
};

/// Bins of equal width over the confidence max_j p_j.
std::vector<ReliabilityBin> reliability(const Matrix<float>& probabilities,
                                        std::span<const int> labels, int bins = 15);

/// Sum over bins of (share of the rows) |accuracy - confidence| (Naeini et al. 2015).
double expected_calibration_error(std::span<const ReliabilityBin> bins);

/// The same bins over several runs: counts add up, means are weighted by counts.
std::vector<ReliabilityBin> merge_bins(const std::vector<std::vector<ReliabilityBin>>& runs);

double mean_absolute_error(const Matrix<float>& predicted, const Matrix<float>& target);

/// In descending order.
std::vector<double> singular_values(const Matrix<float>& w);

/// Largest over smallest singular value; infinity for a singular matrix.
double condition_number(const Matrix<float>& w);

double geometric_mean(std::span<const double> values);

} // namespace support
