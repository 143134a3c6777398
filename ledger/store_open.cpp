// Opening the store: the writer's lock, the version, and the replay that compares every row with what the chain says.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ledger/store_impl.h"

namespace tnode {
namespace {

constexpr std::int64_t application_id = 0x746e6f64;  // "tnod"
constexpr std::int64_t store_version = 1;

// `own` is this node's chain. Its indexes make impossible what must never be: two HOLDs for one award, two ends of one HOLD, two
// CREDITs on one DEBIT or for one award of one payer. `foreign_blocks` are blocks of others that concern us, `frauds` the second halves of
// contradictions. `sum` is the SHA-256 of the row's bytes: a signature has no other row that would notice its damage.
constexpr const char* schema = R"(
  CREATE TABLE own (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, type INTEGER NOT NULL, counterparty BLOB NOT NULL, ref BLOB NOT NULL,
                    link BLOB NOT NULL, amount INTEGER NOT NULL, bytes BLOB NOT NULL, sum BLOB NOT NULL);
  CREATE UNIQUE INDEX hold_of_ref ON own (ref) WHERE type = 2;
  CREATE UNIQUE INDEX end_of_hold ON own (link) WHERE type IN (3, 4);
  CREATE UNIQUE INDEX credit_of_debit ON own (link) WHERE type = 5;
  CREATE UNIQUE INDEX credit_of_ref ON own (ref, counterparty) WHERE type = 5;
  CREATE TABLE foreign_blocks (key BLOB NOT NULL, seq INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, type INTEGER NOT NULL, ref BLOB NOT NULL,
                               link BLOB NOT NULL, amount INTEGER NOT NULL, bytes BLOB NOT NULL, sum BLOB NOT NULL, PRIMARY KEY (key, seq));
  CREATE INDEX foreign_by_ref ON foreign_blocks (key, ref, type);
  CREATE INDEX foreign_by_link ON foreign_blocks (link, type);
  CREATE TABLE frauds (id BLOB PRIMARY KEY, key BLOB NOT NULL, first BLOB NOT NULL, rule BLOB NOT NULL, bytes BLOB NOT NULL, sum BLOB NOT NULL);
  CREATE INDEX frauds_by_key ON frauds (key);
  CREATE TABLE records (bucket BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY (bucket, key)) WITHOUT ROWID;
)";

/// The writer's lock. Of the kind that belongs to an open file and can be looked at without being tried.
struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

Store::Impl::~Impl() {
  database.reset();  // before the lock: the next writer finds a closed file
  if (lock >= 0) close(lock);
}

Result<void> Store::Impl::take_lock() {
  const std::string path = options.path + ".lock";
  lock = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return fail(Code::io, "cannot open " + path + ": " + std::strerror(errno));
  struct flock whole = whole_file();
  if (fcntl(lock, F_OFD_SETLK, &whole) != 0) {
    char text[32] = {};
    std::string owner;
    if (ssize_t got = pread(lock, text, sizeof text - 1, 0); got > 0) owner = " (pid " + std::string(text, static_cast<std::size_t>(got)) + ")";
    close(lock);
    lock = -1;
    return fail(Code::unavailable, "another tnode runs with this home" + owner + "; stop it, or give another --home");
  }
  const std::string pid = std::to_string(getpid());
  if (ftruncate(lock, 0) != 0 || pwrite(lock, pid.data(), pid.size(), 0) < 0) return fail(Code::io, "cannot write " + path + ": " + std::strerror(errno));
  return {};
}

bool Store::has_writer(const std::string& path) {
  const int file = ::open((path + ".lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  struct flock whole = whole_file();
  const bool taken = fcntl(file, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
  close(file);
  return taken;
}

/// Even a reader of a WAL makes a file beside it. On a read-only or full disk the store is read as it stands, which is whole when
/// its last writer left it in order.
Result<void> Store::Impl::read_where_nothing_can_be_written() {
  auto looked = database->number("PRAGMA user_version");
  if (looked || looked.error().code != Code::io) return {};
  struct stat wal {};
  if (stat((options.path + "-wal").c_str(), &wal) == 0 && wal.st_size > 0)
    return fail(Code::io, "the store " + options.path + " cannot be read: its last changes are in " + options.path + "-wal, and nothing can be written beside it; make its folder writable, or make room on the disk");
  auto opened = Database::open(options.path, Database::Access::read_unchanging);
  if (!opened) return opened.error();
  database = std::move(*opened);
  return {};
}

Result<void> Store::Impl::open_database() {
  if (options.read_only && access(options.path.c_str(), F_OK) != 0) return fail(Code::not_found, "there is no store at " + options.path + " yet");
  auto opened = Database::open(options.path, options.read_only ? Database::Access::read : Database::Access::write);
  if (!opened) return opened.error();
  database = std::move(*opened);
  if (options.read_only)
    if (auto readable = read_where_nothing_can_be_written(); !readable) return readable;
  auto version = database->number("PRAGMA user_version"), application = database->number("PRAGMA application_id"), tables = database->number("SELECT COUNT(*) FROM sqlite_schema");
  for (const auto* each : {&version, &application, &tables})
    if (!each->ok()) return each->error();
  const bool empty = *application == 0 && *version == 0 && *tables == 0;
  if (empty && options.read_only) return fail(Code::not_found, "the store at " + options.path + " is empty yet");
  if (!empty && *application != application_id) return fail(Code::invalid, options.path + " is no store of tnode");
  if (*version > store_version)
    return fail(Code::newer, "the store " + options.path + " was written by a newer tnode (version " + std::to_string(*version) + ", this one knows " + std::to_string(store_version) + "); update tnode, nothing was changed");
  // A reader sees one moment, however long it takes to look around.
  if (options.read_only) return database->run("BEGIN");
  // WAL lets `status` read beside a running node; full sync makes a commit survive a power cut.
  for (const char* pragma : {"PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA foreign_keys = ON"})
    if (auto set = database->run(pragma); !set) return set;
  return empty ? make_schema() : Result<void>();
}

Result<void> Store::Impl::make_schema() {
  const std::string sql = "BEGIN IMMEDIATE;" + std::string(schema) + "PRAGMA application_id = " + std::to_string(application_id) + "; PRAGMA user_version = " + std::to_string(store_version) + "; COMMIT";
  if (auto made = database->run(sql.c_str()); !made) return fail(made.error().code, "cannot make the store " + options.path + ": " + made.error().message);
  return {};
}

namespace {

Error damaged(const Store::Options& options, const std::string& why) {
  return fail(Code::invalid, "the store " + options.path + " is damaged: " + why + "; restore it from a backup");
}

/// A row of (seq, id, type, ref, link, amount, bytes, sum): the block, when every column says what its bytes say.
Result<Block> read_row(const Statement& row, const std::string& whose) {
  const std::string name = whose + "block " + std::to_string(row.number_at(0));
  if (sha256(row.blob_at(6)).view() != row.blob_at(7)) return fail(Code::invalid, name + " has changed since it was written");
  auto block = decode_block(row.blob_at(6));
  if (!block) return fail(Code::invalid, name + ": " + block.error().message);
  if (static_cast<std::int64_t>(block->seq) != row.number_at(0) || block_id(*block).view() != row.blob_at(1) || static_cast<std::int64_t>(block->type) != row.number_at(2) ||
      block->ref.view() != row.blob_at(3) || block->link.view() != row.blob_at(4) || block->amount != row.number_at(5))
    return fail(Code::invalid, name + " is filed under something that it does not say");
  return block;
}

}  // namespace

/// Every balance is computed anew and compared: a store that does not add up is not used.
Result<void> Store::Impl::replay_own() {
  Chain chain;
  auto row = database->prepare("SELECT seq, id, type, ref, link, amount, bytes, sum, counterparty FROM own ORDER BY seq");
  int step;
  while ((step = row.step()) == SQLITE_ROW) {
    auto block = read_row(row, "");
    if (!block) return damaged(options, block.error().message);
    const std::string name = std::string(block_word(block->type)) + " block " + std::to_string(block->seq);
    if (block->key != options.key) return damaged(options, name + " is of another key, " + to_hex(block->key) + "; this home belongs to " + to_hex(options.key));
    if (block->counterparty.view() != row.blob_at(8)) return damaged(options, name + " is filed under something that it does not say");
    if (auto good = chain.add(*block); !good) return damaged(options, good.error().message);
  }
  if (step != SQLITE_DONE) return database->problem("read the chain");
  if (!chain.head()) return {};
  head = chain.head();
  open_holds = chain.open_holds();
  // Each block names the one before it by hash, so the head's signature vouches for every body; `sum` noticed damage to the other signatures.
  if (!verify_block(*head)) return damaged(options, "block " + std::to_string(head->seq) + " has a wrong signature");
  options.line_micro = chain.line_micro();
  return {};
}

Result<void> Store::Impl::check_foreign() {
  auto row = database->prepare("SELECT seq, id, type, ref, link, amount, bytes, sum, key FROM foreign_blocks");
  int step;
  while ((step = row.step()) == SQLITE_ROW) {
    auto block = read_row(row, "another node's ");
    if (!block) return damaged(options, block.error().message);
    if (block->key.view() != row.blob_at(8)) return damaged(options, "another node's block " + std::to_string(block->seq) + " is filed under something that it does not say");
  }
  if (step != SQLITE_DONE) return database->problem("read blocks of others");
  auto fraud = database->prepare("SELECT bytes, sum FROM frauds");
  while ((step = fraud.step()) == SQLITE_ROW)
    if (sha256(fraud.blob_at(0)).view() != fraud.blob_at(1) || !decode_block(fraud.blob_at(0))) return damaged(options, "a proof of fraud has changed since it was written");
  if (step != SQLITE_DONE) return database->problem("read proofs of fraud");
  return {};
}

/// Each CREDIT has its DEBIT, and says the same amount.
Result<void> Store::Impl::check_credits() {
  auto lone = database->prepare(
      "SELECT o.seq FROM own o WHERE o.type = 5 AND NOT EXISTS (SELECT 1 FROM foreign_blocks f WHERE f.id = o.link AND f.type = 4"
      " AND f.key = o.counterparty AND f.ref = o.ref AND f.amount = o.amount) LIMIT 1");
  const int step = lone.step();
  if (step == SQLITE_ROW) return damaged(options, "credit block " + std::to_string(lone.number_at(0)) + " has no DEBIT that fits it");
  if (step != SQLITE_DONE) return database->problem("compare credits");
  return {};
}

Store::Doubt Store::Impl::doubt_of(const std::optional<LastSeen>& last_seen) const {
  if (!head) return options.key_is_new ? Doubt::none : Doubt::no_chain;
  if (!last_seen) return Doubt::none;
  if (head->seq + 1 < last_seen->blocks) return Doubt::older;
  auto row = database->prepare("SELECT id FROM own WHERE seq = ?");
  if (!row.number(static_cast<std::int64_t>(last_seen->blocks) - 1).row() || row.blob_at(0) != last_seen->head.view()) return Doubt::older;
  return last_seen->file.same_as(identity_of(options.path)) ? Doubt::none : Doubt::copied;
}

Result<void> Store::Impl::begin_chain(TimeMs now) {
  Block genesis;
  genesis.type = BlockType::genesis;
  genesis.amount = options.line_micro;
  genesis.time_ms = now;
  auto written = append(genesis, 0);
  return written ? Result<void>() : written.error();
}

Result<std::unique_ptr<Store>> Store::open(const Options& options, TimeMs now) {
  auto impl = std::make_unique<Impl>();
  impl->options = options;
  if (!options.read_only) {
    check(options.signer != nullptr && options.signer->key() == options.key, "a writer signs its own chain");
    if (auto locked = impl->take_lock(); !locked) return locked.error();
  }
  const auto last_seen = read_last_seen(options.path);  // before the store: it is never ahead of what is durable
  for (auto step : {&Impl::open_database, &Impl::replay_own, &Impl::check_foreign, &Impl::check_credits})
    if (auto done = ((*impl).*step)(); !done) return done.error();
  impl->doubt = impl->doubt_of(last_seen);
  std::unique_ptr<Store> store(new Store(std::move(impl)));
  if (options.read_only || store->doubt() != Doubt::none) return store;
  if (auto trusted = store->trust(now); !trusted) return trusted.error();
  return store;
}

}  // namespace tnode
