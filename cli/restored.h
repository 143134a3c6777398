// What a home remembers of a restore: a file beside the key, made before the key is put there and removed when it is known that nothing is
// missing. While it is there the node signs nothing.
#pragma once
#include <optional>
#include <string>

#include "cli/home.h"
#include "core/key_backup.h"
#include "ledger/store.h"

namespace tnode {

struct RestoredMark {
  NodeKey key;
  ChainMark chain;   ///< the chain has at least these blocks
  std::string why;   ///< for people
};

Result<void> write_restored_mark(const Home& home, const RestoredMark& mark);
/// Nothing when there is none. `invalid` when it cannot be read: then it is not known what it asks for.
Result<std::optional<RestoredMark>> read_restored_mark(const Home& home);
Result<void> remove_restored_mark(const Home& home);

/// How far a store's own chain is.
ChainMark mark_of(const Store& store);

}  // namespace tnode
