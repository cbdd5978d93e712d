// SPDX-License-Identifier: BSL-1.0
#pragma once

// Scratch memory that is allocated once. A Workspace is a chunked stack: a Frame takes blocks from it
// and gives all of them back when it ends, and growing never moves a block, so that a component may
// call user code that calls a component. After the first call with given shapes nothing is allocated.
//
// Each thread has a workspace of its own; `Workspace::Use use(mine);` makes the calling thread work
// with the caller's instead, for as long as `use` lives.

#include <temper/core/view.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

namespace temper::inline TEMPER_ABI {

class Workspace {
  public:
    Workspace() = default;
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    ~Workspace() { release(); }

    /// The workspace that components called on this thread take scratch from.
    [[nodiscard]] static Workspace& current()
    {
        if (chosen() != nullptr)
            return *chosen();
        thread_local Workspace own;
        return own;
    }

    /// Gives all memory back to the system. No frame may be open.
    void release()
    {
        for (Chunk& chunk : chunks_) {
            ::operator delete(chunk.memory, std::align_val_t{alignment});
            chunk = {};
        }
        chunk_ = 0, used_ = 0;
    }

    /// Bytes held.
    [[nodiscard]] std::size_t capacity() const
    {
        std::size_t bytes = 0;
        for (const Chunk& chunk : chunks_)
            bytes += chunk.size;
        return bytes;
    }

    /// Blocks taken through a frame live until the frame ends. Frames nest.
    class Frame {
      public:
        explicit Frame(Workspace& workspace = current())
            : workspace_(workspace), chunk_(workspace.chunk_), used_(workspace.used_)
        {
        }
        Frame(const Frame&) = delete;
        Frame& operator=(const Frame&) = delete;
        ~Frame() { workspace_.chunk_ = chunk_, workspace_.used_ = used_; }

        /// n uninitialised numbers, aligned to a cache line.
        template <class T>
            requires std::is_trivially_destructible_v<T>
        [[nodiscard]] T* take(Index n)
        {
            return static_cast<T*>(workspace_.take(static_cast<std::size_t>(n) * sizeof(T)));
        }
        template <class T>
        [[nodiscard]] T* take_zeros(Index n)
        {
            T* block = take<T>(n);
            std::memset(static_cast<void*>(block), 0, static_cast<std::size_t>(n) * sizeof(T));
            return block;
        }
        /// A dense row-major matrix of uninitialised numbers.
        template <class T>
        [[nodiscard]] MatrixView<T> matrix(Index rows, Index cols)
        {
            return {take<T>(rows * cols), {rows, cols}, {(std::max)(cols, Index{1}), 1}};
        }
        /// An uninitialised matrix of the shape of v, stored by rows or by columns as v is. Rows are set
        /// apart by a cache line where their length is such that they would compete for the same places
        /// in the cache.
        template <class T>
        [[nodiscard]] MatrixView<std::remove_const_t<T>> matrix_like(const MatrixView<T>& v)
        {
            using S = std::remove_const_t<T>;
            const auto size = [](Index stride) { return stride < 0 ? -stride : stride; };
            if (size(v.strides[0]) < size(v.strides[1]))
                return matrix_like(v.transposed()).transposed();
            constexpr Index line = static_cast<Index>(alignment / sizeof(S));
            const Index apart = v.cols() % (16 * line) == 0 ? v.cols() + line : v.cols();
            return matrix<S>(v.rows(), apart).block(0, 0, v.rows(), v.cols());
        }

      private:
        Workspace& workspace_;
        std::size_t chunk_;
        std::size_t used_;
    };

    /// Makes the calling thread take its scratch from `workspace`.
    class Use {
      public:
        explicit Use(Workspace& workspace) : before_(chosen()) { chosen() = &workspace; }
        Use(const Use&) = delete;
        Use& operator=(const Use&) = delete;
        ~Use() { chosen() = before_; }

      private:
        Workspace* before_;
    };

  private:
    static constexpr std::size_t alignment = 64;
    static constexpr std::size_t first_chunk = std::size_t{1} << 16;

    struct Chunk {
        std::byte* memory = nullptr;
        std::size_t size = 0;
    };

    static Workspace*& chosen()
    {
        thread_local Workspace* workspace = nullptr;
        return workspace;
    }

    void* take(std::size_t bytes)
    {
        bytes = (bytes + alignment - 1) / alignment * alignment;
        for (;; ++chunk_, used_ = 0) {
            Chunk& chunk = chunks_[chunk_];
            if (chunk.memory == nullptr) {
                const std::size_t last = chunk_ > 0 ? chunks_[chunk_ - 1].size : 0;
                const std::size_t size = (std::max)({bytes, first_chunk, 2 * last});
                chunk.memory =
                    static_cast<std::byte*>(::operator new(size, std::align_val_t{alignment}));
                chunk.size = size;
            }
            if (used_ + bytes <= chunk.size) {
                std::byte* block = chunk.memory + used_;
                used_ += bytes;
                return block;
            }
        }
    }

    /// Each is at least twice as large as the one before it, so that these hold whatever memory there is.
    std::array<Chunk, 48> chunks_{};
    std::size_t chunk_ = 0;
    std::size_t used_ = 0;
};

} // namespace temper::inline TEMPER_ABI
