// expect: temper: a loss over ranks must be told what becomes of the gradients
// A loss over ranks: whether gradients are summed or averaged has no default.
#include <temper/representation/barlow_twins.hpp>
#include <vector>

double value(const std::vector<float>& za, const std::vector<float>& zb)
{
    const temper::Share share{.offset = 0, .n_global = 8};
    const auto all_reduce = [](auto) {};
#ifdef TEMPER_MUST_FAIL
    return temper::BarlowTwins{}(za, zb, temper::over_ranks(share, all_reduce));
#else
    return temper::BarlowTwins{}(
        za, zb, temper::over_ranks(share, all_reduce, temper::gradients_are_summed));
#endif
}
