// A store in a folder of its own, keys made from small numbers, and raw SQL for what the store itself would never do.
#pragma once
#include <sqlite3.h>

#include "ledger/store.h"
#include "tests/catch.h"
#include "tests/keys.h"
#include "tests/temp_dir.h"

namespace tnode {

inline Hash hash_of(const std::string& text) { return sha256(text); }

struct StoreFixture {
  Store::Options options(const KeyPair& key, bool read_only = false) const {
    Store::Options o;
    o.path = dir.path + "/" + short_hex(key.key()) + ".db";
    o.key = key.key();
    o.signer = &key;
    o.read_only = read_only;
    o.line_micro = 10 * credit_micro;
    return o;
  }
  std::unique_ptr<Store> open(const KeyPair& key, bool read_only = false) const {
    auto store = Store::open(options(key, read_only), 1000);
    if (!store) FAIL(store.error().message);
    return std::move(*store);
  }
  void sql(const KeyPair& key, const std::string& text) const {
    sqlite3* handle = nullptr;
    REQUIRE(sqlite3_open(options(key).path.c_str(), &handle) == SQLITE_OK);
    INFO(text);
    REQUIRE(sqlite3_exec(handle, text.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    sqlite3_close(handle);
  }
  TempDir dir;
};

/// Runs `work` as one transaction that must succeed.
template <class Work>
void committed(Store& store, Work work) {
  REQUIRE(store.begin().ok());
  work();
  auto done = store.commit();
  if (!done) FAIL(done.error().message);
}

/// The value of a result that must be one, with its sentence when it is not.
template <class T>
T good(Result<T> result) {
  if (!result) FAIL(result.error().message);
  return std::move(*result);
}

}  // namespace tnode
