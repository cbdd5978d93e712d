// SPDX-License-Identifier: BSL-1.0
#pragma once

// RandAugment in the form of UDA: two operations of random strength on each image, then a cutout.
//
// draw   for each image `operations` times: one of the 15 below and a magnitude m of 1 ... 9, uniformly;
//        it happens with `probability`, its sign is + or - evenly. Then the centre of a last cutout.
// apply  in order, with L = m / 10; grey is 0.299 R + 0.587 G + 0.114 B, or the mean of the channels
//
//   invert        1 - x                              brightness   v x, v = 1.8 L + 0.1
//   contrast      v x + (1 - v) mean grey            color        v x + (1 - v) grey
//   sharpness     v x + (1 - v) smooth(x): [[1,1,1],[1,5,1],[1,1,1]] / 13, the border as it is
//   autocontrast  (x - min) / (max - min) of each channel, constant ones as they are
//   equalize      each channel's histogram of round(255 x) made flat
//   posterize     the 4 - int(4 L) highest bits of floor(255 x + 1/2)
//   solarize      1 - x where x >= (256 - int(256 L)) / 255
//   translate_x   out[i, j] = x[i, j + s], s = sign int(m w (10 / 32) / 10); translate_y: x[i + s, j]
//   shear_x       out[i, j] = x[i, floor(j + 1/2 + s (i + 1/2))], s = 0.3 L sign; shear_y likewise
//   rotate        by sign int(30 L) degrees about the middle, nearest neighbours
//   cutout        Cutout of side int(20 L side / 32), 1/2 inside
//
// Images in [0, 1], [n, c, h, w], [n, h, w], or rows of c h w entries when the plan was drawn for {h, w}.
// Blends are clipped to [0, 1]; what comes from outside of an image is 0. The last cutout's side is
// `cutout` of each side (0: none) and is filled with 1/2. Flips and crops that come before are the
// caller's. Not differentiable: targets and inputs only. Magnitudes are random (UDA's own form, older than
// the RandAugment with one magnitude). Not equal to PIL to the bit: numbers are not rounded to bytes.
// Throws ShapeError; RangeError for probability or cutout outside [0, 1], and magnitudes outside [0, 10].
// Xie et al., Unsupervised Data Augmentation for Consistency Training (2020), constants of its code.

#include <temper/augment/cutout.hpp>

#include <array>
#include <cmath>

namespace temper::inline TEMPER_ABI {

enum class AugmentOp : unsigned char {
    invert,
    brightness,
    contrast,
    color,
    sharpness,
    autocontrast,
    equalize,
    posterize,
    solarize,
    translate_x,
    translate_y,
    shear_x,
    shear_y,
    rotate,
    cutout
};
inline constexpr Index augment_ops = 15;

struct AugmentRecord {
    AugmentOp op = AugmentOp::invert;
    bool applied = true;
    int magnitude = 5;
    int sign = 1;
    Index row = 0; ///< the centre of a cutout
    Index col = 0;
    friend bool operator==(const AugmentRecord&, const AugmentRecord&) = default;
};

struct RandAugmentPlan {
    std::vector<AugmentRecord> records; ///< [n, operations]
    std::vector<Box> cutouts;           ///< [n] or none
    Index images = 0;                   ///< n
    ImageSize image;
    friend bool operator==(const RandAugmentPlan&, const RandAugmentPlan&) = default;
};

struct RandAugment {
    static constexpr std::string_view name = "RandAugment";
    Index operations = 2;
    double probability = 0.5;
    double cutout = 0.5;

    template <class G>
    [[nodiscard]] RandAugmentPlan draw(G& rng, Index n, ImageSize image) const
    {
        RandAugmentPlan plan;
        draw(rng, n, image, plan);
        return plan;
    }
    template <class G>
    void draw(G& rng, Index n, ImageSize image, RandAugmentPlan& plan) const
    {
        require(operations >= 0, name, "operations", static_cast<double>(operations),
                "non-negative");
        require(probability >= 0 && probability <= 1, name, "probability", probability,
                "in [0, 1]");
        require(cutout >= 0 && cutout <= 1, name, "cutout", cutout, "in [0, 1]");
        plan.images = n;
        plan.image = image;
        plan.records.resize(static_cast<std::size_t>(n * operations));
        for (AugmentRecord& record : plan.records) {
            record.op = static_cast<AugmentOp>(uniform_index(rng, augment_ops));
            record.magnitude = static_cast<int>(1 + uniform_index(rng, 9));
            record.applied = bernoulli(rng, probability);
            record.sign = bernoulli(rng, 0.5) ? 1 : -1;
            record.row = uniform_index(rng, image.height);
            record.col = uniform_index(rng, image.width);
        }
        plan.cutouts.resize(cutout > 0 ? static_cast<std::size_t>(n) : 0);
        for (Box& box : plan.cutouts) {
            const auto half = [this](Index side) {
                return static_cast<Index>(cutout * static_cast<double>(side)) / 2;
            };
            const Index row = uniform_index(rng, image.height);
            const Index col = uniform_index(rng, image.width);
            box = {(std::max)(Index{0}, row - half(image.height)),
                   (std::max)(Index{0}, col - half(image.width)),
                   (std::min)(image.height, row + half(image.height)),
                   (std::min)(image.width, col + half(image.width))};
        }
    }
    /// (plan, x, into(y))
    template <class X, class D>
    void apply(const RandAugmentPlan& plan, const X& x, const D& out) const;

    friend bool operator==(const RandAugment&, const RandAugment&) = default;
};

namespace kernel {
template <class T>
struct RandAugment {
    static void run(const RandAugmentPlan& plan, View<const T, 4> x, const Destination<T, 4>& out);
};
} // namespace kernel

template <class X, class D>
void RandAugment::apply(const RandAugmentPlan& plan, const X& x, const D& out) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("images", x);
    const auto in = images(name, xs, plan.image);
    const Index n = in.extents[0];
    const auto records = static_cast<Index>(plan.records.size());
    const auto cuts = static_cast<Index>(plan.cutouts.size());
    if (plan.images != n || (n == 0 ? records != 0 : records % n != 0) || (cuts != 0 && cuts != n))
        fail<ShapeError>(name, "plan",
                         joined({"is for ", text(plan.images), " images with ", text(records),
                                 " records and ", text(cuts), " cutouts"}),
                         joined({"for the ", text(n), " images given"}));
    for (const AugmentRecord& record : plan.records)
        border.require(record.magnitude >= 0 && record.magnitude <= 10, "magnitude",
                       record.magnitude, "from 0 to 10");
    const auto to = border.sample_gradient("images", xs, out, InPlace::allowed);
    if (to)
        kernel::RandAugment<T>::run(plan, in,
                                    {images(name, to.view, plan.image), to.scale, to.mode});
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace augmenting {

/// One image [c, h, w] of doubles, so that what is rounded or compared is so alike for all scalars.
struct Canvas {
    double* x;
    double* other; ///< room for one image more
    Index c, h, w;

    [[nodiscard]] double& at(double* image, Index ch, Index i, Index j) const
    {
        return image[(ch * h + i) * w + j];
    }
    [[nodiscard]] double grey(Index i, Index j) const
    {
        if (c == 3)
            return 0.299 * at(x, 0, i, j) + 0.587 * at(x, 1, i, j) + 0.114 * at(x, 2, i, j);
        double sum = 0;
        for (Index ch = 0; ch < c; ++ch)
            sum += at(x, ch, i, j);
        return sum / static_cast<double>(c);
    }
    template <class F>
    void each(const F& f) const
    {
        for (Index ch = 0; ch < c; ++ch)
            for (Index i = 0; i < h; ++i)
                for (Index j = 0; j < w; ++j)
                    f(ch, i, j);
    }
    /// x <- v x + (1 - v) of(ch, i, j), clipped.
    template <class F>
    void blend(double v, const F& of)
    {
        each([&](Index ch, Index i, Index j) {
            const double mixed = v * at(x, ch, i, j) + (1 - v) * of(ch, i, j);
            at(other, ch, i, j) = mixed < 0 ? 0 : mixed > 1 ? 1 : mixed;
        });
        std::swap(x, other);
    }
    /// x <- x[source(i, j)], 0 where that is outside.
    template <class F>
    void moved(const F& source)
    {
        each([&](Index ch, Index i, Index j) {
            const auto [r, s] = source(static_cast<double>(i), static_cast<double>(j));
            const bool inside =
                r >= 0 && s >= 0 && r < static_cast<double>(h) && s < static_cast<double>(w);
            at(other, ch, i, j) =
                inside ? at(x, ch, static_cast<Index>(r), static_cast<Index>(s)) : 0;
        });
        std::swap(x, other);
    }
    void autocontrast() const
    {
        for (Index ch = 0; ch < c; ++ch) {
            double* p = x + ch * h * w;
            const auto [low, high] = std::minmax_element(p, p + h * w);
            const double least = *low;
            const double range = *high - least;
            for (Index i = 0; range > 0 && i < h * w; ++i)
                p[i] = (p[i] - least) / range;
        }
    }
    void equalize() const
    {
        for (Index ch = 0; ch < c; ++ch) {
            double* p = x + ch * h * w;
            std::array<Index, 256> count{};
            const auto bin = [](double number) {
                const double q = std::nearbyint(255 * number);
                return static_cast<std::size_t>(q > 0 ? (q < 255 ? q : 255) : 0);
            };
            std::size_t last = 0;
            for (Index i = 0; i < h * w; ++i) {
                ++count[bin(p[i])];
                last = (std::max)(last, bin(p[i]));
            }
            const Index step = (h * w - count[last]) / 255;
            if (step == 0)
                continue;
            std::array<double, 256> table{};
            Index below = 0;
            for (std::size_t q = 0; q < 256; ++q) {
                const Index level = (step / 2 + below) / step;
                table[q] = static_cast<double>((std::min)(Index{255}, level)) / 255;
                below += count[q];
            }
            for (Index i = 0; i < h * w; ++i)
                p[i] = table[bin(p[i])];
        }
    }
    void fill(const Box& box, double number) const
    {
        for (Index ch = 0; ch < c; ++ch)
            for (Index i = box.top; i < box.bottom; ++i)
                for (Index j = box.left; j < box.right; ++j)
                    at(x, ch, i, j) = number;
    }
};

inline void apply(const AugmentRecord& record, Canvas& canvas)
{
    const double strength = record.magnitude / 10.0;
    const double v = 1.8 * strength + 0.1;
    const auto h = static_cast<double>(canvas.h);
    const auto w = static_cast<double>(canvas.w);
    const auto shift = [&](double side) {
        return record.sign * std::floor(record.magnitude * side * (10.0 / 32) / 10);
    };
    const double shear = 0.3 * strength * record.sign;
    const auto each_pixel = [&](const auto& f) {
        for (Index i = 0; i < canvas.c * canvas.h * canvas.w; ++i)
            canvas.x[i] = f(canvas.x[i]);
    };
    switch (record.op) {
    case AugmentOp::invert:
        return each_pixel([](double x) { return 1 - x; });
    case AugmentOp::brightness:
        return canvas.blend(v, [](Index, Index, Index) { return 0.0; });
    case AugmentOp::contrast: {
        double mean = 0;
        for (Index i = 0; i < canvas.h; ++i)
            for (Index j = 0; j < canvas.w; ++j)
                mean += canvas.grey(i, j);
        mean /= h * w;
        return canvas.blend(v, [mean](Index, Index, Index) { return mean; });
    }
    case AugmentOp::color:
        return canvas.blend(v, [&](Index, Index i, Index j) { return canvas.grey(i, j); });
    case AugmentOp::sharpness:
        return canvas.blend(v, [&](Index ch, Index i, Index j) {
            double* x = canvas.x;
            if (i == 0 || j == 0 || i + 1 == canvas.h || j + 1 == canvas.w)
                return canvas.at(x, ch, i, j);
            double sum = 4 * canvas.at(x, ch, i, j);
            for (Index r = i - 1; r <= i + 1; ++r)
                for (Index s = j - 1; s <= j + 1; ++s)
                    sum += canvas.at(x, ch, r, s);
            return sum / 13;
        });
    case AugmentOp::autocontrast:
        return canvas.autocontrast();
    case AugmentOp::equalize:
        return canvas.equalize();
    case AugmentOp::posterize: {
        const int dropped = 8 - (4 - static_cast<int>(4 * strength));
        return each_pixel([dropped](double x) {
            const double step = std::ldexp(1.0, dropped);
            return step * std::floor(std::floor(255 * x + 0.5) / step) / 255;
        });
    }
    case AugmentOp::solarize: {
        const double limit = (256 - std::floor(256 * strength)) / 255;
        return each_pixel([limit](double x) { return x >= limit ? 1 - x : x; });
    }
    case AugmentOp::translate_x:
        return canvas.moved([s = shift(w)](double i, double j) { return std::pair{i, j + s}; });
    case AugmentOp::translate_y:
        return canvas.moved([s = shift(h)](double i, double j) { return std::pair{i + s, j}; });
    case AugmentOp::shear_x:
        return canvas.moved([shear](double i, double j) {
            return std::pair{i, std::floor(j + 0.5 + shear * (i + 0.5))};
        });
    case AugmentOp::shear_y:
        return canvas.moved([shear](double i, double j) {
            return std::pair{std::floor(i + 0.5 + shear * (j + 0.5)), j};
        });
    case AugmentOp::rotate: {
        const double angle = record.sign * std::floor(30 * strength) * 3.14159265358979323846 / 180;
        const double cosine = std::cos(angle);
        const double sine = std::sin(angle);
        return canvas.moved([=](double i, double j) {
            const double u = j + 0.5 - w / 2;
            const double q = i + 0.5 - h / 2;
            return std::pair{std::floor(sine * u + cosine * q + h / 2),
                             std::floor(cosine * u - sine * q + w / 2)};
        });
    }
    case AugmentOp::cutout: {
        const double side = static_cast<double>((std::min)(canvas.h, canvas.w));
        const Cutout cut{.size = static_cast<Index>(20 * strength * side / 32)};
        return canvas.fill(cut.around(record.row, record.col, {canvas.h, canvas.w}), 0.5);
    }
    }
}

} // namespace augmenting

template <class T>
void kernel::RandAugment<T>::run(const RandAugmentPlan& plan, View<const T, 4> x,
                                 const Destination<T, 4>& out)
{
    const Index pixels = x.extents[1] * x.extents[2] * x.extents[3];
    if (x.size() == 0)
        return;
    const std::size_t each = plan.records.size() / static_cast<std::size_t>(x.extents[0]);
    Workspace::Frame frame;
    const simd::Slices<double> rooms(frame, x.size(), 2 * pixels);
    parallel_for(x.extents[0], x.size(), [&](Index i) {
        double* room = rooms.mine();
        augmenting::Canvas canvas{room, room + pixels, x.extents[1], x.extents[2], x.extents[3]};
        canvas.each([&](Index c, Index r, Index j) {
            canvas.at(canvas.x, c, r, j) = static_cast<double>(x(i, c, r, j));
        });
        for (std::size_t k = 0; k < each; ++k)
            if (const auto& record = plan.records[static_cast<std::size_t>(i) * each + k];
                record.applied)
                augmenting::apply(record, canvas);
        if (!plan.cutouts.empty())
            canvas.fill(plan.cutouts[static_cast<std::size_t>(i)], 0.5);
        canvas.each([&](Index c, Index r, Index j) {
            out.put(out.view(i, c, r, j), static_cast<T>(canvas.at(canvas.x, c, r, j)));
        });
    });
}

TEMPER_INSTANTIATE(kernel::RandAugment);

} // namespace temper::inline TEMPER_ABI
#endif
