// SPDX-License-Identifier: BSL-1.0
#pragma once

// A network in two parts, for techniques that want its last features.

#include <cstdint>
#include <initializer_list>
#include <vector>

#include <temper/layer/nested_dropout.hpp>

#include "digits/training.hpp"
#include "support/data.hpp"
#include "support/mlp.hpp"
#include "support/stats.hpp"

namespace demo {

using support::Index;
using Matrix = support::Matrix<float>;

enum class Features { linear, rectified };

/// A trunk and a linear head; gradients of both are added up over the forwards of a step.
struct Classifier {
    Network trunk, head;
    Features kind;
    struct Tape {
        Network::Tape trunk, head;
        Matrix features, back;
        Index keep = 0;
    };
    Network::Parameters trunk_gradients, head_gradients;

    Classifier(const std::vector<Index>& trunk_widths, Index classes, std::uint64_t seed,
               Features features = Features::linear)
        : trunk(fresh_network(trunk_widths, seed)),
          head(fresh_network({trunk_widths.back(), classes}, seed + 1000)), kind(features),
          trunk_gradients(trunk.zeros()), head_gradients(head.zeros())
    {
    }
    /// With the first `keep` features, all if it is 0.
    const Matrix& forward(const Matrix& x, Tape& tape, Index keep = 0) const
    {
        tape.features = trunk.forward(x, tape.trunk);
        tape.keep = keep;
        if (kind == Features::rectified)
            tape.features = tape.features.cwiseMax(0.0F);
        if (keep > 0)
            temper::NestedDropout{.deviation = 1}.forward({keep}, tape.features,
                                                          temper::into(tape.features));
        return head.forward(tape.features, tape.head);
    }
    /// `through` is a gradient of the features besides the head's.
    void backward(Tape& tape, const Matrix& grad_logits, const Matrix* through = nullptr)
    {
        head.backward(tape.head, grad_logits, head_gradients, support::Gradients::add, &tape.back);
        if (through != nullptr)
            tape.back += *through;
        if (tape.keep > 0)
            temper::NestedDropout{.deviation = 1}.pullback({tape.keep}, tape.back,
                                                           temper::into(tape.back));
        if (kind == Features::rectified)
            tape.back = (tape.trunk.values.back().array() > 0.0F).select(tape.back, 0.0F);
        trunk.backward(tape.trunk, tape.back, trunk_gradients, support::Gradients::add);
    }
    void clear()
    {
        for (auto* list : {&trunk_gradients, &head_gradients})
            for (Matrix& g : *list)
                g.setZero();
    }
    [[nodiscard]] double accuracy(const support::LabelledData& data) const
    {
        Tape tape;
        return support::accuracy(forward(data.x, tape), data.y);
    }
    /// The weights as a list, for optimisers and averages.
    [[nodiscard]] std::vector<temper::AnyView<float>> parameters()
    {
        return views({&trunk.parameters(), &head.parameters()});
    }
    [[nodiscard]] std::vector<temper::AnyView<float>> gradients()
    {
        return views({&trunk_gradients, &head_gradients});
    }

  private:
    static std::vector<temper::AnyView<float>>
    views(std::initializer_list<Network::Parameters*> lists)
    {
        std::vector<temper::AnyView<float>> out;
        for (Network::Parameters* list : lists)
            for (Matrix& tensor : *list)
                out.push_back(temper::view(tensor));
        return out;
    }
};

} // namespace demo
