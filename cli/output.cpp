#include "cli/output.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "cli/node.h"
#include "cli/quantities.h"
#include "core/bundle_paths.h"
#include "core/messages.h"

namespace tnode {
namespace {

constexpr std::int64_t plain_progress_every_ms = 2'000;
constexpr int bar_width = 24;

bool is_number_name(const std::string& name) {
  auto ends = [&](std::string_view end) { return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0; };
  return ends("_micro") || ends("_ms") || ends("_bytes") || name == "unit" || name == "votes" || name == "replicas" || name == "exit_code" || name == "slots" || name == "accepted" || name == "blocks" || name == "bundles_fetched";
}

}  // namespace

Output::Output(const GlobalOptions& options) : options_(options), terminal_(isatty(STDERR_FILENO) != 0) {}

Json Output::fields_of(const Note& note) {
  Json json;
  for (const auto& [name, value] : note.fields) {
    if (!is_number_name(name) || value.empty() || value.find_first_not_of("-0123456789") != std::string::npos) json[name] = value;
    else if (name.size() > 3 && name.compare(name.size() - 3, 3, "_ms") == 0) json[name.substr(0, name.size() - 3) + "_s"] = static_cast<double>(std::stoll(value)) / 1000.0;
    else json[name] = std::stoll(value);
  }
  return json;
}

void Output::event(const std::string& name, Json fields) const {
  if (options_.output != OutputFormat::jsonl) return;
  Json line{{"v", 1}, {"event", name}, {"time", static_cast<double>(wall_clock_ms()) / 1000.0}};
  line.update(fields);
  std::printf("%s\n", line.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
  std::fflush(stdout);
}

void Output::answer(Json json, const std::string& text, const std::string& id) const {
  if (bar_shown_) line("");
  Json whole{{"v", 1}};
  switch (options_.output) {
    case OutputFormat::table: std::printf("%s", shown_text(text).c_str()); break;
    case OutputFormat::id: std::printf("%s\n", id.c_str()); break;
    case OutputFormat::json:
      whole.update(json);
      std::printf("%s\n", whole.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
      break;
    case OutputFormat::jsonl:
      whole["event"] = "answer";
      whole.update(json);
      std::printf("%s\n", whole.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
      break;
  }
  std::fflush(stdout);
}

void Output::line(const std::string& text) const {
  if (bar_shown_) std::fprintf(stderr, "\r\033[K");
  bar_shown_ = false;
  if (!text.empty()) std::fprintf(stderr, "%s\n", shown_text(text).c_str());
  std::fflush(stderr);
}

void Output::progress(const std::string& what, std::int64_t done, std::int64_t total, const std::string& rest) {
  show_progress(what, done, total, std::to_string(done) + "/" + std::to_string(total) + (rest.empty() ? "" : "  " + rest));
}

void Output::progress_bytes(const std::string& what, std::int64_t done, std::int64_t total) {
  show_progress(what, done, total, format_size(done) + (total > 0 ? " of " + format_size(total) : ""));
}

void Output::show_progress(const std::string& what, std::int64_t done, std::int64_t total, const std::string& numbers) {
  const std::int64_t percent = total > 0 ? done * 100 / total : 0;
  if (terminal_) {
    std::string bar(static_cast<std::size_t>(percent * bar_width / 100), '#');
    bar.resize(bar_width, '.');
    std::fprintf(stderr, "\r\033[K%s [%s] %s", shown_text(what).c_str(), bar.c_str(), shown_text(numbers).c_str());
    std::fflush(stderr);
    bar_shown_ = true;
    return;
  }
  const std::int64_t now = wall_clock_ms();
  const std::string text = what + " " + numbers;
  if (text == last_progress_ || (now < last_progress_ms_ + plain_progress_every_ms && done != total)) return;
  last_progress_ms_ = now;
  last_progress_ = text;
  line(text);
}

std::string field(const Note& note, const std::string& name) {
  for (const auto& [key, value] : note.fields)
    if (key == name) return visible_text(value);
  return {};
}

std::string outcome_text(const Note& note) {
  const std::string outcome = field(note, "outcome");
  return outcome == "exited" ? "exit " + field(note, "exit_code") : outcome;
}

std::string stderr_text(const std::string& tail) {
  std::string_view rest = tail;
  const bool cut = rest.size() >= max_tail_bytes;
  // The cut fell somewhere: a part of a line would read like a whole one.
  if (const auto first_end = rest.find('\n'); cut && first_end != std::string_view::npos && first_end + 1 < rest.size()) rest.remove_prefix(first_end + 1);
  while (rest.ends_with('\n')) rest.remove_suffix(1);
  std::string text = cut ? "  its stderr, of which only the end is kept:\n  | …" : "  its stderr:";
  for (std::size_t at = 0; at <= rest.size();) {
    const std::size_t end = std::min(rest.find('\n', at), rest.size());
    text += "\n  | " + std::string(rest.substr(at, end - at));
    at = end + 1;
  }
  return text;
}

}  // namespace tnode
