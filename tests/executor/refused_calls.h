// For each rule of the filter the calls that it must refuse, with arguments: for the filter itself, and for a task that really makes them.
#pragma once
#include <seccomp.h>

#include <array>
#include <set>

#include "executor/seccomp_rules.h"

namespace tnode {

struct RefusedCall {
  std::string name;
  int number = 0;
  std::array<std::uint64_t, 6> arguments{};
  int error = 0;
};

inline std::vector<RefusedCall> refused_calls(const FilterOptions& options) {
  std::vector<RefusedCall> calls;
  std::set<std::string> gone;  // a call that is refused altogether answers so, whatever its arguments
  for (const auto& rule : syscall_rules())
    if (rule.only_with && rule.holds(options) && rule.when.empty()) gone.insert(rule.calls.begin(), rule.calls.end());
  for (const auto& rule : syscall_rules()) {
    if (!rule.holds(options)) continue;
    for (const char* name : rule.calls) {
      const int number = seccomp_syscall_resolve_name(name);
      if (number < 0 || (!rule.when.empty() && gone.count(name))) continue;
      if (rule.when.empty()) calls.push_back({name, number, {}, rule.error});
      for (const auto& tests : rule.when) {
        RefusedCall call{name, number, {}, rule.error};
        for (const auto& test : tests) call.arguments[test.argument] |= test.value + (test.kind == ArgumentTest::Kind::equal ? 0 : 1);
        calls.push_back(call);
      }
    }
  }
  return calls;
}

}  // namespace tnode
