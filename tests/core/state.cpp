// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/core/state.hpp>

#include <array>
#include <cmath>
#include <deque>
#include <functional>
#include <limits>
#include <string>
#include <vector>

namespace {

using temper::Index;
using Bytes = std::vector<std::byte>;

enum class Phase : std::uint8_t { warm_up, training };

struct Moments {
    double mean = 0;
    float variance = 1;
    template <class Archive>
    void fields(Archive& a)
    {
        a("mean", mean)("variance", variance);
    }
    friend bool operator==(const Moments&, const Moments&) = default;
};

struct Everything {
    static constexpr int version = 3;
    Index classes = 0;
    bool started = false;
    Phase phase = Phase::warm_up;
    std::int8_t small = 0;
    std::uint64_t large = 0;
    std::string note;
    std::vector<double> targets;
    std::vector<float> queue;
    std::vector<bool> seen;
    std::deque<int> recent;
    std::array<std::uint16_t, 3> counts{};
    std::vector<Moments> columns;
    std::vector<std::vector<int>> groups;
    Moments all;
    template <class Archive>
    void fields(Archive& a)
    {
        a.extent("classes", classes);
        a("started", started)("phase", phase)("small", small)("large", large)("note", note);
        a("targets", targets).resizable("queue", queue);
        a("seen", seen)("recent", recent)("counts", counts)("columns", columns);
        a("groups", groups)("all", all);
    }
    friend bool operator==(const Everything&, const Everything&) = default;
};

Everything example()
{
    Everything s;
    s.classes = 4;
    s.started = true;
    s.phase = Phase::training;
    s.small = -100;
    s.large = 0xfedcba9876543210;
    s.note = std::string("with \0 zero", 11);
    s.targets = {1.5, -2.25, 1e300, -0.0, std::numeric_limits<double>::infinity()};
    s.queue = {1, 2, 3};
    s.seen = {true, false, true};
    s.recent = {-1, 5};
    s.counts = {1, 2, 65535};
    s.columns = {{1, 2}, {3, 4}};
    s.groups = {{1, 2}, {}, {3}};
    s.all = {7, 8};
    return s;
}

// A library of the user's own, with a free function.
namespace own {
struct Counter {
    int value = 0;
};
template <class Archive>
void fields(Archive& a, Counter& c)
{
    a("value", c.value);
}
} // namespace own

// A state laid over somebody else's memory.
struct Overlaid {
    temper::MatrixView<double> table;
    std::span<float> row;
    template <class Archive>
    void fields(Archive& a)
    {
        a("table", table)("row", row);
    }
};

template <class T>
struct One {
    T x{};
    template <class Archive>
    void fields(Archive& a)
    {
        a("x", x);
    }
};

std::string message_of(const std::function<void()>& call)
{
    try {
        call();
    }
    catch (const temper::FormatError& error) {
        return error.what();
    }
    return "no FormatError";
}

template <class To, class From>
std::string refusal(const From& from, To to = {})
{
    const Bytes bytes = temper::save(from);
    const Bytes before = temper::save(to);
    const std::string text = message_of([&] { temper::load(to, bytes); });
    CHECK(temper::save(to) == before);
    return text;
}

} // namespace

TEST_CASE("state: every kind of field comes back", "[core][state]")
{
    const Everything saved = example();
    const Bytes bytes = temper::save(saved);
    Everything loaded;
    temper::load(loaded, bytes);
    CHECK(loaded == saved);
    CHECK(std::signbit(loaded.targets[3]));
    CHECK(temper::save(loaded) == bytes);
    // Over a state that has seen other things meanwhile.
    loaded.queue.assign(10, 9.f);
    loaded.recent = {1, 2, 3, 4, 5, 6};
    loaded.note = "";
    loaded.columns[1].mean = 99;
    temper::load(loaded, bytes);
    CHECK(loaded == saved);
}

TEST_CASE("state: a free function lists the fields of a foreign type", "[core][state]")
{
    static_assert(temper::HasFields<own::Counter> && temper::HasFields<Moments>);
    static_assert(!temper::HasFields<int> && !temper::HasFields<std::vector<int>>);
    own::Counter c{5};
    const Bytes bytes = temper::save(c);
    c.value = 0;
    temper::load(c, bytes);
    CHECK(c.value == 5);
}

TEST_CASE("state: memory of the caller is written in place, whatever its strides", "[core][state]")
{
    std::vector<double> column_major{1, 2, 3, 4, 5, 6}; // [2, 3]
    std::array<float, 3> row{7, 8, 9};
    const Overlaid saved{{column_major.data(), {2, 3}, {1, 2}}, row};
    const Bytes bytes = temper::save(saved);

    std::vector<double> row_major(6, -1);
    std::array<float, 3> other{};
    Overlaid loaded{temper::view(row_major.data(), {2, 3}), other};
    temper::load(loaded, bytes);
    CHECK(row_major == std::vector<double>{1, 3, 5, 2, 4, 6});
    CHECK(other == row);

    Overlaid turned{temper::view(row_major.data(), {3, 2}), other};
    CHECK(message_of([&] { temper::load(turned, bytes); }) ==
          "state: table has shape [2, 3], must be [3, 2]");
    Overlaid shorter{temper::view(row_major.data(), {2, 3}), std::span(other).first(2)};
    row_major.assign(6, -1);
    CHECK(message_of([&] { temper::load(shorter, bytes); }) ==
          "state: row has 3 entries, must be 2");
    CHECK(row_major == std::vector<double>(6, -1)); // the table before it is untouched, too
}

TEST_CASE("state: the bytes are little-endian and the same everywhere", "[core][state]")
{
    const Bytes bytes = temper::save(One<std::uint16_t>{0x1234});
    const unsigned char want[] = {'T', 'M', 'P', 'R', 'S', 'T',  'A',  1, // magic and version
                                  '{', 0,   0,   0,                       // record of version 0
                                  ':', 0,   1,   0,   0,   0,    0,    0, // a field with a name of
                                  0,   0,   'x', 'u', 2,   0x34, 0x12, '}', // 1 byte, uint16, end
                                  0};
    REQUIRE(bytes.size() == sizeof want + 8);
    for (std::size_t i = 0; i < sizeof want; ++i)
        CHECK(bytes[i] == std::byte{want[i]});
    // The checksum is frozen with the format.
    CHECK(temper::checksum(std::span(bytes).first(sizeof want)) == 0x3ef28e09ac3e6a25);
    CHECK(bytes[sizeof want] == std::byte{0x25});
}

TEST_CASE("state: what does not fit is named and changes nothing", "[core][state]")
{
    CHECK(refusal<One<double>>(One<float>{}) == "state: x is float32, must be float64");
    CHECK(refusal<One<int>>(One<unsigned>{}) == "state: x is uint32, must be int32");
    CHECK(refusal<One<int>>(One<bool>{}) == "state: x is bool, must be int32");
    CHECK(refusal<One<std::string>>(One<bool>{}) == "state: x is bool, must be text");
    CHECK(refusal<One<std::vector<int>>>(One<std::vector<float>>{}) ==
          "state: x is float32, must be int32");
    CHECK(refusal<One<int>>(One<std::vector<int>>{}) == "state: x is a sequence, must be int32");
    CHECK(refusal<One<Moments>>(One<int>{}) == "state: x is int32, must be a record");
    CHECK(refusal<One<One<double>>>(One<One<float>>{}) == "state: x.x is float32, must be float64");
    CHECK(refusal<One<std::array<int, 3>>>(One<std::array<int, 2>>{}) ==
          "state: x has 2 entries, must be 3");
    CHECK(refusal(One<std::vector<int>>{{1, 2}}, One<std::vector<int>>{{1, 2, 3}}) ==
          "state: x has 2 entries, must be 3");
    CHECK(refusal<One<std::vector<Moments>>>(One<std::vector<own::Counter>>{{{1}}}) ==
          "state: x[0].mean is missing (there is value), must be in the bytes");
    CHECK(refusal<Moments>(own::Counter{}) ==
          "state: mean is missing (there is value), must be in the bytes");
    CHECK(refusal<own::Counter>(Everything{}) == "state: bytes has version 3, must be 0");

    Everything other = example();
    other.classes = 5;
    CHECK(refusal(example(), other) == "state: classes is 4, must be 5");
    other = example();
    other.groups[2] = {1, 2};
    CHECK(refusal(example(), other) == "state: groups[2] has 1 entries, must be 2");
}

namespace {
struct Short {
    int a = 1;
    template <class Archive>
    void fields(Archive& archive)
    {
        archive("a", a);
    }
};
struct Long : Short {
    int b = 2;
    template <class Archive>
    void fields(Archive& archive)
    {
        archive("a", a)("b", b);
    }
};
} // namespace

TEST_CASE("state: fields too few and too many are named", "[core][state]")
{
    CHECK(refusal<Long>(Short{}) ==
          "state: b is missing (there is no further field), must be in the bytes");
    CHECK(refusal<Short>(Long{}) == "state: bytes has a further field, b, must be without it");
}

TEST_CASE("state: cut bytes are refused at every length, flipped ones at every bit",
          "[core][state]")
{
    const Bytes bytes = temper::save(example());
    Everything state = example();
    state.small = 1;
    const Everything before = state;
    for (std::size_t n = 0; n < bytes.size(); ++n)
        CHECK_THROWS_AS(temper::load(state, std::span(bytes).first(n)), temper::FormatError);
    for (std::size_t i = 0; i < 8 * bytes.size(); ++i) {
        Bytes flipped = bytes;
        flipped[i / 8] ^= std::byte{1} << (i % 8);
        CHECK_THROWS_AS(temper::load(state, flipped), temper::FormatError);
    }
    Bytes longer = bytes;
    longer.push_back(std::byte{0});
    CHECK_THROWS_AS(temper::load(state, longer), temper::FormatError);
    CHECK(state == before);
}

TEST_CASE("state: bytes with a right checksum and wrong contents are refused", "[core][state]")
{
    // As an attacker or a bug would write them: every length is checked against what is there.
    const Bytes bytes = temper::save(One<std::vector<int>>{{1, 2, 3}});
    One<std::vector<int>> state;
    const std::size_t head = 8;
    int refused = 0;
    for (std::size_t i = head; i + 8 < bytes.size(); ++i)
        for (const int change : {1, 0x7f, 0x80, 0xff}) {
            Bytes changed(bytes.begin(), bytes.end() - 8);
            changed[i] ^= static_cast<std::byte>(change);
            const auto sum = temper::checksum(changed);
            for (int b = 0; b < 8; ++b)
                changed.push_back(static_cast<std::byte>(sum >> (8 * b) & 0xff));
            try {
                temper::load(state, changed);
            }
            catch (const temper::FormatError&) {
                ++refused;
            }
        }
    CHECK(refused > 100); // all but those that changed a number's own bytes
}

TEST_CASE("state: the checksum tells transposed, repeated and shortened bytes apart",
          "[core][state]")
{
    Bytes bytes(40);
    for (std::size_t i = 0; i < bytes.size(); ++i)
        bytes[i] = static_cast<std::byte>(i * 7);
    const auto sum = temper::checksum(bytes);
    Bytes swapped = bytes;
    std::swap_ranges(swapped.begin(), swapped.begin() + 8, swapped.begin() + 8);
    CHECK(temper::checksum(swapped) != sum);
    Bytes signs = bytes; // the top bits of two neighbouring words, as of two doubles' signs
    signs[7] ^= std::byte{0x80};
    signs[15] ^= std::byte{0x80};
    CHECK(temper::checksum(signs) != sum);
    CHECK(temper::checksum(Bytes(8)) != temper::checksum(Bytes(9)));
    CHECK(temper::checksum(Bytes{}) == 0);
}
