// The own chain and the roles' records: transactions, idempotent blocks, small values.
#include "ledger/store.h"

#include <algorithm>
#include <set>

#include "core/amount.h"
#include "ledger/store_impl.h"

namespace tnode {

Block block_of_row(std::string_view bytes) {
  auto block = decode_block(bytes);
  check(block.ok(), "a row that was checked when the store was opened");
  return *block;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

// --- transactions ---

Result<void> Store::begin() {
  check(!impl_->in_transaction && !impl_->options.read_only, "one transaction at a time, by a writer");
  if (auto begun = impl_->database->run("BEGIN IMMEDIATE"); !begun) return begun;
  impl_->in_transaction = true;
  impl_->broken.reset();
  impl_->head_at_begin = impl_->head;
  impl_->line_at_begin = impl_->options.line_micro;
  impl_->changed_holds.clear();
  return {};
}

Result<void> Store::commit() {
  check(impl_->in_transaction, "commit without begin");
  auto committed = impl_->broken ? Result<void>(*impl_->broken) : impl_->database->run("COMMIT");
  if (!committed) {
    rollback();
    return committed;
  }
  impl_->in_transaction = false;
  if (impl_->head != impl_->head_at_begin) impl_->note_last_seen();
  return {};
}

void Store::rollback() {
  if (!impl_->in_transaction) return;
  (void)impl_->database->run("ROLLBACK");  // SQLite may have rolled back by itself already
  impl_->in_transaction = false;
  impl_->head = impl_->head_at_begin;
  impl_->options.line_micro = impl_->line_at_begin;
  for (auto change = impl_->changed_holds.rbegin(); change != impl_->changed_holds.rend(); ++change) {
    impl_->open_holds.erase(change->first);
    if (change->second) impl_->open_holds.emplace(change->first, *change->second);
  }
  impl_->changed_holds.clear();
  impl_->newly_caught.clear();
}

Result<void> Store::Impl::may_write() const {
  check(in_transaction, "blocks and records are written inside a transaction");
  return broken ? Result<void>(*broken) : Result<void>();
}

Error Store::Impl::broke(const char* what) {
  broken = database->problem(what);
  return *broken;
}

// --- own blocks ---

Result<Block> Store::Impl::append(Block block, Micro hold_amount) {
  if (doubt != Doubt::none) return fail(Code::unavailable, "this node signs nothing yet: its chain may have gone on without this store");
  if (head && ends_segment(head->seq + 1)) {
    Block checkpoint;
    checkpoint.type = BlockType::checkpoint;
    checkpoint.time_ms = block.time_ms;
    checkpoint.evidence = open_holds_digest(open_holds);
    if (auto sealed = append_one(checkpoint, 0); !sealed) return sealed;
  }
  return append_one(std::move(block), hold_amount);
}

void Store::Impl::follow_holds(const Block& block) {
  auto there = open_holds.find(block.ref);
  if (block.type == BlockType::hold) {
    changed_holds.emplace_back(block.ref, std::nullopt);
    open_holds[block.ref] = {block_id(block), block.counterparty, block.amount, block.expiry_ms};
  } else if ((block.type == BlockType::debit || block.type == BlockType::release) && there != open_holds.end()) {
    changed_holds.emplace_back(block.ref, there->second);
    open_holds.erase(there);
  }
}

Result<Block> Store::Impl::append_one(Block block, Micro hold_amount) {
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
  if (auto good = check_block_shape(block); !good) return good.error();
  if (auto good = check_next_block(head ? &*head : nullptr, block, hold_amount, line); !good) return good.error();
  sign_block(block, *options.signer);
  if (auto inserted = insert_own(block); !inserted) return inserted.error();
  return block;
}

Result<void> Store::Impl::insert_own(const Block& block) {
  const Bytes bytes = encode_block(block);
  auto insert = database->prepare("INSERT INTO own (seq, id, type, counterparty, ref, link, amount, bytes, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
  insert.number(static_cast<std::int64_t>(block.seq)).blob(block_id(block).view()).number(static_cast<std::int64_t>(block.type)).blob(block.counterparty.view());
  insert.blob(block.ref.view()).blob(block.link.view()).number(block.amount).blob(bytes).blob(sha256(bytes).view());
  if (insert.step() != SQLITE_DONE) return broke("write a block");
  head = block;
  follow_holds(block);
  return {};
}

Result<Block> Store::hold(const NodeKey& payee, const Hash& ref, const Hash& evidence, Micro amount, TimeMs expiry_ms, TimeMs now) {
  if (auto good = impl_->may_write(); !good) return good.error();
  auto there = impl_->hold_of(ref);
  if (!there) return there.error();
  if (*there && ((*there)->counterparty != payee || (*there)->amount != amount)) return fail(Code::exists, "another amount or payee is held for this award already");
  if (*there) return **there;
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

Result<Block> Store::debit(const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) { return end_hold(BlockType::debit, ref, evidence, amount, now); }
Result<Block> Store::release(const Hash& ref, const Hash& evidence, TimeMs now) { return end_hold(BlockType::release, ref, evidence, 0, now); }

Result<Block> Store::pay(const NodeKey& payee, const Hash& ref, Micro amount, TimeMs now) {
  if (amount <= 0) return fail(Code::invalid, "a payment is more than nothing");
  if (payee == impl_->options.key) return fail(Code::invalid, "a node does not pay itself");
  if (auto held = hold(payee, ref, {}, amount, now, now); !held) return held;
  return debit(ref, {}, amount, now);
}

Result<Block> Store::end_hold(BlockType type, const Hash& ref, const Hash& evidence, Micro amount, TimeMs now) {
  if (auto good = impl_->may_write(); !good) return good.error();
  auto hold = impl_->hold_of(ref);
  if (!hold) return hold.error();
  if (!*hold) return fail(Code::not_found, "nothing is held for this award");
  Block block;
  block.link = block_id(**hold);
  auto there = impl_->end_of(block.link);
  if (!there) return there.error();
  if (*there && (*there)->type == type) return **there;
  if (*there) return fail(Code::exists, type == BlockType::debit ? "the hold of this award was released already" : "this award was paid already");
  if (amount < 0) return fail(Code::invalid, "a payment is not negative");
  block.type = type;
  block.time_ms = now;
  block.counterparty = (*hold)->counterparty;
  block.ref = ref;
  block.evidence = evidence;
  block.amount = type == BlockType::debit ? amount : (*hold)->amount;
  return impl_->append(block, (*hold)->amount);
}

Result<Block> Store::book(const Block& debit_block, Micro most_balance, TimeMs now) {
  if (auto good = impl_->may_write(); !good) return good.error();
  const BlockId debit_id = block_id(debit_block);
  auto by_debit = impl_->database->prepare("SELECT bytes FROM own WHERE link = ? AND type = 5");
  auto there = impl_->first_of(by_debit.blob(debit_id.view()));
  if (!there) return there.error();
  if (*there) return **there;
  if (debit_block.type != BlockType::debit || debit_block.counterparty != impl_->options.key) return fail(Code::invalid, "it is no DEBIT made out to this node");
  auto by_award = impl_->database->prepare("SELECT bytes FROM own WHERE ref = ? AND counterparty = ? AND type = 5");
  auto other = impl_->first_of(by_award.blob(debit_block.ref.view()).blob(debit_block.key.view()));
  if (!other) return other.error();
  const bool twice = other->has_value();
  const auto after = checked_add(impl_->head ? impl_->head->balance : 0, debit_block.amount);
  if (!after || *after > most_balance) return fail(Code::refused, "the amount of " + format_credits(debit_block.amount) + " credits is more than is taken: nobody can count so many");
  if (auto kept = keep_foreign(debit_block); !kept) return kept.error();
  if (twice) return fail(Code::exists, "this award was credited already, by another DEBIT");
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

Result<Block> Store::credit(const Block& debit_block, TimeMs now) { return book(debit_block, most_given_micro, now); }

Result<Block> Store::credit_award(const Block& debit_block, TimeMs now) {
  // Only what was promised: else a stranger could make us owed so much, on paper, that we decline all work.
  const auto hold = find_block(debit_block.link);
  if (!hold || hold->type != BlockType::hold || hold->key != debit_block.key || hold->counterparty != debit_block.counterparty || hold->ref != debit_block.ref || hold->amount < debit_block.amount)
    return fail(Code::refused, "it pays for no award that was taken here, or more than was put aside for it");
  return book(debit_block, std::numeric_limits<Micro>::max(), now);
}

// --- reading ---

Result<std::optional<Block>> Store::Impl::first_of(Statement& bound) const {
  const int step = bound.step();
  if (step == SQLITE_ROW) {
    std::optional<Block> block = block_of_row(bound.blob_at(0));
    bound.release();
    return block;
  }
  if (step == SQLITE_DONE) return std::optional<Block>();
  return database->problem("look for a block");
}

Result<std::optional<Block>> Store::Impl::hold_of(const Hash& ref) const {
  auto row = database->prepare("SELECT bytes FROM own WHERE ref = ? AND type = 2");
  return first_of(row.blob(ref.view()));
}

Result<std::optional<Block>> Store::Impl::end_of(const BlockId& hold) const {
  auto row = database->prepare("SELECT bytes FROM own WHERE link = ? AND type IN (3, 4)");
  return first_of(row.blob(hold.view()));
}

std::optional<Block> Store::find_block(const BlockId& id) const {
  for (const char* sql : {"SELECT bytes FROM own WHERE id = ?", "SELECT bytes FROM foreign_blocks WHERE id = ?", "SELECT bytes FROM frauds WHERE id = ?"}) {
    auto statement = impl_->database->prepare(sql);
    if (statement.blob(id.view()).row()) return block_of_row(statement.blob_at(0));
  }
  return std::nullopt;
}

Store::Known Store::known_of(const NodeKey& key) const {
  auto count = [&](const char* sql) {
    auto statement = impl_->database->prepare(sql);
    return statement.blob(key.view()).row() ? statement.number_at(0) : 0;
  };
  Known known;
  known.blocks = count("SELECT COUNT(*) FROM foreign_blocks WHERE key = ?");
  known.paid_to_us_micro = count("SELECT COALESCE(SUM(o.amount), 0) FROM own o JOIN foreign_blocks f ON o.link = f.id WHERE o.type = 5 AND f.key = ?");
  known.received_from_us_micro = count("SELECT COALESCE(SUM(o.amount), 0) FROM own o JOIN foreign_blocks f ON f.link = o.id WHERE o.type = 4 AND f.type = 5 AND f.key = ?");
  known.forked = count("SELECT COUNT(*) FROM frauds WHERE key = ?") > 0;
  return known;
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
  auto sum = [this](const char* sql) {
    auto total = impl_->database->number(sql);
    return total ? *total : 0;
  };
  // A block's counterparty stands at byte 56 of its bytes: most rows concern us, but evidence about strangers lies among them.
  auto owed = impl_->database->prepare("SELECT COALESCE(SUM(amount), 0) FROM foreign_blocks f WHERE type = 4 AND substr(bytes, 57, 32) = ? AND NOT EXISTS (SELECT 1 FROM own o WHERE o.link = f.id AND o.type = 5)");
  if (owed.blob(impl_->options.key.view()).row()) balance.unclaimed_micro = owed.number_at(0);
  balance.unclaimed_out_micro = sum("SELECT COALESCE(SUM(amount), 0) FROM own o WHERE type = 4 AND NOT EXISTS (SELECT 1 FROM foreign_blocks f WHERE f.link = o.id AND f.type = 5 AND f.key = o.counterparty AND f.amount = o.amount)");
  return balance;
}

std::uint64_t Store::blocks() const { return impl_->head ? impl_->head->seq + 1 : 0; }

std::vector<Block> Store::history(std::uint64_t from, std::size_t limit) const {
  std::vector<Block> blocks;
  auto statement = impl_->database->prepare("SELECT bytes FROM own WHERE seq >= ? ORDER BY seq LIMIT ?");
  statement.number(static_cast<std::int64_t>(from)).number(static_cast<std::int64_t>(limit));
  while (statement.row()) blocks.push_back(block_of_row(statement.blob_at(0)));
  return blocks;
}

std::optional<Block> Store::debit_of(const Hash& ref) const {
  auto row = impl_->database->prepare("SELECT bytes FROM own WHERE ref = ? AND type = 4");
  if (!row.blob(ref.view()).row()) return std::nullopt;
  return block_of_row(row.blob_at(0));
}

namespace {

/// Anybody can sign a CREDIT that names a DEBIT of ours: only its payee's, which says the same, is the other half.
bool are_halves(const Block& one, const Block& other) { return one.type == BlockType::debit ? halves_fit(one, other) : halves_fit(other, one); }

}  // namespace

void Store::scan_halves(const std::function<void(const Block&)>& each) const {
  auto row = impl_->database->prepare(
      "SELECT f.bytes, o.bytes, f.key AS key, f.seq AS seq FROM own o JOIN foreign_blocks f ON f.id = o.link WHERE o.type = 5 AND f.type = 4 UNION ALL"
      " SELECT f.bytes, o.bytes, f.key, f.seq FROM own o JOIN foreign_blocks f ON f.link = o.id WHERE o.type = 4 AND f.type = 5 ORDER BY key, seq");
  std::set<std::uint64_t> joined;
  while (row.row()) {
    const Block half = block_of_row(row.blob_at(0)), own = block_of_row(row.blob_at(1));
    if (are_halves(own, half) && joined.insert(own.seq).second) each(half);
  }
}

Bytes Store::export_chain() const {
  Bytes all;
  auto row = impl_->database->prepare("SELECT bytes FROM own ORDER BY seq");
  while (row.row()) all += row.blob_at(0);
  scan_halves([&](const Block& half) { all += encode_block(half); });
  return all;
}

std::optional<Block> Store::half_of(const Block& own) const {
  if (own.type != BlockType::credit && own.type != BlockType::debit) return std::nullopt;
  const bool credit = own.type == BlockType::credit;
  auto row = impl_->database->prepare(credit ? "SELECT bytes FROM foreign_blocks WHERE id = ?" : "SELECT bytes FROM foreign_blocks WHERE link = ? AND type = 5");
  row.blob(credit ? own.link.view() : block_id(own).view());
  while (row.row())
    if (const Block half = block_of_row(row.blob_at(0)); are_halves(own, half)) return half;
  return std::nullopt;
}

void Store::scan_foreign(const NodeKey& key, const std::function<void(const Block&)>& each) const {
  auto row = impl_->database->prepare("SELECT bytes FROM foreign_blocks WHERE key = ? ORDER BY seq");
  row.blob(key.view());
  while (row.row()) each(block_of_row(row.blob_at(0)));
}

const OpenHolds& Store::open_holds() const { return impl_->open_holds; }

// --- records ---

Result<void> Store::put(std::string_view bucket, std::string_view key, std::string_view value) {
  if (auto good = impl_->may_write(); !good) return good;
  auto statement = impl_->database->prepare("INSERT INTO records (bucket, key, value) VALUES (?, ?, ?) ON CONFLICT (bucket, key) DO UPDATE SET value = excluded.value");
  if (statement.blob(bucket).blob(key).blob(value).step() != SQLITE_DONE) return impl_->broke("write a record");
  return {};
}

Result<void> Store::erase(std::string_view bucket, std::string_view key) {
  if (auto good = impl_->may_write(); !good) return good;
  auto statement = impl_->database->prepare("DELETE FROM records WHERE bucket = ? AND key = ?");
  if (statement.blob(bucket).blob(key).step() != SQLITE_DONE) return impl_->broke("erase a record");
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
