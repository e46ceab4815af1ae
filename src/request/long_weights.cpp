// Weights as text, one line for each pair.
#include "request/long_weights.hpp"

#include "io/csv.hpp"

namespace attn::request {

namespace {

template <class T>
void write_pairs(CsvRows& rows, const Array& weights, const std::vector<std::string>& ids,
                 const std::vector<std::string>& key_ids) {
  const Shape& shape = weights.shape();
  const T* value = weights.values<T>().data();
  const auto name = [&rows](const std::vector<std::string>& names, std::size_t index) {
    if (names.empty()) {
      rows.index(index);
    } else {
      rows.text(names[index]);
    }
  };
  for (std::size_t b = 0; b < shape[0]; ++b) {
    for (std::size_t h = 0; h < shape[1]; ++h) {
      for (std::size_t i = 0; i < shape[2]; ++i) {
        for (std::size_t j = 0; j < shape[3]; ++j) {
          rows.index(b).index(h);
          name(ids, i);
          name(key_ids, j);
          rows.real(*value++);
          rows.end_row();
        }
      }
    }
  }
}

}  // namespace

void write_long_weights(Outputs::TextSink& sink, const Array& weights, const std::vector<std::string>& ids,
                        const std::vector<std::string>& key_ids) {
  CsvRows rows(sink, {"batch", "head", "query", "key", "weight"});
  if (weights.dtype() == DType::f32) {
    write_pairs<float>(rows, weights, ids, key_ids);
  } else {
    write_pairs<double>(rows, weights, ids, key_ids);
  }
  rows.finish();
}

}  // namespace attn::request
