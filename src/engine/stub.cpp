// TEMPORARY: stands in until the walk and the tiled engine land; delete this file (and its line in CMakeLists.txt) with them.
#include "engine/engine.hpp"
namespace attn::engine {
template <class T>
void run_tiled(const Plan&, const Operands<T>&, std::span<Observer<T>* const>, const Execution&) {
  throw Error(Status::defect, "stub");
}
template void run_tiled<float>(const Plan&, const Operands<float>&, std::span<Observer<float>* const>, const Execution&);
template void run_tiled<double>(const Plan&, const Operands<double>&, std::span<Observer<double>* const>, const Execution&);
std::string selected_isa(const std::string&) { return "x"; }
void for_each_query_block(const Dims& d, std::size_t block, const Execution&,
                          const std::function<void(std::size_t, std::size_t, std::size_t, std::size_t)>& body) {
  for (std::size_t b = 0; b < d.batch; ++b)
    for (std::size_t h = 0; h < d.heads; ++h)
      for (std::size_t i = 0; i < d.q_len; i += block) body(b, h, i, std::min(block, d.q_len - i));
}
}  // namespace attn::engine
