// SPDX-License-Identifier: BSL-1.0

#include "support/golden.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <ostream>

namespace test {

using nlohmann::json;

namespace {

void append_numbers(const json& value, std::vector<double>& to)
{
    if (value.is_array())
        for (const json& element : value)
            append_numbers(element, to);
    else
        to.push_back(number_of(value));
}

/// A number, a boolean, a (nested) list, or {"shape", "data"}.
Tensor tensor_of(const json& value, const std::string& name)
{
    Tensor tensor;
    const json& data = value.is_object() ? value.at("data") : value;
    if (value.is_object())
        tensor.shape = value.at("shape").get<Shape>();
    else
        for (const json* level = &value; level->is_array(); level = &level->front()) {
            tensor.shape.push_back(static_cast<Index>(level->size()));
            if (level->empty())
                break;
        }
    append_numbers(data, tensor.data);
    if (static_cast<Index>(tensor.data.size()) != count(tensor.shape))
        throw CaseError(name + " has " + std::to_string(tensor.data.size()) +
                        " numbers, but its shape is " + text(tensor.shape));
    return tensor;
}

GoldenCase case_of(const json& value)
{
    GoldenCase golden;
    golden.component = value.at("component").get<std::string>();
    golden.name = value.at("case").get<std::string>();
    golden.rtol = value.value("rtol", golden.rtol);
    golden.atol = value.value("atol", golden.atol);
    const std::string dtype = value.value("dtype", "float64");
    if (dtype != "float64" && dtype != "float32")
        throw CaseError(golden.component + "/" + golden.name + " has dtype " + dtype);
    golden.scalar = dtype == "float32" ? Scalar::f32 : Scalar::f64;
    golden.inputs.params = value.value("params", json::object());
    for (const auto& [name, input] : value.at("inputs").items())
        golden.inputs.tensor(name, tensor_of(input, name));
    for (const auto& [name, output] : value.at("outputs").items())
        golden.outputs.emplace_back(name, tensor_of(output, name));
    return golden;
}

bool close(double got, double want, const GoldenCase& golden)
{
    return got == want || (std::isnan(got) && std::isnan(want)) ||
           std::fabs(got - want) <= golden.rtol * (1 + std::fabs(want)) + golden.atol;
}

std::string at(const Shape& shape, std::size_t i)
{
    std::string out;
    auto rest = static_cast<Index>(i);
    for (std::size_t d = shape.size(); d-- > 0; rest /= shape[d])
        out = std::to_string(rest % shape[d]) + (out.empty() ? "" : ", ") + out;
    return out.empty() ? "" : "[" + out + "]";
}

std::string exactly(double number)
{
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%.17g", number);
    return buffer;
}

} // namespace

std::vector<GoldenCase> read_golden(std::istream& text)
{
    std::vector<GoldenCase> cases;
    for (const json& value : json::parse(text))
        cases.push_back(case_of(value));
    return cases;
}

std::string first_difference(const GoldenCase& golden, const Entry& entry)
{
    Outcome outcome;
    try {
        outcome = run(entry, golden.inputs, {}, golden.scalar);
    }
    catch (const std::exception& thrown) {
        return thrown.what();
    }
    if (!outcome.error.empty())
        return "throws \"" + outcome.error + "\"";
    for (const auto& [name, want] : golden.outputs) {
        const Output* output = outcome.find(name);
        if (output == nullptr)
            return name + " is not an output of the entry";
        const Tensor& got = output->tensor;
        const bool numbers = got.data.size() == 1 && want.data.size() == 1;
        if (got.shape != want.shape && !numbers)
            return name + " has shape " + text(got.shape) + ", not " + text(want.shape);
        for (std::size_t i = 0; i < want.data.size(); ++i)
            if (!close(got.data[i], want.data[i], golden))
                return name + at(want.shape, i) + " is " + exactly(got.data[i]) + ", not " +
                       exactly(want.data[i]);
    }
    return {};
}

GoldenCount run_golden(const std::vector<GoldenCase>& cases, std::ostream& out)
{
    std::map<std::string, std::vector<const GoldenCase*>> components;
    for (const GoldenCase& golden : cases)
        components[golden.component].push_back(&golden);

    GoldenCount count;
    for (const auto& [component, of_component] : components) {
        const auto all = static_cast<int>(of_component.size());
        const Entry* entry = find_entry(component);
        if (entry == nullptr) {
            out << "missing: " << component << '\n';
            count.missing += all;
            continue;
        }
        std::string failures;
        int passed = 0;
        for (const GoldenCase* golden : of_component) {
            const std::string difference = first_difference(*golden, *entry);
            if (difference.empty())
                ++passed;
            else
                failures += "  " + component + "/" + golden->name + ": " + difference + '\n';
        }
        out << component << ": " << passed << " of " << all << " cases\n" << failures;
        count.passed += passed;
        count.failed += all - passed;
    }
    out << count.passed << " passed, " << count.failed << " failed, " << count.missing
        << " missing\n";
    return count;
}

std::vector<GoldenCase> read_golden(const std::vector<std::filesystem::path>& folders)
{
    std::vector<std::filesystem::path> files;
    for (const auto& folder : folders) {
        if (!std::filesystem::is_directory(folder)) {
            files.push_back(folder);
            continue;
        }
        for (const auto& file : std::filesystem::recursive_directory_iterator(folder))
            if (file.path().extension() == ".json")
                files.push_back(file.path());
    }
    std::sort(files.begin(), files.end());

    std::vector<GoldenCase> cases;
    for (const auto& file : files)
        try {
            std::ifstream text(file);
            if (!text)
                throw CaseError("cannot be read");
            for (GoldenCase& golden : read_golden(text))
                cases.push_back(std::move(golden));
        }
        catch (const std::exception& thrown) {
            throw CaseError(file.string() + ": " + thrown.what());
        }
    return cases;
}

} // namespace test
