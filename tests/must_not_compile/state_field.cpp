// expect: temper: a field is a number, bool, enumeration, string, view, a vector
#include <temper/core/state.hpp>

#include <map>

struct State {
    std::map<int, float> by_class;
    float total = 0;
    template <class Archive>
    void fields(Archive& a)
    {
#ifdef TEMPER_MUST_FAIL
        a("by_class", by_class);
#else
        a("total", total);
#endif
    }
};

auto bytes = temper::save(State{});
