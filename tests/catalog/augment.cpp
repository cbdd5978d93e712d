// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/augment/cutmix.hpp>

using namespace temper;
using test::Inputs;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

template <class C>
MixPlan plan_of(const C& c)
{
    MixPlan plan;
    for (const std::int64_t j : const_cast<C&>(c).indices("perm"))
        plan.partner.push_back(static_cast<Index>(j));
    return plan;
}

const Register mixup(
    {"mixup"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const bool per_sample : {true, false}) {
            const Index lambdas = per_sample ? s.n : 1;
            Inputs in;
            in.param("num_classes", s.k + 1)
                .tensor("x", random.normal({s.n, s.d}))
                .tensor("labels", random.integers({s.n}, s.k + 1))
                .tensor("perm", random.integers({s.n}, s.n)) // any list of indices will do
                .tensor("lambda_x", random.uniform({lambdas}, 0, 1))
                .tensor("lambda_y", random.uniform({lambdas}, 0, 1))
                .tensor("cotangent", random.normal({s.n, s.d}));
            variants.push_back(in);
        }
        return variants;
    },
    [](auto& c) {
        const Mixup<> mix{};
        const MixPlan plan = c.aside([&] {
            MixPlan drawn = plan_of(c);
            for (const auto& [name, to] :
                 {std::pair{"lambda_x", &drawn.lambda}, std::pair{"lambda_y", &drawn.label_lambda}})
                for (const auto lambdas = c.vector(name); Index i : {Index{0}})
                    for (; i < lambdas.size(); ++i)
                        to->push_back(static_cast<double>(lambdas(i)));
            return drawn;
        });
        const auto k = c.integer("num_classes");
        mix.apply(plan, c.tensor("x"), c.out("x_mix", c.shape("x")));
        mix.mix_labels(plan, labels(c.indices("labels")), k, c.out("y_mix", {plan.size(), k}));
        mix.pullback(plan, c.tensor("cotangent"), c.grad("x"));
        c.pair("x_mix", "cotangent");
    });

const Register cutmix =
    Register(
        {"cutmix"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool rows : {false, true}) { // images, or rows of their pixels
                const Index h = (std::min)(s.d, Index{14}) + 2;
                const Index w = (std::min)(s.k, Index{5}) + 3;
                const auto shape = rows ? test::Shape{s.n, 2 * h * w} : test::Shape{s.n, 2, h, w};
                Inputs in;
                in.param("lambda", random.number(0, 1))
                    .param("height", h)
                    .param("width", w)
                    .tensor("images", random.normal(shape))
                    .tensor("perm", random.permutation(s.n))
                    .tensor("centre", random.integers({2}, (std::min)(h, w)))
                    .tensor("cotangent", random.normal(shape));
                variants.push_back(in);
            }
            return variants;
        },
        [](auto& c) {
            const CutMix<> cut{};
            const MixPlan plan = c.aside([&] {
                MixPlan drawn = plan_of(c);
                const auto& shape = c.shape("images");
                drawn.image = {c.integer("height", shape[shape.size() - 2]),
                               c.integer("width", shape[shape.size() - 1])};
                const auto centre = c.indices("centre");
                const Box box =
                    CutBox::around(static_cast<Index>(centre[0]), static_cast<Index>(centre[1]),
                                   c.number("lambda"), drawn.image);
                drawn.boxes = {box};
                drawn.lambda = {CutBox::remaining(box, drawn.image)};
                drawn.label_lambda = drawn.lambda;
                return drawn;
            });
            cut.apply(plan, c.tensor("images"), c.out("output", c.shape("images")));
            cut.pullback(plan, c.tensor("cotangent"), c.grad("images"));
            c.pair("output", "cotangent");
            c.aside([&] {
                const Box& box = plan.boxes[0];
                const std::array corners{
                    static_cast<double>(box.top), static_cast<double>(box.left),
                    static_cast<double>(box.bottom), static_cast<double>(box.right)};
                c.put("box", corners);
            });
            c.put("lambda_effective", plan.lambda[0]);
        })
        .no_law(test::Law::shapes, "centre", "the case reads it, not the component");

} // namespace
