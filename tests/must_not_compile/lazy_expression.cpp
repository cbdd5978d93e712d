// expect: temper: this is a lazy expression; evaluate it into a matrix first
#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include <string>
#include <vector>

double call(const Eigen::MatrixXf& x, const Eigen::MatrixXf& y, Eigen::MatrixXf& g)
{
    (void)y, (void)g;
#ifdef TEMPER_MUST_FAIL
    return temper::MeanSquaredError{}(x + y, y);
#else
    return temper::MeanSquaredError{}((x + y).eval(), y);
#endif
}
