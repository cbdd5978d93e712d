// SPDX-License-Identifier: BSL-1.0
#include "support/data.hpp"

#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>

namespace support {

Matrix<float> read_csv(const std::filesystem::path& path, Index columns)
{
    std::ifstream file(path);
    if (!file)
        throw std::runtime_error(path.string() + ": cannot be opened");
    std::vector<float> numbers;
    std::string line;
    std::getline(file, line);
    for (Index number = 2; std::getline(file, line); ++number) {
        if (line.empty() || line == "\r")
            continue;
        const char* at = line.c_str();
        for (Index column = 0; column < columns; ++column) {
            char* end = nullptr;
            numbers.push_back(std::strtof(at, &end));
            const bool last = column + 1 == columns;
            if (end == at || (last ? *end != '\0' && *end != '\r' : *end != ','))
                throw std::runtime_error(path.string() + ", line " + std::to_string(number) +
                                         ": expected " + std::to_string(columns) + " numbers");
            at = end + 1;
        }
    }
    const Index rows = static_cast<Index>(numbers.size()) / columns;
    return Eigen::Map<const Matrix<float>>(numbers.data(), rows, columns);
}

LabelledData load_digits(const std::filesystem::path& folder)
{
    const Matrix<float> table = read_csv(folder / "digits.csv", 65);
    LabelledData digits{.x = table.leftCols(64) / 16.0f, .y = {}, .classes = 10};
    for (Index i = 0; i < table.rows(); ++i)
        digits.y.push_back(static_cast<int>(table(i, 64)));
    return digits;
}

RegressionData load_diabetes(const std::filesystem::path& folder)
{
    const Matrix<float> table = read_csv(folder / "diabetes.csv", 11);
    return {.x = table.leftCols(10), .y = table.rightCols(1)};
}

void take_rows(const Matrix<float>& x, std::span<const Index> rows, Matrix<float>& out)
{
    out.resize(static_cast<Index>(rows.size()), x.cols());
    for (std::size_t i = 0; i < rows.size(); ++i)
        out.row(static_cast<Index>(i)) = x.row(rows[i]);
}

Matrix<float> take_rows(const Matrix<float>& x, std::span<const Index> rows)
{
    Matrix<float> out;
    take_rows(x, rows, out);
    return out;
}

void take_labels(std::span<const int> y, std::span<const Index> rows, std::vector<int>& out)
{
    out.resize(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
        out[i] = y[static_cast<std::size_t>(rows[i])];
}

Matrix<float> one_hot(std::span<const int> labels, int classes)
{
    Matrix<float> out = Matrix<float>::Zero(static_cast<Index>(labels.size()), classes);
    for (std::size_t i = 0; i < labels.size(); ++i)
        out(static_cast<Index>(i), labels[i]) = 1.0f;
    return out;
}

LabelledData take(const LabelledData& data, std::span<const Index> rows)
{
    LabelledData out{.x = take_rows(data.x, rows), .y = {}, .classes = data.classes};
    take_labels(data.y, rows, out.y);
    return out;
}

Standardizer::Standardizer(const Matrix<float>& x) : mean(x.colwise().mean())
{
    sd = ((x.rowwise() - mean.row(0)).array().square().colwise().mean()).sqrt().matrix();
    sd = (sd.array() > 0.0f).select(sd, 1.0f);
}

Matrix<float> Standardizer::operator()(const Matrix<float>& x) const
{
    return (x.rowwise() - mean.row(0)).array().rowwise() / sd.row(0).array();
}

} // namespace support
