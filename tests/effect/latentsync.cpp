// SPDX-License-Identifier: BSL-1.0

// LatentSync: Audio Conditioned Latent Diffusion Models for Lip Sync.

#include "effect/alignment.hpp"

#include <temper/augment/sync_pair_draw.hpp>
#include <temper/loss/mean_squared_error.hpp>
#include <temper/metric/sync_offset_confidence.hpp>
#include <temper/representation/sync_cosine_bce.hpp>
#include <temper/representation/trepa.hpp>

using namespace alignment_effect;

namespace {

constexpr Index frames = 8;
constexpr Index pixels = 64;
constexpr Index channels = 48;
constexpr Index span = 3;
constexpr float change = 10; // how much more filters for change weigh than those for content
constexpr Index places = frames - span + 1;

/// Frozen: random filters over three neighbouring frames, half of which answer to change only, ReLU, and the
/// mean over time, as the published encoder's tokens are averaged.
struct TemporalConvolution {
    Matrix filters; ///< [channels, 3 pixels]
    Matrix held;    ///< what the last forward saw before its mean, [n places, channels]

    explicit TemporalConvolution(temper::Stream& rng)
        : filters(normals(rng, channels, span * pixels, 0.1))
    {
        Matrix still = Matrix::Zero(channels / 2, pixels);
        for (Index t = 0; t < span; ++t)
            still += filters.block(0, t * pixels, channels / 2, pixels) / static_cast<float>(span);
        for (Index t = 0; t < span; ++t)
            filters.block(0, t * pixels, channels / 2, pixels) -= still;
        filters.topRows(channels / 2) *= change;
    }
    [[nodiscard]] static Index features() { return channels; }
    void forward(const temper::AnyView<const float>& x, const temper::Into<float>& to)
    {
        const Index n = x.extent(0);
        held.resize(n * places, channels);
        const auto y = to.view.as<2>();
        for (Index i = 0; i < n; ++i) {
            for (Index p = 0; p < places; ++p) {
                const Eigen::Map<const Eigen::RowVectorXf> window(
                    x.data + (i * frames + p) * pixels, span * pixels);
                held.row(i * places + p) = (window * filters.transpose()).cwiseMax(0.0F);
            }
            for (Index c = 0; c < channels; ++c)
                y(i, c) = held.col(c).segment(i * places, places).mean();
        }
    }
    void pullback(const temper::AnyView<const float>& x, const temper::MatrixView<const float>& gy,
                  const temper::Into<float>& to)
    {
        std::fill_n(to.view.data, x.size(), 0.0F);
        Eigen::RowVectorXf g(channels);
        for (Index i = 0; i < x.extent(0); ++i)
            for (Index p = 0; p < places; ++p) {
                for (Index c = 0; c < channels; ++c)
                    g(c) = held(i * places + p, c) > 0 ? gy(i, c) / static_cast<float>(places) : 0;
                Eigen::Map<Eigen::RowVectorXf>(to.view.data + (i * frames + p) * pixels,
                                               span * pixels) += g * filters;
            }
    }
};

/// A digit that drifts along a smooth path, [frames, pixels].
void clip(const Matrix& digits, temper::Stream& rng, Eigen::Ref<Matrix> out)
{
    const Index which = temper::uniform_index(rng, digits.rows());
    const double x0 = 2 * temper::uniform(rng) - 1;
    const double y0 = 2 * temper::uniform(rng) - 1;
    const double dx = 0.1 * temper::normal(rng);
    const double dy = 0.1 * temper::normal(rng);
    for (Index t = 0; t < frames; ++t) {
        const double x = x0 + dx * static_cast<double>(t) / 2;
        const double y = y0 + dy * static_cast<double>(t) / 2;
        for (Index r = 0; r < 8; ++r)
            for (Index c = 0; c < 8; ++c) {
                const double u = static_cast<double>(r) + y;
                const double v = static_cast<double>(c) + x;
                const auto i = static_cast<Index>(std::floor(u));
                const auto j = static_cast<Index>(std::floor(v));
                const auto at = [&](Index a, Index b) {
                    return a < 0 || a > 7 || b < 0 || b > 7
                               ? 0.0
                               : static_cast<double>(digits(which, a * 8 + b));
                };
                const double fu = u - static_cast<double>(i);
                const double fv = v - static_cast<double>(j);
                out(t, r * 8 + c) =
                    static_cast<float>((1 - fu) * ((1 - fv) * at(i, j) + fv * at(i, j + 1)) +
                                       fu * ((1 - fv) * at(i + 1, j) + fv * at(i + 1, j + 1)));
            }
    }
}

struct Errors {
    double frame = 0;    ///< mean squared error
    double temporal = 0; ///< of the second differences in time
    double jitter = 0;   ///< mean square of the second differences of the output
};

Errors measure(const Matrix& y, const Matrix& clean)
{
    Errors out;
    out.frame = static_cast<double>((y - clean).squaredNorm()) / static_cast<double>(y.size());
    double entries = 0;
    for (Index i = 0; i < y.rows(); i += frames)
        for (Index t = 1; t + 1 < frames; ++t) {
            const auto second = [&](const Matrix& m) {
                return (m.row(i + t - 1) - 2 * m.row(i + t) + m.row(i + t + 1)).eval();
            };
            out.temporal += static_cast<double>((second(y) - second(clean)).squaredNorm());
            out.jitter += static_cast<double>(second(y).squaredNorm());
            entries += static_cast<double>(pixels);
        }
    out.temporal /= entries;
    out.jitter /= entries;
    return out;
}

Errors denoise(double weight, std::uint64_t seed)
{
    const Matrix digits = support::load_digits(TEMPER_EXAMPLE_DATA).x;
    auto rng = temper::stream(seed, 0, "clips");
    Network network({pixels, 96, pixels}, rng, 2e-3);
    TemporalConvolution encoder(rng);
    const auto trepa =
        (weight * temper::Trepa{.mean_over = temper::MeanOver::samples}).component.through(encoder);
    constexpr Index n = 16;
    Matrix clean(n * frames, pixels);
    Matrix g(n * frames, pixels);
    const auto as_clips = [](auto& m) {
        return temper::view(m.data(), {m.rows() / frames, frames, pixels});
    };
    for (Index step = 0; step < 700; ++step) {
        for (Index i = 0; i < n; ++i)
            clip(digits, rng, clean.middleRows(i * frames, frames));
        const Matrix noisy = clean + normals(rng, clean.rows(), pixels, 0.3);
        const Matrix y = network.forward(noisy);
        temper::MeanSquaredError{}(y, clean, temper::into(g));
        if (weight > 0)
            (weight * trepa)(as_clips(y), as_clips(clean), temper::add_to(as_clips(g)));
        network.backward(g);
        network.step();
    }
    constexpr Index test = 100;
    Matrix held(test * frames, pixels);
    for (Index i = 0; i < test; ++i)
        clip(digits, rng, held.middleRows(i * frames, frames));
    const Matrix noisy = held + normals(rng, held.rows(), pixels, 0.3);
    return measure(network.forward(noisy), held);
}

} // namespace

TEST_CASE("TREPA: a denoiser of single frames flickers less", "[effect]")
{
    Errors plain;
    Errors with;
    constexpr double seeds = 3;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        for (const bool trepa : {false, true}) {
            const Errors run = denoise(trepa ? 0.02 : 0, seed);
            Errors& mean = trepa ? with : plain;
            mean.frame += run.frame / seeds;
            mean.temporal += run.temporal / seeds;
            mean.jitter += run.jitter / seeds;
        }
    std::printf("TREPA: temporal error %.5f against %.5f, jitter %.5f against %.5f, frame error "
                "%.5f against %.5f\n",
                with.temporal, plain.temporal, with.jitter, plain.jitter, with.frame, plain.frame);
    CHECK(with.temporal < 0.9 * plain.temporal);
    CHECK(with.jitter < 0.9 * plain.jitter);
    CHECK(with.frame < 1.15 * plain.frame);
}

// Two views of one hidden motion: do they show the same moment?
TEST_CASE("a sync network leaves the plateau at log 2, and finds offsets", "[effect]")
{
    constexpr Index length = 64;
    constexpr Index window = 8;
    constexpr Index width = 6;
    auto rng = temper::stream(7, 0, "sync");
    const Matrix see = normals(rng, 3, width);
    const Matrix hear = normals(rng, 3, width);
    // A sequence of three slow motions with random phases, seen and heard through random mixtures.
    const auto sequence = [&](Matrix& visual, Matrix& audio) {
        Matrix hidden(length, 3);
        for (Index j = 0; j < 3; ++j) {
            const double phase = 6.28 * temper::uniform(rng);
            const double speed = 0.25 + 0.5 * temper::uniform(rng);
            for (Index t = 0; t < length; ++t)
                hidden(t, j) = static_cast<float>(std::sin(phase + speed * static_cast<double>(t)));
        }
        visual = (hidden * see).array().tanh();
        audio = (hidden * hear).array().tanh();
    };
    Network eye({window * width, 64, 24}, rng, 2e-3);
    Network ear({window * width, 64, 24}, rng, 2e-3);
    const temper::SyncPairDraw draw{.window = window};
    const temper::SyncCosineBce loss;
    const auto flat = [&](const Matrix& x, Index start, Matrix& out, Index row) {
        const auto part = draw.window_of(x, start);
        for (Index t = 0; t < window; ++t)
            for (Index j = 0; j < width; ++j)
                out(row, t * width + j) = part.data[t * part.stride(0) + j * part.stride(1)];
    };
    Matrix visual;
    Matrix audio;
    double first = 0;
    double last = 0;
    double right = 0;
    constexpr Index n = 64;
    constexpr Index steps = 900;
    for (Index step = 0; step < steps; ++step) {
        Matrix v(n, window * width);
        Matrix a(n, window * width);
        std::vector<float> y(n);
        for (Index i = 0; i < n; ++i) {
            sequence(visual, audio);
            const temper::SyncPair pair = draw.draw(rng, length);
            flat(visual, pair.frames(), v, i);
            flat(audio, pair.start, a, i);
            y[static_cast<std::size_t>(i)] = pair.in_sync ? 1.0F : 0.0F;
        }
        // ReLU on top, as both published encoders end.
        const Matrix ev = eye.forward(v).cwiseMax(0.0F);
        const Matrix ea = ear.forward(a).cwiseMax(0.0F);
        Matrix gv(n, 24);
        Matrix ga(n, 24);
        const double value = loss(ev, ea, y, temper::into(gv), temper::into(ga));
        (step < 20 ? first : last) += step < 20 ? value / 20 : step >= steps - 50 ? value / 50 : 0;
        for (Index i = 0; i < n && step >= steps - 50; ++i) {
            const double s = static_cast<double>(ev.row(i).dot(ea.row(i))) /
                             (1e-9 + static_cast<double>(ev.row(i).norm() * ea.row(i).norm()));
            right += (s > 0.5) == (y[static_cast<std::size_t>(i)] > 0.5F) ? 1.0 / (50 * n) : 0;
        }
        gv = (ev.array() > 0.0F).select(gv, 0.0F);
        ga = (ea.array() > 0.0F).select(ga, 0.0F);
        for (Matrix* g : {&gv, &ga}) // what the header advises: the slope may be 1e12
            *g = g->cwiseMax(-0.1F).cwiseMin(0.1F);
        eye.backward(gv);
        ear.backward(ga);
        eye.step();
        ear.step();
    }
    sequence(visual, audio);
    const auto embed = [&](Network& network, const Matrix& x, Index shift) {
        Matrix windows(24, window * width);
        for (Index i = 0; i < 24; ++i)
            flat(x, i + 12 + shift, windows, i);
        return Matrix(network.forward(windows).cwiseMax(0.0F));
    };
    const temper::SyncOffsetConfidence metric{.shifts = 6};
    const Matrix there = embed(ear, audio, 0);
    const temper::SyncOffset zero = metric(embed(eye, visual, 0), there);
    const temper::SyncOffset three = metric(embed(eye, visual, 3), there);
    std::printf("sync: loss %.3f at first, %.3f at last (log 2 is 0.693), %.3f of the pairs are "
                "told; offsets %d and %d of shifts 0 and 3\n",
                first, last, right, static_cast<int>(zero.offset), static_cast<int>(three.offset));
    CHECK(last < 0.6);
    CHECK(right > 0.75);
    CHECK(std::abs(three.offset - zero.offset + 3) <= 1);
}
