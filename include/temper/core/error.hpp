// SPDX-License-Identifier: BSL-1.0
#pragma once

// Bad input becomes an exception that names the component, the argument, what it was and what it
// must be. It is thrown before anything has been written to a destination or a state.
//
//   BarlowTwins: z_b has shape [8, 5], must be [6, 5] as z_a
//
// With TEMPER_NO_EXCEPTIONS the same four strings go to a handler that must not return.

#include <temper/core/config.hpp>

#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>

// Error types stay outside the inline namespace: a program catches them whatever flags its units have.
namespace temper {

/// What every error of the library derives from.
class Error : public std::invalid_argument {
  public:
    Error(std::string_view component, std::string_view argument, std::string_view was,
          std::string_view must_be)
        : std::invalid_argument(std::string(component)
                                    .append(": ")
                                    .append(argument)
                                    .append(" ")
                                    .append(was)
                                    .append(", must be ")
                                    .append(must_be)),
          component_(component), argument_(argument)
    {
    }
    [[nodiscard]] const std::string& component() const noexcept { return component_; }
    [[nodiscard]] const std::string& argument() const noexcept { return argument_; }

  private:
    std::string component_;
    std::string argument_;
};

/// Ranks and extents that do not fit each other.
class ShapeError : public Error {
  public:
    using Error::Error;
};

/// A hyper-parameter, label or index outside its range.
class RangeError : public Error {
  public:
    using Error::Error;
};

/// A destination that shares memory with another argument in a way that has no meaning.
class OverlapError : public Error {
  public:
    using Error::Error;
};

/// NaN or infinity found by finite_checked.
class NonFiniteError : public Error {
  public:
    using Error::Error;
};

/// A file or byte string that is truncated, foreign or does not fit.
class FormatError : public Error {
  public:
    using Error::Error;
};

/// Called instead of a throw under TEMPER_NO_EXCEPTIONS. Must not return.
using ErrorHandler = void (*)(const char* component, const char* argument, const char* was,
                              const char* must_be);

namespace errors {
inline ErrorHandler& handler_in_use() noexcept
{
    static ErrorHandler handler = [](const char* component, const char* argument, const char* was,
                                     const char* must_be) {
        std::fprintf(stderr, "%s: %s %s, must be %s\n", component, argument, was, must_be);
        std::abort();
    };
    return handler;
}
} // namespace errors

/// Replaces the handler that TEMPER_NO_EXCEPTIONS builds call; the default prints and aborts.
inline void set_error_handler(ErrorHandler handler) noexcept { errors::handler_in_use() = handler; }

} // namespace temper

namespace temper::inline TEMPER_ABI {

/// Throws E, or calls the handler where exceptions are off.
template <class E = RangeError>
[[noreturn, gnu::cold, gnu::noinline]] void fail(std::string_view component,
                                                 std::string_view argument, std::string_view was,
                                                 std::string_view must_be)
{
#ifdef TEMPER_NO_EXCEPTIONS
    temper::errors::handler_in_use()(std::string(component).c_str(), std::string(argument).c_str(),
                                     std::string(was).c_str(), std::string(must_be).c_str());
    std::abort();
#else
    throw E(component, argument, was, must_be);
#endif
}

/// A number as it stands in error messages.
[[gnu::cold]] inline std::string text(double value)
{
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "%g", value);
    return buffer;
}

[[gnu::cold]] inline std::string text(Index value) { return std::to_string(value); }

/// The parts of a message, joined.
[[gnu::cold]] inline std::string joined(std::initializer_list<std::string_view> parts)
{
    std::string out;
    for (const std::string_view part : parts)
        out.append(part);
    return out;
}

/// "[8, 5]", as error messages show extents.
[[gnu::cold]] inline std::string extents_text(const Index* extents, std::size_t n)
{
    std::string out(1, '[');
    for (std::size_t i = 0; i < n; ++i)
        out.append(i ? ", " : "").append(text(extents[i]));
    return out.append(1, ']');
}

/// Throws a RangeError "component: argument is value, must be ..." unless ok.
inline void require(bool ok, std::string_view component, std::string_view argument, double value,
                    std::string_view must_be)
{
    if (!ok) [[unlikely]]
        fail<RangeError>(component, argument, joined({"is ", text(value)}), must_be);
}

} // namespace temper::inline TEMPER_ABI
