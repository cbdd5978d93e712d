// expect: temper: a chain is made of transforms
#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/regularizer/l1.hpp>

#include <vector>

void step(std::vector<float>& w, const std::vector<float>& g)
{
#ifdef TEMPER_MUST_FAIL
    const auto update = temper::chain(temper::AdamW{}, temper::L1{});
#else
    const auto update = temper::chain(temper::AdamW{});
#endif
    auto state = update.init(w);
    update.step(state, w, g);
}
