// expect: temper: this argument has another rank than the one wanted here
#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include <string>
#include <vector>

double call(const Eigen::MatrixXf& x, const Eigen::MatrixXf& y, Eigen::MatrixXf& g)
{
    (void)y, (void)g;
#ifdef TEMPER_MUST_FAIL
    return temper::MeanSquaredError{}(x, temper::view(g.data(), {1, 1, 1}));
#else
    return temper::MeanSquaredError{}(x, temper::view(g.data(), {1, 1}));
#endif
}
