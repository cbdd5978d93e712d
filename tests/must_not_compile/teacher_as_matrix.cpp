// expect: temper: the teacher comes second, as teacher_logits(t)
#include <temper/loss/distillation_kl.hpp>

#include <Eigen/Core>

double distill(const Eigen::MatrixXf& s, const Eigen::MatrixXf& t)
{
#ifdef TEMPER_MUST_FAIL
    return temper::DistillationKl{}(s, t);
#else
    return temper::DistillationKl{}(s, temper::teacher_logits(t));
#endif
}
