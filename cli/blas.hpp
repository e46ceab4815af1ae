// What OpenBLAS reads from the environment when it is loaded.
#pragma once

namespace attn::cli {

/// From now on, just before OpenBLAS is loaded, OPENBLAS_CORETYPE is set to the kernels that suit this processor and
/// OPENBLAS_NUM_THREADS to 1, unless the user has set them: old versions take young processors for very old ones, and attn splits
/// the work itself.
void tune_blas_when_it_loads();

}  // namespace attn::cli
