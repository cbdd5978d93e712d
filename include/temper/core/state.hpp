// SPDX-License-Identifier: BSL-1.0
#pragma once

// States as bytes: what a technique remembers between steps, written down and read back.
//
//   struct State {
//       std::vector<float> targets;
//       Index count = 0;
//       template <class Archive>
//       void fields(Archive& a)
//       {
//           a("targets", targets)("count", count);
//       }
//   };
//   std::vector<std::byte> bytes = temper::save(state);
//   temper::load(state, bytes);
//
// A type lists its fields once, in a member or in a free function fields(archive, state), for both
// directions. A field is a number, bool, enumeration, string, view, a container of these (vector,
// deque, array, span) or a type with fields of its own. Which fields there are may not depend on
// their values. `static constexpr int version` in the type, if there is one, is checked.
//
// A vector that has elements keeps their number: bytes with another number do not fit. An empty one
// takes what comes; so does a deque or a string, and a vector said by a.resizable("queue", queue).
// a.extent("classes", classes) is a number that must agree unless the state's own is 0.
//
// The bytes are the same on every machine (little-endian, versioned, checksummed) and describe
// themselves: every field has its name and type. load() checks all before it changes anything.
// FormatError, naming the field: bytes that are truncated, damaged, or of another state, type or
// shape.

#include <temper/core/view.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace temper::inline TEMPER_ABI {

// ---- what has state bytes -----------------------------------------------------------------------

/// What a state's `fields` calls: the same for writing and for reading.
template <class A>
concept Archive = requires(A& a, double& number, std::vector<float>& numbers, Index& extent) {
    { a("name", number) } -> std::same_as<A&>;
    { a.resizable("name", numbers) } -> std::same_as<A&>;
    { a.extent("name", extent) } -> std::same_as<A&>;
};

namespace detail {

struct AnyArchive {
    template <class T>
    AnyArchive& operator()(std::string_view name, T&& field);
    template <class T>
    AnyArchive& resizable(std::string_view name, T& field);
    AnyArchive& extent(std::string_view name, Index& field);
};

template <class S>
concept FieldsMember = requires(S& s, AnyArchive& a) { s.fields(a); };
template <class S>
concept FieldsFunction = requires(S& s, AnyArchive& a) { fields(a, s); };

} // namespace detail

/// A type that lists its fields.
template <class S>
concept HasFields = std::is_class_v<S> && (detail::FieldsMember<S> || detail::FieldsFunction<S>);

namespace detail {

template <class S, class A>
void list_fields(S& state, A& archive)
{
    if constexpr (FieldsMember<S>)
        state.fields(archive);
    else
        fields(archive, state);
}

template <class S>
constexpr std::uint16_t version_of()
{
    if constexpr (requires { std::integral_constant<std::uint16_t, S::version>{}; })
        return S::version;
    else
        return 0;
}

template <class R>
concept RangeOfViews =
    std::ranges::sized_range<R> && is_view<std::remove_const_t<std::ranges::range_value_t<R>>>;

template <class T>
concept Number = std::is_arithmetic_v<T> && sizeof(T) <= 8;

// ---- the encoding: a type of two bytes, then the value ------------------------------------------

/// 'f', 'i', 'u' or 'b' and the size for numbers, 's' sequence, 't' text, 'v' and the rank for
/// tensors; '{' record, of ':' and field until '}'.
struct TypeCode {
    char kind = 0;
    char size = 0;
    friend bool operator==(TypeCode, TypeCode) = default;
    [[nodiscard]] std::string text() const
    {
        const std::string bits = std::to_string(8 * size);
        switch (kind) {
        case 'f':
            return "float" + bits;
        case 'i':
            return "int" + bits;
        case 'u':
            return "uint" + bits;
        case 'b':
            return "bool";
        case 's':
            return "a sequence";
        case 't':
            return "text";
        case '{':
            return "a record";
        case 'v':
            return "a tensor";
        default:
            return "of no known type";
        }
    }
};

template <Number T>
constexpr TypeCode code_of()
{
    constexpr char kind = std::is_same_v<T, bool>       ? 'b'
                          : std::is_floating_point_v<T> ? 'f'
                          : std::is_signed_v<T>         ? 'i'
                                                        : 'u';
    return {kind, static_cast<char>(sizeof(T))};
}
static_assert(std::numeric_limits<float>::is_iec559 && std::numeric_limits<double>::is_iec559);

/// Writes a number in little-endian order and gives the place behind it.
template <Number T>
std::byte* store(std::byte* target, T number)
{
    auto bytes = std::bit_cast<std::array<std::byte, sizeof(T)>>(number);
    if constexpr (std::endian::native == std::endian::big)
        std::ranges::reverse(bytes);
    std::memcpy(target, bytes.data(), sizeof(T));
    return target + sizeof(T);
}
template <Number T>
T read_number(const std::byte* source)
{
    if constexpr (std::is_same_v<T, bool>)
        return *source != std::byte{0};
    else {
        std::array<std::byte, sizeof(T)> bytes;
        std::memcpy(bytes.data(), source, sizeof(T));
        if constexpr (std::endian::native == std::endian::big)
            std::ranges::reverse(bytes);
        return std::bit_cast<T>(bytes);
    }
}

/// Calls f(number) for every number of the view, in row-major order.
template <class T, class F>
void for_each_number(const AnyView<T>& v, const F& f, int dimension = 0, Index offset = 0)
{
    if (v.rank == 0)
        return f(*v.data);
    const Index n = v.extent(dimension);
    const Index stride = v.stride(dimension);
    if (dimension + 1 == v.rank)
        for (Index i = 0; i < n; ++i)
            f(v.data[offset + i * stride]);
    else
        for (Index i = 0; i < n; ++i)
            for_each_number(v, f, dimension + 1, offset + i * stride);
}

template <class T>
AnyView<T> any_view(const AnyView<T>& v)
{
    return v;
}
template <class T, int R>
AnyView<T> any_view(const View<T, R>& v)
{
    return v;
}

template <class T>
void no_bytes_of()
{
    static_assert(HasFields<T>, "temper: a field is a number, bool, enumeration, string, view, a "
                                "vector, deque, array or span of these, or a type that lists its "
                                "own in fields(archive)");
}

} // namespace detail

/// 64 bits, in which a change within any eight bytes always shows: every step is one-to-one in the
/// hash and in the eight bytes.
[[nodiscard]] inline std::uint64_t checksum(std::span<const std::byte> bytes)
{
    std::uint64_t hash = bytes.size();
    for (std::size_t i = 0; i < bytes.size(); i += 8) {
        std::array<std::byte, 8> word{};
        std::memcpy(word.data(), bytes.data() + i, (std::min)(bytes.size() - i, std::size_t{8}));
        hash = (hash ^ detail::read_number<std::uint64_t>(word.data())) * 0x9E3779B97F4A7C15;
        hash ^= hash >> 32;
    }
    return hash;
}

// ---- writing ------------------------------------------------------------------------------------

/// The archive that writes.
class StateWriter {
  public:
    template <class T>
    StateWriter& operator()(std::string_view name, const T& field)
    {
        put({':', 0});
        put_text(name);
        value(field);
        return *this;
    }
    template <class T>
    StateWriter& resizable(std::string_view name, const T& field)
    {
        return (*this)(name, field);
    }
    StateWriter& extent(std::string_view name, Index field) { return (*this)(name, field); }

    /// A value without a name.
    template <class T>
    void value(const T& v)
    {
        if constexpr (std::is_enum_v<T>)
            value(static_cast<std::underlying_type_t<T>>(v));
        else if constexpr (detail::Number<T>) {
            put(detail::code_of<T>());
            put(v);
        }
        else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
            put({'t', 0});
            put_text(v);
        }
        else if constexpr (HasFields<T>) {
            put({'{', 0});
            put(detail::version_of<T>());
            // A state lists its fields to be read and to be written; here they are only read.
            detail::list_fields(const_cast<T&>(v), *this);
            put({'}', 0});
        }
        else if constexpr (ViewLike<const T> && !detail::ContiguousOwner<const T>)
            tensor(detail::any_view(view(v)));
        else if constexpr (std::ranges::sized_range<const T>)
            sequence(v);
        else
            detail::no_bytes_of<T>();
    }

    std::vector<std::byte> bytes;

    template <detail::Number T>
    void put(T number)
    {
        detail::store(grow<T>(1), number);
    }
    void put(detail::TypeCode code)
    {
        put(code.kind);
        put(code.size);
    }
    void put_text(std::string_view text)
    {
        put(static_cast<std::uint64_t>(text.size()));
        const auto* first = reinterpret_cast<const std::byte*>(text.data());
        bytes.insert(bytes.end(), first, first + text.size());
    }

  private:
    /// Room for n numbers more.
    template <class T>
    std::byte* grow(std::size_t n)
    {
        const std::size_t before = bytes.size();
        bytes.resize(before + n * sizeof(T));
        return bytes.data() + before;
    }
    template <class T>
    void tensor(const AnyView<T>& v)
    {
        using S = std::remove_const_t<T>;
        static_assert(detail::Number<S>,
                      "temper: tensors of numbers have bytes, of other types not");
        put({'v', static_cast<char>(v.rank)});
        put(detail::code_of<S>());
        for (int i = 0; i < v.rank; ++i)
            put(std::int64_t{v.extent(i)});
        std::byte* target = grow<S>(static_cast<std::size_t>(v.size()));
        detail::for_each_number(v, [&](S number) { target = detail::store(target, number); });
    }
    template <class R>
    void sequence(const R& range)
    {
        using T = std::ranges::range_value_t<R>;
        put({'s', 0});
        put(static_cast<std::uint64_t>(std::ranges::size(range)));
        if constexpr (detail::Number<T>) {
            put(detail::code_of<T>());
            std::byte* target = grow<T>(std::ranges::size(range));
            for (const T number : range)
                target = detail::store(target, number);
        }
        else
            for (const T& element : range)
                value(element);
    }
};

// ---- reading ------------------------------------------------------------------------------------

/// The archive that reads: first with `check`, which finds whatever does not fit and changes
/// nothing, then with `apply`. `root` stands before the names of fields in errors.
class StateReader {
  public:
    enum class Pass { check, apply };

    StateReader(std::span<const std::byte> bytes, std::string_view component, std::string_view root,
                Pass pass)
        : rest_(bytes), component_(component), root_(root), pass_(pass)
    {
    }

    template <class T>
    StateReader& operator()(std::string_view name, T&& field)
    {
        named(name, [&] { value(field); });
        return *this;
    }
    template <class T>
    StateReader& resizable(std::string_view name, T& field)
    {
        named(name, [&] { sequence(field, true); });
        return *this;
    }
    StateReader& extent(std::string_view name, Index& field)
    {
        named(name, [&] {
            expect(detail::code_of<Index>());
            const Index got = get<Index>();
            if (field != 0 && got != field)
                refuse("is " + text(got), text(field));
            if (pass_ == Pass::apply)
                field = got;
        });
        return *this;
    }

    /// A value without a name.
    template <class T>
    void value(T& v)
    {
        if constexpr (is_view<std::remove_const_t<T>>)
            tensor(detail::any_view(v));
        else if constexpr (std::is_const_v<T> && !detail::RangeOfViews<T>)
            static_assert(!std::is_const_v<T>,
                          "temper: this is const; loading needs something that "
                          "can be written to");
        else if constexpr (std::is_enum_v<T>) {
            auto number = static_cast<std::underlying_type_t<T>>(v);
            value(number);
            v = static_cast<T>(number);
        }
        else if constexpr (detail::Number<T>) {
            expect(detail::code_of<T>());
            const T number = get<T>();
            if (pass_ == Pass::apply)
                v = number;
        }
        else if constexpr (std::is_same_v<T, std::string>) {
            expect({'t', 0});
            const std::string_view got = get_text();
            if (pass_ == Pass::apply)
                v = got;
        }
        else if constexpr (HasFields<T>)
            record(v);
        else if constexpr (ViewLike<T> && !detail::ContiguousOwner<T>)
            tensor(detail::any_view(view(v)));
        else if constexpr (std::ranges::sized_range<T>)
            // What grows and shrinks at its front is a queue.
            sequence(v, requires { v.pop_front(); });
        else
            detail::no_bytes_of<T>();
    }
    void finish()
    {
        if (!rest_.empty())
            refuse("has bytes beyond its end", "as it was saved");
    }

    [[noreturn]] void refuse(std::string_view was, std::string_view must_be) const
    {
        std::string where(root_);
        for (const Step& step : path_) {
            if (step.index >= 0)
                where += "[" + text(step.index) + "]";
            else
                where.append(where.empty() ? "" : ".").append(step.name);
        }
        fail<FormatError>(component_, where.empty() ? "bytes" : where, was, must_be);
    }

    template <detail::Number T>
    T get()
    {
        return detail::read_number<T>(take(sizeof(T)));
    }
    std::string_view get_text()
    {
        const auto size = get<std::uint64_t>();
        const auto* first = take(size);
        return {reinterpret_cast<const char*>(first), static_cast<std::size_t>(size)};
    }
    [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }

  private:
    struct Step {
        std::string_view name;
        Index index = -1; // of an element, where it is one
    };

    template <class F>
    void named(std::string_view name, const F& read)
    {
        path_.push_back({name});
        const detail::TypeCode next{get<char>(), get<char>()};
        const std::string_view got = next.kind == ':' ? get_text() : "no further field";
        if (got != name)
            refuse(joined({"is missing (there is ", got, ")"}), "in the bytes");
        read();
        path_.pop_back();
    }
    template <class T>
    void record(T& v)
    {
        expect({'{', 0});
        const auto version = get<std::uint16_t>();
        if (version != detail::version_of<T>())
            refuse("has version " + text(Index{version}), text(Index{detail::version_of<T>()}));
        detail::list_fields(v, *this);
        const detail::TypeCode next{get<char>(), get<char>()};
        if (next.kind != '}')
            refuse(joined({"has a further field, ", get_text()}), "without it");
    }
    template <class T>
    void tensor(const AnyView<T>& v)
    {
        static_assert(!std::is_const_v<T>,
                      "temper: this view is of const numbers; loading needs something that can be "
                      "written to");
        expect({'v', static_cast<char>(v.rank)});
        expect(detail::code_of<T>());
        std::array<Index, max_rank> extents{1, 1, 1, 1, 1, 1};
        for (std::size_t i = 0; i < static_cast<std::size_t>(v.rank); ++i)
            extents[i] = static_cast<Index>(get<std::int64_t>());
        if (extents != v.extents) {
            const auto rank = static_cast<std::size_t>(v.rank);
            refuse(joined({"has shape ", extents_text(extents.data(), rank)}),
                   extents_text(v.extents.data(), rank));
        }
        const auto* source = take(static_cast<std::uint64_t>(v.size()), sizeof(T));
        if (pass_ == Pass::apply)
            detail::for_each_number(v, [&](T& number) {
                number = detail::read_number<T>(source);
                source += sizeof(T);
            });
    }
    template <class R>
    void sequence(R& range, bool may_resize)
    {
        using T = std::ranges::range_value_t<R>;
        expect({'s', 0});
        const auto count = get<std::uint64_t>();
        const auto size = static_cast<std::uint64_t>(std::ranges::size(range));
        constexpr bool can_resize = requires { range.resize(std::size_t{}); };
        if (count != size && !(can_resize && (may_resize || size == 0)))
            refuse("has " + std::to_string(count) + " entries", std::to_string(size));

        const std::byte* source = nullptr;
        if constexpr (detail::Number<T>) {
            expect(detail::code_of<T>());
            source = take(count, sizeof(T));
        }
        if constexpr (can_resize)
            if (pass_ == Pass::apply)
                range.resize(static_cast<std::size_t>(count));
        if constexpr (detail::Number<T>) {
            if (pass_ == Pass::apply)
                for (auto&& number : range) {
                    number = detail::read_number<T>(source);
                    source += sizeof(T);
                }
        }
        else {
            auto element = std::ranges::begin(range);
            for (std::uint64_t i = 0; i < count; ++i) {
                path_.push_back({{}, static_cast<Index>(i)});
                if (i < std::ranges::size(range))
                    value(*element++);
                else if constexpr (can_resize) { // checking, before there is an element
                    T scratch{};
                    value(scratch);
                }
                path_.pop_back();
            }
        }
    }

    const std::byte* take(std::uint64_t count, std::size_t size = 1)
    {
        if (count > rest_.size() / size)
            refuse("is cut off", "whole");
        const auto* first = rest_.data();
        rest_ = rest_.subspan(static_cast<std::size_t>(count) * size);
        return first;
    }
    void expect(detail::TypeCode want)
    {
        const detail::TypeCode got{get<char>(), get<char>()};
        if (got == want)
            return;
        if (got.kind == 'v' && want.kind == 'v')
            refuse("has rank " + text(Index{got.size}), text(Index{want.size}));
        refuse("is " + got.text(), want.text());
    }

    std::span<const std::byte> rest_;
    std::string_view component_;
    std::string_view root_;
    Pass pass_;
    std::vector<Step> path_;
};

static_assert(Archive<StateWriter> && Archive<StateReader>);

// ---- states as bytes ----------------------------------------------------------------------------

namespace detail {
inline constexpr std::string_view state_magic{"TMPRSTA\1", 8}; // the last is the format's version
}

/// All of a state, as bytes.
template <HasFields S>
[[nodiscard]] std::vector<std::byte> save(const S& state)
{
    StateWriter writer;
    for (const char c : detail::state_magic)
        writer.put(c);
    writer.value(state);
    writer.put(checksum(writer.bytes));
    return std::move(writer.bytes);
}

/// A state as it was saved. The state is untouched where this throws.
template <HasFields S>
void load(S& state, std::span<const std::byte> bytes)
{
    const std::size_t head = detail::state_magic.size();
    if (bytes.size() < head + 8)
        fail<FormatError>("state", "bytes", "are cut off", "whole");
    if (std::memcmp(bytes.data(), detail::state_magic.data(), head) != 0)
        fail<FormatError>("state", "bytes", "are of something else or of another version",
                          "from temper::save");
    const auto covered = bytes.first(bytes.size() - 8);
    if (detail::read_number<std::uint64_t>(bytes.data() + covered.size()) != checksum(covered))
        fail<FormatError>("state", "bytes", "are cut off or damaged", "as they were saved");
    for (const auto pass : {StateReader::Pass::check, StateReader::Pass::apply}) {
        StateReader reader(covered.subspan(head), "state", "", pass);
        reader.value(state);
        reader.finish();
    }
}

} // namespace temper::inline TEMPER_ABI
