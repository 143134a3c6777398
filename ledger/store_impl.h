// The inside of the store, shared by its three files: opening and replay (store_open.cpp), the own chain and records (store.cpp),
// blocks of others (foreign_blocks.cpp). Owned by Store; never seen outside ledger/.
#pragma once
#include "ledger/sqlite.h"
#include "ledger/store.h"

namespace tnode {

struct Store::Impl {
  Options options;
  std::unique_ptr<Database> database;
  int lock = -1;
  bool in_transaction = false;
  std::optional<Error> broken;  // the first refusal of the disk in this transaction: SQLite may have rolled back by itself already
  std::optional<Block> head, head_at_begin;

  ~Impl();

  // Opening.
  Result<void> take_lock();
  Result<void> read_where_nothing_can_be_written();
  Result<void> open_database();
  Result<void> make_schema();
  Result<void> replay_own();
  Result<void> check_foreign();
  Result<void> check_credits();

  // Reading: absent when there is none, an Error when the file cannot be read, so that "none" is never guessed.
  /// The block in column 0 of the first row.
  Result<std::optional<Block>> first_of(Statement& bound) const;
  Result<std::optional<Block>> hold_of(const Hash& ref) const;
  Result<std::optional<Block>> end_of(const BlockId& hold) const;

  // Writing, inside a transaction only.
  Result<void> may_write() const;
  /// Remembers that the disk refused, so that commit() refuses too.
  Error broke(const char* what);
  Result<Block> append(Block block, Micro hold_amount);
  Result<void> insert_foreign(const Block& block);
  Result<void> insert_fraud(const Block& block, const BlockId& first, const std::string& rule);
  /// What is wrong with a foreign block given those that are here: the rule and the block it clashes with.
  struct Clash { BlockId first; std::string rule; };
  Result<std::optional<Clash>> clash_of(const Block& block) const;
};

/// A row's content was checked when the store was opened, or written by this process.
Block block_of_row(std::string_view bytes);

}  // namespace tnode
