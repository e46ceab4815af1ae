// Recognizing attention parameters: every naming scheme, and sets that are wrong, incomplete or ambiguous.
#include "model/attention_parameters.hpp"
#include "model/support.hpp"

#include <algorithm>

#include <doctest/doctest.h>

using namespace attn;
using namespace attn::model;
using namespace attn::test;

namespace {

constexpr std::size_t kWide = 12;  // of the input
constexpr std::size_t kHeads = 8;  // features of all heads together

NamedShapes bert() {
  return {{"self.query.weight", {kHeads, kWide}},   {"self.query.bias", {kHeads}},
          {"self.key.weight", {kHeads, kWide}},     {"self.key.bias", {kHeads}},
          {"self.value.weight", {kHeads, kWide}},   {"self.value.bias", {kHeads}},
          {"output.dense.weight", {kWide, kHeads}}, {"output.dense.bias", {kWide}}};
}

NamedShapes llama() {
  return {{"q_proj.weight", {kHeads, kWide}},
          {"k_proj.weight", {4, kWide}},
          {"v_proj.weight", {4, kWide}},
          {"o_proj.weight", {kWide, kHeads}}};
}

void leave_out(NamedShapes& tensors, const std::string& name) {
  REQUIRE(std::erase_if(tensors, [&](const auto& tensor) { return tensor.first == name; }) == 1);
}

class Place {
 public:
  explicit Place(const NamedShapes& tensors, const std::string& name = "m.safetensors") : path_(folder_ / name) {
    write_parameters(path_, tensors);
  }
  [[nodiscard]] ParameterFile file() { return {path_, reporter_}; }
  [[nodiscard]] AttentionSet recognize(const std::string& prefix) { return recognize_attention(file(), prefix); }
  /// The whole message of what recognizing throws.
  [[nodiscard]] std::string refusal(const std::string& prefix) {
    const Error error = error_of([&] { (void)recognize(prefix); });
    CHECK(error.status() == Status::data);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }

 private:
  TemporaryDirectory folder_;
  std::string path_;
  Listener reporter_;
};

bool holds(const std::string& text, const std::string& part) {
  const bool found = text.find(part) != std::string::npos;
  if (!found) MESSAGE("'" << text << "' lacks '" << part << "'");
  return found;
}

}  // namespace

TEST_CASE("each scheme is recognized with its widths") {
  struct Case {
    const char* scheme;
    NamedShapes tensors;
    Widths key;
  };
  const std::vector<Case> cases{
      {"plain", {{"Wq", {kWide, 8}}, {"Wk", {5, 8}}, {"Wv", {5, 4}}, {"Wo", {4, 7}}, {"bo", {7}}}, {5, 8}},
      {"PyTorch", {{"in_proj_weight", {24, kHeads}}, {"out_proj.weight", {kHeads, kHeads}}}, {kHeads, kHeads}},
      {"PyTorch, separate",
       {{"q_proj_weight", {8, 8}},
        {"k_proj_weight", {8, 5}},
        {"v_proj_weight", {8, 3}},
        {"in_proj_bias", {24}},
        {"out_proj.weight", {8, 8}},
        {"out_proj.bias", {8}}},
       {5, 8}},
      {"BERT", bert(), {kWide, kHeads}},
      {"Llama", llama(), {kWide, 4}},
      {"GPT-2", {{"c_attn.weight", {8, 24}}, {"c_attn.bias", {24}}, {"c_proj.weight", {8, 8}}, {"c_proj.bias", {8}}}, {8, 8}},
      {"BART",
       {{"q_proj.weight", {8, 8}},
        {"q_proj.bias", {8}},
        {"k_proj.weight", {8, 8}},
        {"v_proj.weight", {8, 8}},
        {"out_proj.weight", {8, 8}}},
       {8, 8}},
      {"DistilBERT",
       {{"q_lin.weight", {8, 8}}, {"k_lin.weight", {8, 8}}, {"v_lin.weight", {8, 8}}, {"out_lin.weight", {8, 8}}},
       {8, 8}},
  };
  for (const Case& c : cases) {
    for (const char* name : {"m.safetensors", "m.npz"}) {
      CAPTURE(c.scheme);
      CAPTURE(name);
      Place place(with_prefix("a.b.3.", c.tensors), name);
      // With and without the last dot.
      for (const char* prefix : {"a.b.3.", "a.b.3"}) {
        const AttentionSet set = place.recognize(prefix);
        CHECK(set.scheme->name == c.scheme);
        CHECK(set.prefix == "a.b.3.");
        CHECK(set.key.in == c.key.in);
        CHECK(set.key.out == c.key.out);
        CHECK(set.tensors.size() == c.tensors.size());
      }
      const auto places = find_attention(place.file());
      REQUIRE(places.size() == 1);
      CHECK(places[0].prefix == "a.b.3.");
      CHECK(places[0].set.has_value());
    }
  }
}

TEST_CASE("layers are listed in the order of their numbers") {
  NamedShapes tensors;
  for (const int layer : {10, 2, 0, 1}) {
    for (auto& tensor : with_prefix("h." + std::to_string(layer) + ".", llama())) tensors.push_back(tensor);
  }
  std::vector<std::string> prefixes;
  for (const AttentionPlace& found : find_attention(Place(tensors).file())) prefixes.push_back(found.prefix);
  CHECK(prefixes == std::vector<std::string>{"h.0.", "h.1.", "h.2.", "h.10."});
}

TEST_CASE("a wrong prefix names the nearest one") {
  NamedShapes tensors = with_prefix("encoder.layer.0.attention.", bert());
  for (auto& tensor : with_prefix("encoder.layer.1.attention.", bert())) tensors.push_back(tensor);
  Place place(tensors);
  for (const char* wrong : {"encoder.layer.1.atention.", "encoder.layer.1.", "layer.1.attention."}) {
    CAPTURE(wrong);
    const std::string message = place.refusal(wrong);
    CHECK(holds(message, "no attention parameters under the prefix"));
    CHECK(holds(message, "'encoder.layer.1.attention.'"));
  }
  CHECK(holds(place.refusal(""), "'encoder.layer.0.attention.', one of 2"));
  Place none({{"weight", {3}}});
  CHECK(holds(none.refusal("x."), "no other prefix has any (1 tensors: weight)"));
}

TEST_CASE("an incomplete set says what is there and what is not") {
  for (const auto& [name, shape] : bert()) {
    CAPTURE(name);
    NamedShapes tensors = bert();
    leave_out(tensors, name);
    const std::string message = Place(with_prefix("layer.", tensors)).refusal("layer.");
    CHECK(holds(message, "missing " + name));
    CHECK(holds(message, name == "self.query.weight" ? "found self.key.weight" : "found self.query.weight"));
  }
  for (const auto& [name, shape] : llama()) {
    CAPTURE(name);
    NamedShapes tensors = llama();
    leave_out(tensors, name);
    CHECK(holds(Place(tensors).refusal(""), "missing " + name));
  }
  // The place is known, though it cannot be used.
  NamedShapes tensors = bert();
  leave_out(tensors, "output.dense.weight");
  const auto places = find_attention(Place(tensors).file());
  REQUIRE(places.size() == 1);
  CHECK_FALSE(places[0].set.has_value());
  CHECK(holds(places[0].problem, "missing output.dense.weight"));
}

TEST_CASE("two sets under one prefix are ambiguous") {
  NamedShapes both = llama();
  for (const auto& tensor : bert()) both.push_back(tensor);
  CHECK(holds(Place(both).refusal(""), "ambiguous"));
  NamedShapes torch{{"in_proj_weight", {24, 8}}, {"out_proj.weight", {8, 8}}, {"q_proj_weight", {8, 8}}};
  const std::string message = Place(torch).refusal("");
  CHECK(holds(message, "ambiguous"));
  CHECK(holds(message, "q_proj_weight"));
}

TEST_CASE("tensors that cannot be projected with") {
  const auto changed = [](const std::string& name, const Shape& shape) {
    NamedShapes tensors = bert();
    std::ranges::find(tensors, name, &std::pair<std::string, Shape>::first)->second = shape;
    return Place(tensors).refusal("");
  };
  CHECK(holds(changed("self.query.bias", {7}), "7 numbers for 8 output features"));
  CHECK(holds(changed("self.key.weight", {8, 12, 1}), "expected a matrix"));
  CHECK(holds(changed("self.value.weight", {8, 0}), "expected a matrix"));
  CHECK(holds(Place({{"in_proj_weight", {25, 8}}, {"out_proj.weight", {8, 8}}}).refusal(""), "no multiple of 3"));
  NamedShapes extra{{"in_proj_weight", {24, 8}}, {"out_proj.weight", {8, 8}}, {"bias_k", {8}}};
  CHECK(holds(Place(extra).refusal(""), "bias_k is not supported"));

  const TemporaryDirectory folder;
  Listener reporter;
  write_parameters(folder / "i.npz", bert(), DType::i32);
  const Error error = error_of([&] { (void)recognize_attention(ParameterFile(folder / "i.npz", reporter), ""); });
  CHECK(error.status() == Status::data);
  CHECK(holds(error.what(), "int32"));
}

TEST_CASE("heads: who says how many, and what fits the widths") {
  Place place(llama());
  const AttentionSet set = place.recognize("");
  const auto heads = [&](std::size_t asked, std::size_t asked_kv, const std::optional<ModelConfig>& config) {
    return resolve_heads(set, asked, asked_kv, config, "m");
  };
  ModelConfig config;
  config.heads = 2;
  config.kv_heads = 1;
  const HeadCounts said = heads(0, 0, config);
  CHECK(said.heads == 2);
  CHECK(said.kv_heads == 1);
  CHECK(said.head_dim == 4);
  CHECK(said.value_dim == 4);
  CHECK(said.source == "config.json");
  const HeadCounts asked = heads(4, 2, config);
  CHECK(asked.heads == 4);
  CHECK(asked.kv_heads == 2);
  CHECK(asked.source == "--heads");
  const auto refused = [&](std::size_t h, std::size_t kv, const std::optional<ModelConfig>& c) {
    const Error error = error_of([&] { (void)heads(h, kv, c); });
    CHECK(error.status() == Status::data);
    return std::string(error.what());
  };
  CHECK(holds(refused(3, 0, {}), "possible: 2, 4, 8"));
  CHECK(holds(refused(1, 0, {}), "the key cannot be split into heads of 8"));
  CHECK(holds(refused(0, 0, {}), "taken as one head"));
  CHECK(holds(refused(4, 4, {}), "--kv-heads 4"));
  config.kv_heads = 2;
  CHECK(holds(refused(0, 0, config), "config.json names 2"));
}

TEST_CASE("files that hold no parameters") {
  const TemporaryDirectory folder;
  Listener reporter;
  const auto refusal = [&](const std::string& path) { return error_of([&] { (void)ParameterFile(path, reporter); }); };
  CHECK(refusal("-").status() == Status::usage);
  write_file(folder / "x.csv", "1,2\n");
  CHECK(refusal(folder / "x.csv").status() == Status::data);
  write_file(folder / "x", "1,2\n");
  CHECK(refusal(folder / "x").status() == Status::data);
  write_array({folder / "x.npy", {}}, Array(DType::f32, {2, 2}), {});
  CHECK(refusal(folder / "x.npy").status() == Status::data);
  CHECK(refusal(folder / "absent.safetensors").status() == Status::io);
  write_parameters(folder / "m.npz", llama());
  CHECK(refusal(folder / "m.npz:Wq").status() == Status::usage);
  write_file(folder / "cut.safetensors", read_file(fixture("one.safetensors")).substr(0, 40));
  CHECK(refusal(folder / "cut.safetensors").status() == Status::data);
}

TEST_CASE("a checkpoint in parts") {
  const TemporaryDirectory folder;
  Listener reporter;
  NamedShapes first = llama();
  leave_out(first, "o_proj.weight");
  write_parameters(folder / "a.safetensors", first);
  write_parameters(folder / "b.safetensors", {{"o_proj.weight", {kWide, kHeads}}});
  const std::string index = folder / "model.safetensors.index.json";
  write_file(index, R"({"weight_map": {"q_proj.weight": "a.safetensors", "o_proj.weight": "b.safetensors"}})");
  const ParameterFile file(index, reporter);
  const AttentionParameters parameters = load_attention(file, recognize_attention(file, ""), reporter);
  CHECK(parameters.set.scheme->name == "Llama");
  CHECK(parameters.output.weight.array.shape() == Shape{kWide, kHeads});
  for (const char* hostile : {"[]", "{", R"({"weight_map": {"x": "../a.safetensors"}})", R"({"weight_map": {"x": 3}})", "{}"}) {
    write_file(index, hostile);
    CHECK(error_of([&] { (void)ParameterFile(index, reporter); }).status() == Status::data);
  }
  write_file(index, R"({"weight_map": {"x": "absent.safetensors"}})");
  CHECK(error_of([&] { (void)ParameterFile(index, reporter); }).status() == Status::io);
}
