// attn reproduce: runs the commands printed in documents and compares every printed number; status 1 on something unexpected.
#include "cli/commands.hpp"
#include "cli/documents.hpp"
#include "cli/interrupt.hpp"
#include "document/reproduce_report.hpp"

#include <optional>

#include <fmt/format.h>

namespace attn::cli {

enum class ReproduceFormat { text, json, junit };

}  // namespace attn::cli

namespace attn::request {

template <>
struct Names<cli::ReproduceFormat> {
  static constexpr std::array<std::pair<std::string_view, cli::ReproduceFormat>, 3> list{
      {{"text", cli::ReproduceFormat::text}, {"json", cli::ReproduceFormat::json}, {"junit", cli::ReproduceFormat::junit}}};
};

}  // namespace attn::request

namespace attn::cli {

namespace {

struct ReproduceSettings {
  std::vector<std::string> files;
  bool list = false;
  std::optional<std::string> root;
  std::optional<std::string> attn;
  std::size_t limit = 60;
  ReproduceFormat to = ReproduceFormat::text;
  request::CommonSettings common;
};

const Table<ReproduceSettings>& reproduce_table() {
  static const Table<ReproduceSettings> table = [] {
    using request::row;
    using S = ReproduceSettings;
    const std::string group = "Running";
    Table<S> rows{
        row<S>({.name = "FILE",
                .metavar = "FILE",
                .group = "Arguments",
                .help = "Markdown documents (default: the installed examples)",
                .positional = true,
                .repeated = true},
               [](auto& s) -> auto& { return s.files; }),
        row<S>({.name = "list", .group = group, .help = "say what would run, and run nothing"},
               [](auto& s) -> auto& { return s.list; }),
        row<S>(
            {.name = "root",
             .metavar = "DIR",
             .group = group,
             .help = "where commands find their files (default: the document's folder)",
             .details = "Commands run in a scratch folder of links to what is there. A line <!-- in FOLDER --> moves the blocks "
                        "behind it to a folder below."},
            [](auto& s) -> auto& { return s.root; }),
        row<S>({.name = "attn", .metavar = "PROGRAM", .group = group, .help = "the attn that is run (default: this one)"},
               [](auto& s) -> auto& { return s.attn; }),
        row<S>({.name = "limit", .metavar = "SECONDS", .group = group, .help = "the longest a command may run"},
               [](auto& s) -> auto& { return s.limit; }),
        row<S>({.name = "to",
                .metavar = "FORMAT",
                .group = "Output",
                .help = "for people, for programs, or for continuous integration"},
               [](auto& s) -> auto& { return s.to; }),
    };
    request::append_common(rows);
    return rows;
  }();
  return table;
}

Status show_list(const ReproduceSettings& s, const std::vector<document::DocumentResult>& documents, Console& console) {
  if (s.to == ReproduceFormat::junit) throw Error(Status::usage, "--list has nothing to say in JUnit XML", "--to text or json");
  console.print(s.to == ReproduceFormat::json ? document::listed_json(documents) : document::listed_text(documents));
  return Status::ok;
}

Status execute(const ReproduceSettings& s, Console& console) {
  if (s.limit == 0) throw Error(Status::usage, "--limit 0: a command needs some time (a number of seconds from 1 was expected)");
  std::vector<document::DocumentResult> documents;
  for (const std::string& file : s.files.empty() ? installed_documents() : s.files)
    documents.push_back(document::open_document(file));
  if (s.list) return show_list(s, documents, console);
  const Interrupt interrupt;
  document::Reproduction how{.program = s.attn ? program_file(*s.attn) : this_program(),
                             .temporary = temporary_folder(),
                             .root = {},
                             .environment = document_environment(),
                             .limit = std::chrono::seconds(s.limit),
                             .cancelled = interrupt.flag()};
  if (s.root) how.root = folder(*s.root);
  for (document::DocumentResult& result : documents) document::run_document(result, how);
  switch (s.to) {
    case ReproduceFormat::text:
      console.print(document::reproduced_text(documents));
      break;
    case ReproduceFormat::json:
      console.print(document::reproduced_json(documents));
      break;
    case ReproduceFormat::junit:
      console.print(document::reproduced_junit(documents));
      break;
  }
  return document::all_expected(documents) ? Status::ok : Status::differs;
}

}  // namespace

Command reproduce_command() {
  return make_command<ReproduceSettings>(
      {.name = "reproduce",
       .group = "Attention",
       .summary = "do the commands printed in documents print that? status 1 when not",
       .usage = "attn reproduce [FILE...] [options]",
       .example = "attn reproduce README.md --to junit > report.xml",
       .description =
           "Runs the lines `$ attn ...` of ```console blocks and compares what follows them: text as it stands, each number to "
           "half a unit of its last printed digit; a line ... stands for any lines. No shell is run: quotes, |, && and "
           "here-documents (their lines begin with `> `) between attn commands are understood, all else does not run. A block "
           "with "
           "file=NAME behind its language is an input of that name. ```console differs WHY marks what a source claims and what "
           "is "
           "not so; where attn identify knows the convention that gives the printed numbers, it is named. ```console shell is "
           "left out. Commands run in a scratch folder and write nowhere else: an output elsewhere makes the verdict `does not "
           "run`."},
      reproduce_table, execute);
}

}  // namespace attn::cli
