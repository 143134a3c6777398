// A law of the simulated world was broken. Thrown, so that the run stops where it happened; tests only.
#pragma once
#include <stdexcept>
#include <string>

namespace tnode::sim {

struct Violation : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void demand(bool condition, const std::string& law) {
  if (!condition) throw Violation(law);
}

}  // namespace tnode::sim
