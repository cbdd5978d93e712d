// SPDX-License-Identifier: BSL-1.0
#pragma once

// The catalogue: one entry per component, driven by the golden runner, the laws and the fuzzer alike.
// An entry has names, a function that makes inputs of a given size, and one small function that reads
// parameters and inputs by name from a case, calls the component and writes outputs by name:
//
//   const Register trepa({"trepa"}, batches({"features_pred", "features_target"}), [](auto& c) {
//       const Trepa t{.eps = c.number("eps", 1e-12)};
//       c.value(t(c.matrix("features_pred"), c.matrix("features_target"), c.grad("features_pred")));
//   });
//
// The function never knows what scalar type, layouts and destination modes the case has chosen. Two
// rules make that work:
//   - inputs and destinations are fetched in the call that uses them, or right before it, so that what
//     changed between two calls on the case is the doing of one component call;
//   - what is not the component's own work (a state to start with, a plan that is drawn) is made inside
//     c.aside([&] { return ...; }), whose allocations are not the component's.
//
// Entries stand in tests/catalog/<folder>.cpp, one file per folder of the library.

#include <temper/core/destination.hpp>
#include <temper/core/random.hpp>
#include <temper/testing.hpp>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace test {

using temper::Index;
using temper::Into;
using temper::IntoList;
using temper::Mode;
using temper::testing::Layout;

using Shape = std::vector<Index>;
[[nodiscard]] Index count(const Shape& shape);
[[nodiscard]] std::string text(const Shape& shape);

// ---- inputs --------------------------------------------------------------------------------------

/// What may be done to the numbers of an input and leave it an input: any number, any number from 0 up,
/// these numbers only (probabilities, coefficients in [0, 1]), these integers only.
enum class Kind { real, nonnegative, fixed, integers };

/// A dense row-major tensor as cases and files know it. Rank 0 is a number.
struct Tensor {
    Shape shape{};
    std::vector<double> data{};
    Kind kind = Kind::real;
};

/// Parameters and inputs by name.
struct Inputs {
    nlohmann::json params = nlohmann::json::object();
    std::vector<std::pair<std::string, Tensor>> tensors{};

    Inputs& param(const std::string& name, nlohmann::json value);
    Inputs& tensor(std::string name, Tensor value);
    [[nodiscard]] const Tensor* find(std::string_view name) const;
    [[nodiscard]] Tensor* find(std::string_view name);
};

/// Tensors of random numbers.
class Random {
  public:
    explicit Random(std::uint64_t seed) : bits_(temper::stream(seed, 0, "tests")) {}

    [[nodiscard]] Tensor normal(Shape shape);
    [[nodiscard]] Tensor uniform(Shape shape, double low, double high, Kind kind = Kind::fixed);
    /// Positive numbers around 1.
    [[nodiscard]] Tensor positive(Shape shape);
    /// Integers in [0, limit).
    [[nodiscard]] Tensor integers(Shape shape, Index limit);
    [[nodiscard]] Tensor permutation(Index n);
    /// Rows that sum to 1.
    [[nodiscard]] Tensor probabilities(Index n, Index k);
    [[nodiscard]] double number(double low, double high);
    [[nodiscard]] Index below(Index limit);
    [[nodiscard]] bool chance(double probability);
    [[nodiscard]] temper::Stream& bits() { return bits_; }

  private:
    temper::Stream bits_;
};

/// How large inputs are to be: n samples (rows), d features (columns), k of anything else. Any of them
/// may be 0.
struct Sizes {
    Index n, d, k;
};

/// Makes inputs of the given size, in as many variants as are worth testing. Random choices that are not
/// numbers of the inputs (which reduction, which side) should be variants, not draws.
using Make = std::function<std::vector<Inputs>(const Sizes&, Random&)>;

/// [n, d] normal numbers for each name.
[[nodiscard]] Make batches(std::vector<std::string> names);
/// The variants of `make`, once with each of these values of a parameter.
[[nodiscard]] Make each(Make make, std::string param, std::vector<nlohmann::json> values);
/// The variants of `make` with a parameter more.
[[nodiscard]] Make with(Make make, std::string param, nlohmann::json value);

// ---- cases ---------------------------------------------------------------------------------------

/// What a case says about an entry that asks for something that is not there.
struct CaseError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Numbers, true and false, "inf", "-inf" and "nan"; else a CaseError that mentions the name.
[[nodiscard]] double number_of(const nlohmann::json& value, std::string_view name = "a value");

/// How a case is run.
struct Setting {
    Layout inputs = Layout::rows;
    Layout destinations = Layout::rows;
    Mode gradients = Mode::overwrite; ///< of what grad() gives
    Mode outputs = Mode::overwrite;   ///< of what out() gives
    double scale = 1;
    std::string_view discarded{}; ///< one destination that is discarded whatever the modes say
    /// Shapes that destinations have whatever the entry asks for.
    const std::vector<std::pair<std::string, Shape>>* shapes = nullptr;
    int calls = 1; ///< how often the entry is run with the same memory
};

/// What an entry wrote under a name.
struct Output {
    std::string name;
    Tensor tensor;
    std::string group{}; ///< of a destination: what to discard it by, its own name or its list's
    bool gradient = false;
    std::vector<double> before{}; ///< what stood there, where it was added to

    [[nodiscard]] bool is_destination() const { return !group.empty(); }
    [[nodiscard]] bool is_integers() const { return tensor.kind == Kind::integers; }
};

/// What came of running a case.
struct Outcome {
    std::vector<Output> outputs{};
    std::vector<std::pair<std::string, std::string>> gradients{}; ///< inputs and their outputs
    std::vector<std::pair<std::string, std::string>> pairs{};     ///< outputs and their cotangents
    std::string error{};   ///< of a temper::Error; empty if none was thrown
    bool touched = false;  ///< the component that threw had written to a destination
    std::string spilled{}; ///< what was written outside its window, or though it was discarded
    bool repeated = true;  ///< later calls gave the bits of the first
    long allocations = 0;  ///< of the component in the last call

    [[nodiscard]] const Output* find(std::string_view name) const;
};

/// The part of a case that does not depend on the scalar type.
class CaseBase {
  public:
    CaseBase(const Inputs& inputs, const Setting& setting) : inputs_(inputs), setting_(setting) {}
    CaseBase(const CaseBase&) = delete;
    CaseBase& operator=(const CaseBase&) = delete;

    // Parameters. A parameter that a file has among the inputs is found there.
    [[nodiscard]] double number(std::string_view name) const;
    [[nodiscard]] double number(std::string_view name, double otherwise) const;
    [[nodiscard]] Index integer(std::string_view name) const;
    [[nodiscard]] Index integer(std::string_view name, Index otherwise) const;
    [[nodiscard]] bool flag(std::string_view name) const;
    [[nodiscard]] bool flag(std::string_view name, bool otherwise) const;
    [[nodiscard]] std::string text(std::string_view name) const;
    [[nodiscard]] std::string text(std::string_view name, std::string_view otherwise) const;
    [[nodiscard]] std::vector<double> list(std::string_view name) const;
    [[nodiscard]] std::vector<Index> integers(std::string_view name) const;
    /// Whatever the file says, for parameters of other forms.
    [[nodiscard]] const nlohmann::json& param(std::string_view name) const;

    /// Is there a parameter (that is not null) or an input of this name?
    [[nodiscard]] bool has(std::string_view name) const;
    [[nodiscard]] const Shape& shape(std::string_view input) const;
    /// Inputs prefix0, prefix1, ... (or from 1 on), in order.
    [[nodiscard]] std::vector<std::string> names(std::string_view prefix) const;

    // Inputs that are integers. Dense, row-major.
    [[nodiscard]] std::span<const std::int64_t> indices(std::string_view name);
    [[nodiscard]] temper::AnyView<const std::int64_t> index_tensor(std::string_view name);
    /// An output of integers.
    [[nodiscard]] Into<std::int64_t> out_indices(std::string_view name,
                                                 std::initializer_list<Index> shape);
    [[nodiscard]] Into<std::int64_t> out_indices(std::string_view name, const Shape& shape);

    // Outputs that are not destinations.
    void value(double value) { put("value", value); }
    void put(std::string_view name, double number);
    template <temper::ViewLike O>
    void put(std::string_view name, const O& owner)
    {
        aside([&] {
            using S = temper::ScalarOf<const O>;
            const temper::AnyView<const S> v(temper::view(owner));
            Tensor tensor;
            for (int i = 0; i < v.rank; ++i)
                tensor.shape.push_back(v.extent(i));
            for (Index i = 0; i < v.size(); ++i)
                tensor.data.push_back(static_cast<double>(temper::testing::entry(v, i)));
            put_tensor(name, std::move(tensor));
        });
    }
    void put_tensor(std::string_view name, Tensor tensor);

    /// The gradients asked for are those of <output, cotangent>. Inputs named dy, grad_y, grad_out,
    /// cotangent or upstream are found where there is one output of their shape.
    void pair(std::string_view output, std::string_view cotangent);

    /// Runs f, whose allocations are not counted.
    template <class F>
    decltype(auto) aside(const F& f) const
    {
        struct Aside {
            explicit Aside(const CaseBase& base) : c(base) { c.step_aside(); }
            Aside(const Aside&) = delete;
            Aside& operator=(const Aside&) = delete;
            ~Aside() { c.step_back(); }
            const CaseBase& c;
        } const outside(*this);
        return f();
    }

  protected:
    ~CaseBase() = default;

    void step_aside() const;
    void step_back() const;
    [[nodiscard]] const Tensor& input(std::string_view name) const;
    [[nodiscard]] const nlohmann::json* find_param(std::string_view name) const;
    [[nodiscard]] const Shape& destination_shape(std::string_view name, const Shape& asked) const;
    [[nodiscard]] Mode mode_of(std::string_view name, std::string_view group, bool gradient) const;
    /// Before a destination or an input is handed out: what stands in the destinations now was written
    /// by calls that have returned.
    virtual void settle() = 0;
    void settle_indices();
    void begin_base();
    void collect_base(Outcome& outcome) const;
    [[nodiscard]] bool indices_touched() const;

    struct IndexOutput {
        std::string name;
        Shape shape;
        temper::testing::Window<std::int64_t> window;
        std::vector<std::int64_t> settled;
        bool used = false;
    };

    const Inputs& inputs_;
    const Setting& setting_;
    std::deque<std::pair<std::string, std::vector<std::int64_t>>> index_inputs_;
    std::deque<IndexOutput> index_outputs_;
    std::vector<Output> results_; // of value and put
    std::vector<std::pair<std::string, std::string>> gradients_;
    std::vector<std::pair<std::string, std::string>> pairs_;
    std::function<long()> allocations_ = [] { return 0L; };
    mutable int aside_ = 0; // how deep
    mutable long aside_since_ = 0;
    mutable long aside_allocations_ = 0;
};

/// A case of scalar type T, float or double.
template <class T>
class Case final : public CaseBase {
  public:
    using Scalar = T;
    using CaseBase::CaseBase;

    // Inputs. Each must have the rank asked for.
    [[nodiscard]] T scalar(std::string_view name);
    [[nodiscard]] temper::VectorView<const T> vector(std::string_view name);
    [[nodiscard]] temper::MatrixView<const T> matrix(std::string_view name);
    [[nodiscard]] temper::AnyView<const T> tensor(std::string_view name);
    /// Inputs prefix0, prefix1, ... as a list.
    [[nodiscard]] std::span<const temper::AnyView<const T>> tensors(std::string_view prefix);

    /// A destination of an input's shape; the output is called grad_<input>, or as said.
    [[nodiscard]] Into<T> grad(std::string_view input, std::string_view output = {});
    [[nodiscard]] IntoList<T> grads(std::string_view prefix);
    /// A destination of any other output.
    [[nodiscard]] Into<T> out(std::string_view name, std::initializer_list<Index> shape);
    [[nodiscard]] Into<T> out(std::string_view name, const Shape& shape);
    /// Destinations of outputs prefix0, ... shaped like the inputs like0, ...
    [[nodiscard]] IntoList<T> outs(std::string_view prefix, std::string_view like);

    // For whoever runs the case.
    [[nodiscard]] Outcome run(const std::function<void(Case&)>& entry);

  private:
    struct Input {
        std::string name;
        temper::testing::Window<T> window;
        std::vector<T> numbers;
    };
    struct Place {
        std::string name;
        std::string group;
        Shape shape;
        temper::testing::Window<T> window;
        std::vector<T> before;
        std::vector<T> settled;
        Mode mode;
        bool gradient;
        bool used;
    };
    template <class V>
    struct List {
        std::string name;
        std::vector<V> views;
    };

    Place& place(std::string_view name, std::string_view group, const Shape& shape, bool gradient);
    void settle() override;
    [[nodiscard]] bool touched() const;
    void begin();
    [[nodiscard]] Outcome collect() const;

    std::deque<Input> input_windows_;
    std::deque<Place> places_;
    std::deque<List<temper::AnyView<const T>>> input_lists_;
    std::deque<List<temper::AnyView<T>>> place_lists_;
};

extern template class Case<float>;
extern template class Case<double>;

// ---- entries -------------------------------------------------------------------------------------

enum class Law {
    gradient,   ///< gradients are those of the value (or of <output, cotangent>), by differences
    modes,      ///< overwriting, adding, scaling and discarding agree
    layouts,    ///< rows, columns and strided windows agree
    precision,  ///< float agrees with double
    threads,    ///< the same bits for any number of threads
    allocation, ///< no allocation on the second call
    shapes,     ///< shapes that do not fit throw, and nothing has been written
    nan,        ///< NaN in gives NaN out
    purity,     ///< the same bits on the second call
    prox,       ///< a proximal point minimises step * value + distance^2 / 2
    firm,       ///< a proximal operator of a convex function is firmly non-expansive
    fuzz,       ///< no NaN out of finite numbers
};
[[nodiscard]] std::string_view name(Law law);

struct Entry {
    std::vector<std::string> names{};
    Make make{};
    std::function<void(Case<float>&)> run_float{};
    std::function<void(Case<double>&)> run_double{};

    struct OptOut {
        Law law;
        std::string input; ///< only for this input; empty: for all
        std::string reason;
    };
    std::vector<OptOut> opt_outs{};
    std::vector<std::string> notes{}; ///< why the numbers below are what they are

    struct Range {
        double smallest; ///< other than 0
        double largest;
    };
    double float_tolerance = 1e-4;
    double cancelled = 0; ///< numbers as small as this are what is left of larger ones
    Range float_range{1e-30, 1e8};
    Range double_range{1e-30, 1e30};

    [[nodiscard]] bool obeys(Law law, std::string_view input = {}) const;
    [[nodiscard]] const std::string& name() const { return names.front(); }
};

/// An entry that is not in the catalogue.
template <class Run>
[[nodiscard]] Entry make_entry(std::vector<std::string> names, Make make, const Run& run)
{
    Entry entry;
    entry.names = std::move(names);
    entry.make = std::move(make);
    entry.run_float = [run](Case<float>& c) { run(c); };
    entry.run_double = [run](Case<double>& c) { run(c); };
    return entry;
}

/// Puts an entry into the catalogue. The first name is the one it goes by; the others are further names
/// that files of golden cases know it by.
class Register {
  public:
    template <class Run>
    Register(std::vector<std::string> names, Make make, const Run& run)
        : entry_(add(make_entry(std::move(names), std::move(make), run)))
    {
    }
    /// This law does not hold, and why not.
    Register& no_law(Law law, std::string reason);
    /// This law does not hold for this input, and why not.
    Register& no_law(Law law, std::string input, std::string reason);
    /// Float and double agree to this part of the largest entry only, and why.
    Register& float_tolerance(double tolerance, std::string reason);
    /// Numbers below this are what is left of larger ones: differences of them count as they are.
    Register& cancelled(double size, std::string reason);
    /// The fuzzer's numbers are 0 or in this range only, and why.
    Register& float_range(double smallest, double largest, std::string reason);
    Register& double_range(double smallest, double largest, std::string reason);

  private:
    static Entry& add(Entry entry);
    Entry& entry_;
};

/// All entries, in alphabetical order.
[[nodiscard]] std::vector<const Entry*> catalog();
/// The entry that goes by this name, or none.
[[nodiscard]] const Entry* find_entry(std::string_view name);

enum class Scalar { f32, f64 };
/// Runs an entry. Exceptions other than temper::Error come through.
[[nodiscard]] Outcome run(const Entry& entry, const Inputs& inputs, const Setting& setting = {},
                          Scalar scalar = Scalar::f64);

} // namespace test
