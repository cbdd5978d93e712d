// SPDX-License-Identifier: BSL-1.0
#include "support/stats.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include <Eigen/SVD>

namespace support {

Summary summarize(std::span<const double> values)
{
    Summary summary;
    if (values.empty())
        return summary;
    const auto n = static_cast<double>(values.size());
    for (const double value : values)
        summary.mean += value / n;
    for (const double value : values)
        summary.sd += (value - summary.mean) * (value - summary.mean);
    summary.sd = values.size() > 1 ? std::sqrt(summary.sd / (n - 1.0)) : 0.0;
    return summary;
}

Matrix<float> softmax(const Matrix<float>& logits)
{
    Matrix<float> p = (logits.colwise() - logits.rowwise().maxCoeff()).array().exp();
    p.array().colwise() /= p.rowwise().sum().array();
    return p;
}

std::vector<int> predictions(const Matrix<float>& scores)
{
    std::vector<int> classes(static_cast<std::size_t>(scores.rows()));
    for (Index i = 0; i < scores.rows(); ++i) {
        Index best = 0;
        scores.row(i).maxCoeff(&best);
        classes[static_cast<std::size_t>(i)] = static_cast<int>(best);
    }
    return classes;
}

double accuracy(const Matrix<float>& scores, std::span<const int> labels)
{
    const std::vector<int> predicted = predictions(scores);
    double right = 0.0;
    for (std::size_t i = 0; i < labels.size(); ++i)
        right += predicted[i] == labels[i] ? 1.0 : 0.0;
    return labels.empty() ? 0.0 : right / static_cast<double>(labels.size());
}

double negative_log_likelihood(const Matrix<float>& probabilities, std::span<const int> labels)
{
    double sum = 0.0;
    for (std::size_t i = 0; i < labels.size(); ++i)
        sum -= std::log((std::max)(
            1e-30, static_cast<double>(probabilities(static_cast<Index>(i), labels[i]))));
    return labels.empty() ? 0.0 : sum / static_cast<double>(labels.size());
}

std::vector<ReliabilityBin> reliability(const Matrix<float>& probabilities,
                                        std::span<const int> labels, int bins)
{
    std::vector<ReliabilityBin> out(static_cast<std::size_t>(bins));
    for (int b = 0; b < bins; ++b) {
        out[static_cast<std::size_t>(b)].low = static_cast<double>(b) / bins;
        out[static_cast<std::size_t>(b)].high = static_cast<double>(b + 1) / bins;
    }
    const std::vector<int> predicted = predictions(probabilities);
    for (std::size_t i = 0; i < labels.size(); ++i) {
        const double p = probabilities(static_cast<Index>(i), predicted[i]);
        const auto b = static_cast<int>(std::ceil(p * bins)) - 1;
        ReliabilityBin& bin = out[static_cast<std::size_t>(std::clamp(b, 0, bins - 1))];
        bin.count += 1.0;
        bin.confidence += p;
        bin.accuracy += predicted[i] == labels[i] ? 1.0 : 0.0;
    }
    for (ReliabilityBin& bin : out) {
        bin.confidence /= (std::max)(1.0, bin.count);
        bin.accuracy /= (std::max)(1.0, bin.count);
    }
    return out;
}

double expected_calibration_error(std::span<const ReliabilityBin> bins)
{
    double total = 0.0;
    double error = 0.0;
    for (const ReliabilityBin& bin : bins) {
        total += bin.count;
        error += bin.count * std::abs(bin.accuracy - bin.confidence);
    }
    return total > 0.0 ? error / total : 0.0;
}

std::vector<ReliabilityBin> merge_bins(const std::vector<std::vector<ReliabilityBin>>& runs)
{
    std::vector<ReliabilityBin> merged =
        runs.empty() ? std::vector<ReliabilityBin>{} : runs.front();
    for (std::size_t b = 0; b < merged.size(); ++b) {
        ReliabilityBin& bin = merged[b];
        bin.count = bin.confidence = bin.accuracy = 0.0;
        for (const std::vector<ReliabilityBin>& run : runs) {
            bin.count += run[b].count;
            bin.confidence += run[b].count * run[b].confidence;
            bin.accuracy += run[b].count * run[b].accuracy;
        }
        bin.confidence /= (std::max)(1.0, bin.count);
        bin.accuracy /= (std::max)(1.0, bin.count);
    }
    return merged;
}

double mean_absolute_error(const Matrix<float>& predicted, const Matrix<float>& target)
{
    return static_cast<double>((predicted - target).cwiseAbs().mean());
}

std::vector<double> singular_values(const Matrix<float>& w)
{
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(w.cast<double>());
    const auto& s = svd.singularValues();
    return {s.data(), s.data() + s.size()};
}

double condition_number(const Matrix<float>& w)
{
    const std::vector<double> s = singular_values(w);
    if (s.empty() || s.back() <= 0.0)
        return std::numeric_limits<double>::infinity();
    return s.front() / s.back();
}

double geometric_mean(std::span<const double> values)
{
    double sum = 0.0;
    for (const double value : values)
        sum += std::log(value);
    return values.empty() ? 0.0 : std::exp(sum / static_cast<double>(values.size()));
}

} // namespace support
