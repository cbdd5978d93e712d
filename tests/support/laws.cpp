// SPDX-License-Identifier: BSL-1.0

#include "laws.hpp"

#include "support/allocations.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace test {

namespace testing = temper::testing;

namespace {

// ---- what laws are made of -----------------------------------------------------------------------

constexpr std::array scalars{Scalar::f64, Scalar::f32};

/// How far two ways to compute the same may be apart: a part of the largest entry, or what is next to
/// nothing in the scalar type.
struct Tolerance {
    double part = 0;
    double floor = 0;
    double largest = std::numeric_limits<double>::infinity(); ///< beyond it, numbers are infinite
};

Tolerance rounding(const Entry& entry, Scalar scalar)
{
    const auto of = [&](auto zero) {
        using T = decltype(zero);
        const double part = testing::rounding<T>;
        // A divergence of equal distributions is a sum of squares of rounding errors.
        const double error = 64.0 * std::numeric_limits<T>::epsilon();
        return Tolerance{part, (std::max)(error * error / part, entry.cancelled),
                         (std::numeric_limits<T>::max)()};
    };
    return scalar == Scalar::f32 ? of(float{}) : of(double{});
}

std::string in(Scalar scalar) { return scalar == Scalar::f32 ? " in float" : ""; }

/// A tensor's numbers as a view.
template <class V>
auto view_of(V& tensor)
{
    using T = std::remove_pointer_t<decltype(tensor.data.data())>;
    temper::AnyView<T> v;
    v.data = tensor.data.data();
    v.rank = static_cast<int>(tensor.shape.size());
    Index stride = 1;
    for (std::size_t d = tensor.shape.size(); d-- > 0;) {
        v.extents[d] = tensor.shape[d];
        v.strides[d] = stride;
        stride *= (std::max)(tensor.shape[d], Index{1});
    }
    return v;
}

/// Runs an entry that must not fail; throws what is wrong with the run itself.
Outcome run_well(const Entry& entry, const Inputs& inputs, const Setting& setting = {},
                 Scalar scalar = Scalar::f64)
{
    Outcome outcome = run(entry, inputs, setting, scalar);
    if (!outcome.error.empty())
        throw CaseError("throws \"" + outcome.error + "\"" + in(scalar));
    if (!outcome.spilled.empty())
        throw CaseError(outcome.spilled + " is written to where it must not be" + in(scalar));
    return outcome;
}

bool has_nan(const Tensor& tensor)
{
    return std::any_of(tensor.data.begin(), tensor.data.end(),
                       [](double number) { return std::isnan(number); });
}

void add(Violations& violations, const testing::Result& result, const std::string& how)
{
    if (!result)
        violations.push_back(result.message + how);
}

/// What `got` must be, if `reference` is what stands in a destination that is overwritten.
Violations compare(const Outcome& got, const Outcome& reference, double scale,
                   const Tolerance& tolerance, const std::string& how)
{
    Violations violations;
    for (const Output& output : got.outputs) {
        const Output* expected = reference.find(output.name);
        if (expected == nullptr || expected->tensor.shape != output.tensor.shape) {
            violations.push_back(output.name + " has another shape" + how);
            continue;
        }
        std::vector<double> want = expected->tensor.data;
        if (output.is_destination() && !output.is_integers())
            for (std::size_t i = 0; i < want.size(); ++i)
                want[i] = scale * want[i] + (output.before.empty() ? 0 : output.before[i]);
        for (double& number : want)
            if (std::fabs(number) > tolerance.largest)
                number = std::copysign(std::numeric_limits<double>::infinity(), number);
        add(violations,
            testing::compare(output.name, view_of(output.tensor), want, tolerance.part,
                             tolerance.floor),
            how);
    }
    return violations;
}

void append(Violations& to, Violations from)
{
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

std::vector<std::pair<std::string, Shape>> destination_shapes(const Outcome& outcome)
{
    std::vector<std::pair<std::string, Shape>> shapes;
    for (const Output& output : outcome.outputs)
        if (output.is_destination())
            shapes.emplace_back(output.name, output.tensor.shape);
    return shapes;
}

/// The same tensor with another extent, filled by going through its numbers again.
Tensor resized(const Tensor& tensor, std::size_t dimension, Index by)
{
    Tensor other = tensor;
    other.shape[dimension] += by;
    other.data.resize(static_cast<std::size_t>(count(other.shape)));
    for (std::size_t i = 0; i < other.data.size(); ++i)
        other.data[i] = tensor.data.empty() ? 0 : tensor.data[i % tensor.data.size()];
    return other;
}

// ---- the laws ------------------------------------------------------------------------------------

/// What the gradients are the gradients of.
double objective(const Outcome& outcome, const Inputs& inputs,
                 const std::vector<std::pair<std::string, std::string>>& pairs)
{
    if (pairs.empty())
        return outcome.find("value")->tensor.data[0];
    double sum = 0;
    for (const auto& [output, cotangent] : pairs)
        for (std::size_t i = 0; i < outcome.find(output)->tensor.data.size(); ++i)
            sum += outcome.find(output)->tensor.data[i] * inputs.find(cotangent)->data[i];
    return sum;
}

Violations gradient_law(const Entry& entry, const Inputs& given)
{
    Violations violations;
    Inputs inputs = given;
    const Outcome outcome = run_well(entry, inputs);
    if (!outcome.gradients.empty() && outcome.pairs.empty() && outcome.find("value") == nullptr)
        return {"has gradients, but neither a value nor an output with a cotangent"};
    for (const auto& [input, output] : outcome.gradients) {
        if (!entry.obeys(Law::gradient, input))
            continue;
        const auto value = [&] {
            return objective(run_well(entry, inputs, {.gradients = Mode::discard}), inputs,
                             outcome.pairs);
        };
        add(violations,
            testing::compare_gradient(output, view_of(*inputs.find(input)),
                                      view_of(outcome.find(output)->tensor), value),
            "");
    }
    return violations;
}

Violations modes_of(const Entry& entry, const Inputs& inputs, Setting setting, Scalar scalar)
{
    Violations violations;
    setting.gradients = setting.outputs = Mode::overwrite;
    setting.scale = 1;
    const Outcome reference = run_well(entry, inputs, setting, scalar);
    for (const Output& output : reference.outputs)
        if (has_nan(output.tensor))
            violations.push_back(output.name + " is NaN, or not written everywhere" + in(scalar));
    if (!violations.empty())
        return violations;

    const auto compare_with = [&](const Setting& other, const std::string& how) {
        append(violations, compare(run_well(entry, inputs, other, scalar), reference, other.scale,
                                   rounding(entry, scalar), how + in(scalar)));
    };
    for (const auto& [mode, scale, how] :
         {std::tuple{Mode::add, 1.0, " under add_to"},
          std::tuple{Mode::add, -2.5, " under add_to -2.5"},
          std::tuple{Mode::overwrite, 0.5, " under a scale of 0.5"}}) {
        Setting other = setting;
        other.gradients = other.outputs = mode;
        other.scale = scale;
        compare_with(other, how);
    }
    std::string last;
    for (const Output& output : reference.outputs) {
        if (!output.is_destination() || output.is_integers() || output.group == last)
            continue;
        last = output.group;
        Setting other = setting;
        other.discarded = last;
        compare_with(other, " while " + last + " is discarded");
    }
    Setting nothing = setting;
    nothing.gradients = nothing.outputs = Mode::discard;
    compare_with(nothing, " while everything is discarded");
    return violations;
}

Violations modes_law(const Entry& entry, const Inputs& inputs)
{
    Violations violations;
    for (const Scalar scalar : scalars)
        append(violations, modes_of(entry, inputs, {}, scalar));
    return violations;
}

Violations layouts_law(const Entry& entry, const Inputs& inputs)
{
    Violations violations;
    for (const Scalar scalar : scalars) {
        const Outcome reference = run_well(entry, inputs, {}, scalar);
        for (const auto& [from, to, how] :
             {std::tuple{Layout::columns, Layout::rows, " of inputs in columns"},
              std::tuple{Layout::rows, Layout::columns, " into columns"},
              std::tuple{Layout::strided, Layout::columns, " of strided inputs"},
              std::tuple{Layout::columns, Layout::strided, " into strided destinations"},
              std::tuple{Layout::strided, Layout::strided, " all strided"}})
            append(violations,
                   compare(run_well(entry, inputs, {.inputs = from, .destinations = to}, scalar),
                           reference, 1, rounding(entry, scalar), how + in(scalar)));
    }
    return violations;
}

Violations precision_law(const Entry& entry, const Inputs& given)
{
    Inputs inputs = given;
    for (auto& [name, tensor] : inputs.tensors)
        for (double& number : tensor.data)
            number = static_cast<double>(static_cast<float>(number));
    // Below a thousandth, differences count as they are.
    return compare(run_well(entry, inputs, {}, Scalar::f32), run_well(entry, inputs), 1,
                   {entry.float_tolerance, 1e-3}, " in float");
}

Violations threads_law(const Entry& entry, const Inputs& inputs)
{
    Violations violations;
    for (const Scalar scalar : scalars) {
        const auto with = [&](int threads) {
            return testing::with_threads(threads,
                                         [&] { return run_well(entry, inputs, {}, scalar); });
        };
        const Outcome one = with(1);
        for (const int threads : {2, 3, 4})
            append(violations, compare(with(threads), one, 1, Tolerance{},
                                       " with " + std::to_string(threads) + " threads"));
    }
    return violations;
}

Violations allocation_law(const Entry& entry, const Inputs& inputs)
{
    Violations violations;
    if constexpr (allocations_counted)
        for (const Scalar scalar : scalars) {
            const long n = run_well(entry, inputs, {.calls = 2}, scalar).allocations;
            if (n > 0)
                violations.push_back(std::to_string(n) + " allocations on the second call" +
                                     in(scalar));
        }
    return violations;
}

Violations shapes_law(const Entry& entry, const Inputs& inputs)
{
    Violations violations;
    const auto shapes = destination_shapes(run_well(entry, inputs));
    const auto must_throw = [&](const Inputs& wrong, const Setting& setting,
                                const std::string& what, const Shape& was, const Shape& right) {
        const Outcome outcome = run(entry, wrong, setting);
        const std::string how = what + " of shape " + text(was) + " in place of " + text(right);
        if (outcome.error.empty())
            violations.push_back(how + " is accepted");
        else if (outcome.touched || !outcome.spilled.empty())
            violations.push_back(how + " throws after something was written");
    };
    for (const auto& [input, tensor] : inputs.tensors) {
        const bool nothing_to_fit = inputs.tensors.size() == 1 && shapes.empty();
        if (nothing_to_fit || !entry.obeys(Law::shapes, input))
            continue;
        for (std::size_t d = 0; d < tensor.shape.size(); ++d)
            for (const Index by : {1, -1}) {
                if (tensor.shape[d] + by < 1)
                    continue;
                Inputs wrong = inputs;
                *wrong.find(input) = resized(tensor, d, by);
                must_throw(wrong, {.shapes = &shapes}, "input " + input, wrong.find(input)->shape,
                           tensor.shape);
            }
    }
    for (std::size_t i = 0; i < shapes.size(); ++i) {
        const auto& [output, right] = shapes[i];
        if (!entry.obeys(Law::shapes, output))
            continue;
        for (std::size_t d = 0; d < right.size(); ++d)
            for (const Index by : {1, -1}) {
                auto wrong = shapes;
                wrong[i].second[d] += by;
                if (right[d] + by >= 0)
                    must_throw(inputs, {.shapes = &wrong}, "destination " + output, wrong[i].second,
                               right);
            }
    }
    return violations;
}

Violations nan_law(const Entry& entry, const Inputs& inputs)
{
    Violations violations;
    Random random(17);
    for (const auto& [input, tensor] : inputs.tensors) {
        if (tensor.kind == Kind::integers || tensor.data.empty() || !entry.obeys(Law::nan, input))
            continue;
        for (int trial = 0; trial < 3; ++trial) {
            Inputs broken = inputs;
            const auto i = random.below(static_cast<Index>(tensor.data.size()));
            broken.find(input)->data[static_cast<std::size_t>(i)] =
                std::numeric_limits<double>::quiet_NaN();
            // Added to, so that a NaN found there was not there before.
            const Outcome outcome =
                run(entry, broken, {.gradients = Mode::add, .outputs = Mode::add});
            if (outcome.error.empty() &&
                std::none_of(outcome.outputs.begin(), outcome.outputs.end(),
                             [](const Output& output) { return has_nan(output.tensor); }))
                violations.push_back("NaN in " + input + " at " +
                                     testing::place(view_of(tensor), i) + " disappears");
        }
    }
    return violations;
}

Violations purity_law(const Entry& entry, const Inputs& inputs)
{
    Violations violations;
    for (const Scalar scalar : scalars)
        if (!run_well(entry, inputs, {.calls = 2}, scalar).repeated)
            violations.push_back("gives other bits when called again" + in(scalar));
    return violations;
}

// ---- proximal operators --------------------------------------------------------------------------

/// What an entry's "prox" is the proximal point of: the input of its shape, differentiable ones first.
std::string prox_input(const Outcome& outcome, const Inputs& inputs)
{
    const Output* prox = outcome.find("prox");
    for (const auto& [input, output] : outcome.gradients)
        if (inputs.find(input)->shape == prox->tensor.shape)
            return input;
    for (const auto& [input, tensor] : inputs.tensors)
        if (tensor.shape == prox->tensor.shape)
            return input;
    throw CaseError("has a prox, but no input of its shape");
}

bool has_prox(const Outcome& outcome, const Inputs& inputs)
{
    return outcome.find("prox") != nullptr && inputs.params.contains("step");
}

double distance2(const std::vector<double>& a, const std::vector<double>& b)
{
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += (a[i] - b[i]) * (a[i] - b[i]);
    return sum;
}

Violations prox_law(const Entry& entry, const Inputs& inputs)
{
    const Outcome outcome = run_well(entry, inputs);
    if (!has_prox(outcome, inputs) || outcome.find("value") == nullptr)
        return {};
    const std::string input = prox_input(outcome, inputs);
    const std::vector<double>& w = inputs.find(input)->data;
    const std::vector<double>& best = outcome.find("prox")->tensor.data;
    const double step = inputs.params.at("step").get<double>();
    const auto cost = [&](const std::vector<double>& at) {
        Inputs moved = inputs;
        moved.find(input)->data = at;
        const Outcome there =
            run_well(entry, moved, {.gradients = Mode::discard, .outputs = Mode::discard});
        return step * there.find("value")->tensor.data[0] + distance2(at, w) / 2;
    };

    const double least = cost(best);
    Random random(23);
    for (int trial = 0; trial < 400; ++trial) {
        std::vector<double> other = best;
        const double size = std::pow(10.0, random.number(-4, 0.5));
        const auto i = static_cast<std::size_t>(random.below(static_cast<Index>(other.size())));
        switch (trial % 5) {
        case 0: // anywhere
            for (double& number : other)
                number += random.number(-size, size);
            break;
        case 1: // one entry
            other[i] += random.number(-size, size);
            break;
        case 2: // one entry vanishes, or comes back
            other[i] = other[i] == 0 ? random.number(0, 1) * w[i] : 0;
            break;
        case 3: // towards 0, or away from it
            for (double& number : other)
                number *= 1 + random.number(-size, size);
            break;
        default: // towards w
            for (std::size_t j = 0; j < other.size(); ++j)
                other[j] += random.number(0, 1) * (w[j] - other[j]);
        }
        const double there = cost(other);
        if (!(there >= least - 1e-10 * (1 + std::fabs(least))))
            return {"step * value + |v - " + input + "|^2 / 2 is " + testing::digits(least) +
                    " at the proximal point, but " + testing::digits(there) + " next to it"};
    }
    return {};
}

Violations firm_law(const Entry& entry, const Inputs& inputs)
{
    const Outcome outcome = run_well(entry, inputs);
    if (!has_prox(outcome, inputs))
        return {};
    const std::string input = prox_input(outcome, inputs);
    const std::vector<double>& w = inputs.find(input)->data;
    const std::vector<double>& p = outcome.find("prox")->tensor.data;
    Random random(29);
    for (int trial = 0; trial < 60; ++trial) {
        Inputs moved = inputs;
        std::vector<double>& v = moved.find(input)->data;
        const double size = std::pow(10.0, random.number(-3, 1));
        for (double& number : v)
            number += random.number(-size, size);
        const std::vector<double> q = run_well(entry, moved).find("prox")->tensor.data;
        double inner = 0;
        for (std::size_t i = 0; i < w.size(); ++i)
            inner += (v[i] - w[i]) * (q[i] - p[i]);
        if (!(distance2(p, q) <= inner + 1e-10 * (1 + std::fabs(inner))))
            return {"proximal points are " + testing::digits(distance2(p, q)) +
                    " apart (squared), more than " + testing::digits(inner) +
                    " as a firmly non-expansive map allows"};
    }
    return {};
}

struct Row {
    Law law;
    Violations (*check)(const Entry&, const Inputs&);
    std::vector<Sizes> sizes;
};

// 19 columns fill a vector register of any instruction set and leave a rest; 384 x 129 entries are worth
// threads; all extents differ so that none can stand for another.
const std::vector<Row>& table()
{
    constexpr Sizes small{4, 3, 2};
    constexpr Sizes odd{5, 19, 3};
    constexpr Sizes large{384, 129, 33};
    static const std::vector<Row> rows{
        {Law::gradient, gradient_law, {small, odd}},
        {Law::modes, modes_law, {small, odd}},
        {Law::layouts, layouts_law, {small, odd}},
        {Law::precision, precision_law, {small, odd}},
        {Law::threads, threads_law, {large}},
        {Law::allocation, allocation_law, {odd, large}},
        {Law::shapes, shapes_law, {small, odd}},
        {Law::nan, nan_law, {odd}},
        {Law::purity, purity_law, {odd, large}},
        {Law::prox, prox_law, {small, odd}},
        {Law::firm, firm_law, {small, odd}},
    };
    return rows;
}

const Row& row(Law law)
{
    return *std::find_if(table().begin(), table().end(),
                         [&](const Row& r) { return r.law == law; });
}

std::string sizes_text(const Sizes& s)
{
    return "n=" + std::to_string(s.n) + " d=" + std::to_string(s.d) + " k=" + std::to_string(s.k);
}

std::uint64_t seed_of(const Entry& entry) { return temper::fnv1a(entry.name()); }

} // namespace

std::span<const Law> laws()
{
    static const auto all = [] {
        std::vector<Law> list;
        for (const Row& r : table())
            list.push_back(r.law);
        return list;
    }();
    return all;
}

Violations check(Law law, const Entry& entry, const Inputs& inputs)
{
    try {
        return row(law).check(entry, inputs);
    }
    catch (const std::exception& thrown) {
        return {thrown.what()};
    }
}

Violations check(Law law, const Entry& entry)
{
    Violations all;
    if (!entry.obeys(law))
        return all;
    for (const Sizes& sizes : row(law).sizes) {
        Random random(seed_of(entry));
        for (const Inputs& inputs : entry.make(sizes, random))
            for (const std::string& violation : check(law, entry, inputs))
                all.push_back(entry.name() + " (" + sizes_text(sizes) + ", " +
                              inputs.params.dump() + "): " + violation);
    }
    return all;
}

// ---- the fuzzer ----------------------------------------------------------------------------------

namespace {

template <class T, std::size_t N>
const T& pick(Random& random, const std::array<T, N>& of)
{
    return of[static_cast<std::size_t>(random.below(static_cast<Index>(N)))];
}

/// Numbers as they come in real programs: of any scale, zeros, rows that are equal.
void disturb(Tensor& tensor, const Entry::Range& range, Random& random)
{
    if (tensor.kind != Kind::real && tensor.kind != Kind::nonnegative)
        return;
    const double low = std::log10(range.smallest);
    const double high = std::log10(range.largest);
    const double scale = random.chance(0.3) ? 1 : std::pow(10.0, random.number(low, high));
    const bool mixed = random.chance(0.15);
    for (double& number : tensor.data) {
        number *= mixed ? std::pow(10.0, random.number(low, high)) : scale;
        const double size = std::fabs(number);
        if (size > range.largest || size < range.smallest)
            number *= (size > range.largest ? range.largest : range.smallest) / size;
    }
    const auto n = tensor.data.size();
    const auto row = tensor.shape.empty() || tensor.shape[0] == 0
                         ? n
                         : n / static_cast<std::size_t>(tensor.shape[0]);
    switch (random.below(8)) {
    case 0: // all zero
        std::fill(tensor.data.begin(), tensor.data.end(), 0.0);
        break;
    case 1: // many zeros
        for (double& number : tensor.data)
            number = random.chance(0.5) ? 0 : number;
        break;
    case 2: // the first row is zero
        std::fill_n(tensor.data.begin(), row, 0.0);
        break;
    case 3: // all rows are equal
        for (std::size_t i = row; i < n; ++i)
            tensor.data[i] = tensor.data[i - row];
        break;
    case 4: // all entries are equal
        std::fill(tensor.data.begin(), tensor.data.end(), n == 0 ? 0 : tensor.data[0]);
        break;
    default:
        break;
    }
}

/// Two inputs of one shape are sometimes one and the same.
void copy_one_to_another(Inputs& inputs, Random& random)
{
    if (inputs.tensors.size() < 2 || !random.chance(0.2))
        return;
    const Tensor& first = inputs.tensors[0].second;
    Tensor& second = inputs.tensors[1].second;
    if (first.shape == second.shape && first.kind == second.kind)
        second.data = first.data;
}

Violations fuzz_case(const Entry& entry, const Inputs& inputs, Scalar scalar, Random& random)
{
    constexpr std::array layouts{Layout::rows, Layout::columns, Layout::strided};
    const Setting setting{.inputs = pick(random, layouts), .destinations = pick(random, layouts)};
    try {
        const auto shapes = std::vector<std::pair<std::string, Shape>>{};
        Setting watched = setting;
        watched.shapes = &shapes;
        const Outcome outcome = run(entry, inputs, watched, scalar);
        if (outcome.error.empty())
            return modes_of(entry, inputs, setting, scalar);
        if (outcome.touched || !outcome.spilled.empty())
            return {"throws \"" + outcome.error + "\" after something was written"};
        return {};
    }
    catch (const std::exception& thrown) {
        return {thrown.what()};
    }
}

} // namespace

Violations fuzz(const Entry& entry, std::uint64_t seed)
{
    constexpr std::array<Index, 12> rows{0, 1, 1, 2, 2, 3, 4, 5, 7, 8, 17, 40};
    constexpr std::array<Index, 14> columns{0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 17, 33, 70};
    constexpr std::array<Index, 6> others{1, 2, 3, 4, 7, 9};
    Violations violations;
    if (!entry.obeys(Law::fuzz))
        return violations;
    Random random(seed_of(entry) + seed);
    const Sizes sizes{pick(random, rows), pick(random, columns), pick(random, others)};
    for (Inputs& inputs : entry.make(sizes, random))
        for (const Scalar scalar : scalars) {
            Inputs disturbed = inputs;
            for (auto& [name, tensor] : disturbed.tensors)
                if (entry.obeys(Law::fuzz, name))
                    disturb(tensor, scalar == Scalar::f32 ? entry.float_range : entry.double_range,
                            random);
            copy_one_to_another(disturbed, random);
            for (const std::string& violation : fuzz_case(entry, disturbed, scalar, random))
                violations.push_back(entry.name() + " (seed " + std::to_string(seed) + ", " +
                                     sizes_text(sizes) + ", " + inputs.params.dump() +
                                     "): " + violation);
        }
    return violations;
}

std::string text(const Violations& violations)
{
    std::string all;
    for (const std::string& violation : violations)
        all += (all.empty() ? "" : "\n") + violation;
    return all;
}

} // namespace test
