// SPDX-License-Identifier: BSL-1.0

// Cases: inputs and destinations in memory of their own, laid out and filled as the setting says.

#include "catalog.hpp"

#include "support/allocations.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace test {

namespace testing = temper::testing;

namespace {

/// Stands in destinations that must not be written to, and around those that are.
constexpr double untouched = 77.25;
constexpr std::int64_t untouched_index = -1234567;

[[noreturn]] void complain(const std::string& what, std::string_view name)
{
    throw CaseError(what + " " + std::string(name));
}

std::int64_t to_integer(double number, std::string_view name)
{
    if (number != std::floor(number) || !(std::fabs(number) < 0x1p53))
        complain("not an integer:", name);
    return static_cast<std::int64_t>(number);
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b)
{
    return a.size() == b.size() &&
           (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

bool same_bits(const Outcome& a, const Outcome& b)
{
    return a.error == b.error && std::equal(a.outputs.begin(), a.outputs.end(), b.outputs.begin(),
                                            b.outputs.end(), [](const Output& x, const Output& y) {
                                                return x.name == y.name &&
                                                       x.tensor.shape == y.tensor.shape &&
                                                       same_bits(x.tensor.data, y.tensor.data);
                                            });
}

/// What stands in a destination that is added to.
double before(std::size_t i) { return 0.5 + 0.25 * static_cast<double>(i % 7); }

} // namespace

double number_of(const nlohmann::json& value, std::string_view name)
{
    if (value.is_number())
        return value.get<double>();
    if (value.is_boolean())
        return value.get<bool>() ? 1 : 0;
    if (value == "inf")
        return std::numeric_limits<double>::infinity();
    if (value == "-inf")
        return -std::numeric_limits<double>::infinity();
    if (value == "nan")
        return std::numeric_limits<double>::quiet_NaN();
    complain(value.dump() + " is not a number:", name);
}

const Output* Outcome::find(std::string_view name) const
{
    for (const Output& output : outputs)
        if (output.name == name)
            return &output;
    return nullptr;
}

// ---- parameters ----------------------------------------------------------------------------------

void CaseBase::step_aside() const
{
    if (aside_++ == 0)
        aside_since_ = allocations_();
}

void CaseBase::step_back() const
{
    if (--aside_ == 0)
        aside_allocations_ += allocations_() - aside_since_;
}

const nlohmann::json* CaseBase::find_param(std::string_view name) const
{
    const auto found = inputs_.params.find(std::string(name));
    return found == inputs_.params.end() || found->is_null() ? nullptr : &*found;
}

const nlohmann::json& CaseBase::param(std::string_view name) const
{
    return aside([&]() -> const nlohmann::json& {
        if (const auto* value = find_param(name))
            return *value;
        complain("needs the parameter", name);
    });
}

bool CaseBase::has(std::string_view name) const
{
    return aside([&] { return find_param(name) != nullptr || inputs_.find(name) != nullptr; });
}

double CaseBase::number(std::string_view name) const
{
    return aside([&] {
        if (const auto* value = find_param(name))
            return number_of(*value, name);
        const Tensor* tensor = inputs_.find(name);
        if (tensor == nullptr)
            complain("needs the parameter", name);
        if (tensor->data.size() != 1)
            complain("not one number:", name);
        return tensor->data[0];
    });
}

double CaseBase::number(std::string_view name, double otherwise) const
{
    return has(name) ? number(name) : otherwise;
}

Index CaseBase::integer(std::string_view name) const
{
    return aside([&] { return static_cast<Index>(to_integer(number(name), name)); });
}

Index CaseBase::integer(std::string_view name, Index otherwise) const
{
    return has(name) ? integer(name) : otherwise;
}

bool CaseBase::flag(std::string_view name) const
{
    return aside([&] {
        const auto* value = find_param(name);
        if (value == nullptr || !value->is_boolean())
            complain("needs true or false as the parameter", name);
        return value->get<bool>();
    });
}

bool CaseBase::flag(std::string_view name, bool otherwise) const
{
    return has(name) ? flag(name) : otherwise;
}

std::string CaseBase::text(std::string_view name) const
{
    return aside([&] {
        const auto* value = find_param(name);
        if (value == nullptr || !value->is_string())
            complain("needs a string as the parameter", name);
        return value->get<std::string>();
    });
}

std::string CaseBase::text(std::string_view name, std::string_view otherwise) const
{
    return aside([&] { return has(name) ? text(name) : std::string(otherwise); });
}

std::vector<double> CaseBase::list(std::string_view name) const
{
    return aside([&] {
        const auto* value = find_param(name);
        if (value == nullptr)
            return input(name).data;
        std::vector<double> numbers;
        for (const auto& element : value->is_object() ? value->at("data") : *value)
            numbers.push_back(number_of(element, name));
        return numbers;
    });
}

std::vector<Index> CaseBase::integers(std::string_view name) const
{
    return aside([&] {
        std::vector<Index> numbers;
        for (const double number : list(name))
            numbers.push_back(static_cast<Index>(to_integer(number, name)));
        return numbers;
    });
}

// ---- inputs --------------------------------------------------------------------------------------

const Tensor& CaseBase::input(std::string_view name) const
{
    const Tensor* tensor = inputs_.find(name);
    if (tensor == nullptr)
        complain("needs the input", name);
    return *tensor;
}

const Shape& CaseBase::shape(std::string_view name) const
{
    return aside([&]() -> const Shape& { return input(name).shape; });
}

std::vector<std::string> CaseBase::names(std::string_view prefix) const
{
    return aside([&] {
        std::vector<std::string> found;
        const auto numbered = [&](int i) { return std::string(prefix) + std::to_string(i); };
        for (int i = inputs_.find(numbered(0)) != nullptr ? 0 : 1;
             inputs_.find(numbered(i)) != nullptr; ++i)
            found.push_back(numbered(i));
        if (found.empty())
            complain("needs inputs called", numbered(0));
        return found;
    });
}

temper::AnyView<const std::int64_t> CaseBase::index_tensor(std::string_view name)
{
    return aside([&] {
        settle();
        const Tensor& tensor = input(name);
        auto found = std::find_if(index_inputs_.begin(), index_inputs_.end(),
                                  [&](const auto& known) { return known.first == name; });
        if (found == index_inputs_.end()) {
            std::vector<std::int64_t> numbers;
            for (const double number : tensor.data)
                numbers.push_back(to_integer(number, name));
            index_inputs_.emplace_back(name, std::move(numbers));
            found = std::prev(index_inputs_.end());
        }
        temper::AnyView<const std::int64_t> v;
        v.data = found->second.data();
        v.rank = static_cast<int>(tensor.shape.size());
        Index stride = 1;
        for (std::size_t d = tensor.shape.size(); d-- > 0;) {
            v.extents[d] = tensor.shape[d];
            v.strides[d] = stride;
            stride *= (std::max)(tensor.shape[d], Index{1});
        }
        return v;
    });
}

std::span<const std::int64_t> CaseBase::indices(std::string_view name)
{
    const auto v = index_tensor(name);
    return {v.data, static_cast<std::size_t>(v.size())};
}

// ---- outputs -------------------------------------------------------------------------------------

void CaseBase::put(std::string_view name, double number)
{
    aside([&] { put_tensor(name, {{}, {number}}); });
}

void CaseBase::put_tensor(std::string_view name, Tensor tensor)
{
    aside([&] {
        settle();
        for (const Output& known : results_)
            if (known.name == name)
                complain("written twice:", name);
        results_.push_back({std::string(name), std::move(tensor)});
    });
}

void CaseBase::pair(std::string_view output, std::string_view cotangent)
{
    aside([&] { pairs_.emplace_back(output, cotangent); });
}

const Shape& CaseBase::destination_shape(std::string_view name, const Shape& asked) const
{
    if (setting_.shapes != nullptr)
        for (const auto& [known, shape] : *setting_.shapes)
            if (known == name)
                return shape;
    return asked;
}

Mode CaseBase::mode_of(std::string_view name, std::string_view group, bool gradient) const
{
    if (!setting_.discarded.empty() && (setting_.discarded == name || setting_.discarded == group))
        return Mode::discard;
    return gradient ? setting_.gradients : setting_.outputs;
}

Into<std::int64_t> CaseBase::out_indices(std::string_view name, const Shape& asked)
{
    return aside([&] {
        settle();
        auto found = std::find_if(index_outputs_.begin(), index_outputs_.end(),
                                  [&](const auto& known) { return known.name == name; });
        if (found == index_outputs_.end()) {
            const Shape& shape = destination_shape(name, asked);
            index_outputs_.push_back(
                {std::string(name), shape, {shape, setting_.destinations, untouched_index}, {}});
            found = std::prev(index_outputs_.end());
        }
        if (found->used)
            complain("asked for twice:", name);
        found->used = true;
        testing::fill(found->window.view(), untouched_index);
        found->settled = testing::entries(found->window.view());
        return temper::into(found->window.view());
    });
}

Into<std::int64_t> CaseBase::out_indices(std::string_view name, std::initializer_list<Index> shape)
{
    return aside([&] { return out_indices(name, Shape(shape)); });
}

void CaseBase::settle_indices()
{
    for (IndexOutput& output : index_outputs_)
        output.settled = testing::entries(output.window.view());
}

bool CaseBase::indices_touched() const
{
    return std::any_of(index_outputs_.begin(), index_outputs_.end(), [](const IndexOutput& o) {
        return o.used && o.settled != testing::entries(o.window.view());
    });
}

void CaseBase::begin_base()
{
    results_.clear();
    gradients_.clear();
    pairs_.clear();
    for (IndexOutput& output : index_outputs_)
        output.used = false;
    aside_allocations_ = 0;
}

void CaseBase::collect_base(Outcome& outcome) const
{
    outcome.outputs = results_;
    outcome.gradients = gradients_;
    for (const IndexOutput& output : index_outputs_) {
        if (!output.used)
            continue;
        if (output.window.spilled())
            outcome.spilled = output.name;
        const auto numbers = testing::entries(output.window.view());
        Output out{output.name, {output.shape, {numbers.begin(), numbers.end()}, Kind::integers}};
        out.group = output.name;
        outcome.outputs.push_back(std::move(out));
    }
}

// ---- cases of a scalar type ----------------------------------------------------------------------

template <class T>
temper::AnyView<const T> Case<T>::tensor(std::string_view name)
{
    return aside([&] {
        settle();
        for (const Input& known : input_windows_)
            if (known.name == name)
                return known.window.const_view();
        const Tensor& tensor = input(name);
        Input in{std::string(name),
                 {tensor.shape, setting_.inputs, std::numeric_limits<T>::quiet_NaN()},
                 {}};
        for (const double number : tensor.data)
            in.numbers.push_back(static_cast<T>(number));
        testing::assign(in.window.view(), in.numbers);
        input_windows_.push_back(std::move(in));
        return input_windows_.back().window.const_view();
    });
}

template <class T>
T Case<T>::scalar(std::string_view name)
{
    return aside([&] { return static_cast<T>(number(name)); });
}

template <class T>
temper::VectorView<const T> Case<T>::vector(std::string_view name)
{
    const auto v = tensor(name);
    if (v.rank != 1)
        aside([&] { complain("not of rank 1: input", name); });
    return v.template as<1>();
}

template <class T>
temper::MatrixView<const T> Case<T>::matrix(std::string_view name)
{
    const auto v = tensor(name);
    if (v.rank != 2)
        aside([&] { complain("not of rank 2: input", name); });
    return v.template as<2>();
}

template <class T>
std::span<const temper::AnyView<const T>> Case<T>::tensors(std::string_view prefix)
{
    return aside([&]() -> std::span<const temper::AnyView<const T>> {
        for (const auto& known : input_lists_)
            if (known.name == prefix)
                return known.views;
        List<temper::AnyView<const T>> list{std::string(prefix), {}};
        for (const std::string& name : names(prefix))
            list.views.push_back(tensor(name));
        return input_lists_.emplace_back(std::move(list)).views;
    });
}

template <class T>
typename Case<T>::Place& Case<T>::place(std::string_view name, std::string_view group,
                                        const Shape& asked, bool gradient)
{
    settle();
    auto found = std::find_if(places_.begin(), places_.end(),
                              [&](const Place& known) { return known.name == name; });
    if (found == places_.end()) {
        const Shape& shape = destination_shape(name, asked);
        places_.push_back({std::string(name),
                           std::string(group),
                           shape,
                           {shape, setting_.destinations, static_cast<T>(untouched)},
                           {},
                           {},
                           mode_of(name, group, gradient),
                           gradient,
                           false});
        found = std::prev(places_.end());
    }
    if (found->used)
        complain("asked for twice:", name);
    found->used = true;
    found->before.assign(static_cast<std::size_t>(count(found->shape)), static_cast<T>(untouched));
    if (found->mode == Mode::overwrite)
        std::fill(found->before.begin(), found->before.end(), std::numeric_limits<T>::quiet_NaN());
    if (found->mode == Mode::add)
        for (std::size_t i = 0; i < found->before.size(); ++i)
            found->before[i] = static_cast<T>(before(i));
    testing::assign(found->window.view(), found->before);
    found->settled = found->before;
    return *found;
}

template <class T>
Into<T> Case<T>::grad(std::string_view input_name, std::string_view output)
{
    return aside([&] {
        const std::string named =
            output.empty() ? "grad_" + std::string(input_name) : std::string(output);
        gradients_.emplace_back(input_name, named);
        const Place& p = place(named, named, shape(input_name), true);
        return Into<T>{p.window.view(), setting_.scale, p.mode};
    });
}

template <class T>
Into<T> Case<T>::out(std::string_view name, const Shape& shape)
{
    return aside([&] {
        const Place& p = place(name, name, shape, false);
        return Into<T>{p.window.view(), setting_.scale, p.mode};
    });
}

template <class T>
Into<T> Case<T>::out(std::string_view name, std::initializer_list<Index> shape)
{
    return aside([&] { return out(name, Shape(shape)); });
}

template <class T>
IntoList<T> Case<T>::grads(std::string_view prefix)
{
    return aside([&] {
        auto& list = place_lists_.emplace_back();
        for (const std::string& name : names(prefix)) {
            gradients_.emplace_back(name, "grad_" + name);
            list.views.push_back(
                place("grad_" + name, "grad_" + std::string(prefix), shape(name), true)
                    .window.view());
        }
        return IntoList<T>{list.views, setting_.scale,
                           mode_of("", "grad_" + std::string(prefix), true)};
    });
}

template <class T>
IntoList<T> Case<T>::outs(std::string_view prefix, std::string_view like)
{
    return aside([&] {
        auto& list = place_lists_.emplace_back();
        for (const std::string& name : names(like))
            list.views.push_back(
                place(std::string(prefix) + name.substr(like.size()), prefix, shape(name), false)
                    .window.view());
        return IntoList<T>{list.views, setting_.scale, mode_of("", prefix, false)};
    });
}

template <class T>
void Case<T>::settle()
{
    if (setting_.shapes == nullptr) // only the law of shapes asks
        return;
    for (Place& p : places_)
        p.settled = testing::entries(p.window.view());
    settle_indices();
}

template <class T>
bool Case<T>::touched() const
{
    return indices_touched() || std::any_of(places_.begin(), places_.end(), [](const Place& p) {
               return p.used && !same_bits(p.settled, testing::entries(p.window.view()));
           });
}

template <class T>
void Case<T>::begin()
{
    begin_base();
    place_lists_.clear();
    for (Place& p : places_)
        p.used = false;
}

template <class T>
Outcome Case<T>::collect() const
{
    Outcome outcome;
    collect_base(outcome);
    for (const Place& p : places_) {
        if (!p.used)
            continue;
        const auto numbers = testing::entries(p.window.view());
        if (p.window.spilled())
            outcome.spilled = p.name;
        if (p.mode == Mode::discard) {
            if (!same_bits(numbers, p.before))
                outcome.spilled = p.name + ", which is discarded,";
            continue;
        }
        Output out{p.name, {p.shape, {numbers.begin(), numbers.end()}}};
        out.group = p.group;
        out.gradient = p.gradient;
        if (p.mode == Mode::add)
            out.before.assign(p.before.begin(), p.before.end());
        outcome.outputs.push_back(std::move(out));
    }
    for (const Input& in : input_windows_)
        if (in.window.spilled() || !same_bits(in.numbers, testing::entries(in.window.view())))
            outcome.spilled = "the input " + in.name;
    outcome.pairs = pairs_;
    if (!outcome.pairs.empty() || outcome.find("value") != nullptr)
        return outcome;
    for (const char* name : {"dy", "grad_y", "grad_out", "cotangent", "upstream"})
        if (const Tensor* cotangent = inputs_.find(name)) {
            std::vector<std::pair<std::string, std::string>> found;
            for (const Output& output : outcome.outputs)
                if (!output.gradient && output.tensor.shape == cotangent->shape)
                    found.emplace_back(output.name, name);
            if (found.size() == 1)
                outcome.pairs.push_back(found[0]);
        }
    return outcome;
}

template <class T>
Outcome Case<T>::run(const std::function<void(Case&)>& entry)
{
    Outcome first;
    for (int call = 0; call < setting_.calls; ++call) {
        begin();
        std::string error;
        bool was_touched = false;
        long allocated = 0;
        {
            const AllocationCounter counter;
            allocations_ = [&] { return static_cast<long>(counter.count()); };
            try {
                entry(*this);
                allocated = allocations_() - aside_allocations_;
            }
            catch (const temper::Error& thrown) {
                error = thrown.what();
                was_touched = touched();
            }
            allocations_ = [] { return 0L; };
        }
        Outcome outcome = collect();
        outcome.error = std::move(error);
        outcome.touched = was_touched;
        if (call == 0)
            first = std::move(outcome);
        else {
            first.repeated = first.repeated && same_bits(first, outcome);
            if (!outcome.spilled.empty())
                first.spilled = outcome.spilled;
        }
        first.allocations = allocated;
    }
    return first;
}

template class Case<float>;
template class Case<double>;

} // namespace test
