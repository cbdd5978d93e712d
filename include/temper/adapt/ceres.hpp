// SPDX-License-Identifier: BSL-1.0
#pragma once

// A robust kernel as the loss function of Ceres Solver, which minimises 1/2 sum rho(|residual|^2):
//
//   problem.AddResidualBlock(cost, new temper::CeresLoss(temper::Cauchy{.c = 0.5}), parameters);
//
//   rho[0], rho[1], rho[2] = scale (rho(s), rho'(s), rho''(s))
//
// With scale = 1 / rho'(0) small residuals count as in plain least squares, which is what Ceres' own loss
// functions do; the scale of a loss matters where it is added to others, or to a prior:
//
//   ceres::HuberLoss(a)       CeresLoss(Huber{a}, 2)
//   ceres::SoftLOneLoss(a)    CeresLoss(PseudoHuberScaled{a}, 2)
//   ceres::CauchyLoss(a)      CeresLoss(Cauchy{a / sqrt(2)}, a * a)
//   nullptr                   CeresLoss(HalfL2Residual{}, 2)
//
// Where rho' is infinite (L1Residual at 0) all derivatives are taken to be 0: such a residual pulls at
// nothing. Throws RangeError for the kernel's hyper-parameters and a scale that is not positive and finite.
// Triggs et al., Bundle Adjustment: A Modern Synthesis (2000), for what Ceres does with the derivatives.

#include <temper/loss/robust_kernels.hpp>

#include <ceres/loss_function.h>

namespace temper::inline TEMPER_ABI {

template <RobustKernel Kernel>
class CeresLoss final : public ceres::LossFunction {
  public:
    explicit CeresLoss(const Kernel& kernel, double scale = 1) : kernel_(kernel), scale_(scale)
    {
        if constexpr (requires { kernel.check("CeresLoss"); })
            kernel.check("CeresLoss");
        require(scale > 0 && scale < infinity, "CeresLoss", "scale", scale, "positive and finite");
    }
    void Evaluate(double s, double rho[3]) const override
    {
        const Rho<double> at = kernel_(s);
        const bool kink = at.first == infinity;
        rho[0] = scale_ * at.value;
        rho[1] = kink ? 0 : scale_ * at.first;
        rho[2] = kink ? 0 : scale_ * at.second;
    }

  private:
    static constexpr double infinity = std::numeric_limits<double>::infinity();
    Kernel kernel_;
    double scale_;
};

} // namespace temper::inline TEMPER_ABI
