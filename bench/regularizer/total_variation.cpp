// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/regularizer/total_variation.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index h, Index w)
{
    for (const bool isotropic : {true, false}) {
        const std::string name = isotropic ? "total_variation_isotropic" : "total_variation";
        const temper::TotalVariation penalty{.form = isotropic ? temper::VariationForm::isotropic
                                                               : temper::VariationForm::anisotropic,
                                             .epsilon = isotropic ? 1e-8 : 0};
        add<T>(name, "temper", shape(h, w), Work{.entries = 2 * h * w}, [=] {
            return [x = matrix<T>(h, w, 1), g = Matrix<T>(h, w), penalty]() mutable {
                benchmark::DoNotOptimize(penalty(x, temper::into(g)));
            };
        });
    }
    add<T>("total_variation", "eigen", shape(h, w), [=] {
        return [x = matrix<T>(h, w, 1), g = Matrix<T>(h, w), h, w]() mutable {
            const auto down = x.bottomRows(h - 1) - x.topRows(h - 1);
            const auto right = x.rightCols(w - 1) - x.leftCols(w - 1);
            benchmark::DoNotOptimize(down.cwiseAbs().sum() + right.cwiseAbs().sum());
            g.setZero();
            g.topRows(h - 1) -= down.cwiseSign();
            g.bottomRows(h - 1) += down.cwiseSign();
            g.leftCols(w - 1) -= right.cwiseSign();
            g.rightCols(w - 1) += right.cwiseSign();
        };
    });
}

const bool added = [] {
    for (const auto& [h, w] : {std::pair{8, 8}, {1024, 1024}}) {
        add_all<float>(h, w);
        add_all<double>(h, w);
    }
    return true;
}();

} // namespace
