// The store: this node's credit chain, blocks seen of others, and the records of both roles, in one SQLite file.
// WAL with full sync; everything between begin() and commit() is durable together, or not at all.
#pragma once
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/chain_file.h"
#include "core/fraud.h"
#include "core/types.h"

namespace tnode {

struct Balance {
  Micro balance_micro = 0, held_micro = 0;
  Micro unclaimed_micro = 0;      ///< DEBITs to this key not yet credited
  Micro unclaimed_out_micro = 0;  ///< DEBITs of this key whose CREDIT has not been seen
  Micro line_micro = 0;
  std::uint64_t blocks = 0;
  BlockId head;
};

/// Up to here a balance grows by payments that nobody asked for. They cost their payer nothing but a line that he gives himself; they must not use
/// up what a chain can count, or nobody could pay this node for work any more.
inline constexpr Micro most_given_micro = std::numeric_limits<Micro>::max() / 2;

class Store {
 public:
  /// Opens or makes the file, checks its version (`newer`), replays the own chain and compares every row (`invalid`, naming the block).
  /// One writer at a time (`unavailable` names the other's process). A read-only store works beside it, shows the moment of its opening
  /// and writes nothing; begin() is not for it. An empty store gets its GENESIS when the key is new, else it is in doubt.
  struct Options { std::string path; NodeKey key; const KeyPair* signer = nullptr; bool read_only = false; Micro line_micro = 1000 * credit_micro; bool key_is_new = true; };
  static Result<std::unique_ptr<Store>> open(const Options& options, TimeMs now);
  ~Store();

  // A chain that may have gone on without this store: what is signed at a place that was signed before is fraud. In doubt nothing is signed
  // (`unavailable`), everything else works.
  /// Why: there is no chain though the key is not new; there were more blocks here once; the file is a copy of the one that was here; somebody said so.
  enum class Doubt { none, no_chain, older, copied, told };
  Doubt doubt() const;
  void distrust();
  /// It is known that nothing is missing: from now on blocks are signed. An empty chain gets its GENESIS. Outside of a transaction.
  Result<void> trust(TimeMs now);
  /// `exists` when the own chain as somebody has it parts from the one that is here: then this key has signed twice at one place.
  Result<void> check_agrees(const ChainReport& chain) const;
  /// Own blocks that were signed before and are not here, with the halves that belong to them, as verify_chain_file() found them good; how many
  /// were new. In doubt only. `exists` when the two chains part.
  Result<std::uint64_t> take_own(const ChainReport& chain);

  /// A process has the store at `path` open for writing.
  static bool has_writer(const std::string& path);

  /// One transaction around any number of writing calls below. `io` when the disk refuses: from then on every call of the transaction
  /// fails, commit() too, and nothing of it happened.
  Result<void> begin();
  Result<void> commit();
  void rollback();

  // Blocks of this node. Each is checked by the chain's rules before it is signed.
  /// Puts `amount` aside. The same ref again returns the block that is there (`exists` when that has another payee or amount). `credit` when the line does not allow it.
  Result<Block> hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now);
  /// Ends the hold of `ref` and pays `amount` ≤ held; the rest is free again. Idempotent by ref.
  Result<Block> debit(const Hash& ref, const Hash& evidence, Micro amount, TimeMs now);
  /// Ends the hold of `ref` without paying. Idempotent by ref; `exists` when it was paid already.
  Result<Block> release(const Hash& ref, const Hash& evidence, TimeMs now);
  /// A payment outside of a task: HOLD and DEBIT at once. Idempotent by ref.
  Result<Block> pay(const NodeKey& payee, const Hash& ref, Micro amount, TimeMs now);
  /// Payee's half of a DEBIT made out to this key, with or without a task; stores the DEBIT too. Idempotent by the debit's id. `invalid` when
  /// it is none, is not signed, or contradicts what is here of its HOLD. `refused`, and nothing kept, when the balance would pass
  /// most_given_micro.
  Result<Block> credit(const Block& debit_block, TimeMs now);
  /// The same for an award, whatever the balance: `refused` unless its HOLD was kept here before, for this payee and award and of at least so much.
  Result<Block> credit_award(const Block& debit_block, TimeMs now);

  /// Keeps a foreign block that concerns us: a HOLD, RELEASE or DEBIT naming us, a CREDIT on our DEBIT. Idempotent; checks the signature.
  /// `invalid` when it is none of these or contradicts one that is here (one place of a chain or one award used twice, a chain that does
  /// not add up): both are kept as proof, and HOLDs of that key are `refused` from then on.
  Result<void> keep_foreign(const Block& block);
  /// Keeps a block of another's chain, whomever it concerns: evidence, compared with all that is here. True when it is new. Checks the
  /// signature; `invalid` as for keep_foreign.
  Result<bool> keep_chain_block(const Block& block);
  /// Keeps a proof that check_fraud() found good, whichever of its blocks are here already. What contradicts a block that is here stands among the proofs
  /// alone: no block of a cheat's is ever shown as the other half of a payment for being part of one.
  Result<void> keep_proof(const Fraud& fraud);
  /// Proofs of fraud, one a key.
  std::vector<Fraud> frauds() const;
  std::optional<Fraud> fraud_of(const NodeKey& key) const;
  /// Keys caught since the last call, in this transaction or the last.
  std::vector<NodeKey> take_newly_caught();
  /// The own DEBIT of that ref.
  std::optional<Block> debit_of(const Hash& ref) const;
  std::optional<Block> find_block(const BlockId& id) const;
  /// What our own records prove of another key; `forked`: there is a proof of fraud (frauds() tells which).
  struct Known { std::int64_t blocks = 0; Micro paid_to_us_micro = 0, received_from_us_micro = 0; bool forked = false; };
  Known known_of(const NodeKey& key) const;

  /// Sums up what is unclaimed: for people, not for every message.
  Balance balance() const;
  /// Of the own chain.
  std::uint64_t blocks() const;
  /// Own blocks, oldest first, from seq `from`, at most `limit`.
  std::vector<Block> history(std::uint64_t from, std::size_t limit) const;

  /// The own chain as a file of blocks (core/chain_file.h): all of it, then the halves of others.
  Bytes export_chain() const;
  /// Halves of others in payments of the own chain: the DEBIT behind each CREDIT, the CREDIT on each DEBIT where it was seen. By their author and place.
  void scan_halves(const std::function<void(const Block&)>& each) const;
  /// The other half of one own CREDIT or DEBIT, where it is known.
  std::optional<Block> half_of(const Block& own) const;
  /// What is here of another's chain from a seq on, at most `limit` blocks, each with the other half of its payment behind it where that is here.
  std::vector<Block> blocks_for(const NodeKey& key, std::uint64_t from, std::size_t limit) const;
  /// What is here of another's chain, by seq.
  void scan_foreign(const NodeKey& key, const std::function<void(const Block&)>& each) const;
  const OpenHolds& open_holds() const;

  // Records of the two roles: small values under (bucket, key). Encoding is the caller's.
  Result<void> put(std::string_view bucket, std::string_view key, std::string_view value);
  Result<void> erase(std::string_view bucket, std::string_view key);
  std::optional<Bytes> get(std::string_view bucket, std::string_view key) const;
  /// In the order of the keys. `each` does not use the store.
  void scan(std::string_view bucket, const std::function<void(std::string_view key, std::string_view value)>& each) const;

 private:
  struct Impl;
  Result<Block> end_hold(BlockType type, const Hash& ref, const Hash& evidence, Micro amount, TimeMs now);
  Result<Block> book(const Block& debit_block, Micro most_balance, TimeMs now);
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tnode
