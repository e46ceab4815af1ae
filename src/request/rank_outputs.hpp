// The outputs of a run that several processes share: each has the rows of its own queries, and they meet in one file.
#pragma once

#include "analysis/writers.hpp"
#include "engine/blocks.hpp"
#include "io/shared_file.hpp"
#include "request/ranks.hpp"

#include <attn/io.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace attn::request {

/// Where the rows of an output lie, [batch, heads, q_len] of them in any order, `width` elements each.
struct OutputRows {
  analysis::RowStrides strides;
  std::size_t width = 0;
};

/// NPY files are written by all ranks, each its rows at their places as soon as it has them, and are in the memory of none. Text,
/// containers of several arrays and streams need one writer: the others keep their rows until the end, rank 0 is sent all of
/// them, and has room for them.
class RankOutputs {
 public:
  /// What is referred to must outlive this. `files` is rank 0's to commit.
  RankOutputs(Ranks& ranks, Outputs& files) : ranks_(ranks), files_(files) {}
  RankOutputs(const RankOutputs&) = delete;
  RankOutputs& operator=(const RankOutputs&) = delete;
  /// Files that have no name yet are forgotten, even where rank 0 was ended before it could.
  ~RankOutputs();

  /// As Outputs::add(), but filled by put() alone; every rank declares the same outputs in the same order.
  [[nodiscard]] std::byte* add(const FileName& name, std::string_view default_name, DType type, const Shape& shape,
                               const WriteOptions& options, const OutputRows& rows);
  /// As Outputs::put().
  void put(void* at, std::span<const std::byte> bytes);

  /// After the walk: sends the rows of the queries in `places` that no file has yet.
  void finish(const std::vector<engine::BlockPlace>& places);
  /// Rank 0: takes what the others have sent. False for what is no part of an output.
  [[nodiscard]] bool take(const std::string& delivery);
  /// Checks that the file system has everything; to be called when all ranks have written.
  void close();

 private:
  /// Memory that takes room only where it is touched, and of a file that all ranks write only the addresses.
  class Sparse {
   public:
    Sparse(std::size_t bytes, bool is_touched);
    Sparse(const Sparse&) = delete;
    Sparse& operator=(const Sparse&) = delete;
    ~Sparse();
    [[nodiscard]] std::byte* get() const noexcept { return address_; }

   private:
    std::size_t bytes_;
    std::byte* address_;
  };
  struct Entry {
    std::unique_ptr<Sparse> own;  ///< null where rank 0 has the memory of `files`
    std::byte* memory = nullptr;
    std::size_t bytes = 0;
    std::size_t item = 0;
    OutputRows rows;
    std::unique_ptr<SharedFile> file;  ///< null for what rank 0 writes
    std::uint64_t offset = 0;          ///< of the first element in the file
  };

  void send_part(std::size_t index, std::size_t offset, std::size_t bytes);

  Ranks& ranks_;
  Outputs& files_;
  std::vector<Entry> entries_;
};

}  // namespace attn::request
