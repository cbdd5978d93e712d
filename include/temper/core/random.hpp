// SPDX-License-Identifier: BSL-1.0
#pragma once

// Random bits for any step of any run, and the numbers made of them.
//
//   auto rng = temper::stream(seed, step, "mixup"); // the same draws whenever it is asked for
//   double lambda = temper::beta(rng, 0.2, 0.2);
//
// A stream is a counter-based generator: word i of the stream (seed, step, name, rank) is a
// function of these five, so that a resumed run draws what an uninterrupted one would have drawn
// and nothing random ever needs saving. Philox 4x32-10 of Salmon, Moraes, Dror, Shaw, "Parallel
// random numbers: as easy as 1, 2, 3", 2011: its key is a hash of seed, name and rank that is
// one-to-one in seed and in rank, its counter is (block, step), so steps never share a word. 2^64
// words to a stream.
//
// All other functions take any std::uniform_random_bit_generator and give the same bits on every
// machine, compiler and standard library (-ffast-math apart): bits -> numbers is fixed here, and
// nothing is cached between calls. Distribution arguments out of range are a RangeError, thrown
// before a draw.

#include <temper/core/error.hpp>
#include <temper/core/portable_math.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

namespace temper::inline TEMPER_ABI {

/// The same requirements as std::uniform_random_bit_generator, without the cost of <random>.
template <class G>
concept BitGenerator =
    std::invocable<G&> && std::unsigned_integral<std::invoke_result_t<G&>> && requires {
        { G::min() } -> std::same_as<std::invoke_result_t<G&>>;
        { G::max() } -> std::same_as<std::invoke_result_t<G&>>;
        requires std::bool_constant<(G::min() < G::max())>::value;
    };

// ---- streams ------------------------------------------------------------------------------------

/// One block of Philox 4x32-10.
[[nodiscard]] constexpr std::array<std::uint32_t, 4>
philox4x32(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key)
{
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p = std::uint64_t{0xD2511F53} * counter[0];
        const std::uint64_t q = std::uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<std::uint32_t>(q >> 32) ^ counter[1] ^ key[0],
                   static_cast<std::uint32_t>(q),
                   static_cast<std::uint32_t>(p >> 32) ^ counter[3] ^ key[1],
                   static_cast<std::uint32_t>(p)};
        key = {key[0] + 0x9E3779B9, key[1] + 0xBB67AE85};
    }
    return counter;
}

/// The 64 bits of FNV-1a.
[[nodiscard]] constexpr std::uint64_t fnv1a(std::string_view text)
{
    std::uint64_t hash = 0xCBF29CE484222325;
    for (const char c : text)
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3;
    return hash;
}

/// The words of one stream, 64 bits each: a std::uniform_random_bit_generator. Made by stream().
class Stream {
  public:
    using result_type = std::uint64_t;

    constexpr Stream(std::uint64_t key, std::uint64_t step) : key_(key), step_(step) {}

    [[nodiscard]] static constexpr result_type min() { return 0; }
    [[nodiscard]] static constexpr result_type max()
    {
        return (std::numeric_limits<result_type>::max)();
    }
    constexpr result_type operator()()
    {
        if (next_++ % 2 == 1)
            return odd_;
        const auto block = words((next_ - 1) / 2);
        odd_ = block[1];
        return block[0];
    }
    /// Skips n words, in constant time.
    constexpr void discard(std::uint64_t n)
    {
        next_ += n;
        if (next_ % 2 == 1)
            odd_ = words(next_ / 2)[1];
    }
    /// Streams are equal when all their further words are.
    friend constexpr bool operator==(const Stream& a, const Stream& b)
    {
        return a.key_ == b.key_ && a.step_ == b.step_ && a.next_ == b.next_;
    }

  private:
    [[nodiscard]] constexpr std::array<std::uint64_t, 2> words(std::uint64_t block) const
    {
        const auto low = [](std::uint64_t v) { return static_cast<std::uint32_t>(v); };
        const auto high = [](std::uint64_t v) { return static_cast<std::uint32_t>(v >> 32); };
        const auto w =
            philox4x32({low(block), high(block), low(step_), high(step_)}, {low(key_), high(key_)});
        return {w[0] | std::uint64_t{w[1]} << 32, w[2] | std::uint64_t{w[3]} << 32};
    }

    std::uint64_t key_;
    std::uint64_t step_;
    std::uint64_t next_ = 0;
    std::uint64_t odd_ = 0; // the second word of the last block
};

/// The stream of a run's seed, a step, the name of what draws, and the rank of the process that
/// draws (give all ranks the same number to have them draw alike). constexpr, so that a literal
/// name is hashed by the compiler.
[[nodiscard]] constexpr Stream stream(std::uint64_t seed, Index step, std::string_view name,
                                      Index rank = 0)
{
    // SplitMix64's finaliser (Steele, Lea, Flood 2014): one-to-one, every bit depends on every bit.
    const auto mix = [](std::uint64_t v) {
        v += 0x9E3779B97F4A7C15;
        v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9;
        v = (v ^ (v >> 27)) * 0x94D049BB133111EB;
        return v ^ (v >> 31);
    };
    const std::uint64_t key = mix(mix(mix(seed) + fnv1a(name)) + static_cast<std::uint64_t>(rank));
    return {key, static_cast<std::uint64_t>(step)};
}

// ---- bits and uniform numbers -------------------------------------------------------------------

/// 64 random bits. Of a generator with N = max - min + 1 values, each draw gives its offset from
/// min if that is below 2^k, k = floor(log2 N), and is dropped otherwise; the draws' k bits are put
/// together from the lowest upwards and what is beyond 64 falls off. A 64-bit generator is used as
/// it is, of a 32-bit one the first draw is the lower half.
template <BitGenerator G>
[[nodiscard]] constexpr std::uint64_t random_bits(G& rng)
{
    constexpr std::uint64_t last = std::uint64_t{G::max()} - std::uint64_t{G::min()};
    if constexpr (last == (std::numeric_limits<std::uint64_t>::max)())
        return rng();
    else {
        constexpr int k = std::bit_width(last + 1) - 1;
        std::uint64_t out = 0;
        for (int have = 0; have < 64; have += k) {
            std::uint64_t draw = std::uint64_t{rng()} - std::uint64_t{G::min()};
            while (draw >> k != 0)
                draw = std::uint64_t{rng()} - std::uint64_t{G::min()};
            out |= draw << have;
        }
        return out;
    }
}

/// Uniform in [0, 1): a multiple of 2^-53, from the upper 53 bits.
template <BitGenerator G>
[[nodiscard]] constexpr double uniform(G& rng)
{
    return static_cast<double>(random_bits(rng) >> 11) * 0x1p-53;
}

/// Uniform in 0, ..., n - 1, without bias: multiply and reject (Lemire, "Fast random integer
/// generation in an interval", 2019). n < 1: error.
template <BitGenerator G>
[[nodiscard]] Index uniform_index(G& rng, Index n)
{
    require(n >= 1, "uniform_index", "n", static_cast<double>(n), "at least 1");
    const auto m = static_cast<std::uint64_t>(n);
    // The two words of the 128-bit product bits * m.
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    const auto multiply = [&](std::uint64_t bits) {
        const std::uint64_t mask = 0xFFFFFFFF;
        const std::uint64_t a = (bits & mask) * (m & mask);
        const std::uint64_t b = (bits >> 32) * (m & mask) + (a >> 32);
        const std::uint64_t c = (bits & mask) * (m >> 32) + (b & mask);
        high = (bits >> 32) * (m >> 32) + (b >> 32) + (c >> 32);
        low = c << 32 | (a & mask);
    };
    multiply(random_bits(rng));
    if (low < m) {
        const std::uint64_t excess = (0 - m) % m;
        while (low < excess)
            multiply(random_bits(rng));
    }
    return static_cast<Index>(high);
}

/// True with probability p, always from one uniform number. p outside [0, 1]: error.
template <BitGenerator G>
[[nodiscard]] bool bernoulli(G& rng, double p)
{
    require(p >= 0 && p <= 1, "bernoulli", "p", p, "in [0, 1]");
    return uniform(rng) < p;
}

/// Puts the elements in a random order (Fisher and Yates, from the last element down).
template <BitGenerator G, class T, std::size_t N>
void shuffle(G& rng, std::span<T, N> elements)
{
    for (std::size_t i = elements.size(); i > 1; --i) {
        using std::swap;
        swap(elements[i - 1],
             elements[static_cast<std::size_t>(uniform_index(rng, static_cast<Index>(i)))]);
    }
}

/// Overwrites `order` with a random order of 0, ..., order.size() - 1.
template <BitGenerator G>
void permutation(G& rng, std::span<Index> order)
{
    for (std::size_t i = 0; i < order.size(); ++i)
        order[i] = static_cast<Index>(i);
    shuffle(rng, order);
}

// ---- normal -------------------------------------------------------------------------------------

namespace detail {

/// The normal density f(x) = exp(-x^2 / 2), x >= 0, covered by 256 layers of equal area. Layer i
/// spans the heights f(x[i]) to f(x[i + 1]) and the abscissas 0 to x[i]; layer 0 also stands for
/// the tail beyond x[1], as a box of the same area.
struct NormalLayers {
    std::array<double, 257> x{};
    std::array<double, 257> height{};

    NormalLayers()
    {
        constexpr double edge =
            0x1.d3bb48209ad33p+1; // where 256 layers of equal area end at f(0) = 1
        constexpr double area = 0.004928673233974655;
        height[1] = portable_exp(-0.5 * edge * edge);
        x[0] = area / height[1];
        x[1] = edge;
        for (std::size_t i = 2; i < 256; ++i) {
            height[i] = height[i - 1] + area / x[i - 1];
            x[i] = std::sqrt(-2 * portable_log(height[i]));
        }
        height[256] = 1; // x[256] = 0
    }
};

} // namespace detail

/// Standard normal, by the ziggurat (Marsaglia and Tsang 2000; with disjoint bits for layer, sign
/// and abscissa as Doornik 2005 asks): one word of bits in 98.8 % of the calls.
template <BitGenerator G>
[[nodiscard]] double normal(G& rng)
{
    static const detail::NormalLayers layers;
    for (;;) {
        const std::uint64_t word = random_bits(rng);
        const auto i = static_cast<std::size_t>(word & 255);
        // Bits 11 to 63 as a signed fraction in [-1, 1).
        const double u = static_cast<double>(static_cast<std::int64_t>(word) >> 11) * 0x1p-52;
        const double x = u * layers.x[i];
        if (std::fabs(x) < layers.x[i + 1])
            return x;
        if (i == 0) { // the tail beyond `edge` (Marsaglia 1964)
            const double edge = layers.x[1];
            double beyond = 0;
            double e = 0;
            do {
                beyond = -portable_log(1 - uniform(rng)) / edge;
                e = -portable_log(1 - uniform(rng));
            } while (2 * e < beyond * beyond);
            return u < 0 ? -(edge + beyond) : edge + beyond;
        }
        const double rise = layers.height[i + 1] - layers.height[i];
        if (std::fma(rise, uniform(rng), layers.height[i]) < portable_exp(-0.5 * x * x))
            return x;
    }
}

// ---- gamma, beta, Dirichlet ---------------------------------------------------------------------

namespace detail {

/// Gamma of shape >= 1 and scale 1 (Marsaglia and Tsang, "A simple method for generating gamma
/// variables", 2000): d (1 + c x)^3 with x normal, accepted by a squeeze in most cases.
template <BitGenerator G>
[[nodiscard]] double gamma_from_one(G& rng, double shape)
{
    const double d = shape - 1.0 / 3;
    const double c = 1 / (3 * std::sqrt(d));
    for (;;) {
        const double x = normal(rng);
        const double t = std::fma(c, x, 1.0);
        if (t <= 0)
            continue;
        const double v = t * t * t;
        const double u = 1 - uniform(rng); // in (0, 1]
        const double x2 = x * x;
        if (u < std::fma(-0.0331 * x2, x2, 1.0) ||
            portable_log(u) < std::fma(d, std::fma(-t * t, t, 1.0) + portable_log(v), 0.5 * x2))
            return d * v;
    }
}

/// The logarithm of a gamma variable. A shape below 1 is a shape one higher times u^(1/shape),
/// which underflows for small shapes where its logarithm does not.
template <BitGenerator G>
[[nodiscard]] double log_gamma_variable(G& rng, double shape)
{
    if (shape >= 1)
        return portable_log(gamma_from_one(rng, shape));
    const double g = portable_log(gamma_from_one(rng, shape + 1));
    return g + portable_log(1 - uniform(rng)) / shape;
}

inline void require_shape(double shape, std::string_view distribution, std::string_view argument)
{
    // Beyond these bounds a logarithm or a product leaves the range of a double.
    require(shape >= 1e-300 && shape <= 1e300, distribution, argument, shape,
            "positive (1e-300 to 1e300)");
}

} // namespace detail

/// Gamma of the given shape and scale 1; its mean and variance are the shape. Shapes below 0.05
/// give 0 where the variable is smaller than any double. shape <= 0: error.
template <BitGenerator G>
[[nodiscard]] double gamma(G& rng, double shape)
{
    detail::require_shape(shape, "gamma", "shape");
    return shape >= 1 ? detail::gamma_from_one(rng, shape)
                      : portable_exp(detail::log_gamma_variable(rng, shape));
}

/// Beta(a, b) in [0, 1]: x / (x + y) of two gamma variables, as 1 / (1 + e^(log y - log x)), so
/// that small a and b give numbers next to 0 and 1 and not 0 / 0. a or b <= 0: error.
template <BitGenerator G>
[[nodiscard]] double beta(G& rng, double a, double b)
{
    detail::require_shape(a, "beta", "a");
    detail::require_shape(b, "beta", "b");
    const double x = detail::log_gamma_variable(rng, a);
    const double y = detail::log_gamma_variable(rng, b);
    return 1 / (1 + portable_exp(y - x));
}

/// A point of the simplex with density proportional to prod_i p_i^(alpha_i - 1): gamma variables
/// divided by their sum, in logarithms. alpha and p of unequal or no length: ShapeError. alpha_i <=
/// 0: error.
template <BitGenerator G>
void dirichlet(G& rng, std::span<const double> alpha, std::span<double> p)
{
    if (alpha.size() != p.size() || alpha.empty())
        fail<ShapeError>("dirichlet", "p", "has " + std::to_string(p.size()) + " entries",
                         "as many as alpha (" + std::to_string(alpha.size()) + "), at least 1");
    for (const double a : alpha)
        detail::require_shape(a, "dirichlet", "alpha");
    double largest = -std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < p.size(); ++i) {
        p[i] = detail::log_gamma_variable(rng, alpha[i]);
        largest = p[i] > largest ? p[i] : largest;
    }
    double sum = 0;
    for (double& v : p) {
        v = portable_exp(v - largest);
        sum += v;
    }
    for (double& v : p)
        v /= sum;
}

} // namespace temper::inline TEMPER_ABI
