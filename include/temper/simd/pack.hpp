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

    /// The sum of the lanes, in a fixed order.
    [[nodiscard]] T sum() const
    {
        T lanes[static_cast<std::size_t>(size)];
        store(lanes);
        for (Index half = size / 2; half > 0; half /= 2)
            for (Index i = 0; i < half; ++i)
                lanes[i] += lanes[i + half];
        return lanes[0];
    }
    [[nodiscard]] T maximum() const
    {
        T lanes[static_cast<std::size_t>(size)];
        store(lanes);
        for (Index half = size / 2; half > 0; half /= 2)
            for (Index i = 0; i < half; ++i)
                lanes[i] = lanes[i + half] > lanes[i] ? lanes[i + half] : lanes[i];
        return lanes[0];
    }

  private:
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

    [[nodiscard]] T sum() const { return v_; }
    [[nodiscard]] T maximum() const { return v_; }

  private:
    T v_;
};

#endif

} // namespace temper::inline TEMPER_ABI::simd
