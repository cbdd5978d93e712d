// expect: temper: a destination must be something that can be written to
#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/clip_norm.hpp>

#include <vector>

void step(std::vector<float>& w, const std::vector<float>& g)
{
#ifdef TEMPER_MUST_FAIL
    const auto update = temper::chain(temper::ClipNorm{}, temper::AdamW{});
#else
    const auto update = temper::chain(temper::AdamW{});
#endif
    auto state = update.init(w);
    update.step(state, w, g);
}
