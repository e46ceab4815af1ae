// Inputs that several runs of one process have in common: each is read once, and each projection computed once.
#pragma once

#include <attn/io.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace attn::request {

/// May be used by several threads at once. What is read stays until this goes out of scope.
class SharedInputs {
 public:
  SharedInputs() = default;
  SharedInputs(const SharedInputs&) = delete;
  SharedInputs& operator=(const SharedInputs&) = delete;

  /// What read_array() gives, read at the first call. Every caller hears what was said while it was read; a file that could not
  /// be read is tried again.
  [[nodiscard]] Loaded array(const FileName& name, const ReadOptions& options, Reporter& reporter);

  /// Rows that are computed once: everybody who names `key` has the same memory.
  class Rows {
   public:
    explicit Rows(Array array) : array_(std::move(array)) {}
    [[nodiscard]] const Array& array() const noexcept { return array_; }
    /// Runs `compute` on the array at the first call; others wait for it. When it throws, the next call tries again.
    void fill(const std::function<void(Array&)>& compute);

   private:
    std::mutex mutex_;
    bool is_filled_ = false;
    Array array_;
  };
  /// The rows of that key; made as zeros of this type and shape by the first who asks.
  [[nodiscard]] std::shared_ptr<Rows> rows(const std::string& key, DType type, const Shape& shape);

 private:
  struct Entry {
    std::mutex mutex;
    bool is_read = false;
    Loaded loaded;
    std::vector<std::pair<bool, std::string>> messages;  ///< is it a warning, and what
  };

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> arrays_;
  std::map<std::string, std::shared_ptr<Rows>> rows_;
};

/// All that decides what reading `name` gives, as text.
[[nodiscard]] std::string reading_key(const FileName& name, const ReadOptions& options);

/// read_array() by way of `shared`, where there is one.
[[nodiscard]] inline Loaded read_shared(const FileName& name, const ReadOptions& options, Reporter& reporter,
                                        SharedInputs* shared) {
  return shared == nullptr ? read_array(name, options, reporter) : shared->array(name, options, reporter);
}

}  // namespace attn::request
