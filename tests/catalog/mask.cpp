// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/mask/magnitude_mask.hpp>
#include <temper/mask/nm_mask.hpp>

using namespace temper;
using test::Inputs;
using test::Law;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

const std::string selects = "a selection is 0 or 1 whatever the numbers are";

const Register nm_mask =
    Register(
        {"nm_mask"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            Inputs rows;
            rows.param("n", 2)
                .param("m", 4)
                .param("sparse_dim", 0)
                .tensor("w", random.normal({s.n, 4 * s.d}));
            Inputs columns;
            columns.param("n", 1)
                .param("m", 4)
                .param("sparse_dim", 1)
                .tensor("w", random.normal({4 * s.n, s.d}));
            Inputs conv;
            conv.param("n", 1)
                .param("m", 2)
                .param("layout", "conv")
                .tensor("w", random.normal({s.n, 2 * s.d, 3, 2}));
            Inputs whole;
            whole.param("sparsity_rate", 0.7).tensor("w", random.normal({s.n, s.d}));
            return std::vector{rows, columns, conv, whole};
        },
        [](auto& c) {
            // `sparsity_rate` is the card's name for one block over the whole tensor.
            if (c.number("sparsity_rate", 0) > 0) {
                const double rate = c.number("sparsity_rate");
                const auto w = c.tensor("w");
                const auto size = static_cast<double>(w.size());
                SaliencyMask{.keep = static_cast<Index>((1 - rate) * size)}.apply(
                    w, w, c.out("mask", c.shape("w")));
                return;
            }
            const bool conv = c.text("layout", "matrix") == "conv";
            const bool columns = c.integer("sparse_dim", 0) == 1;
            const NmMask mask{c.integer("n"), c.integer("m"), conv ? 1 : columns ? 0 : -1};
            mask.apply(c.tensor("w"), c.out("mask", c.shape("w")));
        })
        .no_law(Law::nan, selects);

const Register saliency_mask =
    Register({"saliency_mask"},
             test::each(test::with(test::batches({"w", "grad_w"}), "keep_share", 0.4), "kind",
                        {"magnitude", "snip", "taylor_signed", "fisher", "grad"}),
             [](auto& c) {
                 const std::string kind = c.text("kind");
                 const Saliency saliency = kind == "magnitude"       ? Saliency::magnitude
                                           : kind == "snip"          ? Saliency::snip
                                           : kind == "taylor_signed" ? Saliency::taylor
                                           : kind == "fisher"        ? Saliency::fisher
                                                                     : Saliency::gradient;
                 const auto w = c.tensor("w");
                 const Index keep = c.has("keep")
                                        ? c.integer("keep")
                                        : static_cast<Index>(c.number("keep_share") *
                                                             static_cast<double>(w.size()));
                 const SaliencyMask mask{saliency, keep};
                 mask.apply(w, c.tensor("grad_w"), c.out("mask", c.shape("w")));
                 mask.score(c.tensor("w"), c.tensor("grad_w"), c.out("score", c.shape("w")));
             })
        .no_law(Law::nan, "a NaN score is an error")
        .no_law(Law::precision, "a selection jumps where two scores are close")
        .no_law(Law::fuzz, "products of the largest numbers overflow");

const Register global_magnitude_mask =
    Register(
        {"global_magnitude_mask"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const char* scope : {"global", "layer"}) {
                Inputs in;
                in.param("sparsity", 0.6)
                    .param("scope", scope)
                    .tensor("w_0", random.normal({s.n, s.d}))
                    .tensor("w_1", random.normal({s.k}));
                variants.push_back(in);
            }
            return variants;
        },
        [](auto& c) {
            using Scope = MagnitudeMask::Scope;
            MagnitudeMask{c.number("sparsity"),
                          c.text("scope", "global") == "layer" ? Scope::layer : Scope::global}
                .apply(c.tensors("w_"), c.outs("mask_", "w_"));
        })
        .no_law(Law::nan, "a NaN weight is an error");

} // namespace
