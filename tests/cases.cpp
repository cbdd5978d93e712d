// SPDX-License-Identifier: BSL-1.0

// What a case of the catalogue gives an entry, and what it finds out about it.

#include "catalog.hpp"

#include "support/catch.hpp"

using namespace test;
using temper::testing::entry;

namespace {

template <class Run>
Outcome run_with(const Inputs& inputs, const Setting& setting, const Run& f)
{
    return run(make_entry({"case"}, Make(), f), inputs, setting);
}

Inputs lists()
{
    return Inputs()
        .tensor("w_0", {{2}, {1, 2}})
        .tensor("w_1", {{1, 2}, {3, 4}})
        .tensor("alpha", {{}, {0.25}})
        .tensor("labels", {{2, 2}, {0, 1, 2, 3}, Kind::integers});
}

} // namespace

TEST_CASE("parameters are found by name")
{
    const auto inputs = Inputs()
                            .param("eps", 1e-3)
                            .param("bound", "-inf")
                            .param("side", "rows")
                            .param("unbiased", true)
                            .param("ranks", {4, 2})
                            .param("nothing", nullptr)
                            .param("weights", {{"shape", {2}}, {"data", {0.5, "inf"}}})
                            .tensor("alpha", {{}, {0.25}});
    (void)run_with(inputs, {}, [](auto& c) {
        CHECK(c.number("eps") == 1e-3);
        CHECK(c.number("eps", 2) == 1e-3);
        CHECK(c.number("other", 2) == 2);
        CHECK(c.number("bound") < -1e308);
        CHECK(c.number("alpha") == 0.25);
        CHECK(c.text("side") == "rows");
        CHECK(c.text("other", "cols") == "cols");
        CHECK(c.flag("unbiased"));
        CHECK(c.flag("other", true));
        CHECK(c.integers("ranks") == std::vector<Index>{4, 2});
        CHECK(c.list("weights").at(1) > 1e308);
        CHECK(c.has("eps"));
        CHECK(c.has("alpha"));
        CHECK(!c.has("nothing"));
        CHECK(!c.has("other"));
        CHECK_THROWS_AS(c.number("other"), CaseError);
        CHECK_THROWS_AS(c.number("side"), CaseError);
        CHECK_THROWS_AS(c.integer("eps"), CaseError);
        CHECK_THROWS_AS(c.flag("eps"), CaseError);
        CHECK_THROWS_AS(c.text("eps"), CaseError);
    });
}

TEST_CASE("inputs and destinations are laid out as the setting says")
{
    const auto inputs = Inputs().tensor("x", {{2, 3}, {1, 2, 3, 4, 5, 6}});
    for (const Layout layout : {Layout::rows, Layout::columns, Layout::strided}) {
        const Outcome outcome =
            run_with(inputs, {.inputs = layout, .destinations = layout}, [&](auto& c) {
                const auto x = c.matrix("x");
                const auto g = c.grad("x").view.template as<2>();
                CHECK(x.extents == g.extents);
                CHECK(x.strides == g.strides);
                CHECK(x.strides == (layout == Layout::rows      ? std::array<Index, 2>{3, 1}
                                    : layout == Layout::columns ? std::array<Index, 2>{1, 2}
                                                                : std::array<Index, 2>{8, 2}));
                for (Index i = 0; i < 2; ++i)
                    for (Index j = 0; j < 3; ++j) {
                        CHECK(static_cast<Index>(x(i, j)) == 3 * i + j + 1);
                        g(i, j) = 2 * x(i, j);
                    }
            });
        CHECK(outcome.find("grad_x")->tensor.data == std::vector<double>{2, 4, 6, 8, 10, 12});
        CHECK(outcome.spilled == "");
    }
}

TEST_CASE("destinations are filled as their mode says")
{
    const auto inputs = lists();
    (void)run_with(inputs, {}, [](auto& c) { CHECK(std::isnan(c.grad("alpha").view.data[0])); });
    const Outcome added = run_with(
        inputs, {.gradients = Mode::add, .outputs = Mode::discard, .scale = 3}, [](auto& c) {
            const auto g = c.grad("w_0");
            CHECK(g.mode == Mode::add);
            CHECK(g.scale == 3);
            CHECK(c.out("y", {4}).mode == Mode::discard);
            entry(g.view, 0) += 3;
        });
    CHECK(added.outputs.size() == 1);
    CHECK(added.outputs[0].before[0] + 3 == added.outputs[0].tensor.data[0]);
    CHECK(added.outputs[0].before[1] == added.outputs[0].tensor.data[1]);

    const Outcome one = run_with(inputs, {.discarded = "grad_w_0"}, [](auto& c) {
        CHECK(c.grad("w_0").mode == Mode::discard);
        CHECK(c.grad("w_1").mode == Mode::overwrite);
    });
    CHECK(one.find("grad_w_0") == nullptr);
    CHECK(one.find("grad_w_1") != nullptr);
}

TEST_CASE("lists, integers and numbers are inputs and outputs too")
{
    const auto f = [](auto& c) {
        const auto w = c.tensors("w_");
        const auto g = c.grads("w_");
        const auto y = c.outs("y_", "w_");
        CHECK(w.size() == 2);
        CHECK(w[1].rank == 2);
        CHECK(g.mode == Mode::overwrite);
        for (std::size_t k = 0; k < 2; ++k)
            for (Index i = 0; i < 2; ++i) {
                entry(g.views[k], i) = 2 * entry(w[k], i);
                if (y.mode != Mode::discard)
                    entry(y.views[k], i) = 3 * entry(w[k], i);
            }
        CHECK(c.scalar("alpha") == 0.25);
        c.grad("alpha").view.data[0] = 7;
        const auto labels = c.index_tensor("labels");
        CHECK(labels.rank == 2);
        CHECK(c.indices("labels")[3] == 3);
        c.out_indices("order", {2}).view.data[0] = 5;
        c.value(1.5);
        c.put("chosen", std::vector<std::int64_t>{8, 9});
    };
    const Outcome outcome = run_with(lists(), {}, f);
    CHECK(outcome.find("grad_w_1")->tensor.data == std::vector<double>{6, 8});
    CHECK(outcome.find("grad_w_1")->tensor.shape == Shape{1, 2});
    CHECK(outcome.find("y_0")->tensor.data == std::vector<double>{3, 6});
    CHECK(outcome.find("y_0")->group == "y_");
    CHECK(outcome.find("grad_alpha")->tensor.data == std::vector<double>{7});
    CHECK(outcome.find("order")->tensor.data[0] == 5);
    CHECK(outcome.find("value")->tensor.data[0] == 1.5);
    CHECK(outcome.find("chosen")->tensor.data == std::vector<double>{8, 9});
    const std::vector<std::pair<std::string, std::string>> gradients{
        {"w_0", "grad_w_0"}, {"w_1", "grad_w_1"}, {"alpha", "grad_alpha"}};
    CHECK(outcome.gradients == gradients);

    const Outcome without = run_with(lists(), {.discarded = "y_"}, f);
    CHECK(without.find("y_0") == nullptr);
    CHECK(without.find("y_1") == nullptr);
    CHECK(without.find("grad_w_0") != nullptr);
}

TEST_CASE("cotangents find their outputs")
{
    const auto inputs = Inputs().tensor("x", {{2}, {1, 2}}).tensor("dy", {{3}, {1, 1, 1}});
    const auto implied = run_with(inputs, {}, [](auto& c) {
        (void)c.grad("x");
        (void)c.out("y", {3});
        (void)c.out("z", {4});
    });
    CHECK(implied.pairs == std::vector<std::pair<std::string, std::string>>{{"y", "dy"}});
    const auto ambiguous = run_with(inputs, {}, [](auto& c) {
        (void)c.out("y", {3});
        (void)c.out("z", {3});
    });
    CHECK(ambiguous.pairs.empty());
    const auto said = run_with(inputs, {}, [](auto& c) {
        (void)c.out("y", {3});
        (void)c.out("z", {3});
        c.pair("z", "dy");
    });
    CHECK(said.pairs == std::vector<std::pair<std::string, std::string>>{{"z", "dy"}});
    const auto loss = run_with(inputs, {}, [](auto& c) {
        (void)c.out("y", {3});
        c.value(1);
    });
    CHECK(loss.pairs.empty());
}

TEST_CASE("writing where nothing must be written is seen")
{
    const auto inputs = Inputs().tensor("x", {{2, 2}, {1, 2, 3, 4}});
    CHECK(run_with(inputs, {}, [](auto& c) { c.out("y", {2, 2}).view.data[4] = 0; }).spilled ==
          "y");
    CHECK(run_with(inputs, {}, [](auto& c) { c.out("y", {2, 2}).view.data[-1] = 0; }).spilled ==
          "y");
    CHECK(run_with(inputs, {.destinations = Layout::strided}, [](auto& c) {
              c.out("y", {2, 2}).view.data[1] = 0;
          }).spilled == "y");
    CHECK(run_with(inputs, {.outputs = Mode::discard}, [](auto& c) {
              c.out("y", {2, 2}).view.data[0] = 0;
          }).spilled != "");
    CHECK(run_with(inputs, {}, [](auto& c) { c.out_indices("i", {2}).view.data[2] = 0; }).spilled ==
          "i");
    CHECK(run_with(inputs, {}, [](auto& c) {
              const auto x = c.matrix("x");
              *const_cast<typename std::remove_cvref_t<decltype(c)>::Scalar*>(x.data) = 0;
          }).spilled == "the input x");
    CHECK(run_with(inputs, {}, [](auto& c) { c.out("y", {2, 2}).view.data[0] = 0; }).spilled == "");
}

TEST_CASE("what a component that throws has written is told from what ran before it")
{
    const auto inputs = Inputs().tensor("x", {{2}, {1, 2}});
    const std::vector<std::pair<std::string, Shape>> shapes;
    const Setting watching{.shapes = &shapes};
    const auto clean = run_with(inputs, watching, [](auto& c) {
        c.out("y", {2}).view.data[0] = 1; // a call that returned
        (void)c.grad("x");
        temper::fail("It", "x", "is 1", "2");
    });
    CHECK(clean.error == "It: x is 1, must be 2");
    CHECK(!clean.touched);
    const auto dirty = run_with(inputs, watching, [](auto& c) {
        c.grad("x").view.data[0] = 1;
        temper::fail("It", "x", "is 1", "2");
    });
    CHECK(dirty.touched);
    const auto dirty_integers = run_with(inputs, watching, [](auto& c) {
        c.out_indices("i", {2}).view.data[0] = 1;
        temper::fail("It", "x", "is 1", "2");
    });
    CHECK(dirty_integers.touched);
}

TEST_CASE("an entry that asks twice, or for another rank, is told")
{
    const auto inputs = Inputs().tensor("x", {{2}, {1, 2}}).tensor("y", {{1}, {0.5}});
    CHECK_THROWS_AS(run_with(inputs, {}, [](auto& c) { (void)c.grad("x"), (void)c.grad("x"); }),
                    CaseError);
    CHECK_THROWS_AS(run_with(inputs, {}, [](auto& c) { c.value(1), c.value(1); }), CaseError);
    CHECK_THROWS_AS(run_with(inputs, {}, [](auto& c) { (void)c.matrix("x"); }), CaseError);
    CHECK_THROWS_AS(run_with(inputs, {}, [](auto& c) { (void)c.indices("y"); }), CaseError);
    CHECK_THROWS_AS(run_with(inputs, {}, [](auto& c) { (void)c.tensors("w_"); }), CaseError);
}
