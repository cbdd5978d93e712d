// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace {

using temper::Index;
using temper::stream;

static_assert(std::uniform_random_bit_generator<temper::Stream>);
static_assert(temper::BitGenerator<std::mt19937> && temper::BitGenerator<std::minstd_rand>);
static_assert(!temper::BitGenerator<int (*)()>);

// The name is hashed by the compiler.
static_assert(stream(1, 2, "mixup") == temper::Stream(stream(1, 2, "mixup")));
static_assert(temper::fnv1a("foobar") == 0x85944171f73967e8);

/// Gives the numbers of a list, in turn.
template <std::uint64_t Min, std::uint64_t Max>
struct Scripted {
    using result_type = std::uint64_t;
    std::vector<result_type> numbers;
    std::size_t next = 0;
    static constexpr result_type min() { return Min; }
    static constexpr result_type max() { return Max; }
    result_type operator()() { return numbers.at(next++); }
};

/// sqrt(n) times the largest distance between the empirical distribution and `cdf` (Kolmogorov and
/// Smirnov). Above 1.95 with probability 0.001 where the distribution is right.
double ks_distance(std::vector<double> sample, const std::function<double(double)>& cdf)
{
    std::sort(sample.begin(), sample.end());
    const auto n = static_cast<double>(sample.size());
    double worst = 0;
    for (std::size_t i = 0; i < sample.size(); ++i) {
        const double f = cdf(sample[i]);
        const auto rank = static_cast<double>(i);
        worst = (std::max)({worst, f - rank / n, (rank + 1) / n - f});
    }
    return worst * std::sqrt(n);
}

template <class Draw>
std::vector<double> sample_of(std::size_t n, Draw draw)
{
    std::vector<double> out(n);
    for (double& v : out)
        v = draw();
    return out;
}

/// |sample mean - mean| in standard errors.
double mean_error(const std::vector<double>& sample, double mean, double variance)
{
    const auto n = static_cast<double>(sample.size());
    const double got = std::accumulate(sample.begin(), sample.end(), 0.0) / n;
    return std::fabs(got - mean) / std::sqrt(variance / n);
}

constexpr std::size_t many = 200'000;

} // namespace

TEST_CASE("random: Philox gives the published known answers", "[core][random]")
{
    // kat_vectors of Random123, philox4x32 with 10 rounds.
    using Block = std::array<std::uint32_t, 4>;
    CHECK(temper::philox4x32({0, 0, 0, 0}, {0, 0}) ==
          Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    const std::uint32_t ones = 0xffffffff;
    CHECK(temper::philox4x32({ones, ones, ones, ones}, {ones, ones}) ==
          Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(temper::philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                             {0xa4093822, 0x299f31d0}) ==
          Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: a stream's words are Philox blocks of its key and step", "[core][random]")
{
    temper::Stream s(0, 0);
    CHECK(s() == 0xe169c58d6627e8d5);
    CHECK(s() == 0x9b00dbd8bc57ac4c);

    temper::Stream t(0x299f31d0a4093822, 0x0370734413198a2e);
    t.discard(2 * 0x05a308d3243f6a88);
    const auto block = temper::philox4x32({0x243f6a88, 0x05a308d3, 0x13198a2e, 0x03707344},
                                          {0xa4093822, 0x299f31d0});
    CHECK(t() == (block[0] | std::uint64_t{block[1]} << 32));
    CHECK(t() == (block[2] | std::uint64_t{block[3]} << 32));
    // Frozen: a change of these words changes every user's run.
    auto frozen = stream(2026, 17, "mixup", 3);
    CHECK(frozen() == 0xc0fec927bd95996a);
    CHECK(frozen() == 0xfdb3fd25b80a3c0d);
    CHECK(frozen() == 0x225efc5643acb084);
}

TEST_CASE("random: streams are told apart by every argument, and start again", "[core][random]")
{
    std::set<std::uint64_t> firsts;
    int asked = 0;
    for (std::uint64_t seed = 0; seed < 8; ++seed)
        for (Index step = 0; step < 8; ++step)
            for (const char* name : {"mixup", "dropout", "noise", ""})
                for (Index rank = 0; rank < 4; ++rank) {
                    auto rng = stream(seed, step, name, rank);
                    firsts.insert(rng());
                    ++asked;
                }
    CHECK(static_cast<int>(firsts.size()) == asked);
    CHECK(stream(5, 6, "a", 7)() == stream(5, 6, "a", 7)());
}

TEST_CASE("random: discard skips words", "[core][random]")
{
    for (std::uint64_t before : {0, 1, 2, 3})
        for (std::uint64_t skip : {0, 1, 2, 3, 10, 11}) {
            auto stepped = stream(1, 2, "x");
            for (std::uint64_t i = 0; i < before + skip; ++i)
                stepped();
            auto skipped = stream(1, 2, "x");
            for (std::uint64_t i = 0; i < before; ++i)
                skipped();
            skipped.discard(skip);
            CHECK(skipped == stepped);
            CHECK(skipped() == stepped());
            CHECK(skipped() == stepped());
        }
}

TEST_CASE("random: 64 bits are gathered from generators of any range", "[core][random]")
{
    std::mt19937 words32; // its first two outputs are 3499211612 and 581869302
    CHECK(temper::random_bits(words32) == 0x22ae9ef6d091bb5c);
    std::mt19937_64 words64;
    CHECK(temper::random_bits(words64) == 14514284786278117030u);

    // Five values from 3 upwards: two bits from each draw below 3 + 4, a draw of 3 + 4 is dropped.
    Scripted<3, 7> five;
    std::uint64_t want = 0;
    for (int i = 0; i < 32; ++i) {
        const auto value = static_cast<std::uint64_t>(i * i % 4);
        five.numbers.push_back(3 + value);
        if (i % 3 == 0)
            five.numbers.push_back(7);
        want |= value << (2 * i);
    }
    CHECK(temper::random_bits(five) == want);
    CHECK(five.next >= 32);

    // 30 bits at a time: 30 + 30 + 4, the rest of the third draw falls off.
    Scripted<1, 2147483646> odd{{1 + 5, 1 + (1u << 30), 1 + 6, 1 + 0x3fffffff}};
    CHECK(temper::random_bits(odd) == (5u | std::uint64_t{6} << 30 | std::uint64_t{15} << 60));

    Scripted<0, 1> coin{std::vector<std::uint64_t>(64, 1)};
    CHECK(temper::random_bits(coin) == ~std::uint64_t{0});
}

TEST_CASE("random: distributions give frozen bits", "[core][random]")
{
    // The same with every compiler, instruction set and standard library: see portable_math.hpp.
    auto rng = stream(1, 0, "known answers");
    CHECK(temper::uniform(rng) == 0x1.627b4fea88bd6p-2);
    CHECK(temper::uniform_index(rng, 1000) == 39);
    CHECK(temper::uniform_index(rng, (Index{1} << 62) + 1) == 834937844643734057);
    CHECK(temper::normal(rng) == -0x1.592fec45edde8p-2);
    double sum = 0;
    for (int i = 0; i < 100'000; ++i) // meets every layer, the wedges and the tail
        sum += temper::normal(rng);
    CHECK(sum == 0x1.57f9fda8dbb6bp+8);
    CHECK(temper::gamma(rng, 2.5) == 0x1.6ea7a6d8d82e6p+0);
    CHECK(temper::gamma(rng, 0.3) == 0x1.e2088b4df944cp-3);
    CHECK(temper::beta(rng, 0.2, 0.2) == 0x1.dace945604958p-5);
    CHECK(temper::beta(rng, 3, 1.5) == 0x1.64beb62493e63p-4);
    sum = 0;
    for (int i = 0; i < 100'000; ++i)
        sum += temper::gamma(rng, 1.7);
    CHECK(sum == 0x1.4bb99fc3bad29p+17);
    sum = 0;
    for (int i = 0; i < 100'000; ++i)
        sum += temper::beta(rng, 0.7, 1.7);
    CHECK(sum == 0x1.c63f44a1a1028p+14);
    const std::array<double, 3> alpha{1, 0.5, 2};
    std::array<double, 3> p{};
    temper::dirichlet(rng, alpha, p);
    CHECK(p == std::array{0x1.017429f294024p-2, 0x1.9f5215bc084c6p-5, 0x1.6550c9aaf57a1p-1});
    std::array<Index, 10> order{};
    temper::permutation(rng, order);
    CHECK(order == std::array<Index, 10>{5, 6, 4, 3, 1, 8, 2, 0, 7, 9});
    CHECK(rng() == 0x4e48a3564d7e82b7);
}

TEST_CASE("random: portable log and exp are accurate", "[core][random]")
{
    auto rng = stream(3, 0, "accuracy");
    double worst_log = 0;
    double worst_exp = 0;
    for (int i = 0; i < 100'000; ++i) {
        const double x = std::ldexp(0.5 + temper::uniform(rng), i % 2000 - 1000);
        worst_log = (std::max)(worst_log, std::fabs(temper::portable_log(x) - std::log(x)) /
                                              std::fabs(std::log(x)));
        const double y = (temper::uniform(rng) - 0.5) * (i % 2 ? 1400 : 2);
        worst_exp =
            (std::max)(worst_exp, std::fabs(temper::portable_exp(y) - std::exp(y)) / std::exp(y));
    }
    CHECK(worst_log < 8e-16);
    CHECK(worst_exp < 8e-16);
    CHECK(temper::portable_log(1) == 0);
    CHECK(temper::portable_log(1e-300) == Approx(-690.77552789821371));
    CHECK(temper::portable_exp(0) == 1);
    CHECK(temper::portable_exp(-1e308) == 0);
    CHECK(temper::portable_exp(-744) > 0);
    CHECK(std::isinf(temper::portable_exp(1e300)));
    CHECK(std::isinf(temper::portable_exp(std::numeric_limits<double>::infinity())));
}

TEST_CASE("random: uniform numbers are uniform in [0, 1)", "[core][random]")
{
    auto rng = stream(1, 0, "uniform");
    const auto u = sample_of(many, [&] { return temper::uniform(rng); });
    CHECK(ks_distance(u, [](double x) { return x; }) < 1.95);
    CHECK(mean_error(u, 0.5, 1.0 / 12) < 3.5);

    Scripted<0, ~std::uint64_t{0}> extremes{{0, ~std::uint64_t{0}}};
    CHECK(temper::uniform(extremes) == 0);
    CHECK(temper::uniform(extremes) == 1 - 0x1p-53);
}

TEST_CASE("random: uniform_index is unbiased", "[core][random]")
{
    auto rng = stream(1, 0, "index");
    for (const Index n : {1, 2, 3, 10, 97}) {
        std::vector<double> count(static_cast<std::size_t>(n));
        for (std::size_t i = 0; i < many; ++i) {
            const Index k = temper::uniform_index(rng, n);
            REQUIRE((k >= 0 && k < n));
            ++count[static_cast<std::size_t>(k)];
        }
        const double expected = static_cast<double>(many) / static_cast<double>(n);
        double chi2 = 0;
        for (const double c : count)
            chi2 += (c - expected) * (c - expected) / expected;
        const auto freedom = static_cast<double>(n - 1);
        CHECK(chi2 < freedom + 3.5 * std::sqrt(2 * freedom) + 6);
    }
    // 2/3 of the range of 64 bits: the remainder of a division would fall below 2^62 half of the
    // time.
    const Index n = Index{3} << 61;
    double low = 0;
    for (std::size_t i = 0; i < many; ++i)
        low += temper::uniform_index(rng, n) < n / 3 ? 1 : 0;
    CHECK(low / static_cast<double>(many) == Approx(1.0 / 3).margin(0.004));
    // A product of low words that carries into the upper word: (2^64 - 1) n / 2^64 is n - 1.
    Scripted<0, ~std::uint64_t{0}> ones{{~std::uint64_t{0}, ~std::uint64_t{0}}};
    CHECK(temper::uniform_index(ones, std::numeric_limits<Index>::max()) ==
          std::numeric_limits<Index>::max() - 1);
    // The word 0 is rejected where 2^64 is no multiple of n, and taken where it is.
    Scripted<0, ~std::uint64_t{0}> zero{{0, std::uint64_t{1} << 63, 0}};
    CHECK(temper::uniform_index(zero, 3) == 1);
    CHECK(zero.next == 2);
    CHECK(temper::uniform_index(zero, 4) == 0);
    CHECK_THROWS_AS(temper::uniform_index(rng, 0), temper::RangeError);
    CHECK_THROWS_AS(temper::uniform_index(rng, -4), temper::RangeError);
}

TEST_CASE("random: bernoulli has its probability", "[core][random]")
{
    auto rng = stream(1, 0, "bernoulli");
    for (const double p : {0.0, 0.001, 0.3, 1.0}) {
        const auto hits = sample_of(many, [&] { return temper::bernoulli(rng, p) ? 1.0 : 0.0; });
        if (p == 0 || p == 1)
            CHECK(std::all_of(hits.begin(), hits.end(), [p](double h) { return h == p; }));
        else
            CHECK(mean_error(hits, p, p * (1 - p)) < 3.5);
    }
    const auto before = rng;
    CHECK_THROWS_AS(temper::bernoulli(rng, 1.5), temper::RangeError);
    CHECK_THROWS_AS(temper::bernoulli(rng, -0.1), temper::RangeError);
    CHECK_THROWS_AS(temper::bernoulli(rng, std::nan("")), temper::RangeError);
    CHECK(rng == before);
}

TEST_CASE("random: normal numbers are normal", "[core][random]")
{
    auto rng = stream(1, 0, "normal");
    const std::size_t n = 1'000'000;
    const auto z = sample_of(n, [&] { return temper::normal(rng); });
    CHECK(ks_distance(z, [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }) < 1.95);
    const auto power = [&](int k) {
        auto p = z;
        for (double& v : p)
            v = std::pow(v, k);
        return p;
    };
    CHECK(mean_error(z, 0, 1) < 3.5);
    CHECK(mean_error(power(2), 1, 2) < 3.5);
    CHECK(mean_error(power(3), 0, 15) < 3.5);
    CHECK(mean_error(power(4), 3, 96) < 3.5);
    // Beyond the ziggurat's edge, on either side: 258 expected each.
    const double edge = 3.654152885361009;
    const auto above = std::count_if(z.begin(), z.end(), [&](double v) { return v > edge; });
    const auto below = std::count_if(z.begin(), z.end(), [&](double v) { return v < -edge; });
    const double expected = 0.5 * std::erfc(edge / std::sqrt(2.0)) * static_cast<double>(n);
    CHECK(std::fabs(static_cast<double>(above) - expected) < 4 * std::sqrt(expected));
    CHECK(std::fabs(static_cast<double>(below) - expected) < 4 * std::sqrt(expected));
    // Within the tail.
    std::vector<double> tail;
    for (int i = 0; i < 10'000'000 && tail.size() < 1000; ++i) {
        const double v = std::fabs(temper::normal(rng));
        if (v > edge)
            tail.push_back(v);
    }
    CHECK(ks_distance(tail, [&](double x) {
              return 1 - std::erfc(x / std::sqrt(2.0)) / std::erfc(edge / std::sqrt(2.0));
          }) < 1.95);
}

TEST_CASE("random: gamma numbers have their distribution", "[core][random]")
{
    auto rng = stream(1, 0, "gamma");
    for (const double shape : {0.01, 0.3, 0.5, 1.0, 1.5, 2.0, 7.0, 1000.0}) {
        const auto x = sample_of(many, [&] { return temper::gamma(rng, shape); });
        CHECK(mean_error(x, shape, shape) < 3.5);
        auto squares = x;
        for (double& v : squares)
            v = (v - shape) * (v - shape);
        // Var((x - k)^2) of a gamma variable: 2 k^2 + 6 k.
        CHECK(mean_error(squares, shape, 2 * shape * shape + 6 * shape) < 3.5);
    }
    const auto distance = [&](double shape, const std::function<double(double)>& cdf) {
        return ks_distance(sample_of(many, [&] { return temper::gamma(rng, shape); }), cdf);
    };
    CHECK(distance(0.5, [](double x) { return std::erf(std::sqrt(x)); }) < 1.95);
    CHECK(distance(1, [](double x) { return -std::expm1(-x); }) < 1.95);
    CHECK(distance(2, [](double x) { return 1 - std::exp(-x) * (1 + x); }) < 1.95);
    CHECK(distance(3, [](double x) { return 1 - std::exp(-x) * (1 + x + x * x / 2); }) < 1.95);
    CHECK_THROWS_AS(temper::gamma(rng, 0), temper::RangeError);
    CHECK_THROWS_AS(temper::gamma(rng, std::nan("")), temper::RangeError);
    CHECK_THROWS_AS(temper::gamma(rng, std::numeric_limits<double>::infinity()),
                    temper::RangeError);
}

TEST_CASE("random: beta numbers have their distribution", "[core][random]")
{
    auto rng = stream(1, 0, "beta");
    const auto distance = [&](double a, double b, const std::function<double(double)>& cdf) {
        return ks_distance(sample_of(many, [&] { return temper::beta(rng, a, b); }), cdf);
    };
    CHECK(distance(1, 1, [](double x) { return x; }) < 1.95);
    CHECK(distance(2, 2, [](double x) { return x * x * (3 - 2 * x); }) < 1.95);
    CHECK(distance(0.5, 0.5,
                   [](double x) { return 2 / std::acos(-1.0) * std::asin(std::sqrt(x)); }) < 1.95);
    CHECK(distance(0.2, 1, [](double x) { return std::pow(x, 0.2); }) < 1.95);
    CHECK(distance(1, 30, [](double x) { return 1 - std::pow(1 - x, 30); }) < 1.95);
    for (const std::pair<double, double>& shapes :
         {std::pair{0.2, 0.2}, {0.4, 3.0}, {8.0, 2.0}, {400.0, 500.0}}) {
        const double a = shapes.first;
        const double b = shapes.second;
        const auto x = sample_of(many, [&] { return temper::beta(rng, a, b); });
        const double mean = a / (a + b);
        CHECK(mean_error(x, mean, mean * (1 - mean) / (a + b + 1)) < 3.5);
        CHECK(std::all_of(x.begin(), x.end(), [](double v) { return v >= 0 && v <= 1; }));
    }
}

TEST_CASE("random: beta stays finite where gamma variables underflow", "[core][random]")
{
    auto rng = stream(1, 0, "small");
    for (const auto& [a, b] : {std::pair{1e-3, 3e-3},
                               {1e-10, 3e-10},
                               {1e-300, 3e-300},
                               {3e299, 9e299},
                               {1e-300, 1e300}}) {
        double sum = 0;
        for (int i = 0; i < 20'000; ++i) {
            const double x = temper::beta(rng, a, b);
            REQUIRE((x >= 0 && x <= 1));
            sum += x;
        }
        CHECK(sum / 20'000 == Approx(a / (a + b)).margin(0.012));
    }
    const auto before = rng;
    CHECK_THROWS_AS(temper::beta(rng, 0, 1), temper::RangeError);
    CHECK_THROWS_AS(temper::beta(rng, 1, 0), temper::RangeError);
    CHECK_THROWS_AS(temper::beta(rng, -1, 1), temper::RangeError);
    CHECK_THROWS_AS(temper::beta(rng, 1, std::nan("")), temper::RangeError);
    CHECK(rng == before);
}

TEST_CASE("random: Dirichlet points lie on the simplex, with beta marginals", "[core][random]")
{
    auto rng = stream(1, 0, "dirichlet");
    const std::vector<double> alpha{0.5, 1, 2.5};
    std::vector<double> p(3);
    std::vector<std::vector<double>> marginal(3);
    for (std::size_t i = 0; i < many; ++i) {
        temper::dirichlet(rng, alpha, p);
        REQUIRE(std::accumulate(p.begin(), p.end(), 0.0) == Approx(1).epsilon(1e-14));
        for (std::size_t j = 0; j < 3; ++j)
            marginal[j].push_back(p[j]);
    }
    for (std::size_t j = 0; j < 3; ++j) {
        const double mean = alpha[j] / 4;
        CHECK(mean_error(marginal[j], mean, mean * (1 - mean) / 5) < 3.5);
    }
    // The marginal of alpha = 1 is Beta(1, 3).
    CHECK(ks_distance(marginal[1], [](double x) { return 1 - std::pow(1 - x, 3); }) < 1.95);

    temper::dirichlet(rng, std::vector<double>{1e-300, 1e-300, 1e-300}, p);
    CHECK(std::accumulate(p.begin(), p.end(), 0.0) == 1);

    const auto before = rng;
    CHECK_THROWS_AS(temper::dirichlet(rng, std::vector<double>{1, 1}, p), temper::ShapeError);
    CHECK_THROWS_AS(temper::dirichlet(rng, std::vector<double>{1, 0, 1}, p), temper::RangeError);
    CHECK_THROWS_AS(temper::dirichlet(rng, {}, {}), temper::ShapeError);
    CHECK(rng == before);
}

TEST_CASE("random: every order of a shuffle is equally likely", "[core][random]")
{
    auto rng = stream(1, 0, "shuffle");
    std::vector<double> count(256);
    const int n = 240'000;
    for (int i = 0; i < n; ++i) {
        std::array<Index, 4> order{};
        temper::permutation(rng, order);
        count[static_cast<std::size_t>(order[0] + 4 * order[1] + 16 * order[2] + 64 * order[3])] +=
            1;
    }
    CHECK(std::count_if(count.begin(), count.end(), [](double c) { return c > 0; }) == 24);
    double chi2 = 0;
    for (const double c : count)
        if (c > 0)
            chi2 += (c - n / 24) * (c - n / 24) / (n / 24);
    CHECK(chi2 < 23 + 3.5 * std::sqrt(46.0));

    std::vector<std::string> words{"a", "b", "c", "d", "e", "f"};
    temper::shuffle(rng, std::span(words));
    CHECK(words != std::vector<std::string>{"a", "b", "c", "d", "e", "f"});
    std::sort(words.begin(), words.end());
    CHECK(words == std::vector<std::string>{"a", "b", "c", "d", "e", "f"});

    const auto before = rng;
    temper::permutation(rng, {});
    std::array<Index, 1> one{7};
    temper::permutation(rng, one);
    CHECK(one[0] == 0);
    CHECK(rng == before);
}
