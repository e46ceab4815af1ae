// What OpenBLAS reads from the environment when it is loaded.
#include "cli/blas.hpp"

#include "model/blas.hpp"

#include <cstdlib>
#include <string>

namespace attn::cli {

void tune_blas_when_it_loads() {
  model::before_blas_loads([] {
    constexpr int keep = 0;
    const std::string core(model::suitable_blas_core());
    if (!core.empty()) ::setenv("OPENBLAS_CORETYPE", core.c_str(), keep);
    ::setenv("OPENBLAS_NUM_THREADS", "1", keep);
  });
}

}  // namespace attn::cli
