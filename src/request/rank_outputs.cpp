// The outputs of a run that several processes share.
#include "request/rank_outputs.hpp"

#include "io/descriptor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>

#include <fmt/format.h>
#include <sys/mman.h>

namespace attn::request {

namespace {

/// What stands before the bytes of a part that is sent.
struct PartHeader {
  char kind = 'p';
  std::uint64_t output = 0;
  std::uint64_t offset = 0;
};

/// A part is sent in pieces of at most this size.
constexpr std::size_t most_sent = std::size_t{1} << 22U;

}  // namespace

RankOutputs::Sparse::Sparse(std::size_t bytes, bool is_touched) : bytes_(std::max<std::size_t>(bytes, 1)) {
  const int access = is_touched ? PROT_READ | PROT_WRITE : PROT_NONE;
  void* memory = ::mmap(nullptr, bytes_, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    throw Error(Status::memory, fmt::format("there is no room for an output of {} bytes: {}", bytes, system_message(errno)));
  address_ = static_cast<std::byte*>(memory);
  // A rank's rows lie between those of others: large pages would hold these, too.
  (void)::madvise(memory, bytes_, MADV_NOHUGEPAGE);
}

RankOutputs::Sparse::~Sparse() { ::munmap(address_, bytes_); }

RankOutputs::~RankOutputs() {
  for (const Entry& entry : entries_)
    if (entry.file) entry.file->drop();
}

std::byte* RankOutputs::add(const FileName& name, std::string_view default_name, DType type, const Shape& shape,
                            const WriteOptions& options, const OutputRows& rows) {
  Entry entry;
  entry.item = item_size(type);
  entry.bytes = element_count(shape, entry.item) * entry.item;
  entry.rows = rows;
  Outputs::Shared shared;
  if (ranks_.leads()) {
    const auto made = files_.add_shared(name, type, shape, options);
    if (made) shared = *made;
    if (!made) entry.memory = files_.add(name, default_name, type, shape, options);
    ranks_.say(fmt::format("{} {}", shared.offset, shared.path));
  } else {
    const std::string heard = ranks_.hear();
    const std::size_t blank = heard.find(' ');
    shared = {.path = heard.substr(blank + 1), .offset = std::stoull(heard.substr(0, blank))};
  }
  if (entry.memory == nullptr) {
    entry.own = std::make_unique<Sparse>(entry.bytes, shared.path.empty());
    entry.memory = entry.own->get();
  }
  if (!shared.path.empty()) {
    entry.file = std::make_unique<SharedFile>(shared.path, name.text());
    entry.offset = shared.offset;
  }
  entries_.push_back(std::move(entry));
  return entries_.back().memory;
}

void RankOutputs::put(void* at, std::span<const std::byte> bytes) {
  auto* to = static_cast<std::byte*>(at);
  const std::less_equal<> in_order;
  for (const Entry& entry : entries_) {
    if (!entry.file || !in_order(entry.memory, to) || !in_order(to + bytes.size(), entry.memory + entry.bytes)) continue;
    return entry.file->write_at(entry.offset + static_cast<std::uint64_t>(to - entry.memory), bytes);
  }
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
}

void RankOutputs::send_part(std::size_t index, std::size_t offset, std::size_t bytes) {
  const Entry& entry = entries_[index];
  for (std::size_t at = offset; at < offset + bytes; at += most_sent) {
    const std::size_t size = std::min(most_sent, offset + bytes - at);
    const PartHeader header{.output = index, .offset = at};
    std::string message(sizeof(header) + size, '\0');
    std::memcpy(message.data(), &header, sizeof(header));
    std::memcpy(message.data() + sizeof(header), entry.memory + at, size);
    ranks_.deliver(message);
  }
}

void RankOutputs::finish(const std::vector<engine::BlockPlace>& places) {
  for (std::size_t index = 0; index < entries_.size(); ++index) {
    const Entry& entry = entries_[index];
    if (entry.file || ranks_.leads() || entry.bytes == 0) continue;
    // Rows that lie side by side go together.
    std::size_t begin = 0;
    std::size_t end = 0;
    for (const engine::BlockPlace& place : places) {
      for (std::size_t lane = 0; lane < place.lanes(); ++lane) {
        const analysis::RowStrides& s = entry.rows.strides;
        const std::size_t row =
            (place.batch * s.batch + place.head_of(lane) * s.head + place.query_of(lane) * s.query) * entry.item;
        if (row != end) {
          if (end > begin) send_part(index, begin, end - begin);
          begin = row;
        }
        end = row + entry.rows.width * entry.item;
      }
    }
    if (end > begin) send_part(index, begin, end - begin);
  }
}

bool RankOutputs::take(const std::string& delivery) {
  PartHeader header;
  if (delivery.size() < sizeof(header) || delivery.front() != header.kind) return false;
  std::memcpy(&header, delivery.data(), sizeof(header));
  const std::size_t size = delivery.size() - sizeof(header);
  if (header.output >= entries_.size() || header.offset + size > entries_[header.output].bytes)
    throw Error(Status::defect, "a rank has sent rows of an output that there is not");
  std::memcpy(entries_[header.output].memory + header.offset, delivery.data() + sizeof(header), size);
  return true;
}

void RankOutputs::close() {
  for (const Entry& entry : entries_)
    if (entry.file) entry.file->finish();
}

}  // namespace attn::request
