// expect: temper: labels are mixed from labels(y) or probabilities(p)
#include <temper/augment/mixup.hpp>

#include <Eigen/Core>

void mix(const temper::MixPlan& plan, const Eigen::MatrixXf& y, Eigen::MatrixXf& t)
{
#ifdef TEMPER_MUST_FAIL
    temper::Mixup<>{}.mix_labels(plan, y, 10, temper::into(t));
#else
    temper::Mixup<>{}.mix_labels(plan, temper::probabilities(y), 10, temper::into(t));
#endif
}
