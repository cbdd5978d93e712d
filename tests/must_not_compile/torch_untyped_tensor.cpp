// expect: temper: a tensor's scalar type is known at run time only
#include <temper/adapt/torch_view.hpp>
#include <temper/loss/mean_squared_error.hpp>

double untyped_tensor(const at::Tensor& x, const at::Tensor& y)
{
    const temper::MeanSquaredError loss;
#ifdef TEMPER_MUST_FAIL
    return loss(x, y);
#else
    return loss(temper::view<float>(x), temper::view<float>(y));
#endif
}
