// SPDX-License-Identifier: BSL-1.0

#include "typed_border.hpp"

int main()
{
    const float x[] = {1, 2, 3, 4}, y[] = {1, 2, 3, 4};
    return typed_loss(temper::MeanSquaredError{}, x, y, 2, 2) == 0 ? 0 : 1;
}
