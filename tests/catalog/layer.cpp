// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/layer/sinkhorn.hpp>

using namespace temper;
using test::Inputs;
using test::Kind;
using test::Random;
using test::Register;
using test::Sizes;
using test::Tensor;

namespace {

/// Positive numbers that sum to 1.
Tensor histogram(Index n, Random& random)
{
    Tensor masses = random.uniform({n}, 0.5, 1.5);
    double sum = 0;
    for (const double mass : masses.data)
        sum += mass;
    for (double& mass : masses.data)
        mass /= sum;
    return masses;
}

// Scalings alone, and with logarithms in between.
const Register sinkhorn(
    {"sinkhorn"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        for (const double epsilon : {0.5, 0.01})
            all.push_back(Inputs()
                              .param("epsilon", epsilon)
                              .param("iterations", 12)
                              .tensor("a", histogram(s.n, random))
                              .tensor("b", histogram(s.d, random))
                              .tensor("cost", random.normal({s.n, s.d})));
        return all;
    },
    [](auto& c) {
        const Sinkhorn matching{.epsilon = c.number("epsilon"),
                                .iterations = c.integer("iterations")};
        const auto& shape = c.shape("cost");
        c.put("transport_cost",
              matching.forward(c.vector("a"), c.vector("b"), c.matrix("cost"), c.out("plan", shape),
                               c.out("f", {shape[0]}), c.out("g", {shape[1]})));
    });

} // namespace
