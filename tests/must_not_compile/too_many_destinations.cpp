// expect: temper: more destinations than differentiable inputs
#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include <string>
#include <vector>

double call(const Eigen::MatrixXf& x, const Eigen::MatrixXf& y, Eigen::MatrixXf& g)
{
    (void)y, (void)g;
#ifdef TEMPER_MUST_FAIL
    return temper::L1{}(x, temper::into(g), temper::discard);
#else
    return temper::L1{}(x, temper::into(g));
#endif
}
