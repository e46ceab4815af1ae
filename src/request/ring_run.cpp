// A run that several processes share.
#include "request/ring_run.hpp"

#include "analysis/writers.hpp"
#include "engine/prepare.hpp"
#include "engine/ring.hpp"
#include "io/input.hpp"
#include "request/announce.hpp"
#include "request/output_memory.hpp"
#include "request/rank_outputs.hpp"
#include "request/row_relay.hpp"
#include "request/watch_outputs.hpp"
#include "request/watch_plan.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>

#include <fmt/format.h>

namespace attn::request {

namespace {

constexpr const char* kAlone = "run it without mpirun, on one machine";

/// Kinds of deliveries, beside the parts of outputs.
constexpr char kRows = 'r';
constexpr char kNan = 'n';
constexpr char kLines = 'l';

/// Which of the shared observers has learned what follows, of which lines.
struct LinesHeader {
  std::size_t observer = 0;
  analysis::Lines lines;
};

/// What tells whether two ranks are about to do the same.
std::string digest_of(const RunRecord& record) {
  const engine::Dims& d = record.plan->dims;
  std::string text = fmt::format("{} {} {} {} {} {} {} {} {}", ATTN_VERSION, d.batch, d.heads, d.kv_heads, d.q_len, d.kv_len,
                                 d.head_dim, d.value_dim, static_cast<int>(record.inputs->compute));
  for (const Row<RunRequest>& row : run_table())
    if (row.option.name != "threads" && row.option.name != "isa") text += fmt::format("\n{}", to_text(row.get(record.request)));
  for (const auto& [role, loaded] : record.inputs->files)
    text += fmt::format("\n{} {} {} bytes", role, loaded.name.text(), loaded.array.bytes());
  return text;
}

bool is_passing(const std::string& role) {
  return role == "query" || role == "key" || role == "value" || role.starts_with("past");
}

/// What Open MPI and its libraries take.
constexpr std::uint64_t library_bytes = std::uint64_t{12} << 20U;

/// Rows of NPY files are written where they belong, by whoever has them.
bool is_written_by_all(const OutputPlan& planned) {
  const FileName name = FileName::parse_output(planned.file);
  const bool is_rows = planned.role == "output" || planned.role == "lse" || planned.role == "weights" || planned.role == "scores";
  return is_rows && !name.is_standard_stream() && format_of_path(name.path) == Format::npy;
}

/// Bytes of files that pass which a rank does not hold: all but the pages around what it is reading.
std::uint64_t bytes_let_go(const RunRecord& record) {
  constexpr std::uint64_t around = std::uint64_t{4} << 20U;
  const auto passes = [&](const Loaded& loaded) {
    return std::ranges::find(record.inputs->inputs.passing, loaded.mapped) != record.inputs->inputs.passing.end() ||
           std::ranges::find(record.plan->masks, loaded.mapped, &engine::MaskPart::passing) != record.plan->masks.end();
  };
  std::uint64_t bytes = 0;
  std::vector<const std::byte*> seen;
  for (const auto& [role, loaded] : record.inputs->files) {
    if (loaded.mapped == nullptr || !passes(loaded) || std::ranges::find(seen, loaded.array.data()) != seen.end()) continue;
    seen.push_back(loaded.array.data());
    bytes += loaded.array.bytes();
  }
  return bytes - std::min(bytes, around * (record.request.threads + 1));
}

/// What the processes of a run have between the walk and its end.
template <class T>
class RingRun {
 public:
  RingRun(Ranks& ranks, const RunRecord& record, const RunContext& context, Outputs& files, RankOutputs& shared)
      : ranks_(ranks), record_(record), plan_(*record.plan), context_(context), files_(files), shared_(shared) {}

  /// The part of every rank.
  void walk(const Outputs& report);
  /// What is left when all have walked.
  void finish();

 private:
  [[nodiscard]] bool writes(const char* role) const {
    return std::ranges::find(record_.outputs, role, &OutputPlan::role) != record_.outputs.end();
  }
  void watch();
  void deliver();
  /// What the shared observer with this number has learned of this rank's rows or columns.
  void deliver_lines(std::size_t number);
  void take_lines(std::string_view bytes);

  Ranks& ranks_;
  const RunRecord& record_;
  const engine::Plan& plan_;
  const RunContext& context_;
  Outputs& files_;
  RankOutputs& shared_;
  engine::Findings findings_;
  engine::Operands<T> operands_;
  std::unique_ptr<RunOutputs<T, T>> outputs_;
  WatchText text_;                                 ///< on rank 0
  std::unique_ptr<WatchOutputs<T>> watched_;       ///< on rank 0
  std::unique_ptr<analysis::EmptyRows<T>> empty_;  ///< on rank 0
  std::unique_ptr<RowRelay<T>> relay_;             ///< on the others
  std::unique_ptr<WatchPart<T>> part_;             ///< on the others
  std::unique_ptr<analysis::NanWatch<T>> nan_;
  std::vector<engine::Observer<T>*> gathering_;  ///< observers of this rank's walk
  std::vector<engine::Observer<T>*> learning_;   ///< on rank 0: those that learn of the rows of the other ranks
  /// Those that learn of lines: the same ones on all ranks.
  std::vector<analysis::SharedObserver<T>*> gathering_lines_;
};

/// Rank 0 has the observers that make tables; the others keep for it what they ask for.
template <class T>
void RingRun<T>::watch() {
  const RunInputs& inputs = *record_.inputs;
  if (!ranks_.leads()) {
    relay_ = std::make_unique<RowRelay<T>>(table_needs(record_.request.watch));
    part_ = std::make_unique<WatchPart<T>>(record_.request.watch, plan_, operands_.value, inputs.ids, *relay_);
    gathering_lines_ = part_->shared();
    gathering_ = part_->observers();
    return;
  }
  text_ = {
      .dims = plan_.dims, .ids = inputs.ids, .key_ids = inputs.key_ids, .source = {}, .is_single = inputs.compute == DType::f32};
  watched_ = std::make_unique<WatchOutputs<T>>(record_.request.watch, plan_, operands_.value, text_, files_);
  empty_ = std::make_unique<analysis::EmptyRows<T>>(plan_);
  gathering_ = watched_->observers();
  gathering_.push_back(empty_.get());
  learning_ = watched_->learners();
  learning_.push_back(empty_.get());
  gathering_lines_ = watched_->shared();
}

template <class T>
void RingRun<T>::walk(const Outputs& report) {
  operands_ = engine::prepare<T>(plan_, record_.inputs->inputs, findings_);
  if (ranks_.leads()) announce_zero_vectors(findings_, record_.request, context_.reporter);
  outputs_ =
      std::make_unique<RunOutputs<T, T>>(record_.request, *record_.inputs, plan_, operands_, record_.outputs, files_, &shared_);
  watch();
  files_.require_distinct_from(report);
  std::vector<engine::Observer<T>*> observers = outputs_->observers();
  std::ranges::copy(gathering_, std::back_inserter(observers));
  nan_ = std::make_unique<analysis::NanWatch<T>>(plan_, writes("output"));
  if (writes("output") || writes("weights") || writes("scores") || writes("lse")) observers.push_back(nan_.get());
  const engine::Execution execution{.threads = record_.request.threads,
                                    .isa = record_.request.isa,
                                    .cancelled = context_.cancelled,
                                    .progress = context_.progress};
  engine::run_ring<T>(plan_, operands_, observers, execution, {ranks_.transport(), [this] { ranks_.poll(); }});
  shared_.finish(engine::ring_share<T>(plan_, ranks_.size()).places(ranks_.rank()));
  deliver();
}

template <class T>
void RingRun<T>::deliver() {
  if (nan_->seen()) ranks_.deliver(std::string(1, kNan));
  if (relay_ == nullptr) return;
  ranks_.deliver(kRows + relay_->bytes());
  // After the rows, which some of these observers look at, too.
  for (std::size_t number = 0; number < gathering_lines_.size(); ++number) deliver_lines(number);
}

template <class T>
void RingRun<T>::deliver_lines(std::size_t number) {
  const analysis::SharedObserver<T>& observer = *gathering_lines_[number];
  const engine::RingShare share = engine::ring_share<T>(plan_, ranks_.size());
  const std::size_t group = plan_.dims.kv_heads == 0 ? 0 : plan_.dims.heads / plan_.dims.kv_heads;
  std::vector<analysis::Lines> all;
  if (observer.needs().columns) {
    for (const engine::ColumnPart& part : share.columns(ranks_.rank()))
      all.push_back({part.batch, part.kv_head * group, group, part.keys.begin, part.keys.end});
  } else {
    for (const engine::BlockPlace& place : share.places(ranks_.rank()))
      all.push_back({place.batch, place.head, place.heads, place.first, place.first + place.queries});
  }
  for (const analysis::Lines& lines : all) {
    const LinesHeader header{number, lines};
    std::string bytes(1, kLines);
    bytes.append(reinterpret_cast<const char*>(&header), sizeof(header));  // NOLINT(*-reinterpret-cast)
    ranks_.deliver(bytes + observer.told(lines));
  }
}

template <class T>
void RingRun<T>::take_lines(std::string_view bytes) {
  LinesHeader header;
  const bool is_whole = bytes.size() >= sizeof(header);
  if (is_whole) std::memcpy(&header, bytes.data(), sizeof(header));
  if (!is_whole || header.observer >= gathering_lines_.size())
    throw Error(Status::defect, "a rank has sent lines that nobody has asked for");
  gathering_lines_[header.observer]->learn(header.lines, bytes.substr(sizeof(header)));
}

template <class T>
void RingRun<T>::finish() {
  shared_.close();
  if (!ranks_.leads()) return;
  bool saw_nan = false;
  for (const Ranks::Delivery& delivery : ranks_.take_deliveries()) {
    if (shared_.take(delivery.bytes)) continue;
    const char kind = delivery.bytes.empty() ? ' ' : delivery.bytes.front();
    if (kind == kRows)
      replay<T>(std::string_view(delivery.bytes).substr(1), learning_);
    else if (kind == kLines)
      take_lines(std::string_view(delivery.bytes).substr(1));
    else
      saw_nan = saw_nan || kind == kNan;
  }
  watched_->finish(context_.reporter);
  const bool asked_for_nan = plan_.options.zero_vectors == Policy::nan && findings_.zero_queries + findings_.zero_keys > 0;
  announce_nan(saw_nan || watched_->saw_nan(), asked_for_nan, plan_, *record_.inputs, record_.request, context_.reporter);
  announce_empty(empty_->count(), empty_->first(), plan_, context_.reporter);
}

template <class T>
void attend_shared(Ranks& ranks, const RunRecord& record, const RunContext& context, Outputs& files, RankOutputs& shared,
                   const Outputs& report) {
  RingRun<T> run(ranks, record, context, files, shared);
  ranks.together([&] { run.walk(report); });
  ranks.together([&] { run.finish(); });
}

}  // namespace

void check_for_ranks(const RunRequest& r) {
  const auto refuse = [](bool is_asked, const std::string& what) {
    if (is_asked) throw Error(Status::usage, what + " cannot be shared by several ranks", kAlone);
  };
  refuse(r.engine == EngineChoice::reference, "the reference engine");
  refuse(!r.params.empty(), "projections (--params)");
  refuse(!r.approx.empty(), "a cheaper method (--approx)");
  refuse(r.attention.combine == Combine::rows, "--combine rows");
  refuse(!r.present_key.empty() || !r.present_value.empty(), "a cache for the next call (--present-key, --present-value)");
  refuse(!r.weights.empty() && r.weights_form == WeightsForm::rows, "--weights-form long");
  for (const std::string* file : {&r.input, &r.query, &r.key, &r.value, &r.past_key, &r.past_value, &r.mask, &r.bias,
                                  &r.query_offset, &r.key_lengths, &r.segments, &r.key_segments, &r.ids, &r.key_ids})
    refuse(*file == "-", "standard input");
}

RunRequest without_surroundings(const RunRequest& request) {
  RunRequest own = request;
  own.watch.plot.terminal = {};
  own.watch.plot.output_is_terminal = false;
  return own;
}

void pass_inputs(RunInputs& inputs, engine::Plan& plan) {
  for (const auto& [role, loaded] : inputs.files) {
    if (loaded.mapped == nullptr) continue;
    if (is_passing(role)) inputs.inputs.passing.push_back(loaded.mapped);
    for (engine::MaskPart& part : plan.masks)
      if (loaded.mapped->holds({part.array.data(), part.array.bytes()})) part.passing = loaded.mapped;
  }
}

void share_plan(Ranks& ranks, RunRecord& record) {
  const std::string own = digest_of(record);
  if (ranks.leads())
    ranks.say(own);
  else if (ranks.hear() != own)
    throw Error(Status::data, "sees other inputs than rank 0, or is another version of attn",
                "all ranks need the same files under the same names");
  const bool is_double = record.inputs->compute == DType::f64;
  const engine::Needs needs = needs_of(record.outputs, record.request);
  Estimate& e = record.estimate;
  e.input_bytes -= std::min(e.input_bytes, bytes_let_go(record));
  e.working_bytes += library_bytes;
  e.working_bytes += is_double ? engine::ring_bytes<double>(*record.plan, ranks.size(), needs)
                               : engine::ring_bytes<float>(*record.plan, ranks.size(), needs);
  // Rows go to NPY files as soon as they are there. Rank 0 has room for all of the others.
  std::vector<OutputPlan> gathered;
  std::ranges::copy_if(record.outputs, std::back_inserter(gathered), [](const OutputPlan& p) { return !is_written_by_all(p); });
  e.output_bytes = bytes_in_memory(gathered, *record.plan, record.inputs->compute, true);
}

void attend_over_ranks(Ranks& ranks, const RunRecord& record, const RunContext& context, Outputs& files, RankOutputs& shared,
                       const Outputs& report) {
  if (record.inputs->compute == DType::f64)
    attend_shared<double>(ranks, record, context, files, shared, report);
  else
    attend_shared<float>(ranks, record, context, files, shared, report);
}

}  // namespace attn::request
