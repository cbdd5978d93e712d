// expect: temper: the sum over ranks must be callable
// Floats over ranks: some rounds are of doubles, some of floats.
#include <span>
#include <temper/representation/barlow_twins.hpp>
#include <vector>

double value(const std::vector<float>& za, const std::vector<float>& zb)
{
    const temper::Share share{.offset = 0, .n_global = 8};
#ifdef TEMPER_MUST_FAIL
    const auto all_reduce = [](std::span<double>) {};
#else
    const auto all_reduce = [](auto) {};
#endif
    return temper::BarlowTwins{}(
        za, zb, temper::over_ranks(share, all_reduce, temper::gradients_are_summed));
}
