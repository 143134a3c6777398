// The inside of the store, shared by its files: opening and replay (store_open.cpp), the own chain and records (store.cpp), blocks of others
// (foreign_blocks.cpp), a chain that was restored (restored_chain.cpp). Owned by Store; never seen outside ledger/.
#pragma once
#include "core/chain.h"
#include "ledger/sqlite.h"
#include "ledger/last_seen.h"
#include "ledger/store.h"

namespace tnode {

struct Store::Impl {
  Options options;
  std::unique_ptr<Database> database;
  int lock = -1;
  Doubt doubt = Doubt::none;
  Micro line_at_begin = 0;
  bool in_transaction = false;
  std::optional<Error> broken;  // the first refusal of the disk in this transaction: SQLite may have rolled back by itself already
  std::optional<Block> head, head_at_begin;
  std::vector<NodeKey> newly_caught;
  OpenHolds open_holds;
  std::vector<std::pair<Hash, std::optional<OpenHold>>> changed_holds;  // what stood there before, in this transaction: for rollback()

  ~Impl();

  // Opening.
  Result<void> take_lock();
  Result<void> read_where_nothing_can_be_written();
  Result<void> open_database();
  Result<void> make_schema();
  Result<void> replay_own();
  Result<void> check_foreign();
  Result<void> check_credits();
  Doubt doubt_of(const std::optional<LastSeen>& last_seen) const;
  Result<void> begin_chain(TimeMs now);

  // Reading: absent when there is none, an Error when the file cannot be read, so that "none" is never guessed.
  /// The block in column 0 of the first row.
  Result<std::optional<Block>> first_of(Statement& bound) const;
  Result<std::optional<Block>> hold_of(const Hash& ref) const;
  Result<std::optional<Block>> end_of(const BlockId& hold) const;

  // Writing, inside a transaction only.
  Result<void> may_write() const;
  /// Remembers that the disk refused, so that commit() refuses too.
  Error broke(const char* what);
  /// Appends to the own chain; the last place of a segment gets its CHECKPOINT first.
  Result<Block> append(Block block, Micro hold_amount);
  Result<Block> append_one(Block block, Micro hold_amount);
  Result<void> insert_own(const Block& block);
  /// Remembers beside the store how far it is; in doubt, what was remembered stands.
  void note_last_seen() const;
  void follow_holds(const Block& block);
  Result<bool> keep(const Block& block);
  Result<void> insert_foreign(const Block& block);
  Result<void> insert_fraud(const Fraud& fraud);
  /// What a block proves together with those that are here; it is the last one of the proof.
  Result<std::optional<Fraud>> clash_of(const Block& block) const;
  Result<void> add_contradicting(const Block& block, Statement bound, std::vector<Block>& relatives) const;
};

/// A row's content was checked when the store was opened, or written by this process.
Block block_of_row(std::string_view bytes);

}  // namespace tnode
