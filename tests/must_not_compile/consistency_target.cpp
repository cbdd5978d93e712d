// expect: temper: targets come second, as target_logits(t) or probabilities(p)
#include <temper/loss/consistency.hpp>

#include <Eigen/Core>

double f(const Eigen::MatrixXf& z, const Eigen::MatrixXf& t)
{
#ifdef TEMPER_MUST_FAIL
    return temper::Consistency<>{}(z, t);
#else
    return temper::Consistency<>{}(z, temper::target_logits(t));
#endif
}
