// SPDX-License-Identifier: BSL-1.0
#pragma once

// dlib: its tensors and matrices as views, and any loss of temper as a loss layer for dlib::dnn_trainer.
//
//   dlib::tensor          rank 4, [num_samples, k, nr, nc], in host memory
//   matrix_view(tensor)   [num_samples, k nr nc], as dlib::mat(tensor) has it: what losses want of outputs,
//                         and penalties of weights (fc: [inputs, outputs], con: [filters, k nr nc])
//   dlib::matrix          rank 2; a vector is accepted where rank 1 is wanted
//
//   using net_type = temper::loss_temper<temper::SoftmaxCrossEntropy,
//                                        dlib::fc<10, dlib::input<dlib::matrix<float>>>, unsigned long>;
//   net_type net(temper::SoftmaxCrossEntropy{.label_smoothing = 0.1});
//
// The third parameter is what a sample is labelled with, and says how the loss is called. z is matrix_view
// of what the network gave, gz of its gradient; what the loss divides by stands in the loss's header.
//
//   (none)                     loss(z_a, z_b, into(gz_a), into(gz_b)): two views of n samples, in the first
//                              and the second half of the rows, as dlib::loss_barlow_twins has them; the
//                              sample_expansion_factor must be 2
//   an integer                 loss(z, labels(y), into(gz)); a prediction is the largest logit
//   float                      loss(z, y, into(gz)), y [n, 1]; a prediction is the output
//   dlib::matrix<float, ...>   loss(z, y, into(gz)), y [n, k nr nc]; a prediction is a column of outputs
//
// The loss is given where the network is made, or by net.loss_details().set_loss(loss). A saved network
// keeps its name, which is checked, and not its hyper-parameters. Throws ShapeError, RangeError where no
// loss was given, and what the loss throws; dnn_trainer throws it in turn from the next call.

#include <temper/core/component.hpp>

#include <dlib/dnn/core.h>

#include <memory>

template <std::derived_from<dlib::tensor> O>
struct temper::Owner<O> {
    static constexpr int rank = 4;
    template <class Tensor>
    static auto view(Tensor& t)
    {
        return temper::view(t.host(), {t.num_samples(), t.k(), t.nr(), t.nc()});
    }
};
template <class T, long R, long C, class Memory, class Layout>
struct temper::Owner<dlib::matrix<T, R, C, Memory, Layout>> {
    static constexpr int rank = 2;
    template <class Matrix>
    static auto view(Matrix& m)
    {
        auto* const data = m.size() == 0 ? nullptr : &m(0, 0);
        if constexpr (std::is_same_v<Layout, dlib::row_major_layout>)
            return temper::view(data, {m.nr(), m.nc()});
        else
            return temper::view(data, {m.nc(), m.nr()}).transposed();
    }
};

namespace temper::inline TEMPER_ABI {

/// A row for each sample, of a tensor or an alias of one.
template <class O>
    requires std::derived_from<std::remove_cvref_t<O>, dlib::tensor>
[[nodiscard]] auto matrix_view(O&& t)
{
    return view(t.host(), {t.num_samples(), t.k() * t.nr() * t.nc()});
}

/// The loss layer, for a network dlib::add_loss_layer<loss_temper_<L, Label>, ...>.
template <Component L, class Label = dlib::no_label_type>
class loss_temper_ {
    static constexpr std::string_view name = "loss_temper";
    static constexpr bool has_labels = !std::is_same_v<Label, dlib::no_label_type>;

  public:
    using training_label_type = Label;
    using output_label_type = Label;

    loss_temper_() = default;
    loss_temper_(const L& loss)
    {
        set_loss(loss);
    } // NOLINT(google-explicit-constructor): like dlib's

    void set_loss(const L& loss) { loss_ = std::make_shared<const L>(loss); }
    [[nodiscard]] const L& get_loss() const
    {
        if (!loss_)
            fail(name, "loss", "is not set", "given to the network, or by set_loss");
        return *loss_;
    }

    template <class Network>
    double compute_loss_value_and_gradient(const dlib::tensor&, Network& sub) const
        requires(!has_labels)
    {
        const L& loss = get_loss();
        const auto z = outputs(sub, 2);
        const auto gz = matrix_view(sub.get_gradient_input());
        const auto half = [n = z.rows() / 2](const auto& v, Index which) {
            return v.block(which * n, 0, n, v.cols());
        };
        return loss(half(z, 0), half(z, 1), into(half(gz, 0)), into(half(gz, 1)));
    }

    template <class Iterator, class Network>
    double compute_loss_value_and_gradient(const dlib::tensor&, Iterator truth, Network& sub) const
        requires has_labels
    {
        const L& loss = get_loss();
        const auto z = outputs(sub, 1);
        const auto gz = into(matrix_view(sub.get_gradient_input()));
        Workspace::Frame frame;
        if constexpr (std::is_integral_v<Label>) {
            auto* const y = frame.take<Label>(z.rows());
            std::copy_n(truth, z.rows(), y);
            return loss(z, labels(view(y, {z.rows()})), gz);
        }
        else {
            const auto y = frame.matrix<float>(z.rows(), z.cols());
            for (Index i = 0; i < z.rows(); ++i, ++truth)
                read(*truth, y.row(i));
            return loss(z, y, gz);
        }
    }

    template <class Network, class Iterator>
    void to_label(const dlib::tensor&, const Network& sub, Iterator prediction) const
        requires has_labels
    {
        const auto z = outputs(sub, 1);
        for (Index i = 0; i < z.rows(); ++i, ++prediction) {
            const float* const row = z.row(i).data;
            if constexpr (std::is_integral_v<Label>)
                *prediction = static_cast<Label>(std::max_element(row, row + z.cols()) - row);
            else if constexpr (std::is_arithmetic_v<Label>)
                *prediction = *row;
            else
                *prediction = dlib::mat(row, z.cols(), 1);
        }
    }

    friend void serialize(const loss_temper_&, std::ostream& out)
    {
        dlib::serialize("loss_temper_", out);
        dlib::serialize(std::string(L::name), out);
    }
    friend void deserialize(loss_temper_&, std::istream& in)
    {
        std::string layer, loss;
        dlib::deserialize(layer, in);
        if (layer == "loss_temper_")
            dlib::deserialize(loss, in);
        if (loss != L::name)
            throw dlib::serialization_error("loss_temper: the network was saved with " + layer +
                                            " " + loss + ", not with " + std::string(L::name));
    }
    friend std::ostream& operator<<(std::ostream& out, const loss_temper_&)
    {
        return out << "loss_temper (" << L::name << ")";
    }
    friend void to_xml(const loss_temper_&, std::ostream& out)
    {
        out << "<loss_temper loss='" << L::name << "'/>\n";
    }

  private:
    template <class Network>
    static MatrixView<const float> outputs(const Network& sub, unsigned int views)
    {
        if (sub.sample_expansion_factor() != views)
            fail<ShapeError>(
                name, "sample_expansion_factor",
                joined({"is ", text(static_cast<Index>(sub.sample_expansion_factor()))}),
                text(static_cast<Index>(views)));
        return matrix_view(sub.get_output());
    }
    static void read(const Label& truth, VectorView<float> to)
    {
        const auto numbers = [&] {
            if constexpr (std::is_arithmetic_v<Label>)
                return view(&truth, {1, 1});
            else
                return view(truth);
        }();
        if (numbers.size() != to.size())
            fail<ShapeError>(name, "a label", joined({"has shape ", shape_text(numbers)}),
                             joined({text(to.size()), " numbers, as a sample has outputs"}));
        Index at = 0;
        for (Index i = 0; i < numbers.rows(); ++i)
            for (Index j = 0; j < numbers.cols(); ++j)
                to(at++) = static_cast<float>(numbers(i, j));
    }

    std::shared_ptr<const L> loss_; // empty until a loss is given
};

template <class L, class SUBNET, class Label = dlib::no_label_type>
using loss_temper = dlib::add_loss_layer<loss_temper_<L, Label>, SUBNET>;

} // namespace temper::inline TEMPER_ABI
