// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the entries of losses share.

#include "catalog.hpp"

#include <temper/core/reduction.hpp>
#include <temper/core/targets.hpp>

#include <string>

namespace test {

inline temper::Reduction reduction_of(const std::string& name)
{
    return name == "sum" ? temper::Reduction::sum : temper::Reduction::mean;
}

/// f(sample_weights(...)) where the case has them by that name, else f().
template <class C, class F>
void with_sample_weights(C& c, const char* name, const F& f)
{
    if (c.has(name))
        f(temper::sample_weights(c.vector(name)));
    else
        f();
}
template <class C, class F>
void with_sample_weights(C& c, const F& f)
{
    with_sample_weights(c, "sample_weights", f);
}

inline Inputs logits_and_labels(const Sizes& s, Random& random)
{
    Inputs inputs;
    return inputs.tensor("logits", random.normal({s.n, s.d}))
        .tensor("labels", random.integers({s.n}, s.d));
}

} // namespace test
