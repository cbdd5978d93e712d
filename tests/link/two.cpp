// SPDX-License-Identifier: BSL-1.0

#include <temper/temper.hpp>

#define TEMPER_TEST_TEXT_(name) #name
#define TEMPER_TEST_TEXT(name) TEMPER_TEST_TEXT_(name)

const char* namespace_of_other_unit();
const char* namespace_of_other_unit() { return TEMPER_TEST_TEXT(TEMPER_ABI); }
