// SPDX-License-Identifier: BSL-1.0

#include "support/golden.hpp"

#include "support/catch.hpp"

#include <sstream>

using namespace test;

namespace {

/// y = a x, in the scalar type of the case.
Entry scaling()
{
    return make_entry({"scaling"}, batches({"x"}), [](auto& c) {
        using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
        const auto x = c.tensor("x");
        const auto y = c.out("y", c.shape("x"));
        T sum = 0;
        for (Index i = 0; i < x.size(); ++i) {
            temper::testing::entry(y.view, i) =
                static_cast<T>(c.number("a")) * temper::testing::entry(x, i);
            sum += temper::testing::entry(y.view, i);
        }
        c.value(static_cast<double>(sum));
        c.put("positive", sum > 0);
        c.put("count", std::vector<double>{static_cast<double>(x.size())});
    });
}

/// What is different in a case of `scaling` with these fields.
std::string difference(const std::string& fields)
{
    std::istringstream file(R"([{"component": "scaling", "case": "c", )" + fields + "}]");
    return first_difference(read_golden(file).at(0), scaling());
}

const std::string x23 =
    R"("params": {"a": 2}, "inputs": {"x": {"shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]}}, )";

std::string run_text(const std::string& file)
{
    std::istringstream text(file);
    std::ostringstream out;
    run_golden(read_golden(text), out);
    return out.str();
}

} // namespace

TEST_CASE("golden cases that agree have no difference")
{
    CHECK(difference(x23 + R"("outputs": {"y": {"shape": [2, 3], "data": [2, 4, 6, 8, 10, 12]},
        "value": 42, "positive": true, "count": [6]})") == "");
    CHECK(
        difference(R"("params": {"a": "inf"}, "inputs": {"x": {"shape": [2], "data": [1, "-inf"]}},
        "outputs": {"y": {"shape": [2], "data": ["inf", "-inf"]}, "value": "nan"})") == "");
    CHECK(difference(R"("inputs": {"x": 3, "a": {"shape": [1], "data": [2]}},
        "outputs": {"y": 6, "count": 1})") == "");
    CHECK(difference(R"("params": {"a": 1}, "inputs": {"x": {"shape": [0, 2], "data": []}},
        "outputs": {"y": {"shape": [0, 2], "data": []}, "value": 0, "positive": false})") == "");
}

TEST_CASE("the first difference of a golden case is named")
{
    CHECK(difference(x23 + R"("outputs": {"y": {"shape": [2, 3], "data": [2, 4, 6, 8, 11, 0]}})") ==
          "y[1, 1] is 10, not 11");
    CHECK(
        difference(x23 + R"("outputs": {"y": {"shape": [3, 2], "data": [2, 4, 6, 8, 10, 12]}})") ==
        "y has shape [2, 3], not [3, 2]");
    CHECK(difference(x23 + R"("outputs": {"value": "nan"})") == "value is 42, not nan");
    CHECK(difference(x23 + R"("outputs": {"grad_x": 0})") ==
          "grad_x is not an output of the entry");
    CHECK(difference(R"("inputs": {"x": 1}, "outputs": {})") == "needs the parameter a");
    CHECK(difference(R"("params": {"a": "1"}, "inputs": {"x": 1}, "outputs": {})") ==
          "\"1\" is not a number: a");
}

TEST_CASE("tolerances of a golden case are rtol (1 + |want|) + atol")
{
    const auto off_by = [](const std::string& much, const std::string& tolerances) {
        return difference(R"("params": {"a": 1}, "inputs": {"x": 99}, "outputs": {"y": )" + much +
                          "}, " + tolerances) == "";
    };
    CHECK(off_by("99.01", R"("rtol": 1e-4)"));
    CHECK(!off_by("99.01", R"("rtol": 9e-5)"));
    CHECK(off_by("99.01", R"("rtol": 9e-5, "atol": 1e-3)"));
    CHECK(off_by("99.00000009", R"("dtype": "float64")"));
    CHECK(!off_by("99.0000003", R"("dtype": "float64")"));
}

TEST_CASE("float32 cases run in float")
{
    const std::string third =
        R"("params": {"a": 0.1}, "inputs": {"x": 1}, "outputs": {"y": 0.1}, "rtol": 1e-12)";
    CHECK(difference(third) == "");
    CHECK(difference(third + R"(, "dtype": "float32")") ==
          "y is 0.10000000149011612, not " + std::string("0.10000000000000001"));
    CHECK_THROWS_AS(difference(third + R"(, "dtype": "float16")"), CaseError);
}

TEST_CASE("the golden runner counts cases")
{
    CHECK(run_text(R"([
        {"component": "of_no_entry", "case": "a", "inputs": {}, "outputs": {}},
        {"component": "of_no_entry", "case": "b", "inputs": {}, "outputs": {}}])") ==
          "missing: of_no_entry\n0 passed, 0 failed, 2 missing\n");
    CHECK_THROWS_AS(run_text(R"([{"component": "x", "case": "a",
        "inputs": {"x": {"shape": [2], "data": [1]}}, "outputs": {}}])"),
                    CaseError);
    CHECK_THROWS(run_text("[{"));
}
