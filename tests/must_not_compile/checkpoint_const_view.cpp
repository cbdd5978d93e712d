// expect: temper: this view is of const numbers; loading needs something that can be written to
#include <temper/checkpoint.hpp>

#include <vector>

void load(std::vector<float>& weights)
{
#ifdef TEMPER_MUST_FAIL
    const auto& target = weights;
#else
    auto& target = weights;
#endif
    temper::load_checkpoint("run.ckpt", temper::part("weights", target));
}
