// SPDX-License-Identifier: BSL-1.0

// The laws, over the whole catalogue; that of threads is in laws_threads.cpp.

#include "support/hold.hpp"

#include <iostream>

using namespace test;

TEST_CASE("law of gradients") { hold(Law::gradient); }
TEST_CASE("law of modes") { hold(Law::modes); }
TEST_CASE("law of layouts") { hold(Law::layouts); }
TEST_CASE("law of precision") { hold(Law::precision); }
TEST_CASE("law of allocation") { hold(Law::allocation); }
TEST_CASE("law of shapes") { hold(Law::shapes); }
TEST_CASE("law of NaN") { hold(Law::nan); }
TEST_CASE("law of purity") { hold(Law::purity); }
TEST_CASE("law of proximal points") { hold(Law::prox); }
TEST_CASE("law of firm non-expansiveness") { hold(Law::firm); }

TEST_CASE("laws that do not hold say why")
{
    for (const Entry* entry : catalog()) {
        for (const Entry::OptOut& out : entry->opt_outs) {
            CHECK(out.reason != "");
            std::cout << "not checked: " << entry->name() << ", " << name(out.law)
                      << (out.input.empty() ? "" : " of " + out.input) << ": " << out.reason
                      << '\n';
        }
        for (const std::string& note : entry->notes)
            std::cout << "checked less: " << entry->name() << ", " << note << '\n';
    }
}
