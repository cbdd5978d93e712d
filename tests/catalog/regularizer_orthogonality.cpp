// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/regularizer/conv_orthogonality.hpp>
#include <temper/regularizer/double_soft_orthogonality.hpp>
#include <temper/regularizer/pego_regularizer.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>
#include <temper/regularizer/sorsa_regularizer.hpp>
#include <temper/regularizer/srip.hpp>

#include <algorithm>

using namespace temper;
using test::each;
using test::Inputs;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

/// A matrix of more columns, and one of more rows.
std::vector<Inputs> wide_and_tall(const Sizes& s, Random& random)
{
    std::vector<Inputs> variants(2);
    variants[0].tensor("W", random.normal({s.n, s.d}));
    variants[1].tensor("W", random.normal({s.d, s.n}));
    return variants;
}

GramSide side_of(const std::string& side)
{
    return side == "rows"   ? GramSide::rows
           : side == "cols" ? GramSide::columns
                            : GramSide::automatic;
}

const Register soft_orthogonality(
    {"soft_orthogonality"},
    each(each(wide_and_tall, "side", {"rows", "cols", "auto"}), "norm", {"fro_sq", "fro"}),
    [](auto& c) {
        using Norm = SoftOrthogonality::Norm;
        const SoftOrthogonality soft{
            .side = side_of(c.text("side", "auto")),
            .norm = c.text("norm", "fro_sq") == "fro" ? Norm::frobenius : Norm::frobenius_squared};
        c.value(soft(c.matrix("W"), c.grad("W")));
    });

const Register double_soft_orthogonality({"double_soft_orthogonality"}, wide_and_tall, [](auto& c) {
    c.value(DoubleSoftOrthogonality{}(c.matrix("W"), c.grad("W")));
});

const Register srip(
    {"srip"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const bool tall : {false, true}) {
            const Index m = tall ? s.d : s.n;
            const Index n = tall ? s.n : s.d;
            for (const int iterations : {1, 2, -1})
                for (const char* side : {"cols", "rows", "auto"})
                    for (const bool through : {true, false}) {
                        if (iterations < 0 && !through)
                            continue;
                        Inputs in;
                        in.param("n_iters", iterations)
                            .param("side", side)
                            .param("power", iterations == 1 ? 2 : 1)
                            .param("through", through)
                            .tensor("W", random.normal({m, n}));
                        if (iterations > 0)
                            in.tensor("u0",
                                      random.normal({means_rows(side_of(side), m, n) ? m : n}));
                        variants.push_back(in);
                    }
        }
        return variants;
    },
    [](auto& c) {
        const Index iterations = c.integer("n_iters", 1);
        Srip isometry{.side = side_of(c.text("side", "cols")),
                      .squared = c.integer("power", 2) == 2,
                      .through = c.flag("through", true),
                      .epsilon = c.number("eps", 1e-12)};
        if (iterations < 0)
            return c.value(isometry(c.matrix("W"), c.grad("W")));
        isometry.iterations = iterations;
        const Srip::Plan plan = c.aside([&] {
            Srip::Plan drawn;
            for (Index i = 0; i < c.shape("u0")[0]; ++i)
                drawn.start.push_back(static_cast<double>(c.vector("u0")(i)));
            return drawn;
        });
        // With u and v constant, what is written is not the gradient of the value.
        c.value(isometry(c.matrix("W"), plan,
                         isometry.through ? c.grad("W") : c.out("grad_W", c.shape("W"))));
    });

const Register conv_orthogonality(
    {"conv_orthogonality"},
    [](const Sizes& s, Random& random) {
        struct Row {
            Index filters, channels, side, stride, padding; // no padding: lorth
        };
        const Index n = (std::min)(s.n, Index{96}); // products over n^2 k^4 numbers
        const Index k = (std::min)(s.k, Index{12});
        std::vector<Inputs> variants;
        for (const Row& row :
             {Row{n, k, 3, 1, -1}, Row{k, n, 3, 1, -1}, Row{k + 1, n, 3, 2, -1},
              Row{4 * k + n, k, 3, 2, -1}, Row{9 * k + 1, k, 2, 3, -1}, Row{n, k, 1, 1, -1},
              Row{n, k, 3, 1, 1}, Row{k, n, 3, 2, 1}, Row{n, k, 2, 1, 2}}) {
            Inputs in;
            in.param("stride", row.stride)
                .param("form", row.padding < 0 ? "lorth" : "published")
                .tensor("K", random.normal({row.filters, row.channels, row.side, row.side}));
            if (row.padding >= 0)
                in.param("padding", row.padding);
            variants.push_back(in);
        }
        return variants;
    },
    [](auto& c) {
        using Form = ConvOrthogonality::Form;
        const ConvOrthogonality conv{
            .stride = c.integer("stride"),
            .form = c.text("form", "lorth") == "published" ? Form::published : Form::lorth,
            .padding = c.integer("padding", 1)};
        c.value(conv(c.tensor("K"), c.grad("K")));
    });

const Register sorsa_regularizer(
    {"sorsa_regularizer"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants(2);
        variants[0].tensor("A", random.normal({s.k, s.d})).tensor("B", random.normal({s.n, s.k}));
        variants[1]
            .tensor("A1", random.normal({s.k, s.d}))
            .tensor("B1", random.normal({s.n, s.k}))
            .tensor("A2", random.normal({s.n, s.k}))
            .tensor("B2", random.normal({s.d, s.n}));
        return variants;
    },
    [](auto& c) {
        const SorsaRegularizer sorsa{};
        if (c.has("A"))
            c.value(sorsa(c.matrix("A"), c.matrix("B"), c.grad("A"), c.grad("B")));
        else
            c.value(sorsa(c.tensors("A"), c.tensors("B"), c.grads("A"), c.grads("B")));
    });

const Register pego_regularizer(
    {"pego_regularizer"},
    each(
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const Index adapters : {1, 3}) {
                Inputs in;
                in.tensor("W0", random.normal({s.n, s.d}))
                    .tensor("A", random.normal({adapters, s.k, s.d}))
                    .tensor("B", random.normal({adapters, s.n, s.k}));
                variants.push_back(in);
            }
            return variants;
        },
        "side", {"rows", "cols"}),
    [](auto& c) {
        using Side = PegoRegularizer::Side;
        const PegoRegularizer pego{c.text("side", "rows") == "cols" ? Side::columns : Side::rows};
        c.value(pego(c.matrix("W0"), c.tensor("A"), c.tensor("B"), c.grad("A"), c.grad("B")));
    });

} // namespace
