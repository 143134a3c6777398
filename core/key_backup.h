// A node's secret key under a passphrase: a short text that may lie anywhere. Beside the key it says, unencrypted but vouched for, how far
// the key's chain was and how it began: what a restored node needs to know before it signs. Pure; docs/keys.md describes the format.
#pragma once
#include <optional>

#include "core/block.h"
#include "core/crypto.h"

namespace tnode {

/// How far a chain was when somebody looked. Zeros: it had no block yet.
struct ChainMark {
  std::uint64_t blocks = 0;
  BlockId head;
  std::optional<Block> genesis;  ///< of the blocks, the one that nobody else may have: it concerns no counterparty
};

/// What anybody can read of a backup. That it was not changed is known only when it is opened.
struct KeyBackup {
  NodeKey key;
  ChainMark chain;
  ScryptCost cost;
  Hash salt;
  GcmNonce nonce{};
  Bytes sealed;  ///< the seed, encrypted
};

/// `salt` and `nonce` are drawn anew for each backup.
Bytes seal_key(const KeyPair& key, const ChainMark& chain, std::string_view passphrase, const Hash& salt, const GcmNonce& nonce, const ScryptCost& cost = {});
/// Form only.
Result<KeyBackup> read_key_backup(std::string_view text);
/// The key. `refused` when the passphrase is wrong or the text was changed: which of the two cannot be told.
Result<KeyPair> open_key_backup(const KeyBackup& backup, std::string_view passphrase);

inline constexpr std::size_t max_key_backup_bytes = 4096;

}  // namespace tnode
