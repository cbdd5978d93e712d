// expect: temper: a destination must be something that can be written to
#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include <string>
#include <vector>

double call(const Eigen::MatrixXf& x, const Eigen::MatrixXf& y, Eigen::MatrixXf& g)
{
    (void)y, (void)g;
#ifdef TEMPER_MUST_FAIL
    return temper::L1{}(x, temper::into(y));
#else
    return temper::L1{}(x, temper::into(g));
#endif
}
