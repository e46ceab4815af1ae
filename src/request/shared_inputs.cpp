// Inputs that several runs of one process have in common.
#include "request/shared_inputs.hpp"

#include <fmt/format.h>

namespace attn::request {

namespace {

/// Keeps what is said, for those who come later.
class Recorder final : public Reporter {
 public:
  void warn(const std::string& message) override { messages.emplace_back(true, message); }
  void note(const std::string& message) override { messages.emplace_back(false, message); }
  std::vector<std::pair<bool, std::string>> messages;
};

std::string text_of(const std::optional<double>& number) { return number ? fmt::format("{}", *number) : "-"; }

}  // namespace

std::string reading_key(const FileName& name, const ReadOptions& o) {
  return fmt::format("{}\n{}\n{}/{}/{}/{}/{}/{}/{}", name.path, name.selector, o.from ? static_cast<int>(*o.from) : -1,
                     o.delimiter ? static_cast<int>(*o.delimiter) : -1, static_cast<int>(o.header), static_cast<int>(o.text_type),
                     static_cast<int>(o.decimal), text_of(o.missing), text_of(o.ragged_pad));
}

Loaded SharedInputs::array(const FileName& name, const ReadOptions& options, Reporter& reporter) {
  std::shared_ptr<Entry> entry;
  {
    const std::scoped_lock lock(mutex_);
    std::shared_ptr<Entry>& place = arrays_[reading_key(name, options)];
    if (!place) place = std::make_shared<Entry>();
    entry = place;
  }
  const std::scoped_lock lock(entry->mutex);
  if (!entry->is_read) {
    Recorder recorder;
    entry->loaded = read_array(name, options, recorder);
    entry->messages = std::move(recorder.messages);
    entry->is_read = true;
  }
  for (const auto& [is_warning, message] : entry->messages) {
    if (is_warning)
      reporter.warn(message);
    else
      reporter.note(message);
  }
  return entry->loaded;
}

void SharedInputs::Rows::fill(const std::function<void(Array&)>& compute) {
  const std::scoped_lock lock(mutex_);
  if (is_filled_) return;
  compute(array_);
  is_filled_ = true;
}

std::shared_ptr<SharedInputs::Rows> SharedInputs::rows(const std::string& key, DType type, const Shape& shape) {
  const std::scoped_lock lock(mutex_);
  std::shared_ptr<Rows>& place = rows_[key];
  if (!place) place = std::make_shared<Rows>(Array(type, shape));
  return place;
}

}  // namespace attn::request
