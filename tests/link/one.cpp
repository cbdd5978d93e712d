// SPDX-License-Identifier: BSL-1.0

// Two units that include everything: a function that is not inline, or a variable that is defined
// twice, does not link.

#include <temper/temper.hpp>

#include <string_view>

const char* namespace_of_other_unit();

#define TEMPER_TEST_TEXT_(name) #name
#define TEMPER_TEST_TEXT(name) TEMPER_TEST_TEXT_(name)

int main()
{
    const std::string_view here = TEMPER_TEST_TEXT(TEMPER_ABI);
    return here == namespace_of_other_unit() ? 0 : 1;
}
