// SPDX-License-Identifier: BSL-1.0
#pragma once

// Checkpoints: named parts, the library's states and the user's own weights and moments, in one
// file.
//
//   temper::save_checkpoint("run.ckpt", temper::part("step", step), temper::part("elr", state),
//                           temper::part("weights", temper::tensors(w1, b1, w2, b2)));
//   temper::load_checkpoint("run.ckpt", temper::part("step", step), temper::part("elr", state),
//                           temper::part("weights", temper::tensors(w1, b1, w2, b2)));
//
// A part is whatever can be a field of a state (see core/state.hpp), or an owner of numbers, which
// is saved in row-major order whatever its layout and loaded into one of the same shape and scalar
// type. Streams of random numbers need no part: see core/random.hpp.
//
// The file is written beside its place under another name, flushed to the disk, and moved there by
// one rename: at any moment there is the old checkpoint or the new one, whole. Loading checks all
// parts of the file and all parts asked for before it changes anything; parts that are not asked
// for are left alone (checkpoint_parts lists them).
//
// FormatError, naming the part: a file that is truncated, damaged or of something else, a part that
// is missing or of another type or shape. Error: a file that cannot be read or written. RangeError:
// two parts of one name. Loading takes the memory of the whole file, saving that of the numbers
// once more.

#include <temper/core/state.hpp>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#if __has_include(<unistd.h>)
#include <fcntl.h>
#include <unistd.h>
#elif __has_include(<io.h>)
#include <io.h>
#include <process.h>
#endif

namespace temper::inline TEMPER_ABI {

/// A name and what is saved or loaded under it. Made by part().
template <class T>
struct Part {
    std::string_view name;
    T value; // a reference, or a view
};

/// Names a state, a number, an owner of numbers or a list of them. Refers to it, copies nothing.
template <class T>
[[nodiscard]] auto part(std::string_view name, T&& value)
{
    if constexpr (ViewLike<T> && !HasFields<std::remove_cvref_t<T>> &&
                  !std::is_convertible_v<T, std::string_view>)
        return Part<ViewOf<T>>{name, view(value)};
    else
        return Part<T>{name, std::forward<T>(value)};
}

namespace detail {

inline constexpr std::string_view checkpoint_magic{"TMPRCKP\1",
                                                   8}; // the last is the format's version

struct PartEntry {
    std::string_view name;
    std::uint64_t size = 0;
    std::uint64_t checksum = 0;
    std::span<const std::byte> bytes{};
};

[[noreturn, gnu::cold]] inline void fail_file(const std::filesystem::path& path,
                                              std::string_view what, std::error_code why)
{
    fail<Error>("checkpoint", path.string(), joined({what, " (", why.message(), ")"}),
                "a file that can be");
}
[[nodiscard]] inline std::error_code last_error() { return {errno, std::generic_category()}; }

/// An open file that is closed at the end of the scope; a new one is removed then, unless it was
/// moved.
class File {
  public:
    File(std::filesystem::path path, const char* mode)
        : path_(std::move(path)), handle_(std::fopen(path_.string().c_str(), mode)),
          created_(handle_ != nullptr && mode[0] == 'w')
    {
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File()
    {
        if (handle_ != nullptr)
            std::fclose(handle_);
        if (created_) {
            std::error_code ignored;
            std::filesystem::remove(path_, ignored);
        }
    }
    [[nodiscard]] explicit operator bool() const { return handle_ != nullptr; }
    [[nodiscard]] bool write(std::span<const std::byte> bytes)
    {
        return bytes.empty() || std::fwrite(bytes.data(), 1, bytes.size(), handle_) == bytes.size();
    }
    [[nodiscard]] bool read(std::span<std::byte> bytes)
    {
        return bytes.empty() || std::fread(bytes.data(), 1, bytes.size(), handle_) == bytes.size();
    }
    /// What was written is on the disk after this, not only with the operating system.
    [[nodiscard]] bool flush()
    {
        if (std::fflush(handle_) != 0)
            return false;
#if __has_include(<unistd.h>)
        return fsync(fileno(handle_)) == 0;
#elif __has_include(<io.h>)
        return _commit(_fileno(handle_)) == 0;
#else
        return true;
#endif
    }
    [[nodiscard]] bool close()
    {
        return handle_ == nullptr || std::fclose(std::exchange(handle_, nullptr)) == 0;
    }
    [[nodiscard]] std::error_code move_to(const std::filesystem::path& target)
    {
        std::error_code error;
        std::filesystem::rename(path_, target, error);
        created_ = created_ && error;
        return error;
    }

  private:
    std::filesystem::path path_;
    std::FILE* handle_;
    bool created_;
};

/// A name beside `path` that no other writer uses at this moment.
[[nodiscard]] inline std::filesystem::path name_beside(const std::filesystem::path& path)
{
    static std::atomic<unsigned> counter{0};
#if __has_include(<unistd.h>)
    const auto process = static_cast<Index>(getpid());
#elif __has_include(<process.h>)
    const auto process = static_cast<Index>(_getpid());
#else
    const Index process = 0;
#endif
    auto beside = path;
    beside += joined({".", text(process), "-", text(Index{counter++}), ".tmp"});
    return beside;
}

inline void write_atomically(const std::filesystem::path& path,
                             std::initializer_list<std::span<const std::byte>> pieces)
{
    File file(name_beside(path), "wb");
    bool ok = static_cast<bool>(file);
    for (const auto piece : pieces)
        ok = ok && file.write(piece);
    ok = ok && file.flush() && file.close();
    if (!ok)
        fail_file(path, "cannot be written", last_error());
    if (const std::error_code error = file.move_to(path))
        fail_file(path, "cannot be replaced", error);
#if __has_include(<unistd.h>)
    // The folder remembers the rename. A file system that cannot do this has done all it can.
    const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    if (const int handle = open(folder.c_str(), O_RDONLY | O_CLOEXEC); handle >= 0) {
        fsync(handle);
        ::close(handle);
    }
#endif
}

[[nodiscard]] inline std::vector<std::byte> read_whole(const std::filesystem::path& path)
{
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    if (error)
        fail_file(path, "cannot be read", error);
    std::vector<std::byte> bytes(static_cast<std::size_t>(size));
    File file(path, "rb");
    if (!file || !file.read(bytes))
        fail_file(path, "cannot be read", last_error());
    return bytes;
}

/// magic, number of parts, {name, size, checksum} of each, checksum of all this, bytes of each.
[[nodiscard]] inline std::vector<std::byte> directory_of(std::span<const PartEntry> parts)
{
    StateWriter head;
    for (const char c : checkpoint_magic)
        head.put(c);
    head.put(static_cast<std::uint64_t>(parts.size()));
    for (const PartEntry& entry : parts) {
        head.put_text(entry.name);
        head.put(entry.size);
        head.put(entry.checksum);
    }
    head.put(checksum(head.bytes));
    return std::move(head.bytes);
}

/// The parts of a checkpoint, all of them whole.
[[nodiscard]] inline std::vector<PartEntry> read_directory(std::span<const std::byte> file)
{
    const std::size_t n = checkpoint_magic.size();
    const std::string_view magic(reinterpret_cast<const char*>(file.data()),
                                 (std::min)(file.size(), n));
    if (magic.size() < n && checkpoint_magic.starts_with(magic))
        fail<FormatError>("checkpoint", "file", "is cut off at its beginning", "whole");
    if (magic.substr(0, n - 1) != checkpoint_magic.substr(0, n - 1))
        fail<FormatError>("checkpoint", "file", "is something else", "from save_checkpoint");
    if (magic != checkpoint_magic)
        fail<FormatError>("checkpoint", "file", "is of format " + text(Index{magic[n - 1]}),
                          text(Index{checkpoint_magic[n - 1]}));

    StateReader head(file.subspan(n), "checkpoint", "directory", StateReader::Pass::check);
    std::vector<PartEntry> parts;
    for (auto count = head.get<std::uint64_t>(); count > 0; --count) {
        PartEntry entry;
        entry.name = head.get_text();
        entry.size = head.get<std::uint64_t>();
        entry.checksum = head.get<std::uint64_t>();
        parts.push_back(entry);
    }
    const auto covered = file.first(file.size() - head.rest().size());
    if (head.get<std::uint64_t>() != checksum(covered))
        head.refuse("is damaged", "as it was saved");

    auto rest = head.rest();
    for (PartEntry& entry : parts) {
        if (entry.size > rest.size())
            fail<FormatError>("checkpoint", entry.name,
                              joined({"is cut off after ", text(static_cast<Index>(rest.size())),
                                      " of ", text(static_cast<Index>(entry.size)), " bytes"}),
                              "whole");
        entry.bytes = rest.first(static_cast<std::size_t>(entry.size));
        rest = rest.subspan(static_cast<std::size_t>(entry.size));
        if (checksum(entry.bytes) != entry.checksum)
            fail<FormatError>("checkpoint", entry.name, "is damaged", "as it was saved");
    }
    if (!rest.empty())
        fail<FormatError>("checkpoint", "file", "goes on after its last part", "as it was saved");
    return parts;
}

template <class T>
void append_part(std::vector<PartEntry>& parts, StateWriter& writer, const Part<T>& added)
{
    for (const PartEntry& known : parts)
        if (known.name == added.name)
            fail<RangeError>("checkpoint", added.name, "names two parts", "the name of one");
    const std::size_t before = writer.bytes.size();
    writer.value(added.value);
    const auto bytes = std::span<const std::byte>(writer.bytes).subspan(before);
    parts.push_back({added.name, bytes.size(), checksum(bytes)});
}

template <class T>
void read_part(std::span<const PartEntry> parts, const Part<T>& wanted, StateReader::Pass pass)
{
    for (const PartEntry& entry : parts)
        if (entry.name == wanted.name) {
            StateReader reader(entry.bytes, "checkpoint", entry.name, pass);
            reader.value(wanted.value);
            reader.finish();
            return;
        }
    fail<FormatError>("checkpoint", wanted.name, "is missing", "in the file");
}

} // namespace detail

/// Writes the parts into one file, replacing what is there when all is written.
template <class... T>
void save_checkpoint(const std::filesystem::path& path, const Part<T>&... parts)
{
    std::vector<detail::PartEntry> entries;
    StateWriter writer;
    (detail::append_part(entries, writer, parts), ...);
    detail::write_atomically(path, {detail::directory_of(entries), writer.bytes});
}

/// Fills the parts from a file. None of them is touched where this throws.
template <class... T>
void load_checkpoint(const std::filesystem::path& path, const Part<T>&... parts)
{
    const std::vector<std::byte> file = detail::read_whole(path);
    const std::vector<detail::PartEntry> entries = detail::read_directory(file);
    for ([[maybe_unused]] const auto pass : {StateReader::Pass::check, StateReader::Pass::apply})
        (detail::read_part(entries, parts, pass), ...);
}

/// The names of the parts of a file, in the order in which they were saved.
[[nodiscard]] inline std::vector<std::string> checkpoint_parts(const std::filesystem::path& path)
{
    const std::vector<std::byte> file = detail::read_whole(path);
    std::vector<std::string> names;
    for (const detail::PartEntry& entry : detail::read_directory(file))
        names.emplace_back(entry.name);
    return names;
}

} // namespace temper::inline TEMPER_ABI
