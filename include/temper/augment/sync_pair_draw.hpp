// SPDX-License-Identifier: BSL-1.0
#pragma once

// Pairs of a window of pictures and a window of sound for training what tells whether they are in sync.
//
//   start         uniform on 0 .. length - window
//   wrong_start   the same, but not start
//   in_sync       true with probability 1/2
//
// Sound comes from `start`, pictures from frames(): start if in sync, else wrong_start, which is of the SAME
// sequence and may be off by one frame only, on purpose. window_of(x, start) is frames start ..
// start + window - 1 of a sequence x [length, ...], a view, no copy.
// draw(rng, length) draws one pair. RangeError for window < 1 and for a length below 2 window.
// Li et al., LatentSync: audio conditioned latent diffusion models for lip sync (2024).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

namespace temper::inline TEMPER_ABI {

struct SyncPair {
    Index start = 0;
    Index wrong_start = 0;
    bool in_sync = true;

    /// Where the window of pictures starts.
    [[nodiscard]] Index frames() const { return in_sync ? start : wrong_start; }
    friend bool operator==(const SyncPair&, const SyncPair&) = default;
};

struct SyncPairDraw {
    static constexpr std::string_view name = "SyncPairDraw";
    Index window = 16;

    template <BitGenerator G>
    [[nodiscard]] SyncPair draw(G& rng, Index length) const
    {
        require(window >= 1, name, "window", static_cast<double>(window), "at least 1");
        require(length >= 2 * window, name, "length", static_cast<double>(length),
                "at least two windows");
        const Index starts = length - window + 1;
        SyncPair pair;
        pair.start = uniform_index(rng, starts);
        const Index other = uniform_index(rng, starts - 1);
        pair.wrong_start = other < pair.start ? other : other + 1;
        pair.in_sync = bernoulli(rng, 0.5);
        return pair;
    }
    /// A view of x [length, ...] from `start` on, [window, ...].
    template <class X>
    [[nodiscard]] auto window_of(X& x, Index start) const
    {
        using V = decltype(view(x));
        AnyView<std::remove_pointer_t<decltype(V::data)>> part(view(x));
        if (part.rank < 1)
            fail<ShapeError>(name, "x", "is a number", "of shape [length, ...]");
        require(start >= 0 && start + window <= part.extent(0), name, "start",
                static_cast<double>(start), "such that the window ends within the sequence");
        part.data += start * part.stride(0);
        part.extents[0] = window;
        return part;
    }
    friend bool operator==(const SyncPairDraw&, const SyncPairDraw&) = default;
};

} // namespace temper::inline TEMPER_ABI
