// How commands speak: data on stdout, progress and problems on stderr; a table for people, JSON for programs.
#pragma once
#include <nlohmann/json.hpp>

#include <string>

#include "cli/options.h"
#include "core/effects.h"

namespace tnode {

using Json = nlohmann::ordered_json;

class Output {
 public:
  explicit Output(const GlobalOptions& options);
  OutputFormat format() const { return options_.output; }
  bool verbose() const { return options_.verbose; }
  bool on_terminal() const { return terminal_; }

  /// An event as it happens: a line of JSON with -o jsonl, nothing otherwise.
  void event(const std::string& name, Json fields) const;
  void event(const Note& note) const { event(note.what, fields_of(note)); }
  /// The command's answer: `json` with "v": 1 added, `id` with -o id, `text` as a table.
  void answer(Json json, const std::string& text, const std::string& id) const;
  /// One line for people, on stderr; a progress bar on a terminal is cleared first.
  void line(const std::string& text) const;
  /// The last line of a terminal, rewritten in place; elsewhere a plain line, at most every two seconds and at the end.
  void progress(const std::string& what, std::int64_t done, std::int64_t total, const std::string& rest);
  /// The same for bytes, shown as sizes.
  void progress_bytes(const std::string& what, std::int64_t done, std::int64_t total);
  void problem(const std::string& text) const { line("tnode: " + text); }

  /// A note's fields as JSON: counts and amounts as integers, milliseconds as seconds.
  static Json fields_of(const Note& note);

 private:
  void show_progress(const std::string& what, std::int64_t done, std::int64_t total, const std::string& numbers);

  GlobalOptions options_;
  bool terminal_ = false;
  mutable bool bar_shown_ = false;
  std::int64_t last_progress_ms_ = 0;
  std::string last_progress_;
};

/// A note's field, in one line: what a peer wrote into it cannot look like lines of ours. Empty when there is none.
std::string field(const Note& note, const std::string& name);
/// How a run ended, from a note's `outcome` and `exit_code`: "exit 3", "oom", "timeout".
std::string outcome_text(const Note& note);
/// The end of a task's stderr, marked as the task's words; says when there was more of it.
std::string stderr_text(const std::string& tail);

}  // namespace tnode
