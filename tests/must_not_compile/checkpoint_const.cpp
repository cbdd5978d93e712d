// expect: temper: this is const; loading needs something that can be written to
#include <temper/checkpoint.hpp>

void load(int& step)
{
#ifdef TEMPER_MUST_FAIL
    const int& target = step;
#else
    int& target = step;
#endif
    temper::load_checkpoint("run.ckpt", temper::part("step", target));
}
