// OpenBLAS, loaded when the first product needs it.
#include "model/blas.hpp"

#include <attn/error.hpp>

#include <limits>
#include <type_traits>
#include <utility>

#include <cblas.h>
#include <dlfcn.h>
#include <fmt/format.h>

namespace attn::model {

namespace {

std::function<void()>& action_before_loading() {
  static std::function<void()> action;
  return action;
}

[[noreturn]] void no_library() {
  const char* reason = ::dlerror();
  throw Error(Status::io, fmt::format("OpenBLAS, which projections need, cannot be loaded: {}", reason == nullptr ? "" : reason),
              "on Debian: apt-get install libopenblas0; --engine reference works without it");
}

void* function(void* library, const char* name) {
  void* found = ::dlsym(library, name);
  if (found == nullptr) no_library();
  return found;
}

blasint size(std::size_t n) {
  if (n > static_cast<std::size_t>(std::numeric_limits<blasint>::max()))
    throw Error(Status::data, fmt::format("a matrix product with a dimension of {} is larger than OpenBLAS can take", n));
  return static_cast<blasint>(n);
}

/// The declared type of a function, for a pointer that dlsym gave.
template <class F>
F* as(void* pointer) {
  return reinterpret_cast<F*>(pointer);
}

}  // namespace

std::string_view suitable_blas_core() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool has_avx512 = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512cd") != 0 &&
                          __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                          __builtin_cpu_supports("avx512vl") != 0;
  if (has_avx512) return "SKYLAKEX";
  if (__builtin_cpu_supports("avx2") != 0 && __builtin_cpu_supports("fma") != 0) return "HASWELL";
#endif
  return {};
}

void before_blas_loads(std::function<void()> action) { action_before_loading() = std::move(action); }

const Blas& Blas::get() {
  static const Blas blas;
  return blas;
}

Blas::Blas() {
  if (action_before_loading()) action_before_loading()();
  // Never closed: its threads and buffers live until the program ends.
  void* library = ::dlopen(ATTN_OPENBLAS, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) no_library();
  sgemm_ = function(library, "cblas_sgemm");
  dgemm_ = function(library, "cblas_dgemm");
  sgemv_ = function(library, "cblas_sgemv");
  dgemv_ = function(library, "cblas_dgemv");
  core_ = as<decltype(openblas_get_corename)>(function(library, "openblas_get_corename"))();
  // Work is split by attn: one thread in each call, so that bits do not depend on how many there are.
  as<decltype(openblas_set_num_threads)>(function(library, "openblas_set_num_threads"))(1);
}

template <class T>
void Blas::multiply_add(const Product<T>& p) const {
  if (p.rows == 0 || p.columns == 0 || p.inner == 0) return;
  constexpr bool is_float = std::is_same_v<T, float>;
  using Gemm = std::conditional_t<is_float, decltype(cblas_sgemm), decltype(cblas_dgemm)>;
  using Gemv = std::conditional_t<is_float, decltype(cblas_sgemv), decltype(cblas_dgemv)>;
  if (p.rows == 1) {
    auto* const gemv = as<Gemv>(is_float ? sgemv_ : dgemv_);
    gemv(CblasRowMajor, p.b_is_transposed ? CblasNoTrans : CblasTrans, size(p.b_is_transposed ? p.columns : p.inner),
         size(p.b_is_transposed ? p.inner : p.columns), T{1}, p.b, size(p.b_stride), p.a, 1, T{1}, p.c, 1);
    return;
  }
  auto* const gemm = as<Gemm>(is_float ? sgemm_ : dgemm_);
  gemm(CblasRowMajor, CblasNoTrans, p.b_is_transposed ? CblasTrans : CblasNoTrans, size(p.rows), size(p.columns), size(p.inner),
       T{1}, p.a, size(p.a_stride), p.b, size(p.b_stride), T{1}, p.c, size(p.c_stride));
}

template void Blas::multiply_add(const Product<float>&) const;
template void Blas::multiply_add(const Product<double>&) const;

}  // namespace attn::model
