// expect: temper: the chain has no transform of this type, or several
#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/only.hpp>

double rate()
{
    const temper::AdamW adamw{};
#ifdef TEMPER_MUST_FAIL
    const auto update = temper::chain(adamw, adamw);
#else
    const auto update = temper::chain(adamw, temper::only({1}, adamw));
#endif
    return update.get<temper::AdamW>().learning_rate;
}
