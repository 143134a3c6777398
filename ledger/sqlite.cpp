#include "ledger/sqlite.h"

namespace tnode {
namespace {

constexpr int busy_wait_ms = 5'000;

/// A path in a URI: what would end it there is escaped.
std::string uri_path(const std::string& path) {
  std::string escaped;
  for (char c : path) escaped += c == '?' ? "%3f" : c == '#' ? "%23" : c == '%' ? "%25" : std::string(1, c);
  return escaped;
}

}  // namespace

Result<std::unique_ptr<Database>> Database::open(const std::string& path, Access access) {
  std::unique_ptr<Database> database(new Database);
  database->path_ = path;
  const int flags = access == Access::write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
  const std::string name = access == Access::read_unchanging ? "file:" + uri_path(path) + "?immutable=1" : path;
  if (sqlite3_open_v2(name.c_str(), &database->handle_, flags | SQLITE_OPEN_NOMUTEX | (name == path ? 0 : SQLITE_OPEN_URI), nullptr) != SQLITE_OK)
    return database->problem("open");
  sqlite3_busy_timeout(database->handle_, busy_wait_ms);
  sqlite3_extended_result_codes(database->handle_, 1);
  return database;
}

Database::~Database() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  sqlite3_close(handle_);
}

Statement Database::prepare(const char* sql) const {
  auto& cached = statements_[sql];
  if (!cached) sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &cached, nullptr);
  check(!cached || !sqlite3_stmt_busy(cached), "a statement is used once at a time");
  sqlite3_reset(cached);  // it may have been stepped to its end, and is bound anew
  return Statement(cached);
}

Result<void> Database::run(const char* sql) const {
  if (sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr) == SQLITE_OK) return {};
  return problem(sql);
}

Error Database::problem(const std::string& what) const {
  const int code = (handle_ ? sqlite3_errcode(handle_) : SQLITE_NOMEM) & 0xff;  // the family of an extended code
  const std::string text = handle_ ? sqlite3_errmsg(handle_) : "out of memory";
  if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT)
    return fail(Code::invalid, "the store " + path_ + " is damaged (" + text + "); restore it from a backup, or move it away to begin anew");
  if (code == SQLITE_FULL) return fail(Code::io, "the disk is full: the store " + path_ + " cannot be written; make room and start again, nothing is lost");
  return fail(code == SQLITE_BUSY || code == SQLITE_LOCKED ? Code::unavailable : Code::io, "the store " + path_ + " (" + what + "): " + text);
}

Result<std::int64_t> Database::number(const char* sql) const {
  auto statement = prepare(sql);
  if (!statement.row()) return problem(sql);
  return statement.number_at(0);
}

}  // namespace tnode
