// A thin hold on SQLite: a connection, cached statements, results as values. Only ledger/ includes it.
#pragma once
#include <sqlite3.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "core/types.h"

namespace tnode {

/// One prepared statement, bound and stepped in order. Of each SQL text there is one: it is free for its next use when this is gone, or released.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* statement) : statement_(statement) {}
  ~Statement() { if (statement_) sqlite3_reset(statement_), sqlite3_clear_bindings(statement_); }
  Statement(Statement&& other) noexcept : statement_(std::exchange(other.statement_, nullptr)), bound_(other.bound_), misused_(other.misused_) {}
  Statement& blob(std::string_view value) {
    if (statement_) misused_ |= sqlite3_bind_blob64(statement_, ++bound_, value.data() ? value.data() : "", value.size(), SQLITE_TRANSIENT) != SQLITE_OK;
    return *this;
  }
  Statement& number(std::int64_t value) {
    if (statement_) misused_ |= sqlite3_bind_int64(statement_, ++bound_, value) != SQLITE_OK;
    return *this;
  }
  /// SQLITE_ROW, SQLITE_DONE or an error.
  int step() { return statement_ && !misused_ ? sqlite3_step(statement_) : SQLITE_ERROR; }
  bool row() { return step() == SQLITE_ROW; }
  void release() { if (statement_) sqlite3_reset(statement_); }
  std::string_view blob_at(int column) const {
    return {static_cast<const char*>(sqlite3_column_blob(statement_, column)), static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }
  std::int64_t number_at(int column) const { return sqlite3_column_int64(statement_, column); }

 private:
  sqlite3_stmt* statement_;
  int bound_ = 0;
  bool misused_ = false;  // what was not bound is not run with what was bound before
};

class Database {
 public:
  /// `read_unchanging` reads without any file beside it, and only what nobody changes meanwhile.
  enum class Access { write, read, read_unchanging };
  static Result<std::unique_ptr<Database>> open(const std::string& path, Access access);
  ~Database();
  Statement prepare(const char* sql) const;
  Result<void> run(const char* sql) const;
  /// The last failure as a sentence: `what` was tried.
  Error problem(const std::string& what) const;
  /// The number in the first row's first column.
  Result<std::int64_t> number(const char* sql) const;

 private:
  Database() = default;
  std::string path_;
  sqlite3* handle_ = nullptr;
  mutable std::map<std::string, sqlite3_stmt*> statements_;
};

}  // namespace tnode
