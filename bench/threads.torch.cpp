// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#ifdef _OPENMP
#include <omp.h>

namespace {

// Of its own accord libtorch sets OpenMP's number of threads to that of the physical cores, for all code
// of the process. Here all run with as many as OpenMP says.
const bool same_threads_for_all = [] {
    at::set_num_threads(omp_get_max_threads());
    return true;
}();

} // namespace
#endif
