// expect: temper: all inputs of a call have one scalar type
#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include <string>
#include <vector>

double call(const Eigen::MatrixXf& x, const Eigen::MatrixXf& y, Eigen::MatrixXf& g)
{
    (void)y, (void)g;
#ifdef TEMPER_MUST_FAIL
    return temper::MeanSquaredError{}(x, y.cast<double>().eval());
#else
    return temper::MeanSquaredError{}(x, y.cast<float>().eval());
#endif
}
