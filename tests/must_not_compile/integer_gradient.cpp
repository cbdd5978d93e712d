// expect: temper: a gradient is written into floating numbers
#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include <string>
#include <vector>

double call(const Eigen::MatrixXf& x, const Eigen::MatrixXf& y, Eigen::MatrixXf& g)
{
    (void)y, (void)g;
#ifdef TEMPER_MUST_FAIL
    std::vector<int> n(4);
    return temper::L1{}(x, temper::into(n));
#else
    std::vector<float> n(4);
    return temper::L1{}(x, temper::into(n));
#endif
}
