// SPDX-License-Identifier: BSL-1.0

// Our objectives in XGBoost itself, through its C interface, beside its own.

#include <temper/adapt/boosting.hpp>

#include <temper/core/random.hpp>
#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>
#include <temper/loss/focal_loss.hpp>
#include <temper/loss/label_distributionally_robust_loss.hpp>
#include <temper/loss/robust_loss.hpp>
#include <temper/loss/sigmoid_focal_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

#include <xgboost/c_api.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace temper;
using Floats = std::vector<float>;
using Settings = std::vector<std::pair<std::string, std::string>>;

namespace {

void must(int code)
{
    if (code != 0)
        throw std::runtime_error(XGBGetLastError());
}

struct Data {
    Index n = 0;
    Floats x; ///< [n, features]
    Floats y; ///< the last column of the file
};

/// Every row whose number leaves `rest` modulo 4, or all others.
Data read(const std::string& file, bool training)
{
    std::ifstream in(TEMPER_TEST_DATA "/" + file);
    REQUIRE(in.good());
    Data data;
    std::string line;
    std::getline(in, line);
    for (int number = 0; std::getline(in, line); ++number) {
        if ((number % 4 != 0) != training)
            continue;
        std::istringstream cells(line);
        Floats row;
        for (std::string cell; std::getline(cells, cell, ',');)
            row.push_back(std::strtof(cell.c_str(), nullptr));
        data.y.push_back(row.back());
        data.x.insert(data.x.end(), row.begin(), row.end() - 1);
        ++data.n;
    }
    return data;
}

class Matrix {
  public:
    explicit Matrix(const Data& data)
    {
        const auto n = static_cast<bst_ulong>(data.n);
        must(XGDMatrixCreateFromMat(data.x.data(), n, data.x.size() / n, -1e9F, &handle));
        must(XGDMatrixSetFloatInfo(handle, "label", data.y.data(), data.y.size()));
    }
    Matrix(const Matrix&) = delete;
    Matrix& operator=(const Matrix&) = delete;
    ~Matrix() { XGDMatrixFree(handle); }

    DMatrixHandle handle = nullptr;
};

class Booster {
  public:
    Booster(const Matrix& training, const Settings& settings) : training_(training.handle)
    {
        must(XGBoosterCreate(&training_, 1, &handle_));
        Settings all{{"tree_method", "hist"},
                     {"max_depth", "3"},
                     {"eta", "0.5"},
                     {"nthread", "1"},
                     {"verbosity", "0"}};
        all.insert(all.end(), settings.begin(), settings.end());
        for (const auto& [name, value] : all)
            must(XGBoosterSetParam(handle_, name.c_str(), value.c_str()));
    }
    Booster(const Booster&) = delete;
    Booster& operator=(const Booster&) = delete;
    ~Booster() { XGBoosterFree(handle_); }

    [[nodiscard]] Floats margins(const Matrix& of) const { return predict(of.handle); }

    /// A round of the objective that the settings name.
    void update(int round) { must(XGBoosterUpdateOneIter(handle_, round, training_)); }
    /// A round of ours; returns the loss before it.
    template <class Objective, class Y>
    double boost(const Objective& objective, Index n, const Y& targets)
    {
        const Floats z = predict(training_);
        Floats gradient(z.size());
        Floats bend(z.size());
        const double value = objective.row_major(n, z, targets, gradient, bend);
        must(XGBoosterBoostOneIter(handle_, training_, gradient.data(), bend.data(), z.size()));
        return value;
    }

  private:
    [[nodiscard]] Floats predict(DMatrixHandle of) const
    {
        const char* config = R"({"type": 1, "training": false, "iteration_begin": 0,
                                 "iteration_end": 0, "strict_shape": true})";
        const bst_ulong* shape = nullptr;
        bst_ulong rank = 0;
        const float* result = nullptr;
        must(XGBoosterPredictFromDMatrix(handle_, of, config, &shape, &rank, &result));
        return Floats(result, result + std::accumulate(shape, shape + rank, bst_ulong{1},
                                                       std::multiplies<>{}));
    }

    DMatrixHandle training_;
    BoosterHandle handle_ = nullptr;
};

double accuracy(const Floats& z, const Floats& y)
{
    const std::size_t k = z.size() / y.size();
    double right = 0;
    for (std::size_t i = 0; i < y.size(); ++i) {
        const auto row = z.begin() + static_cast<std::ptrdiff_t>(i * k);
        const auto best = k == 1
                              ? (*row > 0 ? 1 : 0)
                              : std::max_element(row, row + static_cast<std::ptrdiff_t>(k)) - row;
        right += static_cast<float>(best) == y[i] ? 1 : 0;
    }
    return right / static_cast<double>(y.size());
}

double mean_error(const Floats& z, const Floats& y)
{
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
        sum += std::fabs(z[i] - y[i]);
    return sum / static_cast<double>(y.size());
}

double mean_distance(const Floats& a, const Floats& b)
{
    REQUIRE(a.size() == b.size());
    return mean_error(a, b);
}

const Data& train()
{
    static const Data data = read("digits.csv", true);
    return data;
}
const Data& test()
{
    static const Data data = read("digits.csv", false);
    return data;
}
const Settings of_ten{{"objective", "multi:softprob"}, {"num_class", "10"}};
constexpr int rounds = 8;

/// The margins of the test rows after some rounds of ours.
template <class Objective>
Floats boosted(const Objective& objective)
{
    const Matrix matrix(train());
    Booster booster(matrix, of_ten);
    for (int round = 0; round < rounds; ++round)
        booster.boost(objective, train().n, labels(train().y));
    return booster.margins(Matrix(test()));
}

} // namespace

TEST_CASE("softmax cross-entropy in XGBoost is multi:softprob")
{
    const Matrix matrix(train());
    Booster theirs(matrix, of_ten);
    for (int round = 0; round < rounds; ++round)
        theirs.update(round);
    const Floats want = theirs.margins(Matrix(test()));
    // Its own curvature is 2 p (1 - p).
    const Floats got = boosted(BoostingObjective<SoftmaxCrossEntropy>{.curvature_factor = 2});
    CHECK(mean_distance(got, want) < 1e-5);
    CHECK(accuracy(got, test().y) == Approx(accuracy(want, test().y)).margin(0.005));
    CHECK(accuracy(want, test().y) > 0.93);

    // With the exact curvature steps are larger: not the same trees, but as good ones.
    const Floats exact = boosted(BoostingObjective<SoftmaxCrossEntropy>{});
    CHECK(mean_distance(exact, want) > 0.1);
    CHECK(accuracy(exact, test().y) > 0.93);
}

TEST_CASE("binary cross-entropy in XGBoost is binary:logistic")
{
    Data binary = train();
    Data binary_test = test();
    for (Data* data : {&binary, &binary_test})
        for (float& label : data->y)
            label = label >= 5 ? 1 : 0;
    const Matrix matrix(binary);
    const Matrix other(binary_test);
    const Settings settings{{"objective", "binary:logistic"}};
    Booster theirs(matrix, settings);
    Booster ours(matrix, settings);
    const BoostingObjective<SigmoidFocalLoss> objective{
        .loss = {.gamma = 0, .alpha = std::nullopt}};
    double before = 1e30;
    for (int round = 0; round < rounds; ++round) {
        theirs.update(round);
        const double value = ours.boost(objective, binary.n, labels(binary.y));
        CHECK(value < before);
        before = value;
    }
    CHECK(mean_distance(ours.margins(other), theirs.margins(other)) < 1e-5);
    CHECK(accuracy(ours.margins(other), binary_test.y) > 0.9);
}

TEST_CASE("squared error in XGBoost is reg:squarederror")
{
    const Matrix matrix(train());
    const Matrix other(test());
    const Settings settings{{"objective", "reg:squarederror"}};
    Booster theirs(matrix, settings);
    Booster ours(matrix, settings);
    for (int round = 0; round < rounds; ++round) {
        theirs.update(round);
        ours.boost(BoostingObjective<RobustLoss<HalfL2Residual>>{}, train().n, train().y);
    }
    CHECK(mean_distance(ours.margins(other), theirs.margins(other)) < 1e-5);
}

TEST_CASE("the other losses of classes train trees")
{
    CHECK(accuracy(boosted(BoostingObjective<FocalLoss>{}), test().y) > 0.93);
    CHECK(accuracy(boosted(BoostingObjective<LabelDistributionallyRobustLoss>{
                       .loss = {.normalisation = LogitNormalisation::none}}),
                   test().y) > 0.93);
    CHECK(accuracy(boosted(BoostingObjective<LabelDistributionallyRobustLoss>{}), test().y) > 0.9);

    // With a state, which is advanced in each round.
    const AdaptiveLabelDistributionallyRobustLoss loss{
        .normalisation = LogitNormalisation::softplus_mean, .reduction = Reduction::sum};
    auto state = loss.init(train().n);
    std::vector<Index> ids(static_cast<std::size_t>(train().n));
    std::iota(ids.begin(), ids.end(), Index{0});
    CHECK(accuracy(boosted(BoostingObjective{.loss =
                                                 [&](const auto& z, const auto&... rest) {
                                                     loss.observe(state, ids, z);
                                                     return loss(state, ids, z, rest...);
                                                 }}),
                   test().y) > 0.9);
    CHECK(*std::min_element(state.lambda.begin(), state.lambda.end()) < 0.9);
}

TEST_CASE("the mean's curvature is too small for any leaf")
{
    const Floats z = boosted(BoostingObjective<SoftmaxCrossEntropy>{.reduction = Reduction::mean});
    CHECK(*std::max_element(z.begin(), z.end()) == *std::min_element(z.begin(), z.end()));
}

TEST_CASE("a robust loss in XGBoost does not follow outliers")
{
    Data patients = read("diabetes.csv", true);
    const Data others = read("diabetes.csv", false);
    auto rng = stream(11, 0, "outliers");
    for (float& y : patients.y)
        if (uniform(rng) < 0.15)
            y += 1000;
    const Matrix matrix(patients);
    const Matrix clean(others);
    const auto error = [&](const auto& loss) {
        Booster booster(matrix, {{"objective", "reg:squarederror"},
                                 {"base_score", "150"},
                                 {"eta", "0.2"},
                                 {"min_child_weight", "1e-6"},
                                 {"lambda", "1e-6"}});
        for (int round = 0; round < 30; ++round)
            booster.boost(BoostingObjective{.loss = loss}, patients.n, patients.y);
        return mean_error(booster.margins(clean), others.y);
    };
    const double squares = error(RobustLoss<HalfL2Residual>{});
    const double huber = error(RobustLoss<Huber>{.kernel = {.c = 50}});
    const double cauchy = error(RobustLoss<Cauchy>{.kernel = {.c = 50}});
    CAPTURE(squares, huber, cauchy);
    CHECK(huber < 0.75 * squares);
    CHECK(cauchy < 0.6 * squares);
}

TEST_CASE("label-distributionally robust loss does not learn wrong labels by heart")
{
    Data noisy = train();
    auto rng = stream(7, 0, "noise");
    for (float& label : noisy.y)
        if (uniform(rng) < 0.4)
            label = static_cast<float>(uniform_index(rng, 10));
    const Matrix matrix(noisy);
    const Matrix clean(test());
    const auto after = [&](const auto& loss) {
        Booster booster(matrix, of_ten);
        for (int round = 0; round < 40; ++round)
            booster.boost(BoostingObjective{.loss = loss}, noisy.n, labels(noisy.y));
        return accuracy(booster.margins(clean), test().y);
    };
    const double entropy = after(SoftmaxCrossEntropy{});
    const double robust = after(LabelDistributionallyRobustLoss{.lambda = 10});
    CAPTURE(entropy, robust);
    CHECK(robust > entropy + 0.03);
}
