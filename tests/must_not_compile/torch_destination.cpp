// expect: temper: a call on tensors has no destinations
#include <temper/adapt/torch.hpp>
#include <temper/loss/mean_squared_error.hpp>

at::Tensor destination_of_a_tensor_function(const at::Tensor& x, const at::Tensor& y, float* g)
{
    const auto loss = temper::torch_function(temper::MeanSquaredError{});
#ifdef TEMPER_MUST_FAIL
    return loss(x, y, temper::into(temper::view(g, {4, 2})));
#else
    g[0] = 0;
    return loss(x, y);
#endif
}
