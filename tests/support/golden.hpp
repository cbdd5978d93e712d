// SPDX-License-Identifier: BSL-1.0
#pragma once

// Golden cases: numbers that a component must give, many of them made by the published code of a paper.
// A file is an array of
//
//   {"component", "case", "paper", "origin", "source", "dtype", "params", "inputs", "outputs", "rtol",
//    "atol", "notes"}
//
// of which component, case, inputs and outputs must be there. Inputs are numbers or {"shape", "data"},
// outputs also lists and booleans; data is row-major; "inf", "-inf" and "nan" are numbers. dtype is
// "float64" (where not said) or "float32".

#include "catalog.hpp"

#include <filesystem>
#include <iosfwd>

namespace test {

struct GoldenCase {
    std::string component;
    std::string name;
    Scalar scalar = Scalar::f64;
    Inputs inputs;
    std::vector<std::pair<std::string, Tensor>> outputs;
    double rtol = 1e-9;
    double atol = 0;
};

/// Throws std::exception where the text is not of the format.
[[nodiscard]] std::vector<GoldenCase> read_golden(std::istream& text);

/// The first difference: |got - want| > rtol (1 + |want|) + atol, another shape, or an output that the
/// entry does not give. Empty if there is none.
[[nodiscard]] std::string first_difference(const GoldenCase& golden, const Entry& entry);

struct GoldenCount {
    int passed = 0;
    int failed = 0;
    int missing = 0;
};

/// Runs cases and writes a line per component (in alphabetical order), and a line per failing case.
GoldenCount run_golden(const std::vector<GoldenCase>& cases, std::ostream& out);

/// All cases of the files (*.json) in these folders, or of these files.
[[nodiscard]] std::vector<GoldenCase>
read_golden(const std::vector<std::filesystem::path>& folders);

} // namespace test
