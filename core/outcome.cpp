#include "core/outcome.h"

#include <array>
#include <utility>

namespace tnode {
namespace {
constexpr std::array<std::pair<OutcomeKind, std::string_view>, 10> words = {{
    {OutcomeKind::exited, "exited"},
    {OutcomeKind::timeout, "timeout"},
    {OutcomeKind::cpu_limit, "cpu_limit"},
    {OutcomeKind::out_of_memory, "oom"},
    {OutcomeKind::process_limit, "process_limit"},
    {OutcomeKind::disk_limit, "disk_limit"},
    {OutcomeKind::output_limit, "output_limit"},
    {OutcomeKind::bad_output, "bad_output"},
    {OutcomeKind::inode_limit, "inode_limit"},
    {OutcomeKind::result_limit, "result_limit"},
}};
}  // namespace

std::string_view outcome_word(OutcomeKind kind) {
  for (const auto& [k, word] : words)
    if (k == kind) return word;
  check(false, "an outcome without a word");
  return {};
}

std::optional<OutcomeKind> outcome_from_word(std::string_view word) {
  for (const auto& [kind, w] : words)
    if (w == word) return kind;
  return std::nullopt;
}

}  // namespace tnode
