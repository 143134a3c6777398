// Keys for tests: each number has one, the same everywhere.
#pragma once
#include "core/crypto.h"

namespace tnode {

inline KeyPair key_of(std::uint8_t number) {
  Seed seed;
  seed.fill(number);
  return KeyPair::from_seed(seed);
}

}  // namespace tnode
