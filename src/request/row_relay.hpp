// What observers on rank 0 learn of rows that other ranks have computed.
#pragma once

#include "engine/observer.hpp"

#include <mutex>
#include <span>
#include <string>

namespace attn::request {

/// Keeps finished rows as bytes, without their outputs.
template <class T>
class RowRelay : public engine::Observer<T> {
 public:
  /// `needs` are those of the observers on rank 0. Where they need nothing but to know of rows without a key, only those are
  /// kept.
  explicit RowRelay(const engine::Needs& needs) : needs_(needs) {}
  [[nodiscard]] engine::Needs needs() const override { return needs_; }
  void rows(const engine::RowBlock<T>& block) override;

  /// In no particular order of rows.
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

 private:
  engine::Needs needs_;
  std::mutex mutex_;
  std::string bytes_;
};

/// Hands the rows in `bytes` to the observers. Throws Error(defect) for bytes that are no rows.
template <class T>
void replay(std::string_view bytes, std::span<engine::Observer<T>* const> observers);

}  // namespace attn::request
