// SPDX-License-Identifier: BSL-1.0

// Inputs, random tensors, and the list of entries.

#include "catalog.hpp"

#include <algorithm>
#include <array>
#include <cmath>

namespace test {

Index count(const Shape& shape)
{
    Index n = 1;
    for (const Index extent : shape)
        n *= extent;
    return n;
}

std::string text(const Shape& shape)
{
    std::string out;
    for (const Index extent : shape)
        out += (out.empty() ? "" : ", ") + std::to_string(extent);
    return "[" + out + "]";
}

// ---- inputs --------------------------------------------------------------------------------------

Inputs& Inputs::param(const std::string& name, nlohmann::json value)
{
    params[name] = std::move(value);
    return *this;
}

Inputs& Inputs::tensor(std::string name, Tensor value)
{
    tensors.emplace_back(std::move(name), std::move(value));
    return *this;
}

const Tensor* Inputs::find(std::string_view name) const
{
    for (const auto& [known, tensor] : tensors)
        if (known == name)
            return &tensor;
    return nullptr;
}

Tensor* Inputs::find(std::string_view name)
{
    return const_cast<Tensor*>(std::as_const(*this).find(name));
}

// ---- random tensors ------------------------------------------------------------------------------

namespace {

template <class Draw>
Tensor tensor_of(Shape shape, Kind kind, const Draw& draw)
{
    Tensor tensor{std::move(shape), {}, kind};
    tensor.data.resize(static_cast<std::size_t>(count(tensor.shape)));
    for (double& number : tensor.data)
        number = draw();
    return tensor;
}

} // namespace

double Random::number(double low, double high)
{
    return low + (high - low) * temper::uniform(bits_);
}

Index Random::below(Index limit) { return limit < 1 ? 0 : temper::uniform_index(bits_, limit); }

bool Random::chance(double probability) { return temper::bernoulli(bits_, probability); }

Tensor Random::normal(Shape shape)
{
    return tensor_of(std::move(shape), Kind::real, [&] { return temper::normal(bits_); });
}

Tensor Random::uniform(Shape shape, double low, double high, Kind kind)
{
    return tensor_of(std::move(shape), kind, [&] { return number(low, high); });
}

Tensor Random::positive(Shape shape)
{
    return tensor_of(std::move(shape), Kind::nonnegative, [&] { return std::exp(number(-1, 1)); });
}

Tensor Random::integers(Shape shape, Index limit)
{
    return tensor_of(std::move(shape), Kind::integers,
                     [&] { return static_cast<double>(below(limit)); });
}

Tensor Random::permutation(Index n)
{
    std::vector<Index> order(static_cast<std::size_t>(n));
    temper::permutation(bits_, std::span<Index>(order));
    return {{n}, std::vector<double>(order.begin(), order.end()), Kind::integers};
}

Tensor Random::probabilities(Index n, Index k)
{
    Tensor tensor = uniform({n, k}, 0.05, 1);
    for (auto row = tensor.data.begin(); k > 0 && row != tensor.data.end(); row += k) {
        double sum = 0;
        for (auto p = row; p != row + k; ++p)
            sum += *p;
        for (auto p = row; p != row + k; ++p)
            *p /= sum;
    }
    return tensor;
}

Make batches(std::vector<std::string> names)
{
    return [names = std::move(names)](const Sizes& s, Random& random) {
        Inputs inputs;
        for (const std::string& name : names)
            inputs.tensor(name, random.normal({s.n, s.d}));
        return std::vector{inputs};
    };
}

Make each(Make make, std::string param, std::vector<nlohmann::json> values)
{
    return [=](const Sizes& sizes, Random& random) {
        std::vector<Inputs> all;
        for (const nlohmann::json& value : values)
            for (Inputs& variant : make(sizes, random))
                all.push_back(std::move(variant.param(param, value)));
        return all;
    };
}

Make with(Make make, std::string param, nlohmann::json value)
{
    return each(std::move(make), std::move(param), std::vector{std::move(value)});
}

// ---- entries -------------------------------------------------------------------------------------

std::string_view name(Law law)
{
    constexpr std::array names{"gradient", "modes", "layouts", "precision", "threads", "allocation",
                               "shapes",   "nan",   "purity",  "prox",      "firm",    "fuzz"};
    return names[static_cast<std::size_t>(law)];
}

bool Entry::obeys(Law law, std::string_view input) const
{
    return std::none_of(opt_outs.begin(), opt_outs.end(), [&](const OptOut& out) {
        return out.law == law && (out.input.empty() || out.input == input);
    });
}

namespace {

std::deque<Entry>& entries()
{
    static std::deque<Entry> all;
    return all;
}

} // namespace

Entry& Register::add(Entry entry)
{
    for (const std::string& name : entry.names)
        if (find_entry(name) != nullptr)
            throw std::logic_error("two entries of the catalogue are called " + name);
    return entries().emplace_back(std::move(entry));
}

Register& Register::no_law(Law law, std::string reason)
{
    return no_law(law, "", std::move(reason));
}

Register& Register::no_law(Law law, std::string input, std::string reason)
{
    entry_.opt_outs.push_back({law, std::move(input), std::move(reason)});
    return *this;
}

Register& Register::float_tolerance(double tolerance, std::string reason)
{
    entry_.float_tolerance = tolerance;
    entry_.notes.push_back("float to " + temper::text(tolerance) + ": " + reason);
    return *this;
}

Register& Register::cancelled(double size, std::string reason)
{
    entry_.cancelled = size;
    entry_.notes.push_back("below " + temper::text(size) + ": " + reason);
    return *this;
}

Register& Register::float_range(double smallest, double largest, std::string reason)
{
    entry_.float_range = {smallest, largest};
    entry_.notes.push_back("float from " + temper::text(smallest) + " to " + temper::text(largest) +
                           ": " + reason);
    return *this;
}

Register& Register::double_range(double smallest, double largest, std::string reason)
{
    entry_.double_range = {smallest, largest};
    entry_.notes.push_back("double from " + temper::text(smallest) + " to " +
                           temper::text(largest) + ": " + reason);
    return *this;
}

std::vector<const Entry*> catalog()
{
    std::vector<const Entry*> all;
    for (const Entry& entry : entries())
        all.push_back(&entry);
    std::sort(all.begin(), all.end(),
              [](const Entry* a, const Entry* b) { return a->name() < b->name(); });
    return all;
}

const Entry* find_entry(std::string_view name)
{
    for (const Entry& entry : entries())
        if (std::find(entry.names.begin(), entry.names.end(), name) != entry.names.end())
            return &entry;
    return nullptr;
}

Outcome run(const Entry& entry, const Inputs& inputs, const Setting& setting, Scalar scalar)
{
    if (scalar == Scalar::f32)
        return Case<float>(inputs, setting).run(entry.run_float);
    return Case<double>(inputs, setting).run(entry.run_double);
}

} // namespace test
