#include "ledger/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "core/amount.h"
#include "ledger/sqlite.h"

namespace tnode {
namespace {

constexpr std::int64_t application_id = 0x746e6f64;  // "tnod"
constexpr std::int64_t store_version = 1;

// `own` is the chain; `holds` and `paid` answer by ref what the chain says, and are compared with it on open.
// `debits` are those made out to us, `receipts` the CREDITs of others on ours, `contradictions` pairs of blocks at one place of one chain.
constexpr const char* schema = R"(
  CREATE TABLE own (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, type INTEGER NOT NULL, ref BLOB NOT NULL, link BLOB NOT NULL, amount INTEGER NOT NULL, bytes BLOB NOT NULL);
  CREATE INDEX own_by_ref ON own (ref, type);
  CREATE INDEX own_by_link ON own (link, type);
  CREATE TABLE foreign_blocks (key BLOB NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, type INTEGER NOT NULL, link BLOB NOT NULL, amount INTEGER NOT NULL, bytes BLOB NOT NULL);
  CREATE INDEX foreign_by_place ON foreign_blocks (key, seq);
  CREATE INDEX foreign_by_link ON foreign_blocks (link, type);
  CREATE TABLE records (bucket BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
)";

Block unchecked(std::string_view bytes) {
  auto block = decode_block(bytes);
  check(block.ok(), "a block that was checked when the store was opened");
  return *block;
}

}  // namespace

struct Store::Impl {
  Options options;
  std::unique_ptr<Database> database;
  int lock = -1;
  bool in_transaction = false;
  std::optional<Block> head;
  std::optional<Block> head_at_begin;

  ~Impl() { if (lock >= 0) close(lock); }

  Result<void> take_lock();
  Result<void> open_database();
  Result<void> make_schema();
  Result<void> replay();
  Result<Block> append(Block block, Micro hold_amount);
  std::optional<Block> own_by_ref(const Hash& ref, BlockType type) const;
  std::optional<Block> own_by_link(const BlockId& link, BlockType type) const;
  Result<void> insert_foreign(const Block& block);
  Micro sum(const char* sql) const {
    auto statement = database->prepare(sql);
    return statement.row() ? statement.number_at(0) : 0;
  }
};

// --- opening ---

Result<void> Store::Impl::take_lock() {
  const std::string path = options.path + ".lock";
  lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return fail(Code::io, "cannot open " + path + ": " + std::strerror(errno));
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
    char text[32] = {};
    std::string owner;
    if (ssize_t got = pread(lock, text, sizeof text - 1, 0); got > 0) owner = " (process " + std::string(text, static_cast<std::size_t>(got)) + ")";
    close(lock);
    lock = -1;
    return fail(Code::unavailable, "another tnode works with this home already" + owner + "; stop it, or give another --home");
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(lock, 0) != 0 || pwrite(lock, pid.data(), pid.size(), 0) < 0) return fail(Code::io, "cannot write " + path + ": " + std::strerror(errno));
  return {};
}

Result<void> Store::Impl::open_database() {
  if (options.read_only && access(options.path.c_str(), F_OK) != 0) return fail(Code::not_found, "there is no store at " + options.path + " yet");
  auto opened = Database::open(options.path, options.read_only);
  if (!opened) return opened.error();
  database = std::move(*opened);
  if (!options.read_only) {
    // WAL lets `status` read beside a running node; full sync makes a commit survive a power cut.
    for (const char* pragma : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"})
      if (auto set = database->run(pragma); !set) return set;
  }
  const std::int64_t version = database->pragma("user_version"), application = database->pragma("application_id");
  if (application == 0 && version == 0 && !options.read_only) return make_schema();
  if (application != application_id) return fail(Code::invalid, options.path + " is no store of tnode");
  if (version > store_version)
    return fail(Code::newer, "the store " + options.path + " was written by a newer tnode (version " + std::to_string(version) + ", this one knows " + std::to_string(store_version) + "); update tnode, nothing was changed");
  return {};
}

Result<void> Store::Impl::make_schema() {
  const std::string sql = "BEGIN IMMEDIATE;" + std::string(schema) + "PRAGMA application_id = " + std::to_string(application_id) + "; PRAGMA user_version = " + std::to_string(store_version) + "; COMMIT";
  if (auto made = database->run(sql.c_str()); !made) return fail(made.error().code, "cannot make the store " + options.path + ": " + made.error().message);
  return {};
}

/// Every balance is computed anew and compared: a store that does not add up is not used.
Result<void> Store::Impl::replay() {
  auto broken = [&](const std::string& why) {
    return fail(Code::invalid, "the credit chain in " + options.path + " is damaged: " + why + "; restore the store from a backup");
  };
  Micro line = options.line_micro;
  std::map<Hash, Micro> holds;
  auto statement = database->prepare("SELECT seq, id, type, ref, link, amount, bytes FROM own ORDER BY seq");
  int step;
  while ((step = statement.step()) == SQLITE_ROW) {
    auto block = decode_block(statement.blob_at(6));
    if (!block) return broken(block.error().message);
    const std::string name = "block " + std::to_string(block->seq);
    if (block->key != options.key) return broken(name + " is of another key; this home belongs to " + to_hex(block->key));
    if (static_cast<std::int64_t>(block->seq) != statement.number_at(0) || block_id(*block).view() != statement.blob_at(1) || static_cast<std::int64_t>(block->type) != statement.number_at(2) ||
        block->ref.view() != statement.blob_at(3) || block->link.view() != statement.blob_at(4) || block->amount != statement.number_at(5))
      return broken(name + " is filed under something that it does not say");
    Micro held = 0;
    if (block->type == BlockType::debit || block->type == BlockType::release) {
      auto hold = holds.find(block->ref);
      if (hold == holds.end()) return broken(name + " ends a hold that is not open");
      held = hold->second;
      holds.erase(hold);
    } else if (block->type == BlockType::hold && !holds.emplace(block->ref, block->amount).second) {
      return broken(name + " holds twice for one award");
    } else if (block->type == BlockType::genesis) {
      line = block->amount;
    }
    if (auto good = check_next_block(head ? &*head : nullptr, *block, held, line); !good) return broken(good.error().message);
    head = *block;
  }
  if (step != SQLITE_DONE) return database->problem("read the chain");
  // Each block names the one before it by hash, so the head's signature stands for all of them.
  if (head && !verify_block(*head)) return broken("block " + std::to_string(head->seq) + " has a wrong signature");
  options.line_micro = line;
  return {};
}

Result<std::unique_ptr<Store>> Store::open(const Options& options, TimeMs now) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (!options.read_only) {
    check(options.signer != nullptr && options.signer->key() == options.key, "a writer signs its own chain");
    if (auto locked = impl->take_lock(); !locked) return locked.error();
  }
  if (auto opened = impl->open_database(); !opened) return opened.error();
  if (auto replayed = impl->replay(); !replayed) return replayed.error();
  std::unique_ptr<Store> store(new Store(std::move(impl)));
  if (!store->impl_->head && !options.read_only) {
    if (auto begun = store->begin(); !begun) return begun.error();
    Block genesis;
    genesis.type = BlockType::genesis;
    genesis.amount = options.line_micro;
    genesis.time_ms = now;
    if (auto written = store->impl_->append(genesis, 0); !written) return written.error();
    if (auto committed = store->commit(); !committed) return committed.error();
  }
  return store;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

// --- transactions ---

Result<void> Store::begin() {
  check(!impl_->in_transaction, "one transaction at a time");
  if (auto begun = impl_->database->run("BEGIN IMMEDIATE"); !begun) return begun;
  impl_->in_transaction = true;
  impl_->head_at_begin = impl_->head;
  return {};
}

Result<void> Store::commit() {
  check(impl_->in_transaction, "commit without begin");
  auto committed = impl_->database->run("COMMIT");
  if (!committed) {
    rollback();
    return committed;
  }
  impl_->in_transaction = false;
  return {};
}

void Store::rollback() {
  if (!impl_->in_transaction) return;
  (void)impl_->database->run("ROLLBACK");  // SQLite may have rolled back by itself already
  impl_->in_transaction = false;
  impl_->head = impl_->head_at_begin;
}

// --- own blocks ---

Result<Block> Store::Impl::append(Block block, Micro hold_amount) {
  check(in_transaction, "a block is written inside a transaction");
  block.key = options.key;
  block.seq = head ? head->seq + 1 : 0;
  if (head) {
    block.prev = block_id(*head);
    block.time_ms = std::max(block.time_ms, head->time_ms);
    block.balance = head->balance;
    block.held = head->held;
  }
  std::optional<Micro> balance = block.balance, held = block.held;
  switch (block.type) {
    case BlockType::hold: held = checked_add(block.held, block.amount); break;
    case BlockType::release: held = checked_add(block.held, -hold_amount); break;
    case BlockType::debit:
      held = checked_add(block.held, -hold_amount);
      balance = checked_add(block.balance, -block.amount);
      break;
    case BlockType::credit: balance = checked_add(block.balance, block.amount); break;
    case BlockType::genesis:
    case BlockType::checkpoint: break;
  }
  if (!balance || !held) return fail(Code::invalid, "the amount of " + format_credits(block.amount) + " credits is more than a chain can count");
  block.balance = *balance;
  block.held = *held;
  const Micro line = block.type == BlockType::genesis ? block.amount : options.line_micro;
  if (auto good = check_next_block(head ? &*head : nullptr, block, hold_amount, line); !good) return good.error();
  sign_block(block, *options.signer);
  auto insert = database->prepare("INSERT INTO own (seq, id, type, ref, link, amount, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)");
  insert.number(static_cast<std::int64_t>(block.seq)).blob(block_id(block).view()).number(static_cast<std::int64_t>(block.type)).blob(block.ref.view()).blob(block.link.view()).number(block.amount).blob(encode_block(block));
  if (insert.step() != SQLITE_DONE) return database->problem("write a block");
  head = block;
  return block;
}

std::optional<Block> Store::Impl::own_by_ref(const Hash& ref, BlockType type) const {
  auto statement = database->prepare("SELECT bytes FROM own WHERE ref = ? AND type = ?");
  if (!statement.blob(ref.view()).number(static_cast<std::int64_t>(type)).row()) return std::nullopt;
  return unchecked(statement.blob_at(0));
}

std::optional<Block> Store::Impl::own_by_link(const BlockId& link, BlockType type) const {
  auto statement = database->prepare("SELECT bytes FROM own WHERE link = ? AND type = ?");
  if (!statement.blob(link.view()).number(static_cast<std::int64_t>(type)).row()) return std::nullopt;
  return unchecked(statement.blob_at(0));
}

Result<Block> Store::hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now) {
  if (auto there = impl_->own_by_ref(ref, BlockType::hold)) return *there;
  const Block& head = *impl_->head;
  auto after = checked_add(head.held, amount);
  auto available = after ? checked_add(head.balance, -*after) : std::nullopt;
  if (amount < 0 || !available || *available < -impl_->options.line_micro)
    return fail(Code::credit, "not enough credit: " + format_credits(amount) + " credits are needed, " + format_credits(head.balance - head.held + impl_->options.line_micro) + " are free (balance " +
                                  format_credits(head.balance) + ", held " + format_credits(head.held) + ", line " + format_credits(impl_->options.line_micro) + "); earn some with `tnode farm`, or offer less");
  Block block;
  block.type = BlockType::hold;
  block.time_ms = now;
  block.counterparty = payee;
  block.ref = ref;
  block.evidence = evidence;
  block.amount = amount;
  block.expiry_ms = expiry_ms;
  return impl_->append(block, 0);
}

Result<Block> Store::debit(const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) {
  if (auto there = impl_->own_by_ref(ref, BlockType::debit)) return *there;
  if (impl_->own_by_ref(ref, BlockType::release)) return fail(Code::exists, "the hold of this award was released already");
  auto hold = impl_->own_by_ref(ref, BlockType::hold);
  if (!hold) return fail(Code::not_found, "nothing is held for this award");
  Block block;
  block.type = BlockType::debit;
  block.time_ms = now;
  block.counterparty = hold->counterparty;
  block.link = block_id(*hold);
  block.ref = ref;
  block.evidence = evidence;
  block.amount = amount;
  return impl_->append(block, hold->amount);
}

Result<Block> Store::release(const Hash& ref, const Hash& evidence, TimeMs now) {
  if (auto there = impl_->own_by_ref(ref, BlockType::release)) return *there;
  if (impl_->own_by_ref(ref, BlockType::debit)) return fail(Code::exists, "this award was paid already");
  auto hold = impl_->own_by_ref(ref, BlockType::hold);
  if (!hold) return fail(Code::not_found, "nothing is held for this award");
  Block block;
  block.type = BlockType::release;
  block.time_ms = now;
  block.counterparty = hold->counterparty;
  block.link = block_id(*hold);
  block.ref = ref;
  block.evidence = evidence;
  block.amount = hold->amount;
  return impl_->append(block, hold->amount);
}

Result<Block> Store::credit(const Block& debit_block, TimeMs now) {
  const BlockId debit_id = block_id(debit_block);
  if (auto there = impl_->own_by_link(debit_id, BlockType::credit)) return *there;
  if (debit_block.type != BlockType::debit || debit_block.counterparty != impl_->options.key) return fail(Code::invalid, "it is no DEBIT made out to this node");
  if (impl_->own_by_ref(debit_block.ref, BlockType::credit)) return fail(Code::exists, "this award was credited already, by another DEBIT");
  if (auto kept = keep_foreign(debit_block); !kept) return kept.error();
  Block block;
  block.type = BlockType::credit;
  block.time_ms = now;
  block.counterparty = debit_block.key;
  block.link = debit_id;
  block.ref = debit_block.ref;
  block.evidence = debit_block.evidence;
  block.amount = debit_block.amount;
  return impl_->append(block, 0);
}

// --- blocks of others ---

Result<void> Store::keep_foreign(const Block& block) {
  check(impl_->in_transaction, "a block is kept inside a transaction");
  if (block.key == impl_->options.key) return fail(Code::invalid, "it is a block of this node's own chain");
  if (!verify_block(block)) return fail(Code::invalid, "the block's signature is wrong");
  const BlockId id = block_id(block);
  bool contradicts = false;
  {
    auto statement = impl_->database->prepare("SELECT id FROM foreign_blocks WHERE key = ? AND seq = ?");
    statement.blob(block.key.view()).number(static_cast<std::int64_t>(block.seq));
    while (statement.row()) {
      if (statement.blob_at(0) == id.view()) return {};
      contradicts = true;
    }
  }
  if (block.type == BlockType::credit) {
    auto debit = find_block(block.link);
    if (!debit || debit->key != impl_->options.key || debit->type != BlockType::debit || debit->counterparty != block.key || debit->amount != block.amount || debit->ref != block.ref)
      return fail(Code::invalid, "the CREDIT does not fit a DEBIT of ours");
  }
  if (auto inserted = impl_->insert_foreign(block); !inserted) return inserted;
  // Both are kept: the pair proves to anyone that this key signed two histories.
  if (contradicts) return fail(Code::invalid, "node " + short_hex(block.key) + " signed two blocks with seq " + std::to_string(block.seq) + ": its chain is forked");
  return {};
}

Result<void> Store::Impl::insert_foreign(const Block& block) {
  auto insert = database->prepare("INSERT INTO foreign_blocks (key, seq, id, type, link, amount, bytes) VALUES (?, ?, ?, ?, ?, ?, ?)");
  insert.blob(block.key.view()).number(static_cast<std::int64_t>(block.seq)).blob(block_id(block).view()).number(static_cast<std::int64_t>(block.type)).blob(block.link.view()).number(block.amount).blob(encode_block(block));
  if (insert.step() != SQLITE_DONE) return database->problem("keep a block");
  return {};
}

std::optional<Block> Store::find_block(const BlockId& id) const {
  for (const char* sql : {"SELECT bytes FROM own WHERE id = ?", "SELECT bytes FROM foreign_blocks WHERE id = ?"}) {
    auto statement = impl_->database->prepare(sql);
    if (statement.blob(id.view()).row()) return unchecked(statement.blob_at(0));
  }
  return std::nullopt;
}

Micro Store::credited_from(const NodeKey& key) const {
  auto statement = impl_->database->prepare("SELECT COALESCE(SUM(o.amount), 0) FROM own o JOIN foreign_blocks f ON o.link = f.id WHERE o.type = 5 AND f.key = ?");
  return statement.blob(key.view()).row() ? statement.number_at(0) : 0;
}

Balance Store::balance() const {
  Balance balance;
  balance.line_micro = impl_->options.line_micro;
  if (impl_->head) {
    balance.balance_micro = impl_->head->balance;
    balance.held_micro = impl_->head->held;
    balance.blocks = impl_->head->seq + 1;
    balance.head = block_id(*impl_->head);
  }
  balance.unclaimed_micro = impl_->sum("SELECT COALESCE(SUM(amount), 0) FROM foreign_blocks f WHERE type = 4 AND NOT EXISTS (SELECT 1 FROM own o WHERE o.link = f.id AND o.type = 5)");
  balance.unclaimed_out_micro = impl_->sum("SELECT COALESCE(SUM(amount), 0) FROM own o WHERE type = 4 AND NOT EXISTS (SELECT 1 FROM foreign_blocks f WHERE f.link = o.id AND f.type = 5)");
  return balance;
}

std::vector<Block> Store::history(std::uint64_t from, std::size_t limit) const {
  std::vector<Block> blocks;
  auto statement = impl_->database->prepare("SELECT bytes FROM own WHERE seq >= ? ORDER BY seq LIMIT ?");
  statement.number(static_cast<std::int64_t>(from)).number(static_cast<std::int64_t>(limit));
  while (statement.row()) blocks.push_back(unchecked(statement.blob_at(0)));
  return blocks;
}

// --- records ---

Result<void> Store::put(std::string_view bucket, std::string_view key, std::string_view value) {
  check(impl_->in_transaction, "a record is written inside a transaction");
  auto statement = impl_->database->prepare("INSERT INTO records (bucket, key, value) VALUES (?, ?, ?) ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value");
  if (statement.blob(bucket).blob(key).blob(value).step() != SQLITE_DONE) return impl_->database->problem("write a record");
  return {};
}

Result<void> Store::erase(std::string_view bucket, std::string_view key) {
  check(impl_->in_transaction, "a record is erased inside a transaction");
  auto statement = impl_->database->prepare("DELETE FROM records WHERE bucket = ? AND key = ?");
  if (statement.blob(bucket).blob(key).step() != SQLITE_DONE) return impl_->database->problem("erase a record");
  return {};
}

std::optional<Bytes> Store::get(std::string_view bucket, std::string_view key) const {
  auto statement = impl_->database->prepare("SELECT value FROM records WHERE bucket = ? AND key = ?");
  if (!statement.blob(bucket).blob(key).row()) return std::nullopt;
  return Bytes(statement.blob_at(0));
}

void Store::scan(std::string_view bucket, const std::function<void(std::string_view, std::string_view)>& each) const {
  auto statement = impl_->database->prepare("SELECT key, value FROM records WHERE bucket = ? ORDER BY key");
  statement.blob(bucket);
  while (statement.row()) each(statement.blob_at(0), statement.blob_at(1));
}

}  // namespace tnode
