// Runs command lines: what may run, where its streams lead, and what becomes of a pipeline.
#include "document/process.hpp"

#include "document/child.hpp"

#include <attn/error.hpp>

#include <algorithm>

#include <fmt/format.h>

namespace attn::document {

namespace fs = std::filesystem;

namespace {

/// The files that are the streams of one program.
struct Streams {
  fs::path input;
  fs::path output;
  fs::path messages;
};

Ending not_run(std::string problem) { return {.ran = false, .status = 0, .problem = std::move(problem), .output = {}}; }

Ending described(const ChildEnding& ending, std::chrono::seconds limit) {
  if (ending.timed_out) return not_run(fmt::format("it ran longer than {} s", limit.count()));
  if (ending.signal != 0) return not_run(fmt::format("signal {} ended it", ending.signal));
  return {.ran = true, .status = ending.exit_status, .problem = {}, .output = {}};
}

/// Why a stage is not run: documents start attn, and attn reads documents only at the outermost level.
std::string refused(const Stage& stage) {
  if (stage.words.front() != "attn") return fmt::format("only attn is run, not {}", stage.words.front());
  const bool lists = std::ranges::find(stage.words, "--list") != stage.words.end();
  if (stage.words.size() > 1 && stage.words[1] == "reproduce" && !lists) return "a document does not run attn reproduce";
  return {};
}

Ending run_stage(const Stage& stage, const Streams& streams, const fs::path& work, const Surroundings& surroundings) {
  Streams actual = streams;
  if (stage.input_text) {
    actual.input = surroundings.scratch / "here-document";
    write_text(actual.input, *stage.input_text);
  } else if (stage.input_file) {
    actual.input = work / *stage.input_file;
    if (!fs::is_regular_file(actual.input)) return not_run(fmt::format("there is no file {}", *stage.input_file));
  }
  if (stage.output_file) {
    actual.output = work / *stage.output_file;
    if (!lies_below(actual.output, work))
      return not_run(fmt::format("> {} leads out of the scratch folder, where alone a document writes", *stage.output_file));
    if (!fs::is_directory(actual.output.parent_path()) || fs::is_directory(actual.output))
      return not_run(fmt::format("> {} cannot be written", *stage.output_file));
    std::error_code absent;
    fs::remove(actual.output, absent);
  }
  // attn itself keeps to the folder, whatever its options name.
  std::vector<std::string> environment = surroundings.environment;
  environment.push_back(fmt::format("{}={}", kConfinement, work.string()));
  return described(run_child({.program = surroundings.program,
                              .words = stage.words,
                              .environment = std::move(environment),
                              .folder = work,
                              .input = actual.input,
                              .output = actual.output,
                              .messages = actual.messages,
                              .limit = surroundings.limit,
                              .cancelled = surroundings.cancelled}),
                   surroundings.limit);
}

Ending run_pipeline(const Pipeline& pipeline, const fs::path& work, const fs::path& printed, const Surroundings& surroundings) {
  Streams streams{.input = "/dev/null", .output = {}, .messages = printed};
  for (std::size_t i = 0; i < pipeline.size(); ++i) {
    const bool last = i + 1 == pipeline.size();
    streams.output = last ? printed : surroundings.scratch / fmt::format("pipe-{}", i);
    if (!last) write_text(streams.output, {});
    Ending ending = run_stage(pipeline[i], streams, work, surroundings);
    if (!ending.ran || ending.status != 0) return ending;
    streams.input = streams.output;
  }
  return {.ran = true, .status = 0, .problem = {}, .output = {}};
}

}  // namespace

Ending run_command_line(const CommandLine& line, const fs::path& work, const Surroundings& surroundings) {
  for (const Pipeline& pipeline : line)
    for (const Stage& stage : pipeline)
      if (std::string why = refused(stage); !why.empty()) return not_run(std::move(why));
  const fs::path printed = surroundings.scratch / "printed";
  write_text(printed, {});
  Ending ending;
  for (const Pipeline& pipeline : line) {
    ending = run_pipeline(pipeline, work, printed, surroundings);
    if (!ending.ran || ending.status != 0) break;
  }
  ending.output = read_text(printed);
  return ending;
}

}  // namespace attn::document
