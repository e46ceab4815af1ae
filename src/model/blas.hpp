// OpenBLAS, loaded when the first product needs it: programs that multiply nothing do not pay for its start.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace attn::model {

/// A matrix product C += A B of row-major matrices on the calling thread, in one of two types. `b_is_transposed`: B is given as
/// [columns, inner]. Strides count elements between rows.
template <class T>
struct Product {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t inner = 0;
  const T* a = nullptr;
  std::size_t a_stride = 0;
  const T* b = nullptr;
  std::size_t b_stride = 0;
  bool b_is_transposed = false;
  T* c = nullptr;
  std::size_t c_stride = 0;
};

/// The functions of the loaded library that attn calls.
class Blas {
 public:
  /// Loads the library at the first call. Throws Error(io) when there is none.
  static const Blas& get();

  /// One row is a matrix-vector product, which reads B once. No dimension may be above 2^31 - 1 (Error(data)).
  template <class T>
  void multiply_add(const Product<T>& product) const;

  /// The set of kernels that is in use: "SkylakeX".
  [[nodiscard]] const std::string& core() const noexcept { return core_; }

 private:
  Blas();

  void* sgemm_ = nullptr;
  void* dgemm_ = nullptr;
  void* sgemv_ = nullptr;
  void* dgemv_ = nullptr;
  std::string core_;
};

/// The kernels that suit this processor, as OPENBLAS_CORETYPE names them; empty: leave the choice to the library. OpenBLAS 0.3.21
/// does not know processors younger than itself: it takes AMD Zen 5 for a Haswell and an Emerald Rapids for a Prescott, at a half
/// and at a quarter of the speed.
[[nodiscard]] std::string_view suitable_blas_core() noexcept;

/// `action` is called once, before the library is loaded: the place to set what the library reads from the environment, which
/// attn's own library code does not touch.
void before_blas_loads(std::function<void()> action);

}  // namespace attn::model
