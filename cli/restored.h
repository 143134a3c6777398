// What a home remembers of a restore: a file beside the key, made before the key is put there and removed when it is known that nothing is
// missing. While it is there the node signs nothing.
#pragma once
#include <optional>
#include <string>

#include "cli/home.h"
#include "core/effects.h"
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

/// The home's own store for writing, and, when its chain is in doubt, what is to be found out: a restore left it, or the store itself shows that
/// it is gone, older or a copy; that is remembered then until it is found out.
struct OwnStore { std::unique_ptr<Store> store; std::optional<RestoredMark> mark; };
Result<OwnStore> open_own_store(const Home& home, const KeyPair& key, TimeMs now);

/// Puts back what is missing of the own chain, in the transaction that is open: how many blocks, and what has to be saved with them, as the
/// outbox was lost with the store: payments are said again until their receipts are here.
struct PutBack { std::uint64_t blocks = 0; std::vector<Save> outbox; };
Result<PutBack> put_back(Store& store, const ChainReport& chain);

/// How far a store's own chain is.
ChainMark mark_of(const Store& store);

}  // namespace tnode
