// SPDX-License-Identifier: BSL-1.0
#pragma once

// Pack<T>: as many numbers as the machine works on at once, with the operations that all supported
// versions of xsimd share; one number where TEMPER_NO_SIMD is defined or xsimd is not installed.
//
// A formula written on a template parameter V works on a Pack and on a plain number alike:
//
//   template <class V> V softplus(V x) { return log1p(exp(-abs(x))) + max(x, V(0)); }
//
// Names are found by argument for packs, and in core/math.hpp for numbers.

#include <temper/core/math.hpp>

#include <array>
#include <utility>

#ifndef TEMPER_NO_SIMD
#include <xsimd/xsimd.hpp>
#endif

namespace temper::inline TEMPER_ABI::simd {

#ifndef TEMPER_NO_SIMD

template <class T>
class Pack {
  public:
    using Scalar = T;
    using Native = xsimd::batch<T>;
    using Mask = typename Native::batch_bool_type;
    static constexpr Index size = static_cast<Index>(Native::size);

    Pack() = default;
    explicit Pack(T value) : v_(value) {}
    template <class U>
        requires(std::is_convertible_v<U, double> && !std::is_same_v<U, T>)
    explicit Pack(U value) : v_(static_cast<T>(value))
    {
    }
    Pack(Native v) : v_(v) {} // NOLINT(google-explicit-constructor): the same thing

    [[nodiscard]] static Pack load(const T* p) { return Pack(Native::load_unaligned(p)); }
    void store(T* p) const { v_.store_unaligned(p); }

    friend Pack operator+(Pack a, Pack b) { return a.v_ + b.v_; }
    friend Pack operator-(Pack a, Pack b) { return a.v_ - b.v_; }
    friend Pack operator*(Pack a, Pack b) { return a.v_ * b.v_; }
    friend Pack operator/(Pack a, Pack b) { return a.v_ / b.v_; }
    Pack operator-() const { return -v_; }
    Pack& operator+=(Pack b) { return *this = *this + b; }
    Pack& operator-=(Pack b) { return *this = *this - b; }
    Pack& operator*=(Pack b) { return *this = *this * b; }
    friend Mask operator<(Pack a, Pack b) { return a.v_ < b.v_; }
    friend Mask operator<=(Pack a, Pack b) { return a.v_ <= b.v_; }
    friend Mask operator>(Pack a, Pack b) { return b.v_ < a.v_; }
    friend Mask operator>=(Pack a, Pack b) { return b.v_ <= a.v_; }
    friend Mask operator==(Pack a, Pack b) { return a.v_ == b.v_; }

    /// a * b + c
    friend Pack fma(Pack a, Pack b, Pack c) { return xsimd::fma(a.v_, b.v_, c.v_); }
    friend Pack select(Mask m, Pack a, Pack b) { return xsimd::select(m, a.v_, b.v_); }
    friend Pack min(Pack a, Pack b) { return xsimd::min(a.v_, b.v_); }
    friend Pack max(Pack a, Pack b) { return xsimd::max(a.v_, b.v_); }
    friend Pack abs(Pack a) { return xsimd::abs(a.v_); }
    friend Pack sqrt(Pack a) { return xsimd::sqrt(a.v_); }
    friend Pack exp(Pack a) { return xsimd::exp(a.v_); }
    friend Pack expm1(Pack a) { return xsimd::expm1(a.v_); }
    friend Pack log(Pack a) { return xsimd::log(a.v_); }
    friend Pack log1p(Pack a) { return xsimd::log1p(a.v_); }
    friend Pack tanh(Pack a) { return xsimd::tanh(a.v_); }
    friend Pack pow(Pack a, Pack b) { return xsimd::pow(a.v_, b.v_); }
    /// -1, 0 or 1; NaN stays NaN.
    friend Pack sign(Pack a)
    {
        const Pack zero(T(0));
        return select(a > zero, Pack(T(1)), select(a < zero, Pack(T(-1)), a * zero));
    }

    /// a_0 b_0 a_1 b_1 ... of the first halves, and of the second. (xsimd's own differ between versions.)
    friend Pack zip_low(Pack a, Pack b) { return zip<0>(a, b, std::make_index_sequence<place>{}); }
    friend Pack zip_high(Pack a, Pack b)
    {
        return zip<size / 2>(a, b, std::make_index_sequence<place>{});
    }

    /// The sum of the lanes, in a fixed order.
    [[nodiscard]] T sum() const
    {
        std::array<T, place> x = lanes();
        for (std::size_t half = place / 2; half > 0; half /= 2)
            for (std::size_t i = 0; i < half; ++i)
                x[i] += x[i + half];
        return x[0];
    }
    [[nodiscard]] T maximum() const
    {
        std::array<T, place> x = lanes();
        for (std::size_t half = place / 2; half > 0; half /= 2)
            for (std::size_t i = 0; i < half; ++i)
                x[i] = x[i + half] > x[i] ? x[i + half] : x[i];
        return x[0];
    }

  private:
    static constexpr auto place = static_cast<std::size_t>(size);

    template <Index from, std::size_t... i>
    [[nodiscard]] static Pack zip(Pack a, Pack b, std::index_sequence<i...>)
    {
#if defined(__GNUC__) && !defined(__ARM_FEATURE_SVE)
        using Register = typename Native::register_type;
        return Pack(Native(__builtin_shufflevector(
            static_cast<Register>(a.v_), static_cast<Register>(b.v_),
            (from + static_cast<Index>(i / 2) + (i % 2 == 0 ? Index{0} : size))...)));
#else
        const std::array<T, place> x = a.lanes(), y = b.lanes();
        const std::array<T, place> both{(i % 2 == 0 ? x : y)[from + i / 2]...};
        return load(both.data());
#endif
    }
    [[nodiscard]] std::array<T, place> lanes() const
    {
        std::array<T, place> out;
        store(out.data());
        return out;
    }

    Native v_;
};

#else

template <class T>
class Pack {
  public:
    using Scalar = T;
    using Mask = bool;
    static constexpr Index size = 1;

    Pack() = default;
    template <class U>
        requires std::is_convertible_v<U, double>
    explicit Pack(U value) : v_(static_cast<T>(value))
    {
    }

    [[nodiscard]] static Pack load(const T* p) { return Pack(*p); }
    void store(T* p) const { *p = v_; }

    friend Pack operator+(Pack a, Pack b) { return Pack(a.v_ + b.v_); }
    friend Pack operator-(Pack a, Pack b) { return Pack(a.v_ - b.v_); }
    friend Pack operator*(Pack a, Pack b) { return Pack(a.v_ * b.v_); }
    friend Pack operator/(Pack a, Pack b) { return Pack(a.v_ / b.v_); }
    Pack operator-() const { return Pack(-v_); }
    Pack& operator+=(Pack b) { return *this = *this + b; }
    Pack& operator-=(Pack b) { return *this = *this - b; }
    Pack& operator*=(Pack b) { return *this = *this * b; }
    friend bool operator<(Pack a, Pack b) { return a.v_ < b.v_; }
    friend bool operator<=(Pack a, Pack b) { return a.v_ <= b.v_; }
    friend bool operator>(Pack a, Pack b) { return a.v_ > b.v_; }
    friend bool operator>=(Pack a, Pack b) { return a.v_ >= b.v_; }
    friend bool operator==(Pack a, Pack b) { return a.v_ == b.v_; }

    friend Pack fma(Pack a, Pack b, Pack c) { return Pack(a.v_ * b.v_ + c.v_); }
    friend Pack select(bool m, Pack a, Pack b) { return m ? a : b; }
    friend Pack min(Pack a, Pack b) { return b.v_ < a.v_ ? b : a; }
    friend Pack max(Pack a, Pack b) { return a.v_ < b.v_ ? b : a; }
    friend Pack abs(Pack a) { return Pack(std::abs(a.v_)); }
    friend Pack sqrt(Pack a) { return Pack(std::sqrt(a.v_)); }
    friend Pack exp(Pack a) { return Pack(std::exp(a.v_)); }
    friend Pack expm1(Pack a) { return Pack(std::expm1(a.v_)); }
    friend Pack log(Pack a) { return Pack(std::log(a.v_)); }
    friend Pack log1p(Pack a) { return Pack(std::log1p(a.v_)); }
    friend Pack tanh(Pack a) { return Pack(std::tanh(a.v_)); }
    friend Pack pow(Pack a, Pack b) { return Pack(std::pow(a.v_, b.v_)); }
    friend Pack sign(Pack a) { return Pack(temper::sign(a.v_)); }
    friend Pack zip_low(Pack a, Pack) { return a; }
    friend Pack zip_high(Pack, Pack b) { return b; }

    [[nodiscard]] T sum() const { return v_; }
    [[nodiscard]] T maximum() const { return v_; }

  private:
    T v_;
};

#endif

} // namespace temper::inline TEMPER_ABI::simd
